package auth

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/quota"
	"carfluence/internal/rest"
	"carfluence/internal/rest/resttest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// house is a small server: keys, guard, limits and one open and one scoped operation on a real store.
type house struct {
	t         testing.TB
	db        *sqldb.DB
	authority *Authority
	keys      *Keys
	group     Group
	api       *rest.API
	admin     string // text of a key with scope admin
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, db: sqldbtest.Open(t, sqldb.Accounts)}
	log := slog.New(slog.DiscardHandler)
	ledger, err := quota.New(h.db, quota.Options{Window: time.Hour, Now: time.Now, Log: log, Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = ledger.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	h.authority = NewAuthority(h.db, ledger, log, time.Now)
	h.furnish(ledger, log)
	if h.group, err = NewGroups(h.db, time.Now).Add(t.Context(), audit.System("test"), "Test Group"); err != nil {
		t.Fatal(err)
	}
	h.admin = h.key("admin")
	return h
}

// furnish puts the routes on what the house is built of.
func (h *house) furnish(ledger *quota.Ledger, log *slog.Logger) {
	h.keys = NewKeys(h.authority, []byte(strings.Repeat("s", 32)))
	tokens, err := NewVerifier("carfluence", "carfluence", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	guard := &Guard{Authority: h.authority, Keys: h.keys, Tokens: tokens, Quota: ledger, Addresses: quota.NewAddresses(100_000, time.Hour, time.Now), SessionLimit: 5000, Now: time.Now}
	h.api = rest.New(rest.Config{Version: "test", Gate: guard.Gate(), Observe: func(*rest.Exchange) {}, Log: log})
	h.keys.Register(h.api)
	rest.Register(h.api, rest.Operation{ID: "open", Method: "GET", Path: "/open", Security: rest.Open()}, func(context.Context, *struct{}) (*struct{ Body string }, error) {
		return &struct{ Body string }{"open"}, nil
	})
	Handle(h.api, rest.Operation{ID: "read", Method: "GET", Path: "/read", Security: rest.Scope("inventory:read")}, func(context.Context, Principal, *struct{}) (*struct{ Body string }, error) {
		return &struct{ Body string }{"read"}, nil
	})
}

func (h *house) key(scopes ...string) string {
	h.t.Helper()
	_, text := h.keyOf(h.group.ID, 1_000_000, scopes...)
	return text
}

func (h *house) keyOf(group string, limit int64, scopes ...string) (Key, string) {
	h.t.Helper()
	k, text, err := h.keys.Create(h.t.Context(), group, audit.System("test"), allScopes, KeyDraft{Name: "test", Scopes: scopes, RateLimitPerHour: limit})
	if err != nil {
		h.t.Fatal(err)
	}
	return k, text
}

// answer is a response, read.
type answer struct {
	*http.Response
	body string
}

// places are the pointers and parameters of the faults, sorted.
func (a answer) places() []string {
	list, _ := a.member("errors").([]any)
	places := []string{}
	for _, f := range list {
		for _, key := range []string{"pointer", "parameter"} {
			if place, ok := f.(map[string]any)[key].(string); ok {
				places = append(places, place)
			}
		}
	}
	slices.Sort(places)
	return places
}

func (a answer) member(name string) any {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m)
	return m[name]
}

// do sends one request; headers are "Name: value" lines.
func (h *house) do(method, path, body string, headers ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	res := w.Result()
	res.Header = resttest.Header(res.Header)
	b, _ := io.ReadAll(res.Body)
	return answer{res, string(b)}
}

func TestKeyTextIsWellFormedAndUnique(t *testing.T) {
	pattern := regexp.MustCompile(`^` + KeyPattern + `$`)
	seen := map[string]bool{}
	for range 1000 {
		text := newKeyText()
		if !pattern.MatchString(text) || !ValidKeyText(text) || seen[text] {
			t.Fatalf("bad or repeated key text of %d characters", len(text))
		}
		seen[text] = true
	}
}

func TestAMistypedKeyCostsNoRead(t *testing.T) {
	h := newHouse(t)
	text := h.key("inventory:read")
	h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
	before := h.authority.Loads()
	for i := range len(text) {
		for _, c := range "aZ0_-é" {
			bad := text[:i] + string(c) + text[i+1:]
			if bad == text {
				continue
			}
			if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+bad); got.StatusCode != 401 || got.member("code") != "credentials_invalid" {
				t.Fatalf("mistyped at %d: %d %s", i, got.StatusCode, got.body)
			}
		}
	}
	if got := h.authority.Loads(); got != before {
		t.Fatalf("%d reads of the store for mistyped keys", got-before)
	}
}

