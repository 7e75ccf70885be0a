// Package arch_test holds the plan of the house against the code: which package may import which, who knows
// HTTP and who knows SQL. It is the table of docs/architecture.md in a form that fails.
package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "carfluence/"

// tiers from the top of the house to its ground. A package imports only what stands in a lower tier, or further
// right in its own. A new package has to be placed here.
var tiers = [][]string{
	{"cmd/carfluence"},
	{"internal/cli"},
	{"internal/app"},
	{"internal/sftpd", "internal/web"},
	{"internal/demo/gen", "internal/demo", "internal/feed"},
	{"internal/rule", "internal/inventory", "internal/dealer", "internal/job"},
	{"internal/auth", "internal/quota", "internal/lease", "internal/audit"},
	{"internal/rest/docsite", "internal/rest", "internal/rest/resttest", "internal/sqldb/sqldbtest", "internal/sqldb"},
	{"internal/mapping", "internal/sheet", "internal/index", "internal/vehicle/vehicletest", "internal/vehicle", "internal/vin", "internal/money", "internal/errs"}, // pure
}

// outside stands beside the house: tests and measurements of the whole. They may import anything, and nothing
// imports them. Folders below them belong to them.
var outside = []string{"e2e", "bench", "scripts", "internal/arch"}

// knowsHTTP lists the packages whose every file may import net/http; elsewhere only *_http.go may.
var knowsHTTP = []string{"internal/rest", "internal/rest/docsite", "internal/rest/resttest", "internal/app", "internal/web", "internal/cli"}

// knowsSQL lists the packages whose every file may hold SQL; elsewhere only *_sql.go may.
var knowsSQL = []string{"internal/sqldb", "internal/sqldb/sqldbtest"}

// source is one Go file that goes into the program.
type source struct {
	pkg  string // path inside the module
	name string
	tree *ast.File
	fset *token.FileSet
}

func (s source) imports() []string {
	var out []string
	for _, spec := range s.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}

func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s/%s:%d", s.pkg, s.name, s.fset.Position(pos).Line)
}

func TestImportsGoOneWay(t *testing.T)    { report(t, importFaults(readModule(t))) }
func TestHTTPStaysAtTheEdge(t *testing.T) { report(t, httpFaults(readModule(t))) }
func TestSQLStaysInItsFiles(t *testing.T) { report(t, sqlFaults(readModule(t))) }

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// place finds a package in the table: its tier and its position in it.
func place(pkg string) (tier, column int, ok bool) {
	for i, row := range tiers {
		if j := slices.Index(row, pkg); j >= 0 {
			return i, j, true
		}
	}
	return 0, 0, false
}

func isOutside(pkg string) bool {
	return slices.ContainsFunc(outside, func(o string) bool { return pkg == o || strings.HasPrefix(pkg, o+"/") })
}

func importFaults(files []source) []string {
	var faults []string
	for _, s := range files {
		if isOutside(s.pkg) {
			continue
		}
		tier, column, ok := place(s.pkg)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s has no place in the table of internal/arch", s.pkg))
			continue
		}
		for _, p := range s.imports() {
			target, ours := strings.CutPrefix(p, module)
			if !ours {
				continue
			}
			t, c, ok := place(target)
			if !ok || t < tier || t == tier && c <= column {
				faults = append(faults, fmt.Sprintf("%s/%s imports %s, which does not lie below it", s.pkg, s.name, target))
			}
		}
	}
	return slices.Compact(faults)
}

func httpFaults(files []source) []string {
	var faults []string
	for _, s := range files {
		if isOutside(s.pkg) || slices.Contains(knowsHTTP, s.pkg) || strings.HasSuffix(s.name, "_http.go") {
			continue
		}
		for _, p := range s.imports() {
			if p == "net/http" || strings.HasPrefix(p, "net/http/") || strings.HasPrefix(p, "github.com/danielgtaylor/huma/") {
				faults = append(faults, fmt.Sprintf("%s/%s imports %s; move it to a *_http.go", s.pkg, s.name, p))
			}
		}
	}
	return faults
}

// statement recognises the SQL this project writes: keywords in capitals.
var statement = regexp.MustCompile(`^\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\S+\s*(\([^)]*\))?\s*AS\s|` +
	`CREATE\s+(TABLE|INDEX|UNIQUE|TRIGGER)|ALTER\s+TABLE|PRAGMA\s|VACUUM\b)`)

var runsSQL = []string{"Exec", "Query", "QueryRow", "ExecContext", "QueryContext", "QueryRowContext"}

