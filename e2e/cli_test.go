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
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// withInput runs a command that reads standard input; extra are settings of the environment.
func withInput(t *testing.T, data, in string, extra []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(environment(t, data), extra...)
	cmd.Stdin = strings.NewReader(in)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for command, words := range map[string]string{
		"":          "serve import feed user group key migrate backup config version Exit CARFLUENCE_SECRET",
		"serve":     "--listen --data --database --sftp-listen --metrics-listen --admin-email --token-ttl --refresh-ttl --session-rate-per-hour --anonymous-rate-per-hour --quota-window --public-url --tls-cert --tls-key --trusted-proxies --demo CARFLUENCE_LISTEN password",
		"import":    "<file> --dealer --report --json Exit",
		"feed":      "list add passwd push logs confirm discard",
		"feed list": "--group --json", "feed add": "<name> --type --dealer --strategy", "feed passwd": "<integration>",
		"feed push": "<file> --integration --no-wait --json --feed-max-file-mb Exit held", "feed logs": "<log-id> --integration --limit --errors --json",
		"feed confirm": "<log-id> --no-wait Exit", "feed discard": "<log-id>",
		"user":        "add list passwd disable",
		"user add":    "<email> --name --role --password-stdin --group",
		"user list":   "--group",
		"user passwd": "<email> --password-stdin", "user disable": "<email>",
		"group": "add list", "group add": "<name>", "group list": "--data",
		"key": "create list revoke", "key create": "<name> --scopes --rate-limit-per-hour", "key list": "--group", "key revoke": "<id>",
		"migrate": "--data", "backup": "<dir>", "config": "--listen", "version": "version",
	} {
		out, errOut, code := carfluence(t, data, append(strings.Fields(command), "--help")...)
		if code != 0 || errOut != "" {
			t.Errorf("%s --help: exit %d, %s", command, code, errOut)
		}
		for word := range strings.SplitSeq(words, " ") {
			if !contains(out, word) {
				t.Errorf("%s --help does not mention %s:\n%s", command, word, out)
			}
		}
	}
	if out, _, code := carfluence(t, data); code != 0 || !contains(out, "serve") {
		t.Errorf("without a command: %d %s", code, out)
	}
	if out, _, code := carfluence(t, data, "version"); code != 0 || !strings.HasPrefix(out, "carfluence ") {
		t.Errorf("version: %d %s", code, out)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("help made a data folder")
	}
}