func TestCreatingAKeyAnswersByTheContract(t *testing.T) {
	h := newHouse(t)
	res := h.do("POST", "/api/v1/api-keys", `{"name":"Partner Integration Key","scopes":["inventory:read","dealers:read"],"rateLimitPerHour":1000}`, "X-API-Key: "+h.admin)
	if res.StatusCode != 201 || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Location") != "/api/v1/api-keys/"+res.member("id").(string) {
		t.Fatalf("%d %v %s", res.StatusCode, res.Header, res.body)
	}
	text := res.member("key").(string)
	if !ValidKeyText(text) {
		t.Fatal("the answer holds no key")
	}
	if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text); got.StatusCode != 200 || got.Header.Get("X-RateLimit-Limit") != "1000" || got.Header.Get("X-RateLimit-Remaining") != "999" {
		t.Fatalf("first call: %d %v", got.StatusCode, got.Header)
	}
	for _, path := range []string{"/api/v1/api-keys", "/api/v1/api-keys/" + res.member("id").(string)} {
		got := h.do("GET", path, "", "X-API-Key: "+h.admin)
		if got.StatusCode != 200 || strings.Contains(got.body, text) || !strings.Contains(got.body, "cf_live_…"+text[len(text)-4:]) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

func TestDefaultsAndRefusedDrafts(t *testing.T) {
	h := newHouse(t)
	if got := h.do("POST", "/api/v1/api-keys", `{"name":"n","scopes":["admin"]}`, "X-API-Key: "+h.admin); got.member("rateLimitPerHour") != 1000.0 {
		t.Errorf("default limit: %s", got.body)
	}
	for body, pointers := range map[string][]string{
		`{"name":"n","scopes":[]}`:                                        {"#/scopes"},
		`{"name":"n"}`:                                                    {"#/scopes"},
		`{"scopes":["admin"]}`:                                            {"#/name"},
		`{"name":"","scopes":["admin"]}`:                                  {"#/name"},
		`{"name":"  ","scopes":["admin"]}`:                                {"#/name"},
		`{"name":"n","scopes":["admin","nonsense"]}`:                      {"#/scopes/1"},
		`{"name":"n","scopes":["admin"],"rateLimitPerHour":0}`:            {"#/rateLimitPerHour"},
		`{"name":"n","scopes":["admin"],"rateLimitPerHour":1000001}`:      {"#/rateLimitPerHour"},
		`{"name":"n","scopes":["admin"],"rateLimitPerHour":"1"}`:          {"#/rateLimitPerHour"},
		`{"name":"n","scopes":["admin"],"extra":1}`:                       {"#/extra"},
		`{"name":"a\u0000b","scopes":["admin"]}`:                          {"#/name"},
		`{"name":"a\nb","scopes":["admin"]}`:                              {"#/name"},
		`{"name":" ","scopes":["nonsense"],"rateLimitPerHour":0}`:         {"#/name", "#/scopes/0", "#/rateLimitPerHour"},
		`{"name":"n","scopes":["admin"],"Name":"other"}`:                  {"#/Name"},
		`{"name":1,"scopes":"admin","rateLimitPerHour":0.5,"key":"mine"}`: {"#/name", "#/scopes", "#/rateLimitPerHour", "#/key"},
	} {
		got := h.do("POST", "/api/v1/api-keys", body, "X-API-Key: "+h.admin)
		if got.StatusCode != 422 {
			t.Errorf("%s: %d %s", body, got.StatusCode, got.body)
			continue
		}
		for _, p := range pointers {
			if !strings.Contains(got.body, `"pointer":"`+p+`"`) {
				t.Errorf("%s: no fault at %s in %s", body, p, got.body)
			}
		}
	}
	for _, body := range []string{`{`, `{"name":"n","name":"m","scopes":["admin"]}`, `{"name":"n","scopes":["admin"]}x`, "{\"name\":\"\xff\",\"scopes\":[\"admin\"]}",
		`{"name":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, ``, `null x`} {
		if got := h.do("POST", "/api/v1/api-keys", body, "X-API-Key: "+h.admin); got.StatusCode != 400 || got.member("code") != "malformed" {
			t.Errorf("%q: %d %s", body, got.StatusCode, got.body)
		}
	}
	if got := h.do("POST", "/api/v1/api-keys", `name=n`, "X-API-Key: "+h.admin, "Content-Type: application/x-www-form-urlencoded"); got.StatusCode != 415 || got.member("code") != "unsupported_media_type" {
		t.Errorf("a form: %d %s", got.StatusCode, got.body)
	}
}

// The tags that document and check scopes can't refer to the list of them.
func TestScopesInTagsAreTheScopes(t *testing.T) {
	for _, in := range []any{keyBody{}, createKeyInput{}.Body, patchKeyInput{}.Body} {
		f, _ := reflect.TypeOf(in).FieldByName("Scopes")
		if got := f.Tag.Get("enum"); got != strings.Join(scopeNames[:], ",") {
			t.Errorf("%T: %s", in, got)
		}
	}
}

func TestRevocationIsInForceWhenItHasAnswered(t *testing.T) {
	h := newHouse(t)
	for range 50 {
		k, text := h.keyOf(h.group.ID, 1_000_000, "inventory:read")
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for !stop.Load() {
					h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
				}
			})
		}
		if got := h.do("DELETE", "/api/v1/api-keys/"+k.ID, "", "X-API-Key: "+h.admin); got.StatusCode != 204 {
			t.Fatal(got.body)
		}
		for range 20 {
			if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text); got.StatusCode != 401 || got.member("code") != "key_revoked" {
				t.Fatalf("after the 204: %d %s", got.StatusCode, got.body)
			}
		}
		stop.Store(true)
		wg.Wait()
	}
}

func TestAChangeIsInForceWhenItHasAnswered(t *testing.T) {
	h := newHouse(t)
	k, text := h.keyOf(h.group.ID, 100, "inventory:read")
	for range 10 {
		h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
	}
	got := h.do("PATCH", "/api/v1/api-keys/"+k.ID, `{"rateLimitPerHour":12}`, "X-API-Key: "+h.admin)
	if got.StatusCode != 200 || !strings.Contains(got.body, `"rateLimitPerHour":12`) {
		t.Fatal(got.body)
	}
	for i, want := range []int{200, 200, 429} {
		got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
		if got.StatusCode != want || got.Header.Get("X-RateLimit-Limit") != "12" {
			t.Fatalf("call %d after the change: %d %v", i, got.StatusCode, got.Header)
		}
	}
	h.do("PATCH", "/api/v1/api-keys/"+k.ID, `{"rateLimitPerHour":100,"scopes":["dealers:read"]}`, "X-API-Key: "+h.admin)
	if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text); got.StatusCode != 403 || got.Header.Get("WWW-Authenticate") != `Bearer realm="carfluence", error="insufficient_scope", scope="inventory:read"` {
		t.Fatalf("without the scope: %d %v", got.StatusCode, got.Header)
	}
}

func TestAPatchIsCheckedLikeACreation(t *testing.T) {
	h := newHouse(t)
	k, _ := h.keyOf(h.group.ID, 100, "inventory:read")
	for body, pointer := range map[string]string{
		`{"name":null}`: "#/name", `{"scopes":null}`: "#/scopes", `{"rateLimitPerHour":null}`: "#/rateLimitPerHour", `{"scopes":[]}`: "#/scopes",
		`{"scopes":["x"]}`: "#/scopes/0", `{"rateLimitPerHour":0}`: "#/rateLimitPerHour", `{"name":" "}`: "#/name", `{"id":"x"}`: "#/id",
	} {
		got := h.do("PATCH", "/api/v1/api-keys/"+k.ID, body, "X-API-Key: "+h.admin)
		if got.StatusCode != 422 || !strings.Contains(got.body, `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s", body, got.StatusCode, got.body)
		}
	}
	got := h.do("PATCH", "/api/v1/api-keys/"+k.ID, `{}`, "X-API-Key: "+h.admin)
	if got.StatusCode != 200 || !strings.Contains(got.body, `"name":"test"`) {
		t.Errorf("an empty change: %d %s", got.StatusCode, got.body)
	}
}