func sqlFaults(files []source) []string {
	var faults []string
	for _, s := range files {
		if isOutside(s.pkg) || slices.Contains(knowsSQL, s.pkg) || strings.HasSuffix(s.name, "_sql.go") {
			continue
		}
		if slices.Contains(s.imports(), "database/sql") {
			faults = append(faults, fmt.Sprintf("%s/%s imports database/sql; move it to a *_sql.go", s.pkg, s.name))
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				if n.Kind == token.STRING && err == nil && statement.MatchString(text) {
					faults = append(faults, s.at(n.Pos())+" holds SQL; move it to a *_sql.go")
				}
			case *ast.CallExpr:
				method, ok := n.Fun.(*ast.SelectorExpr)
				// One argument or none is url.Values' and its like; ours take a context and a text.
				if ok && len(n.Args) >= 2 && slices.Contains(runsSQL, method.Sel.Name) {
					faults = append(faults, fmt.Sprintf("%s calls %s; move it to a *_sql.go", s.at(n.Pos()), method.Sel.Name))
				}
			}
			return true
		})
	}
	return faults
}

// readModule parses every file of the module but its tests, whatever its build constraints say.
func readModule(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, name, d.Name())
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files = append(files, source{pkg: path.Dir(rel), name: path.Base(rel), tree: tree, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no source found; the test looks in the wrong folder")
	}
	return files
}

// skip leaves out what the go command leaves out: hidden folders, testdata and other modules.
func skip(root, name, base string) error {
	if name == root {
		return nil
	}
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// The checks themselves: what they must catch, and what they must let through.

func fake(t *testing.T, pkg, name, text string) []source {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, "package x\n"+text, 0)
	if err != nil {
		t.Fatal(err)
	}
	return []source{{pkg: pkg, name: name, tree: tree, fset: fset}}
}

func TestChecksCatchWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		what, pkg, name, text string
		check                 func([]source) []string
		caught                bool
	}{
		{"down", "internal/feed", "a.go", `import _ "carfluence/internal/inventory"`, importFaults, false},
		{"up", "internal/inventory", "a.go", `import _ "carfluence/internal/feed"`, importFaults, true},
		{"from what is pure", "internal/mapping", "a.go", `import _ "carfluence/internal/inventory"`, importFaults, true},
		{"far up", "internal/errs", "a.go", `import _ "carfluence/internal/cli"`, importFaults, true},
		{"right in its tier", "internal/inventory", "a.go", `import _ "carfluence/internal/dealer"`, importFaults, false},
		{"left in its tier", "internal/dealer", "a.go", `import _ "carfluence/internal/inventory"`, importFaults, true},
		{"a package without a place", "internal/util", "a.go", ``, importFaults, true},
		{"an import without a place", "internal/feed", "a.go", `import _ "carfluence/internal/util"`, importFaults, true},
		{"the tests of the whole", "internal/app", "a.go", `import _ "carfluence/e2e"`, importFaults, true},
		{"from the tests of the whole", "e2e/load", "a.go", `import _ "carfluence/internal/app"`, importFaults, false},

		{"HTTP in a domain file", "internal/auth", "key.go", `import _ "net/http"`, httpFaults, true},
		{"the framework in a domain file", "internal/auth", "key.go", `import _ "github.com/danielgtaylor/huma/v2"`, httpFaults, true},
		{"HTTP in its file", "internal/auth", "key_http.go", `import _ "net/http"`, httpFaults, false},
		{"HTTP in rest", "internal/rest", "problem.go", `import _ "net/http"`, httpFaults, false},

		{"SQL in a domain file", "internal/auth", "key.go", "var q = `\n\tSELECT id FROM api_key`", sqlFaults, true},
		{"an update", "internal/auth", "key.go", `var q = "UPDATE api_key SET name = $2"`, sqlFaults, true},
		{"a call", "internal/auth", "key.go", `func f() { db.Exec(ctx, q) }`, sqlFaults, true},
		{"database/sql", "internal/auth", "key.go", `import _ "database/sql"`, sqlFaults, true},
		{"a URL's query", "internal/auth", "key.go", `func f() { u.Query() }`, sqlFaults, false},
		{"English", "internal/auth", "key.go", `var s = "Select a key, or update it. WITH care."`, sqlFaults, false},
		{"SQL in its file", "internal/auth", "key_sql.go", `var q = "DELETE FROM api_key"`, sqlFaults, false},
	} {
		faults := c.check(fake(t, c.pkg, c.name, c.text))
		if caught := len(faults) > 0; caught != c.caught {
			t.Errorf("%s: caught %v, want %v %q", c.what, caught, c.caught, faults)
		}
	}
}
