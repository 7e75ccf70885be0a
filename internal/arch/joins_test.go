package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"carfluence/internal/sqldb"
)

var (
	reads = regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE)\s+([a-z_]+)`)
	binds = regexp.MustCompile(`\bdealer_group_id\s*=|USING \(dealer_group_id\b|\(dealer_group_id, [^)]*\) (?:=|IN)`)
)

// TestEveryTableOfAStatementIsBound to the dealer group by itself, or by its join with another one: so a statement is
// about one shard where the tables are distributed by the group.
func TestEveryTableOfAStatementIsBound(t *testing.T) {
	known := tenantTables(t)
	files, err := filepath.Glob("../*/*_sql.go")
	if err != nil {
		t.Fatal(err)
	}
	joins := 0
	for _, file := range files {
		for _, text := range sqlTexts(t, file) {
			for _, part := range selects(text) {
				if free, tables := unbound(part, known); free {
					t.Errorf("%s: not every one of the tables %v is bound to the dealer group in\n%s", file, tables, part)
				} else if len(tables) > 1 {
					joins++
				}
			}
		}
	}
	if joins < 2 {
		t.Errorf("only %d joins were found", joins)
	}
}

// tenantTables are the tables of the migrations that belong to tenants.
func tenantTables(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../sqldb/migrations/*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(string(b), -1) {
			if sqldb.Unguarded[m[1]] == "" {
				out = append(out, m[1])
			}
		}
	}
	if len(out) < 20 {
		t.Fatal(out)
	}
	return out
}

// sqlTexts are a file's texts with their concatenations; what is not known before the program runs is "?".
func sqlTexts(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]ast.Expr{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					constants[name.Name] = spec.Values[i]
				}
			}
		}
		return true
	})
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.BinaryExpr, *ast.BasicLit:
			if text := folded(n.(ast.Expr), constants); reads.MatchString(text) {
				out = append(out, text)
			}
			return false
		}
		return true
	})
	return out
}

func folded(e ast.Expr, constants map[string]ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return folded(e.X, constants) + folded(e.Y, constants)
	case *ast.Ident:
		if value, ok := constants[e.Name]; ok {
			return folded(value, constants)
		}
	}
	return "?"
}

// selects takes a statement apart into itself and its subselects.
func selects(text string) []string {
	var done []string
	type level struct {
		text  strings.Builder
		paren int // open ones that are no subselect's
	}
	open := []*level{{}}
	for i, r := range text {
		top := open[len(open)-1]
		switch {
		case r == '(' && strings.HasPrefix(strings.TrimSpace(text[i+1:]), "SELECT"):
			open = append(open, &level{})
			continue
		case r == '(':
			top.paren++
		case r == ')' && top.paren > 0:
			top.paren--
		case r == ')' && len(open) > 1:
			done, open = append(done, top.text.String()), open[:len(open)-1]
			continue
		}
		top.text.WriteRune(r)
	}
	for _, l := range open {
		done = append(done, l.text.String())
	}
	return done
}

// unbound tells whether a part of a statement, without its subselects, reads more tenants' tables than it binds.
func unbound(part string, known []string) (free bool, tables []string) {
	for _, m := range reads.FindAllStringSubmatch(part, -1) {
		if slices.Contains(known, m[1]) {
			tables = append(tables, m[1])
		}
	}
	return len(tables) > len(binds.FindAllString(part, -1)), tables
}

func TestUnboundTablesAreCaught(t *testing.T) {
	known := []string{"vehicle", "dealership"}
	for text, want := range map[string]bool{
		`SELECT 1 FROM vehicle WHERE dealer_group_id = $1`:                                                                                                 false,
		`SELECT 1 FROM vehicle v JOIN dealership d ON d.id = v.dealership_id WHERE v.dealer_group_id = $1`:                                                 true,
		`SELECT 1 FROM vehicle v JOIN dealership d ON d.dealer_group_id = v.dealer_group_id WHERE v.dealer_group_id = $1`:                                  false,
		`DELETE FROM vehicle WHERE dealer_group_id = $1 AND dealership_id IN (SELECT id FROM dealership WHERE name = $2)`:                                  true,
		`DELETE FROM vehicle WHERE dealer_group_id = $1 AND dealership_id IN (SELECT id FROM dealership WHERE dealer_group_id = $1 AND lower(name) = 'x')`: false,
		`SELECT 1 FROM person JOIN membership ON true`:                                                                                                     false,
	} {
		got := false
		for _, part := range selects(text) {
			free, _ := unbound(part, known)
			got = got || free
		}
		if got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
