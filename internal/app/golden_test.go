package app

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carfluence/internal/rest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testConfig(t testing.TB, dir string) Config {
	return Config{
		Store: storeIn(t, dir), Listen: "127.0.0.1:0", MetricsListen: "off", AdminEmail: "admin@example.com", GroupName: "Test Group",
		TokenTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour, SessionTTL: 2160 * time.Hour, SigningKeyPeriod: 2160 * time.Hour,
		SessionRatePerHour: 5000, AnonymousRatePerHour: 1000, QuotaWindow: time.Hour, PageCacheMB: 8, RulesMax: 200,
		SFTPListen: "127.0.0.1:0", SFTPConnections: 10, SFTPIdle: time.Minute, Feeds: testFeeds,
	}
}

var testFeeds = Feeds{FeedMaxFileMB: 16, FeedMaxUnpackedMB: 64, FeedGuardPercent: 30, FeedGuardLeast: 10, FeedWorkers: 2, FeedUploads: 4, FeedQueued: 100, FeedKeptFiles: 10, FeedMaxProblems: 1000, FeedLogDays: 400}

func newServer(t *testing.T) *Server {
	t.Helper()
	c := testConfig(t, t.TempDir())
	stores, err := OpenStores(t.Context(), c.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stores.Close() })
	s, err := NewServer(t.Context(), c, stores, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.lock.Unlock() })
	return s
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the program has now; if that is meant: go test ./internal/app -update\n%s", path, firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n- %s\n+ %s", i+1, a[i], b[i])
		}
	}
	return "one is longer"
}

// TestRoutes holds the whole surface with its scopes in one file, so that a change of it is one diff.
func TestRoutes(t *testing.T) {
	lines := []string{}
	for _, r := range newServer(t).API.Routes() {
		lines = append(lines, fmt.Sprintf("%-6s %-45s %s", r.Method, r.Path, r.Security))
	}
	slices.Sort(lines)
	golden(t, "routes.txt", []byte(strings.Join(lines, "\n")+"\n"))
}

func TestOpenAPI(t *testing.T) {
	s := newServer(t)
	golden(t, "openapi.json", s.API.JSON())
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Security    *[]map[string][]string
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal(s.API.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %q", doc.OpenAPI)
	}
	for _, r := range s.API.Routes() {
		if strings.HasPrefix(r.Path, rest.Prefix+"/openapi.") {
			continue
		}
		op, ok := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok || op.OperationID == "" || op.Summary == "" {
			t.Errorf("%s %s is not documented", r.Method, r.Path)
			continue
		}
		if !r.Security.IsOpen() && (op.Security == nil || len(*op.Security) == 0) {
			t.Errorf("%s %s: the document names no security", r.Method, r.Path)
		}
		if !strings.HasPrefix(r.Path, rest.Prefix) {
			continue // no limits there
		}
		for _, status := range []string{"429", "431", "500", "503"} {
			if op.Responses[status] == nil {
				t.Errorf("%s %s: no %s", r.Method, r.Path, status)
			}
		}
	}
}

// TestAnswersMayGrow: requests refuse unknown members, answers may gain some.
func TestAnswersMayGrow(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct{ AdditionalProperties *bool }
		}
	}
	if err := json.Unmarshal(newServer(t).API.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, closed := range map[string]bool{"CreateKeyInputBody": true, "LoginInputBody": true, "KeyBody": false, "Problem": false, "Pagination": false} {
		s, ok := doc.Components.Schemas[name]
		if got := s.AdditionalProperties != nil && !*s.AdditionalProperties; !ok || got != closed {
			t.Errorf("%s: closed %v, want %v (found %v)", name, got, closed, ok)
		}
	}
}

// TestEveryCodeIsExplained holds the codes in the source against the list the pages under /problems are made of.
func TestEveryCodeIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, p := range rest.ProblemTypes {
		known[p.Code] = true
	}
	pattern := regexp.MustCompile(`errs\.(?:New\([a-zA-Z.]+, |Invalid\(|NotFound\(|Conflict\()"([a-z_]+)"|Code: +"([a-z_]+)"`)
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) < 50 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(b), -1) {
			if code := m[1] + m[2]; !known[code] {
				t.Errorf("%s answers %q, which rest.ProblemTypes does not explain", file, code)
			}
		}
	}
}
