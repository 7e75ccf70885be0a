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
	`"price":"30990.00"`: `^\{"vehicle":.*"price":"31990\.00",(.|\n)*"price":"30990\.00",(.|\n)*\{"change_type":"price_change",` +
		`"changed_fields":\{"price":\{"old":"31990\.00","new":"30990\.00"\}\},"source":"api"`,
	"inventory/changes": `^ *[0-9]+ "type":"upsert"\n\{"changes":\[\{"type":"remove","vin":"1FTEW1EF8HFA85881","reason":"sold","removed_at":"[^"]*"\}\],"next":"[0-9A-Za-z_-]+","more":false\}$`,
	"inventory/export":  `^vin,stock_number,make,model,price,photos\r\n[0-9A-Z]{17},[^,]*,Ford,(.|\n)*\r\n[0-9A-Z]{17},[^,]*,Ford,`,
	"errors.csv": `"status":"completed",(.|\n)*"records_total":2,"records_created":1,"records_updated":0,"records_errors":1,(.|\n)*` +
		`line,result,column,value,reason\n3,refused,VIN,2T1BURHE3JC07468,`,
	"Five percent under price": `^\{"rule":\{"id":"[0-9a-f-]{36}","name":"Five percent under price","enabled":true,`,
	"rules/test":               `^\{"applied":true,"conditions":\[\{"field":"price","operator":"less_than","value":"5000","held":true,"actual":"4200\.00"\}\],.*"changed_fields":\{"price":\{"old":"4200\.00","new":"5000\.00"\}\}`,
	`{"dryRun":true}`:          `^\{"run":\{"id":"[0-9a-f-]{36}","dryRun":true,"status":"completed",.*"total":36[0-9],`,
	"sourceIntegrationIds":     `^\{"mergeConfig":\{"id":"[0-9a-f-]{36}","name":"Website",.*"status":"ready"`,
	"reprocess=true":           `^\{"mappings":\{"Lot":"custom\.lot"\},"log":\{"id":(.|\n)*"target":"custom\.lot"`,
	"sftp -P":                  `"password":"[0-9A-Za-z]{32}"(.|\n)*"filename":"stock\.csv","status":"completed",(.|\n)*"vehicles":\[\{"vin":"1HGCM82633A004352"`,
}

// TestDocumentedCommands runs every shell block of the integrators' page, and those of the README that call a
// server, as a reader would with URL, KEY, EMAIL, PASSWORD, TOKEN and INTEGRATION set.
func TestDocumentedCommands(t *testing.T) {
	sh := newShell(t)
	s := serve(t, t.TempDir(), "--demo")
	admin := s.login()
	_, token, _ := strings.Cut(admin, "Bearer ")
	_, key, _ := strings.Cut(s.key(admin, 1000, "inventory:read", "inventory:write", "integrations:read", "integrations:write", "rules:read", "rules:write"), ": ")
	sh.env = append(sh.env, "URL="+s.url, "KEY="+key, "EMAIL="+adminEmail, "PASSWORD="+adminPassword, "TOKEN="+token, "INTEGRATION="+s.integration(admin))
	withSFTP := sh.answerSFTP()

	seen := map[string]bool{}
	for _, block := range append(shellBlocks(t, "../docs/integrating.md"), callsOf(shellBlocks(t, "../README.md"))...) {
		if strings.Contains(block, "sftp -P") && !withSFTP {
			t.Log("LEFT OUT: the documented SFTP commands were not tried: no sftp was found")
			seen["sftp -P"] = true
			continue
		}
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
			cmd.Env = environment(t, data)
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

// integration makes one of the demo's first dealership and returns its id.
func (s *server) integration(admin string) string {
	s.t.Helper()
	dealer, _ := s.must(200, "GET", "/api/v1/dealers?limit=1", "", admin).json("dealers").([]any)[0].(map[string]any)["id"].(string)
	r := s.must(201, "POST", "/api/v1/integrations", fmt.Sprintf(`{"dealershipId":%q,"type":"custom","name":"Documented"}`, dealer), admin)
	return r.text("integration.id")
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

// shell runs commands the way readers do, in an empty folder. Its curl fails on answers of 400 and above, and
// notes that for where a pipeline hides it.
type shell struct {
	t      *testing.T
	dir    string // of the tools that stand in for the reader's
	env    []string
	failed string // file of notes
	answer string // file of curl's last answer
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
	sh := &shell{t: t, dir: dir, failed: filepath.Join(dir, "failed"), answer: filepath.Join(dir, "answer")}
	sh.env = []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir}
	sh.tool("curl", fmt.Sprintf("'%s' --fail --max-time 30 \"$@\" >'%s' || { code=$?; echo \"$code: curl $*\" >>'%s'; exit $code; }\ncat '%s'", curl, sh.answer, sh.failed, sh.answer))
	return sh
}

func (s *shell) tool(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// answerSFTP answers what OpenSSH's sftp asks its user: whether the host key is right, and the password, which is
// the one in curl's latest answer. ok is false when there is no sftp.
func (s *shell) answerSFTP() (ok bool) {
	sftp, err := exec.LookPath("sftp")
	if err != nil {
		return false
	}
	s.tool("sftp", fmt.Sprintf("exec '%s' -F none -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile='%s/known_hosts' -o PreferredAuthentications=password \"$@\"", sftp, s.dir))
	s.tool("askpass", fmt.Sprintf("sed 's/.*\"password\":\"\\([^\"]*\\)\".*/\\1/' '%s'", s.answer))
	s.env = append(s.env, "SSH_ASKPASS="+filepath.Join(s.dir, "askpass"), "SSH_ASKPASS_REQUIRE=force")
	return true
}

// run runs commands that have to succeed, each of them, and returns what they print.
func (s *shell) run(commands string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", commands)
	cmd.Env, cmd.Dir = s.env, s.t.TempDir()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	notes, _ := os.ReadFile(s.failed) // there is none when nothing failed
	if err != nil || len(notes) > 0 {
		s.t.Fatalf("%s\n%v\n%s%s%s", commands, err, out.String(), errOut.String(), notes)
	}
	return out.String()
}
