package vehicle

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"carfluence/internal/money"
)

// ReadText reads a value written as plain text, as rules write them, into its canonical text: "1000" for an
// amount, "true", a word, "luxury, premium" for a list. It is as strict as the API. "" empties the field.
// detail is what is wrong with the text, "" if nothing is.
func ReadText(f Field, text string, now time.Time) (canonical, detail string) {
	if text == "" {
		if fields[f].needed {
			return "", "can't be emptied; " + mustBeWord(f)
		}
		return "", ""
	}
	in, raw := inputReader{now: now}, []byte(text)
	switch fields[f].kind {
	case Int, Money, Decimal:
		if !isNumber(raw) || strings.ContainsAny(text, "eE") { // exponents are how JSON writes numbers, not people
			raw = []byte("-")
		}
	}
	switch fields[f].kind {
	case Int:
		return in.int(f, raw)
	case Money:
		return readMoney(f, raw)
	case Decimal:
		return readDecimal(f, raw)
	case Bool:
		if text != True && text != False {
			return "", "must be true or false"
		}
		return text, ""
	case List:
		return readItems(f, text)
	case Map:
		return "", "can't be written as a text; name one of its properties, as in custom.colour"
	}
	return readText(f, text)
}

// readItems reads a list written with commas.
func readItems(f Field, text string) (canonical, detail string) {
	list := strings.Split(text, ",")
	if len(list) > fields[f].items {
		return "", fmt.Sprintf("must not have more than %d items", fields[f].items)
	}
	for i := range list {
		item, detail := readItem(f, AppendString(nil, list[i]))
		if detail != "" {
			return "", fmt.Sprintf("item %d %s", i+1, detail)
		}
		list[i] = item
	}
	return ListOf(list), ""
}

// ReadCustom reads a value of a custom property; "" takes the property away.
func ReadCustom(text string) (canonical, detail string) {
	if text = Tidy(text); utf8.RuneCountInString(text) > Custom.limit() {
		return "", fmt.Sprintf("must not be longer than %d characters", Custom.limit())
	}
	return text, ""
}

// MaxCustomName is the most characters of a custom property's name.
const MaxCustomName = maxText

// Bounds are the least and the largest value of an Int in wholes, of a Money or Decimal in hundredths.
func (f Field) Bounds(now time.Time) (low, high int64) {
	if f == Year {
		return fields[f].low, int64(now.Year() + 2)
	}
	return fields[f].low, f.top()
}

// NumberText is the canonical text of a number in the units of Bounds.
func (f Field) NumberText(n int64) string {
	switch fields[f].kind {
	case Money:
		var b [24]byte // a rule sets prices of whole stocks: no more than the text is allocated
		return string(money.FromCents(n).Append(b[:0]))
	case Decimal:
		return litresText(n)
	}
	return strconv.FormatInt(n, 10)
}

// Items are the items of a list's canonical text.
func Items(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := list; len(rest) > 1 && rest[1] == '"'; {
			rest = rest[1:] // the bracket or comma before an item
			end := stringEnd(rest)
			if end < 0 || !yield(unquote(rest[:end])) {
				return
			}
			rest = rest[end:]
		}
	}
}

// member is one member of a map's canonical text.
type member struct{ name, value string } // value is JSON

// members of a map's canonical text, in their order.
func members(custom string) iter.Seq[member] {
	return func(yield func(member) bool) {
		for rest := custom; len(rest) > 1 && rest[1] == '"'; {
			rest = rest[1:] // the brace or comma before a member
			end := stringEnd(rest)
			if end < 0 || end >= len(rest) {
				return
			}
			size := valueEnd(rest[end+1:])
			if size <= 0 || !yield(member{unquote(rest[:end]), rest[end+1 : end+1+size]}) {
				return
			}
			rest = rest[end+1+size:]
		}
	}
}

// CustomText is a custom property's text, given the canonical text of them all; "" when there is none.
func CustomText(custom, name string) string {
	for m := range members(custom) {
		if m.name == name {
			return unquote(m.value)
		}
	}
	return ""
}

// CustomIndex finds one vehicle's custom properties, of which there may be half a megabyte. The zero value is ready to use.
type CustomIndex struct {
	custom  string // that the members are of
	members []member
}

// enoughToIndex is the length of a text from which looking through it each time costs more.
const enoughToIndex = 1000

// Text is CustomText.
func (x *CustomIndex) Text(custom, name string) string {
	if len(custom) < enoughToIndex {
		return CustomText(custom, name)
	}
	if custom != x.custom {
		x.custom, x.members = custom, slices.AppendSeq(x.members[:0], members(custom))
	}
	i, ok := slices.BinarySearchFunc(x.members, name, func(m member, name string) int { return strings.Compare(m.name, name) })
	if !ok {
		return ""
	}
	return unquote(x.members[i].value)
}

// WithCustom sets a custom property, or takes it away when text is "", and returns the canonical text of all.
// detail is why it can't be set, "" otherwise.
func WithCustom(custom, name, text string) (canonical, detail string) {
	b, n, due := []byte{'{'}, 0, text != ""
	put := func(name, value string) {
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(AppendString(b, name), ':')
		b = append(b, value...)
	}
	set := func() {
		if due {
			put(name, string(AppendString(nil, text)))
		}
		due = false
	}
	for m := range members(custom) {
		if m.name >= name {
			set()
		}
		if m.name != name {
			put(m.name, m.value)
		}
	}
	set()
	switch {
	case n > fields[Custom].items:
		return "", fmt.Sprintf("custom has %d properties already", fields[Custom].items)
	case n == 0:
		return "", ""
	}
	return string(append(b, '}')), ""
}
