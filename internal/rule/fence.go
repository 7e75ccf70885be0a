package rule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"

	"carfluence/internal/vehicle"
)

// Expressions are read by the parser of expr-lang, and by nothing else of it. Its language has loops, variables,
// closures, pipes and more; the fence in front of the parser lets only those tokens through that our part of it
// needs, and the compiler behind it only those nodes.

// maxNesting of brackets; the parser goes as deep as they do.
const maxNesting = 30

// source is an expression as it was written.
type source struct {
	runes  []rune
	faults []string
}

// fault adds what is wrong at a place of the source.
func (s *source) fault(at file.Location, format string, args ...any) {
	line, column := 1, 1
	for _, r := range s.runes[:min(at.From, len(s.runes))] {
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	s.faults = append(s.faults, fmt.Sprintf("line %d, column %d: ", line, column)+fmt.Sprintf(format, args...))
}

// word is what stands at a place, quoted and not too long.
func (s *source) word(at file.Location) string {
	from := min(at.From, len(s.runes))
	word := s.runes[from:max(from, min(at.To, len(s.runes)))]
	if len(word) > maxShown {
		return strconv.Quote(string(word[:maxShown]) + "…")
	}
	return strconv.Quote(string(word))
}

// operators are the tokens that may stand in an expression, beside names, numbers and texts.
const operators = " + - * / % == != < <= > >= && || ! ? : ?? . , ( ) [ ] "

// instead says what to write in place of some that may not.
var instead = map[string]string{
	"and": "write &&", "or": "write ||", "not": "write !", "=": "compare with ==", "&": "write &&", "|": "functions are written as in min(price, msrp)",
	"**": "powers are not among the operators", "^": "powers are not among the operators", "?.": "write ?? to say what stands for an empty field",
	";": "a rule has one expression per action", "let": "a rule has one expression per action", "if": "write condition ? value : other value",
	"in": "join comparisons by ||", "#": "there are no loops and no comments", "..": "there are no lists and loops",
}

// signs are what word processors write, and what is meant by it.
var signs = map[rune]string{
	'×': "*", '÷': "/", '−': "-", '–': "-", '“': plainMarks, '”': plainMarks, '„': plainMarks, '‘': plainMarks, '’': plainMarks,
}

const plainMarks = "plain quotation marks"

// parse reads an expression. It is nil when there are faults.
func (s *source) parse(text string) ast.Node {
	if !s.readable(text) {
		return nil
	}
	if s.fence(text); len(s.faults) > 0 { // at most one: what follows often follows from it
		return nil
	}
	tree, err := parser.ParseWithConfig(text, &conf.Config{MaxNodes: MaxNodes})
	if err != nil {
		s.refused(err)
		return nil
	}
	return tree.Node
}

// readable tells whether a text may be given to the lexer at all.
func (s *source) readable(text string) bool {
	switch {
	case len(text) > MaxExpression:
		s.faults = append(s.faults, fmt.Sprintf("must not be longer than %d bytes", MaxExpression))
		return false
	case strings.TrimSpace(text) == "":
		s.faults = append(s.faults, "must not be empty; write an expression as in price * 0.95")
		return false
	}
	s.runes = []rune(text)
	for i, r := range s.runes {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			s.fault(file.Location{From: i}, "the character %U can't stand in an expression", r)
			return false
		}
	}
	return true
}

// fence looks at every token, and at what stands between them.
func (s *source) fence(text string) {
	tokens, err := lexer.Lex(file.NewSource(text))
	if err != nil {
		s.refused(err)
		return
	}
	end, depth, afterPoint := 0, 0, false
	for _, t := range tokens {
		if t.Kind == lexer.EOF {
			t.Location = file.Location{From: len(s.runes), To: len(s.runes)}
		}
		for i := end; i < t.From; i++ {
			if !unicode.IsSpace(s.runes[i]) { // and yet no token
				s.fault(file.Location{From: i}, "comments can't stand in an expression")
				return
			}
		}
		switch {
		case t.Kind == lexer.Bracket && strings.Contains("([", t.Value):
			depth++
		case t.Kind == lexer.Bracket:
			depth--
		}
		if depth > maxNesting {
			s.fault(t.Location, "brackets are nested more than %d deep", maxNesting)
			return
		}
		if !afterPoint { // the name of a custom property may be any word
			s.token(t)
		}
		if len(s.faults) > 0 {
			return
		}
		afterPoint = t.Is(lexer.Operator, ".")
		end = t.To
	}
}