func TestWrongCommandLinesEndWith2(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for line, says := range map[string]string{
		"sevre":                                        "sevre",
		"serve --lisen=x":                              "--lisen",
		"serve extra":                                  "extra",
		"serve --token-ttl=soon":                       "--token-ttl",
		"serve --token-ttl=0s":                         "--token-ttl",
		"serve --token-ttl=1000h":                      "--token-ttl",
		"serve --quota-window=1500ms":                  "--quota-window",
		"serve --session-rate-per-hour=0":              "--session-rate-per-hour",
		"serve --anonymous-rate-per-hour=-1":           "--anonymous-rate-per-hour",
		"serve --log-level=loud":                       "--log-level",
		"serve --tls-cert=x.pem":                       "--tls-key",
		"serve --public-url=inventory":                 "--public-url",
		"serve --trusted-proxies=10.0.0.0/99":          "--trusted-proxies",
		"serve --database=mysql://x":                   "--database",
		"serve --config=/nowhere.json":                 "nowhere.json",
		"serve --admin-password=x":                     "--admin-password",
		"serve --secret=x":                             "--secret",
		"import":                                       "file",
		"import /nowhere.csv":                          "nowhere.csv",
		"feed":                                         "push",
		"feed add x":                                   "--type",
		"feed push":                                    "file",
		"feed push /nowhere.csv":                       "nowhere.csv",
		"feed confirm":                                 "log-id",
		"feed logs --errors=x.csv":                     "--errors",
		"feed logs --limit=0":                          "--limit",
		"user":                                         "add",
		"user add":                                     "--name",
		"user add a@example.com":                       "--name",
		"user add a@example.com --name=A --role=owner": "--role",
		"key create":                                   "--scopes",
		"key create k":                                 "--scopes",
		"key revoke":                                   "id",
		"backup":                                       "dir",
		"migrate --database=x":                         "--database",
		"config --token-ttl=0s":                        "--token-ttl",
	} {
		_, errOut, code := carfluence(t, data, strings.Fields(line)...)
		if code != 2 || !contains(errOut, says) || contains(errOut, "goroutine") {
			t.Errorf("%s: exit %d, want 2 and a word on %s:\n%s", line, code, says, errOut)
		}
	}
	// Every fault at once.
	_, errOut, code := carfluence(t, data, "serve", "--token-ttl=0s", "--quota-window=1ms", "--trusted-proxies=x,y", "--public-url=:")
	for _, name := range []string{"--token-ttl", "--quota-window", `"x"`, `"y"`, "--public-url"} {
		if code != 2 || !contains(errOut, name) {
			t.Errorf("exit %d, no word on %s:\n%s", code, name, errOut)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a wrong command line made a data folder")
	}
}

func TestConfigIsMasked(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "settings.json")
	if err := os.WriteFile(file, []byte(`{"token-ttl":"5m","session-rate-per-hour":77,"refresh-ttl":"10h","trusted-proxies":["10.0.0.0/8"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"CARFLUENCE_SECRET=a secret of at least thirty-two characters", "CARFLUENCE_ADMIN_PASSWORD=hunter2 hunter2 hunter2", "CARFLUENCE_REFRESH_TTL=20h"}
	out, _, code := withInput(t, data, "", env, "config", "--config", file, "--token-ttl", "7m")
	if code != 0 || contains(out, "thirty-two") || contains(out, "hunter2") || !contains(out, "hidden") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	for _, want := range []string{`token-ttl\s+7m`, `session-rate-per-hour\s+77`, `refresh-ttl\s+20h`, `trusted-proxies\s+.*10\.0\.0\.0/8`, `quota-window\s+1h`, `data\s+` + regexp.QuoteMeta(data)} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if err := os.WriteFile(file, []byte(`{"tokn-ttl":"5m"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := carfluence(t, data, "config", "--config", file); code != 2 || !contains(errOut, "tokn-ttl") {
		t.Errorf("an unknown setting: %d %s", code, errOut)
	}
	_, errOut, code := withInput(t, data, "", []string{"CARFLUENCE_SECRET=x", "CARFLUENCE_SECRET_FILE=/x"}, "serve")
	if code == 0 || !contains(errOut, "CARFLUENCE_SECRET_FILE") {
		t.Errorf("a secret twice: %d %s", code, errOut)
	}
}

func TestPeopleKeysAndGroupsBesideARunningServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data)
	login := func(email, password string) reply {
		r, err := s.call("POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	// People.
	out := mustRun(t, data, "user", "add", "jane@example.com", "--name", "Jane Doe", "--role", "manager")
	_, generated, _ := strings.Cut(out, "shown once): ")
	generated = strings.TrimSpace(generated)
	jane := login("jane@example.com", generated)
	if jane.StatusCode != 200 || jane.text("user.role") != "manager" {
		t.Fatalf("login with the printed password: %d %s\n%s", jane.StatusCode, jane.body, out)
	}
	bearer := "Authorization: Bearer " + jane.text("token")
	s.must(200, "GET", "/api/v1/inventory", "", bearer)
	if out := mustRun(t, data, "user", "list"); !contains(out, "jane@example.com") || !contains(out, adminEmail) || contains(out, "argon2") {
		t.Errorf("list:\n%s", out)
	}
	if _, errOut, code := carfluence(t, data, "user", "add", "jane@example.com", "--name", "Jane"); code != 1 || !contains(errOut, "exists") {
		t.Errorf("the same address again: %d %s", code, errOut)
	}
	for password, why := range map[string]string{"short": "15", "password1234567": ""} {
		if _, errOut, code := withInput(t, data, password+"\n", nil, "user", "add", "joe@example.com", "--name", "Joe", "--password-stdin"); code != 1 || !contains(errOut, why) || contains(errOut, password) {
			t.Errorf("password %q: %d %s", password, code, errOut)
		}
	}
	const own = "my very own pass phrase"
	if _, errOut, code := withInput(t, data, own+"\n", nil, "user", "passwd", "jane@example.com", "--password-stdin"); code != 0 {
		t.Fatalf("passwd: %d %s", code, errOut)
	}
	s.must(401, "GET", "/api/v1/inventory", "", bearer) // from the moment the command has ended
	jane = login("jane@example.com", own)
	bearer = "Authorization: Bearer " + jane.text("token")
	s.must(200, "GET", "/api/v1/inventory", "", bearer)
	mustRun(t, data, "user", "disable", "jane@example.com")
	s.must(401, "GET", "/api/v1/inventory", "", bearer)
	if r := login("jane@example.com", own); r.StatusCode != 401 {
		t.Errorf("login of a disabled person: %d", r.StatusCode)
	}
	if _, errOut, code := carfluence(t, data, "user", "disable", adminEmail); code != 1 || !contains(errOut, "admin") {
		t.Errorf("disabling the last administrator: %d %s", code, errOut)
	}
	if _, errOut, code := carfluence(t, data, "user", "disable", "nobody@example.com"); code != 1 || errOut == "" {
		t.Errorf("disabling nobody: %d %s", code, errOut)
	}

	// Keys.
	out = mustRun(t, data, "key", "create", "Partner", "--scopes", "inventory:read,dealers:read", "--rate-limit-per-hour", "500")
	key := "X-API-Key: " + strings.TrimSpace(out)
	if r := s.must(200, "GET", "/api/v1/inventory", "", key); r.Header.Get("X-RateLimit-Limit") != "500" {
		t.Errorf("limit %s", r.Header.Get("X-RateLimit-Limit"))
	}
	list := mustRun(t, data, "key", "list")
	row := regexp.MustCompile(`(?m)^(\S+)\s+(cf_live_\S+)\s+Partner`).FindStringSubmatch(list)
	if row == nil || contains(list, strings.TrimSpace(out)) {
		t.Fatalf("list:\n%s", list)
	}
	mustRun(t, data, "key", "revoke", row[1])
	if r := s.must(401, "GET", "/api/v1/inventory", "", key); r.text("code") != "key_revoked" {
		t.Errorf("a revoked key: %s", r.body)
	}
	if _, errOut, code := carfluence(t, data, "key", "revoke", "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"); code != 1 || errOut == "" {
		t.Errorf("revoking nothing: %d %s", code, errOut)
	}
	for _, args := range [][]string{{"key", "create", "k", "--scopes", "inventory:delete"}, {"key", "create", "k", "--scopes", "admin", "--rate-limit-per-hour", "0"}, {"key", "create", "", "--scopes", "admin"}} {
		if out, errOut, code := carfluence(t, data, args...); code != 1 || errOut == "" || out != "" {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, errOut)
		}
	}

	// Groups.
	if out := mustRun(t, data, "group", "add", "Second Group"); !contains(out, "Second Group") {
		t.Errorf("group add: %s", out)
	}
	if out := mustRun(t, data, "group", "list"); !contains(out, "Second Group") || strings.Count(out, "\n") != 3 {
		t.Errorf("group list:\n%s", out)
	}
	if _, errOut, code := carfluence(t, data, "key", "list"); code != 1 || !contains(errOut, "which dealer group") {
		t.Errorf("with two groups one has to be named: %d %s", code, errOut)
	}
	foreign := "X-API-Key: " + strings.TrimSpace(mustRun(t, data, "key", "create", "k", "--scopes", "admin", "--group", "Second Group"))
	if r := s.must(200, "GET", "/api/v1/api-keys", "", foreign); r.json("pagination.total") != 1.0 {
		t.Errorf("a group sees the keys of another: %s", r.body)
	}
	if _, errOut, code := carfluence(t, data, "key", "list", "--group", "Nobody"); code != 1 || errOut == "" {
		t.Errorf("an unknown group: %d %s", code, errOut)
	}
	for _, secret := range []string{generated, own, strings.TrimPrefix(key, "X-API-Key: "), adminPassword} {
		if contains(s.logged(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

func TestImportCommand(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	s := serve(t, data)
	key := s.key(s.login(), 10_000, "inventory:read", "dealers:read")
	feed := feedFile(t, dir, "4FT", 30, 15_000)
	for i, want := range []string{`created\s+30\b`, `unchanged\s+30\b`} {
		out := mustRun(t, data, "import", feed, "--dealer", "Main Street")
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("run %d: no %s in\n%s", i+1, want, out)
		}
	}
	time.Sleep(seenElsewhere)
	if found := inventory(t, s, key); len(found) != 30 {
		t.Errorf("%d vehicles", len(found))
	}

	mixed := filepath.Join(dir, "mixed.csv")
	text := "VIN,Price\n" + vinOf("4FT", 1) + ",16000\nnot a vin,5\n" + vinOf("4FT", 100) + ",17000\n,\n"
	if err := os.WriteFile(mixed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.csv")
	out, errOut, code := carfluence(t, data, "import", mixed, "--dealer", "Main Street", "--json", "--report", report)
	var r struct {
		Total     int                  `json:"rows_total"`
		Created   int                  `json:"rows_created"`
		Updated   int                  `json:"rows_updated"`
		Unchanged int                  `json:"rows_unchanged"`
		Refused   int                  `json:"rows_refused"`
		Refusals  []struct{ Line int } `json:"refused"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 3 || r.Created != 1 || r.Updated != 1 || r.Refused < 1 || r.Total != r.Created+r.Updated+r.Unchanged+r.Refused || r.Refusals[0].Line != 3 {
		t.Errorf("exit %d, %+v %v\n%s%s", code, r, err, out, errOut)
	}
	if b, err := os.ReadFile(report); err != nil || !contains(string(b), "3,refused") {
		t.Errorf("report: %s %v", b, err)
	}

	time.Sleep(seenElsewhere)
	before := inventory(t, s, key)
	for name, text := range map[string]string{"empty.csv": "", "prose.csv": "Dear Sir or Madam,\nplease find attached\n", "headers.csv": "VIN,Price\n", "binary.csv": "PK\x03\x04\x00\x00\x00\x00\xff\xfe", "novin.csv": "Stock,Price\n1,2\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errOut, code := carfluence(t, data, "import", path, "--dealer", "Other"); code != 1 || errOut == "" || contains(errOut, "goroutine") {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, errOut)
		}
	}
	if _, errOut, code := carfluence(t, data, "import", dir, "--dealer", "Other"); code != 2 || errOut == "" {
		t.Errorf("a folder: exit %d %s", code, errOut)
	}
	time.Sleep(seenElsewhere)
	if after := inventory(t, s, key); len(after) != len(before) {
		t.Errorf("unusable files changed the inventory: %d, then %d", len(before), len(after))
	}
	if r := s.must(200, "GET", "/api/v1/dealers", "", key); contains(string(r.body), "Other") {
		t.Errorf("unusable files made a dealership: %s", r.body)
	}
}

func TestASecondServerOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data)
	if _, errOut, code := carfluence(t, data, "serve"); code != 1 || !contains(errOut, "another carfluence") {
		t.Errorf("exit %d %s", code, errOut)
	}
	mustRun(t, data, "migrate")
	s.must(200, "GET", "/readyz", "")
	port := s.url[strings.LastIndex(s.url, ":")+1:]
	if _, errOut, code := carfluence(t, t.TempDir(), "serve", "--listen", "127.0.0.1:"+port); code != 1 || !contains(errOut, "--listen") {
		t.Errorf("a port in use: exit %d %s", code, errOut)
	}
}

func TestFirstStartPrintsItsPasswordOnce(t *testing.T) {
	t.Parallel()
	data := unmade(t)
	run := func() (string, string) {
		cmd := exec.Command(binary, "serve")
		cmd.Env = slices.DeleteFunc(environment(t, data), func(s string) bool { return strings.HasPrefix(s, "CARFLUENCE_ADMIN_PASSWORD=") })
		s := launch(t, cmd, data)
		s.must(200, "GET", "/healthz", "")
		_, password, _ := strings.Cut(s.output(), "Password (shown once): ")
		password, _, _ = strings.Cut(password, "\n")
		if password != "" {
			s.must(200, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, password))
			if contains(s.logged(), password) {
				t.Error("the password is in the log")
			}
		}
		s.stop()
		return password, s.output()
	}
	if password, out := run(); len(password) < 15 {
		t.Errorf("the first start printed no password:\n%s", out)
	}
	if password, out := run(); password != "" {
		t.Errorf("the second start prints a password:\n%s", out)
	}
	if sqldbtest.Engine() != sqldb.SQLite { // which keeps them in the data folder
		return
	}
	for _, name := range []string{"accounts.db", "stock.db", "secret"} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}
