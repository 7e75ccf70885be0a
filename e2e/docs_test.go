package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is what readers get to see, by a piece of the block of commands it belongs to.
var documented = map[string]string{
	"/inventory?limit=2": `^\{"vehicles":\[\{"vin":.*\},\{"vin":.*\],"pagination":\{"total":360,"limit":2,"offset":0\}\}`,
	"/api/v1/auth/me":    `^\{"user":\{"id":"[0-9a-f-]{36}","email":"` + regexp.QuoteMeta(adminEmail) + `",.*"roles":\["admin"\]`,
	"If-None-Match":      `^304\n$`,
	"-X PATCH": `^\{"vehicle":.*"price":"31990\.00",(.|\n)*"price":"30990\.00",(.|\n)*\{"change_type":"price_change",` +
		`"changed_fields":\{"price":\{"old":"31990\.00","new":"30990\.00"\}\},"source":"api"`,
}

// TestDocumentedCommands runs every shell block of the integrators' page, and those of the README that call a
// server, as a reader would with URL, KEY, EMAIL and PASSWORD set.
func TestDocumentedCommands(t *testing.T) {
	sh := newShell(t)
	s := serve(t, t.TempDir(), "--demo")
	_, key, _ := strings.Cut(s.key(s.login(), 1000, "inventory:read", "inventory:write"), ": ")
	sh.env = append(sh.env, "URL="+s.url, "KEY="+key, "EMAIL="+adminEmail, "PASSWORD="+adminPassword)

	seen := map[string]bool{}
	for _, block := range append(shellBlocks(t, "../docs/integrating.md"), callsOf(shellBlocks(t, "../README.md"))...) {
		out := sh.run(block)
		for piece, want := range documented {
			if strings.Contains(block, piece) {
				seen[piece] = true
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("%s\nprints\n%.3000s\nand not %s", block, out, want)
				}
			}
		}
	}
	for piece := range documented {
		if !seen[piece] {
			t.Errorf("no block has %q any more: tell what the new one prints", piece)
		}
	}
}

// TestDemoLines runs the commands serve --demo prints, as printed: with a password it made up, and with one
// from the environment.
func TestDemoLines(t *testing.T) {
	for name, own := range map[string]bool{"generated password": false, "own password": true} {
		t.Run(name, func(t *testing.T) {
			sh := newShell(t)
			data := t.TempDir()
			cmd := exec.Command(binary, "serve", "--demo")
			cmd.Env = environment(data)
			if own {
				sh.env = append(sh.env, "CARFLUENCE_ADMIN_PASSWORD="+adminPassword)
			} else {
				cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "CARFLUENCE_ADMIN_PASSWORD=") })
			}
			s := launch(t, cmd, data)
			commands, docs := printed(t, s.output())
			out := sh.run(commands)

			dec := json.NewDecoder(strings.NewReader(out))
			var list struct {
				Vehicles   []struct{ VIN string }
				Pagination struct{ Total, Limit int }
			}
			var made struct{ Key, Name string }
			if err := dec.Decode(&list); err != nil || len(list.Vehicles) != 2 || list.Pagination.Total != 360 {
				t.Fatalf("the list: %v\n%s", err, out)
			}
			if err := dec.Decode(&made); err != nil || made.Name != "My first key" {
				t.Fatalf("the key: %v\n%s", err, out)
			}
			s.must(200, "GET", "/api/v1/inventory?limit=1", "", "X-API-Key: "+made.Key)
			if page := s.must(200, "GET", strings.TrimPrefix(docs, s.url), ""); !bytes.Contains(page.body, []byte("<html")) {
				t.Errorf("%s is no page", docs)
			}
			if !own && !strings.Contains(s.output(), "Password (shown once): ") {
				t.Errorf("the password is not printed:\n%s", s.output())
			}
		})
	}
}

// printed takes the commands, and the address of the reference, out of what a demo's first start prints.
func printed(t *testing.T, output string) (commands, docs string) {
	t.Helper()
	_, rest, ok := strings.Cut(output, "Try:\n\n")
	commands, rest, found := strings.Cut(rest, "# the reference of every call\n")
	docs, _, end := strings.Cut(rest, "\n")
	if !ok || !found || !end || !strings.HasSuffix(docs, "/docs") {
		t.Fatalf("the output is not as expected:\n%s", output)
	}
	return commands, docs
}

// shellBlocks are the fenced sh blocks of a page.
func shellBlocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	if len(out) == 0 {
		t.Fatalf("%s has no shell blocks", page)
	}
	return out
}

// callsOf leaves out blocks that call no server.
func callsOf(blocks []string) []string {
	return slices.DeleteFunc(blocks, func(b string) bool { return !strings.Contains(b, "curl") })
}

// shell runs commands the way readers do. Its curl fails on answers of 400 and above, and notes that for
// where a pipeline hides it.
type shell struct {
	t      *testing.T
	env    []string
	failed string // file of notes
}

func newShell(t *testing.T) *shell {
	t.Helper()
	curl, err := exec.LookPath("curl")
	if err == nil {
		_, err = exec.LookPath("sh")
	}
	if err != nil {
		t.Skipf("LEFT OUT: the documented commands were not tried: %v", err)
	}
	dir := t.TempDir()
	failed := filepath.Join(dir, "failed")
	script := fmt.Sprintf("#!/bin/sh\n'%s' --fail --max-time 30 \"$@\" || { code=$?; echo \"$code: curl $*\" >>'%s'; exit $code; }\n", curl, failed)
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &shell{t: t, failed: failed, env: []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir}}
}

// run runs commands that have to succeed, each of them, and returns what they print.
func (s *shell) run(commands string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", commands)
	cmd.Env = s.env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	notes, _ := os.ReadFile(s.failed) // there is none when nothing failed
	if err != nil || len(notes) > 0 {
		s.t.Fatalf("%s\n%v\n%s%s%s", commands, err, out.String(), errOut.String(), notes)
	}
	return out.String()
}
