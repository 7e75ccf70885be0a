package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"carfluence/internal/sqldb"
)

var (
	statement = regexp.MustCompile(`(?i)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)
	// unnamedColumns are * for all columns of a table, and values for all of them.
	unnamedColumns = regexp.MustCompile(`(?i)(?:SELECT|RETURNING|,|\bDISTINCT)\s+(?:\w+\.)?\*|INTO\s+\w+\s+(?:VALUES|SELECT)`)
	tables         = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)`)
)

// TestEveryStatementNamesItsDealerGroup reads the SQL in all *_sql.go files.
func TestEveryStatementNamesItsDealerGroup(t *testing.T) {
	files, err := filepath.Glob("../*/*_sql.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	checked := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(lit.Value)
			if !statement.MatchString(text) {
				return true
			}
			checked++
			if unnamedColumns.MatchString(text) {
				t.Errorf("%s: name the columns; during an upgrade there may be more:\n%s", file, text)
			}
			if table, ok := leaksTenant(text); ok {
				t.Errorf("%s: a statement on %s does not name dealer_group_id:\n%s", file, table, text)
			}
			return true
		})
	}
	if checked < 40 {
		t.Fatalf("only %d statements found", checked)
	}
}

// leaksTenant names a tenant's table a statement uses without its group.
func leaksTenant(text string) (table string, leaks bool) {
	if strings.Contains(text, "dealer_group_id") {
		return "", false
	}
	for _, m := range tables.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(m[1])
		if _, free := sqldb.Unguarded[name]; !free && name != "set" && name != "json_each" {
			return name, true
		}
	}
	return "", false
}

func TestUnnamedColumnsAreCaught(t *testing.T) {
	for text, want := range map[string]bool{
		`SELECT * FROM vehicle`:                        true,
		`SELECT v.vin, v.* FROM vehicle v`:             true,
		`UPDATE rule SET a = 1 RETURNING *`:            true,
		`INSERT INTO rule VALUES ($1)`:                 true,
		`SELECT count(*), a * b, 2 * c FROM vehicle`:   false,
		`INSERT INTO rule (a) VALUES ($1) RETURNING a`: false,
		`INSERT INTO rule (a) SELECT b FROM c`:         false,
	} {
		if got := unnamedColumns.MatchString(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestLeaksAreCaught(t *testing.T) {
	for text, want := range map[string]bool{
		`SELECT * FROM vehicle WHERE vin = $1`:                          true,
		`DELETE FROM api_key`:                                           true,
		`UPDATE session SET ended_at = $1`:                              true,
		`SELECT 1 FROM person JOIN session ON true`:                     true,
		`SELECT * FROM vehicle WHERE dealer_group_id = $1 AND vin = $2`: false,
		`UPDATE authority SET n = n + 1`:                                false,
	} {
		if _, got := leaksTenant(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