// The schema's faults, nulls and our own checks are told together, each once.
func TestAllFaultsOfKeysAtOnce(t *testing.T) {
	h := newHouse(t)
	k, _ := h.keyOf(h.group.ID, 100, "inventory:read")
	for _, c := range []struct{ method, body, pointers string }{
		{"POST", `{"name":"a\u0000b","scopes":["nonsense","admin",7],"rateLimitPerHour":"3","x":1}`, "#/name #/rateLimitPerHour #/scopes/0 #/scopes/2 #/x"},
		{"POST", `{"name":"a\u0000b","scopes":5}`, "#/name #/scopes"},
		{"POST", `{"name":5,"scopes":["admin"]}`, "#/name"},
		{"POST", `{"name":"a\u0000b"}`, "#/name #/scopes"},
		{"POST", `null`, "#"},
		{"PATCH", `{"name":null,"scopes":[],"x":1,"rateLimitPerHour":"3"}`, "#/name #/rateLimitPerHour #/scopes #/x"},
		{"PATCH", `{"name":"a\u0000b","scopes":null,"rateLimitPerHour":0}`, "#/name #/rateLimitPerHour #/scopes"},
		{"PATCH", `{"rateLimitPerHour":7.0,"name":null,"scopes":["x"]}`, "#/name #/rateLimitPerHour #/scopes/0"},
		{"PATCH", `{"rateLimitPerHour":7.5,"name":"a\u0000b"}`, "#/name #/rateLimitPerHour"},
		{"PATCH", `[]`, "#"},
	} {
		path := "/api/v1/api-keys"
		if c.method == "PATCH" {
			path += "/" + k.ID
		}
		a := h.do(c.method, path, c.body, "X-API-Key: "+h.admin)
		a.want(t, c.body, 422, "invalid")
		if got := strings.Join(a.places(), " "); got != c.pointers {
			t.Errorf("%s %s: %s, want %s\n%s", c.method, c.body, got, c.pointers, a.body)
		}
	}
}

