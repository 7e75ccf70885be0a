package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// variables are what the commands read from the environment.
func variables(t *testing.T) (all []string) {
	t.Helper()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			all = append(all, f.Envs...)
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(parser.Model.Node)
	for _, secret := range []string{"CARFLUENCE_SECRET", "CARFLUENCE_ADMIN_PASSWORD"} { // no flags: they would be seen in lists of processes
		all = append(all, secret, secret+"_FILE")
	}
	return append(all, "CARFLUENCE_DATABASE_FILE", "CARFLUENCE_STOCK_DATABASE_FILE")
}

// TestPagesAndFilesNameRealSettings looks at all that operators are given.
func TestPagesAndFilesNameRealSettings(t *testing.T) {
	known := variables(t)
	var files []string
	for _, pattern := range []string{"../../deploy/*", "../../docs/*.md", "../../README.md", "../../scripts/*-postgres.sh"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, list...)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bCARFLUENCE_[A-Z_]*[A-Z]`).FindAllString(string(text), -1) {
			if found++; !slices.Contains(known, name) {
				t.Errorf("%s: there is no setting %s", file, name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d were found", found)
	}
}

// TestEverySettingOfServeIsDocumented in the table of docs/operating.md, and no other.
func TestEverySettingOfServeIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Settings\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `--.*$").FindAllString(table, -1) {
		name, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(name, -1) {
			documented = append(documented, m[1])
		}
	}
	parser, err := kong.New(&serveCommand{})
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, f := range parser.Model.Flags {
		if f.Name != "help" && f.Name != "demo" {
			flags = append(flags, f.Name)
		}
	}
	slices.Sort(documented)
	slices.Sort(flags)
	if len(flags) < 30 || !slices.Equal(documented, flags) {
		t.Errorf("serve takes\n%s\nand docs/operating.md lists\n%s", strings.Join(flags, " "), strings.Join(documented, " "))
	}
}