func (s *source) token(t lexer.Token) {
	switch t.Kind {
	case lexer.Bytes:
		s.fault(t.Location, "%s is no text; leave out the letter before it", s.word(t.Location))
	case lexer.Number:
		if why := numeral(t.Value); why != "" {
			s.fault(t.Location, "%s %s", s.word(t.Location), why)
		}
	case lexer.Operator, lexer.Bracket:
		if strings.Contains(operators, " "+t.Value+" ") {
			return
		}
		why := instead[t.Value]
		if why == "" {
			why = "the operators are " + strings.TrimSpace(operators)
		}
		s.fault(t.Location, "%s can't be used in an expression; %s", s.word(t.Location), why)
	}
}

// numeral says what is wrong with a number as it is written, "" if nothing is.
func numeral(text string) string {
	whole, _, point := strings.Cut(strings.ReplaceAll(text, "_", ""), ".")
	_, ok := readNumber(plain(text))
	switch {
	case strings.ContainsAny(text, "eExXoObB"):
		return "must be written as a plain number, as in 1000 or 0.95"
	case ok && (point || len(strings.TrimLeft(whole, "0")) < 19): // the parser reads an int64
		return ""
	case strings.HasSuffix(text, "."):
		return "must have digits after its point"
	}
	return "has too many digits; 18 are enough for any amount"
}

// plain takes from a numeral what readNumber does not read: 1_000 and .95.
func plain(numeral string) string {
	numeral = strings.ReplaceAll(numeral, "_", "")
	if strings.HasPrefix(numeral, ".") {
		return "0" + numeral
	}
	return numeral
}

// refused says in our words what the lexer or the parser has found.
func (s *source) refused(err error) {
	var e *file.Error
	if !errors.As(err, &e) {
		s.faults = append(s.faults, "can't be read as an expression")
		return
	}
	what := s.word(e.Location)
	switch {
	case strings.Contains(e.Message, "maximum allowed nodes"):
		s.fault(e.Location, "the expression has more than %d parts", MaxNodes)
	case strings.HasPrefix(e.Message, "unexpected token EOF"), strings.HasPrefix(e.Message, "unexpected end"):
		s.fault(file.Location{From: len(s.runes)}, "the expression ends too early%s", s.percent())
	case strings.Contains(e.Message, "cannot be mixed"):
		s.fault(e.Location, "put brackets around what belongs to ??, as in (sale_price ?? price) * 0.95")
	case strings.Contains(e.Message, "not terminated"):
		s.fault(e.Location, "a text has no closing quotation mark")
	case strings.Contains(e.Message, "escape"):
		s.fault(e.Location, "a text has an unknown escape; write a backslash twice")
	case strings.Contains(e.Message, "bad number"):
		s.fault(e.Location, "%s does not belong to a number", what)
	default:
		s.fault(e.Location, "%s is not expected here%s", what, s.meant(e.Location.From))
	}
}

// percent is a hint for whoever wrote percent, "" elsewhere.
func (s *source) percent() string {
	if !strings.HasSuffix(strings.TrimSpace(string(s.runes)), "%") {
		return ""
	}
	return "; % is the remainder of a division: write 0.95 for 95 percent"
}

// meant is a hint for whoever wrote a number or a sign as it is printed, "" elsewhere.
func (s *source) meant(at int) string {
	if at >= len(s.runes) {
		return ""
	}
	if sign := signs[s.runes[at]]; sign != "" {
		return "; write " + sign
	}
	if s.runes[at] == ',' && at > 0 && at+1 < len(s.runes) && unicode.IsDigit(s.runes[at-1]) && unicode.IsDigit(s.runes[at+1]) {
		return "; decimals have a point, as in 0.95"
	}
	return ""
}

// fieldKind is what a field is in an expression.
func fieldKind(f vehicle.Field) kind {
	switch f.Kind() {
	case vehicle.Int, vehicle.Money, vehicle.Decimal:
		return numeric
	case vehicle.Bool:
		return truth
	case vehicle.List, vehicle.Map:
		return broken
	}
	return textual
}