// Ten times as many may cost ten times as much, and on a busy machine some more; a walk over all for each would cost a
// hundred times.
func TestHalfAMillionScopesAreRefusedQuickly(t *testing.T) {
	h := newHouse(t)
	refused := func(n int) (fastest time.Duration) {
		body := `{"name":"n","scopes":[` + strings.Repeat("1,", n) + `1]}`
		for i := range 3 {
			begun := time.Now()
			h.do("POST", "/api/v1/api-keys", body, "X-API-Key: "+h.admin).want(t, "scopes", 422, "invalid")
			if took := time.Since(begun); i == 0 || took < fastest {
				fastest = took
			}
		}
		return fastest
	}
	if few, many := refused(50_000), refused(500_000); many > 40*few {
		t.Errorf("50,000 are refused after %s, 500,000 after %s", few, many)
	}
}

func TestAnotherGroupsKeyIsNotThere(t *testing.T) {
	h := newHouse(t)
	other, err := NewGroups(h.db, time.Now).Add(t.Context(), audit.System("test"), "Other Group")
	if err != nil {
		t.Fatal(err)
	}
	foreign, text := h.keyOf(other.ID, 1000, "inventory:read")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		body := ""
		if method == "PATCH" {
			body = `{"name":"mine"}`
		}
		theirs := h.do(method, "/api/v1/api-keys/"+foreign.ID, body, "X-API-Key: "+h.admin, "X-Request-Id: same")
		nobodys := h.do(method, "/api/v1/api-keys/0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", body, "X-API-Key: "+h.admin, "X-Request-Id: same")
		a := strings.ReplaceAll(theirs.body, foreign.ID, "ID")
		b := strings.ReplaceAll(nobodys.body, "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", "ID")
		if theirs.StatusCode != 404 || a != b {
			t.Errorf("%s: %d\n%s\n%s", method, theirs.StatusCode, a, b)
		}
	}
	if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text); got.StatusCode != 200 {
		t.Errorf("the foreign key at its own group: %d", got.StatusCode)
	}
}

func TestCredentialsOnTheRequest(t *testing.T) {
	h := newHouse(t)
	key, other := h.key("inventory:read"), h.key("inventory:read")
	for name, tc := range map[string]struct {
		path    string
		headers []string
		status  int
		code    any
		wants   string // WWW-Authenticate
	}{
		"key header":             {"/api/v1/read", []string{"X-API-Key: " + key}, 200, nil, ""},
		"bearer":                 {"/api/v1/read", []string{"Authorization: Bearer " + key}, 200, nil, ""},
		"bearer, lower case":     {"/api/v1/read", []string{"Authorization: bearer " + key}, 200, nil, ""},
		"the same twice":         {"/api/v1/read", []string{"X-API-Key: " + key, "Authorization: Bearer " + key}, 200, nil, ""},
		"two":                    {"/api/v1/read", []string{"X-API-Key: " + key, "Authorization: Bearer " + other}, 400, "multiple_credentials", `Bearer realm="carfluence", error="invalid_request"`},
		"two key headers":        {"/api/v1/read", []string{"X-API-Key: " + key, "X-API-Key: " + other}, 400, "multiple_credentials", `Bearer realm="carfluence", error="invalid_request"`},
		"none":                   {"/api/v1/read", nil, 401, "credentials_missing", `Bearer realm="carfluence"`},
		"empty":                  {"/api/v1/read", []string{"X-API-Key: "}, 401, "credentials_missing", `Bearer realm="carfluence"`},
		"nonsense":               {"/api/v1/read", []string{"X-API-Key: nonsense"}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"invented":               {"/api/v1/read", []string{"X-API-Key: " + newKeyText()}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"a key without a scheme": {"/api/v1/read", []string{"Authorization: " + key}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"a token as a key":       {"/api/v1/read", []string{"X-API-Key: eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"bearer without a value": {"/api/v1/read", []string{"Authorization: Bearer "}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"key and basic":          {"/api/v1/read", []string{"X-API-Key: " + key, "Authorization: Basic dTpw"}, 400, "multiple_credentials", `Bearer realm="carfluence", error="invalid_request"`},
		"basic":                  {"/api/v1/read", []string{"Authorization: Basic dTpw"}, 401, "credentials_invalid", `Bearer realm="carfluence", error="invalid_token"`},
		"in the query":           {"/api/v1/read?api_key=" + key, []string{"X-API-Key: " + key}, 400, "credential_in_url", ""},
		"under another name":     {"/api/v1/read?q=" + key, nil, 400, "credential_in_url", ""},
		"escaped":                {"/api/v1/read?q=cf%5Flive%5Fabc", nil, 400, "credential_in_url", ""},
		"in the path":            {"/api/v1/" + key, nil, 400, "credential_in_url", ""},
		"unknown parameter":      {"/api/v1/read?x=y", []string{"X-API-Key: " + key}, 200, nil, ""},
		"open with a bad key":    {"/api/v1/open", []string{"X-API-Key: nonsense"}, 200, nil, ""},
		"no route":               {"/api/v1/nothing", []string{"X-API-Key: " + key}, 404, "route_not_found", ""},
		"wrong method":           {"/api/v1/api-keys/x/y", []string{"X-API-Key: " + key}, 404, "route_not_found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.do("GET", tc.path, "", tc.headers...)
			if got.StatusCode != tc.status || got.member("code") != tc.code || got.Header.Get("WWW-Authenticate") != tc.wants {
				t.Fatalf("%d %v %q\n%s", got.StatusCode, got.member("code"), got.Header.Get("WWW-Authenticate"), got.body)
			}
			for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"} {
				if got.Header.Get(name) == "" {
					t.Errorf("%s is missing", name)
				}
			}
			if got.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.Header.Get("Vary"), "X-API-Key") {
				t.Errorf("headers %v", got.Header)
			}
			if strings.Contains(got.body, key) {
				t.Error("the answer repeats the key")
			}
		})
	}
}

func TestScopeMatrix(t *testing.T) {
	h := newHouse(t)
	for _, scope := range scopeNames {
		want := 403
		if scope == "inventory:read" || scope == "admin" {
			want = 200
		}
		if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+h.key(scope)); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", scope, got.StatusCode, want)
		}
		want = 403
		if scope == "admin" {
			want = 200
		}
		if got := h.do("GET", "/api/v1/api-keys", "", "X-API-Key: "+h.key(scope)); got.StatusCode != want {
			t.Errorf("%s on keys: %d, want %d", scope, got.StatusCode, want)
		}
	}
}

func TestSecurityEventsAreAudited(t *testing.T) {
	h := newHouse(t)
	res := h.do("POST", "/api/v1/api-keys", `{"name":"audited","scopes":["inventory:read"]}`, "X-API-Key: "+h.admin)
	id, text := res.member("id").(string), res.member("key").(string)
	h.do("PATCH", "/api/v1/api-keys/"+id, `{"name":"renamed"}`, "X-API-Key: "+h.admin)
	h.do("GET", "/api/v1/api-keys", "", "X-API-Key: "+text)
	h.do("DELETE", "/api/v1/api-keys/"+id, "", "X-API-Key: "+h.admin)
	rows, err := audit.List(t.Context(), h.db.Tenant(h.group.ID), 4)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, r := range rows {
		got += r.Name + " "
		if r.RequestID == "" || strings.Contains(r.DetailJSON, text) {
			t.Errorf("%+v", r)
		}
	}
	if got != "key.revoked admin.refused key.changed key.created " {
		t.Fatal(got)
	}
}

func TestNoKeyTextIsInTheStore(t *testing.T) {
	h := newHouse(t)
	text := h.key("inventory:read")
	h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
	if strings.Contains(sqldbtest.Contents(t, h.db, h.group.ID, ""), text[len(KeyPrefix):len(text)-4]) {
		t.Fatal("the store holds the key's text")
	}
}

func TestChangesByAnotherProcessAreSeenWithinTheLease(t *testing.T) {
	h := newHouse(t)
	k, text := h.keyOf(h.group.ID, 1000, "inventory:read")
	h.do("GET", "/api/v1/read", "", "X-API-Key: "+text)
	beside := NewKeys(NewAuthority(h.db, nil, slog.New(slog.DiscardHandler), time.Now), []byte(strings.Repeat("s", 32)))
	if err := beside.Revoke(t.Context(), h.group.ID, audit.System("cli"), k.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.authority.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.do("GET", "/api/v1/read", "", "X-API-Key: "+text); got.StatusCode != 401 {
		t.Fatalf("after the next beat: %d", got.StatusCode)
	}
}

func FuzzValidKeyText(f *testing.F) {
	f.Add(newKeyText())
	f.Add("cf_live_")
	f.Fuzz(func(t *testing.T, text string) {
		if ValidKeyText(text) && (len(text) != keyLength || !strings.HasPrefix(text, KeyPrefix)) {
			t.Fatalf("%q passes", text)
		}
	})
}

func BenchmarkVerifyAndCount(b *testing.B) {
	h := newHouse(b)
	text := h.key("inventory:read")
	ledger := h.authority.quota
	count := func() {
		p, err := h.keys.Verify(b.Context(), text)
		if err != nil {
			b.Fatal(err)
		}
		c, err := ledger.Take(b.Context(), quota.Subject{Group: p.Group, ID: p.ID}, quota.Limit{Calls: p.RateLimit})
		if err != nil {
			b.Fatal(err)
		}
		c.Settle(304) // given back, so that the limit never ends the run
	}
	count()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 && !h.authority.replica.Fresh() {
			_ = h.authority.Beat(b.Context())
		}
		count()
	}
}
