package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

const (
	officeSecret = "the secret of this server, 32 bytes or more"
	goodPassword = "a red lorry and four yellow ones"
	nextPassword = "two green buses before breakfast"
)

// office is a server with people on a real store, whose clock moves only when told.
type office struct {
	t         testing.TB
	db        *sqldb.DB
	api       *rest.API
	authority *Authority
	passwords *Passwords
	people    *People
	sessions  *Sessions
	signing   *SigningKeys
	verifier  *Verifier
	keys      *Keys
	group     Group
	admin     Person // jane@cars.example, goodPassword

	clock  atomic.Int64 // Unix nanoseconds
	hashes atomic.Int64 // computed
}

func (o *office) now() time.Time          { return time.Unix(0, o.clock.Load()).UTC() }
func (o *office) advance(d time.Duration) { o.clock.Add(int64(d)) }

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, db: sqldbtest.Open(t, sqldb.Accounts)}
	o.clock.Store(tokenNow.UnixNano())
	o.open()
	var err error
	if o.group, err = NewGroups(o.db, o.now).Add(t.Context(), audit.System("test"), "Ancira Motor Group"); err != nil {
		t.Fatal(err)
	}
	o.admin = o.person("jane@cars.example", RoleAdmin)
	return o
}

// open starts a server on the store; a second call is a restart.
func (o *office) open() {
	t := o.t
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	ledger, err := quota.New(o.db, quota.Options{Window: time.Hour, Now: o.now, Log: log, Sole: true})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = ledger.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	o.authority = NewAuthority(o.db, ledger, log, o.now)
	o.verifier, err = NewVerifier(testIssuer, testAudience, 1000)
	must(err)
	signer := NewSigner(testIssuer, testAudience)
	o.signing, err = NewSigningKeys(o.authority, []byte(officeSecret), NewRotation(90*24*time.Hour, 15*time.Minute), signer, o.verifier, log)
	must(err)
	o.seedSigningKey()
	must(o.signing.Rotate(t.Context()))
	o.passwords = NewPasswords(2, 1000)
	o.passwords.memory, o.passwords.passes = 8, 1
	compute := o.passwords.compute
	o.passwords.compute = func(p, salt []byte, time, memory uint32, threads uint8, n uint32) []byte {
		o.hashes.Add(1)
		return compute(p, salt, 1, 8, threads, n)
	}
	list := NewBlocklist()
	o.keys = NewKeys(o.authority, []byte(officeSecret))
	o.people = NewPeople(o.authority, o.passwords, list)
	o.sessions = NewSessions(o.authority, o.passwords, list, signer, []byte(officeSecret),
		Lifetimes{Token: 15 * time.Minute, Refresh: 30 * 24 * time.Hour, Session: 90 * 24 * time.Hour})
	guard := &Guard{Authority: o.authority, Keys: o.keys, Tokens: o.verifier, Quota: ledger,
		Addresses: quota.NewAddresses(1_000_000, time.Hour, o.now), SessionLimit: 5000, Now: o.now}
	o.api = rest.New(rest.Config{Version: "test", Gate: guard.Gate(), Observe: func(*rest.Exchange) {}, Log: log})
	origins, err := NewOrigins("https://cars.example")
	must(err)
	o.sessions.Register(o.api, origins)
	o.people.Register(o.api)
	o.signing.Register(o.api)
	NewGroups(o.db, o.now).Register(o.api)
	Handle(o.api, rest.Operation{ID: "read", Method: "GET", Path: "/read", Security: rest.Scope("inventory:read")}, func(context.Context, Principal, *struct{}) (*struct{ Body string }, error) {
		return &struct{ Body string }{"read"}, nil
	})
	Handle(o.api, rest.Operation{ID: "write", Method: "GET", Path: "/write", Security: rest.Scope("inventory:write")}, func(context.Context, Principal, *struct{}) (*struct{ Body string }, error) {
		return &struct{ Body string }{"write"}, nil
	})
}

// seedSigningKey spares the second that a new RSA key takes.
func (o *office) seedSigningKey() {
	rows, err := selectSigningKeys(o.t.Context(), o.db)
	if err != nil {
		o.t.Fatal(err)
	}
	if len(rows) > 0 {
		return
	}
	k := newSigningKey(testKeys()[0], o.now(), o.now())
	sealed, err := o.signing.sealer.Seal(k)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.db.Transact(o.t.Context(), func(tx *sqldb.DB) error {
		return insertSigningKey(context.Background(), tx, signingKeyRow{k.ID, sealed, k.CreatedAt, k.ActiveFrom})
	}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) person(email string, role Role) Person {
	o.t.Helper()
	return o.personIn(o.group.ID, email, role)
}

func (o *office) personIn(group, email string, role Role) Person {
	o.t.Helper()
	password := goodPassword
	p, _, err := o.people.Create(o.t.Context(), group, audit.System("test"), PersonDraft{Email: email, Name: "Jane Doe", Role: role, Password: &password})
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

// do sends one request; headers are "Name: value" lines, "From: address" sets the peer.
func (o *office) do(method, path, body string, headers ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "From" {
			r.RemoteAddr = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	o.api.ServeHTTP(w, r)
	res := w.Result()
	res.Header = resttest.Header(res.Header)
	b, _ := io.ReadAll(res.Body)
	return answer{res, string(b)}
}

type loggedIn struct {
	Token, RefreshToken, TokenType string
	ExpiresIn                      int
	User                           struct{ ID, Email, Name, Role string }
}

func (l loggedIn) bearer() string { return "Authorization: Bearer " + l.Token }

func credentials(email, password string) string {
	b, _ := json.Marshal(map[string]string{"email": email, "password": password})
	return string(b)
}

func (o *office) login(email, password string, headers ...string) loggedIn {
	o.t.Helper()
	a := o.do("POST", "/api/v1/auth/login", credentials(email, password), headers...)
	if a.StatusCode != 200 {
		o.t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	return readLogin(o.t, a)
}

func readLogin(t testing.TB, a answer) loggedIn {
	t.Helper()
	var l loggedIn
	if err := json.Unmarshal([]byte(a.body), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (o *office) refresh(token string, headers ...string) answer {
	return o.do("POST", "/api/v1/auth/refresh", `{"refreshToken":"`+token+`"}`, headers...)
}

// want checks status and problem code ("" for none).
func (a answer) want(t testing.TB, what string, status int, code string) {
	t.Helper()
	got, _ := a.member("code").(string)
	if a.StatusCode != status || got != code {
		t.Errorf("%s: %d %q, want %d %q\n%s", what, a.StatusCode, got, status, code, a.body)
	}
}

func (o *office) events(group string) []string {
	o.t.Helper()
	rows, err := audit.List(o.t.Context(), o.db.Tenant(group), 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	var names []string
	for _, r := range slices.Backward(rows) {
		names = append(names, r.Name)
	}
	return names
}

func count(list []string, name string) (n int) {
	for _, s := range list {
		if s == name {
			n++
		}
	}
	return n
}

func TestLogin(t *testing.T) {
	o := newOffice(t)
	a := o.do("POST", "/api/v1/auth/login", credentials("  Jane@Cars.Example ", goodPassword), "User-Agent: test/1")
	if a.StatusCode != 200 {
		t.Fatal(a.StatusCode, a.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Set-Cookie": "", "Etag": ""} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	l := readLogin(t, a)
	if l.User.ID != o.admin.ID || l.User.Email != "jane@cars.example" || l.User.Name != "Jane Doe" || l.User.Role != "admin" ||
		l.ExpiresIn != 900 || l.TokenType != "Bearer" || !strings.HasPrefix(l.RefreshToken, "cfr_") || !strings.HasPrefix(l.Token, "eyJ") {
		t.Errorf("%+v", l)
	}
	claims, err := o.verifier.Verify(l.Token, o.now())
	if err != nil || claims.Subject != o.admin.ID || claims.DealerGroupID != o.group.ID || claims.ExpiresAt.Sub(o.now()) != 15*time.Minute {
		t.Errorf("%+v %v", claims, err)
	}
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "with the token", 200, "")
	me := o.do("GET", "/api/v1/auth/me", "", l.bearer())
	var got map[string]any
	_ = json.Unmarshal([]byte(me.body), &got)
	if got["apiKey"] != nil || got["user"].(map[string]any)["email"] != "jane@cars.example" || got["sessionId"] != claims.SessionID ||
		got["dealerGroup"].(map[string]any)["name"] != "Ancira Motor Group" || fmt.Sprint(got["roles"]) != "[admin]" || len(got["scopes"].([]any)) != 9 {
		t.Error(me.body)
	}
	if n := count(o.events(o.group.ID), "login.succeeded"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	o.advance(15 * time.Minute)
	late := o.do("GET", "/api/v1/read", "", l.bearer())
	late.want(t, "after its time", 401, "token_expired")
	if h := late.Header.Get("WWW-Authenticate"); !strings.Contains(h, `error="invalid_token"`) {
		t.Error(h)
	}
}

func TestMeOfKey(t *testing.T) {
	o := newOffice(t)
	_, text, err := o.keys.Create(t.Context(), o.group.ID, audit.System("test"), allScopes, KeyDraft{Name: "Partner", Scopes: []string{"dealers:read"}, RateLimitPerHour: 7})
	if err != nil {
		t.Fatal(err)
	}
	a := o.do("GET", "/api/v1/auth/me", "", "X-API-Key: "+text)
	for _, part := range []string{`"user":null`, `"name":"Partner"`, `"rateLimitPerHour":7`, `"scopes":["dealers:read"]`, `"roles":[]`, `"sessionId":null`} {
		if !strings.Contains(a.body, part) {
			t.Errorf("lacks %s: %s", part, a.body)
		}
	}
	if strings.Contains(a.body, text) {
		t.Error("shows the key")
	}
	o.do("GET", "/api/v1/auth/me", "").want(t, "nobody", 401, "credentials_missing")
	for _, call := range [][2]string{{"POST", "/auth/logout"}, {"GET", "/auth/sessions"}, {"DELETE", "/auth/sessions/x"}} {
		if a := o.do(call[0], "/api/v1"+call[1], "", "X-API-Key: "+text); a.StatusCode != 403 || !strings.Contains(a.body, `"requiredScopes":[],"grantedScopes":["dealers:read"]`) {
			t.Errorf("%s by a key: %d %s", call[1], a.StatusCode, a.body)
		}
	}
}

// sameRefusal is an answer without what differs between any two requests.
func sameRefusal(a answer) string {
	h := a.Header.Clone()
	for _, name := range []string{"X-Request-Id", "X-Ratelimit-Remaining"} {
		h.Del(name)
	}
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m)
	delete(m, "requestId")
	return fmt.Sprint(a.StatusCode, h, m)
}

func TestFailedLoginsLookAlike(t *testing.T) {
	o := newOffice(t)
	off := o.person("off@cars.example", RoleViewer)
	if _, err := o.people.Update(t.Context(), o.group.ID, audit.System("test"), off.ID, PersonChange{Status: new(StatusDisabled)}); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for i, c := range []struct{ email, password, group string }{
		{"jane@cars.example", "wrong", o.group.ID},
		{"nobody@cars.example", "wrong", ""},
		{"nobody@cars.example", goodPassword, ""},
		{"off@cars.example", goodPassword, o.group.ID},
		{"off@cars.example", "wrong", o.group.ID},
		{"not an address", "", ""},
		{"", goodPassword, ""},
	} {
		hashes, before := o.hashes.Load(), count(o.events(c.group), "login.failed")
		a := o.do("POST", "/api/v1/auth/login", credentials(c.email, c.password), fmt.Sprintf("From: 198.51.100.%d:1", i))
		a.want(t, c.email, 401, "credentials_invalid")
		if a.Header.Get("WWW-Authenticate") == "" {
			t.Error("no challenge")
		}
		answers = append(answers, sameRefusal(a))
		if n := o.hashes.Load() - hashes; n != 1 {
			t.Errorf("%q: %d hashes", c.email, n)
		}
		if n := count(o.events(c.group), "login.failed") - before; n != 1 {
			t.Errorf("%q: %d audit rows", c.email, n)
		}
	}
	for _, a := range answers[1:] {
		if a != answers[0] {
			t.Errorf("can be told apart:\n%s\n%s", answers[0], a)
		}
	}
}

func TestLoginInputs(t *testing.T) {
	o := newOffice(t)
	for body, want := range map[string]struct {
		status  int
		pointer string
	}{
		``:                            {400, ""},
		`{`:                           {400, ""},
		`{"email":"a@b.c"}`:           {422, "#/password"},
		`{"password":"x"}`:            {422, "#/email"},
		`{"email":1,"password":"x"}`:  {422, "#/email"},
		`{"email":"a","password":[]}`: {422, "#/password"},
		`{"email":"a@b.c","password":"x","rememberMe":true}`:               {422, "#/rememberMe"},
		`{"email":"a@b.c","email":"x","password":"x"}`:                     {400, ""},
		`{"email":"a@b.c","password":"` + strings.Repeat("x", 1001) + `"}`: {422, "#/password"},
		`{"email":"a@b.c","password":"x","refreshCookie":"yes"}`:           {422, "#/refreshCookie"},
	} {
		a := o.do("POST", "/api/v1/auth/login", body)
		if a.StatusCode != want.status || !strings.Contains(a.body, want.pointer) {
			t.Errorf("%.60s: %d %s", body, a.StatusCode, a.body)
		}
		if strings.Contains(a.body, "xxxxx") {
			t.Errorf("echoes the password: %s", a.body)
		}
	}
	if n := o.hashes.Load(); n != 1 { // of the admin's creation
		t.Errorf("%d passwords hashed", n)
	}
}

func TestLoginRenewsOldHash(t *testing.T) {
	o := newOffice(t)
	o.passwords.memory = 16
	o.login("jane@cars.example", goodPassword)
	a, err := accountByEmail(t.Context(), o.db, "jane@cars.example")
	if err != nil || !strings.Contains(a.hash, "m=16,") {
		t.Error(a.hash, err)
	}
	o.login("jane@cars.example", goodPassword)
}

func TestRefreshRotates(t *testing.T) {
	o := newOffice(t)
	first := o.login("jane@cars.example", goodPassword)
	o.advance(20 * time.Minute)
	a := o.refresh(first.RefreshToken, "From: 203.0.113.9:1", "User-Agent: phone")
	if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatal(a.StatusCode, a.body)
	}
	second := readLogin(t, a)
	if second.RefreshToken == first.RefreshToken || second.Token == first.Token || second.User != first.User || second.ExpiresIn != 900 || second.TokenType != "Bearer" {
		t.Errorf("%+v", second)
	}
	o.do("GET", "/api/v1/read", "", second.bearer()).want(t, "new token", 200, "")
	o.advance(9999 * time.Millisecond)
	again := readLogin(t, o.refresh(first.RefreshToken))
	if again.RefreshToken != second.RefreshToken {
		t.Error("another successor inside 10 s")
	}
	third := readLogin(t, o.refresh(second.RefreshToken))
	if third.RefreshToken == "" || third.RefreshToken == second.RefreshToken {
		t.Errorf("%+v", third)
	}
	list := o.do("GET", "/api/v1/auth/sessions", "", third.bearer())
	if !strings.Contains(list.body, `"ipAddress":"192.0.2.1"`) || !strings.Contains(list.body, `"total":1`) {
		t.Error(list.body)
	}
	if o.verifyCount(third) != 1 {
		t.Error("the session changed")
	}
}

func (o *office) verifyCount(l loggedIn) int {
	var ids []string
	rows, err := o.db.Query(o.t.Context(), `SELECT DISTINCT subject_id FROM credential WHERE kind = 'refresh'`)
	ids, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		o.t.Fatal(err)
	}
	return len(ids)
}

func TestFiftyRefreshesAtOnce(t *testing.T) {
	o := newOffice(t)
	l := o.login("jane@cars.example", goodPassword)
	successors := make([]string, 50)
	var wg sync.WaitGroup
	for i := range successors {
		wg.Go(func() {
			a := o.refresh(l.RefreshToken)
			if a.StatusCode != 200 {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			successors[i] = readLogin(t, a).RefreshToken
		})
	}
	wg.Wait()
	for _, s := range successors {
		if s != successors[0] || s == l.RefreshToken {
			t.Fatalf("different successors: %q", successors)
		}
	}
	var rotations int
	if err := o.db.QueryRow(t.Context(), `SELECT count(*) FROM credential WHERE kind = 'refresh'`).Scan(&rotations); err != nil || rotations != 2 {
		t.Errorf("%d tokens stored, %v", rotations, err)
	}
	o.advance(RefreshGrace)
	o.refresh(successors[0]).want(t, "the successor later", 200, "")
}

func TestRefreshReuseEndsTheSession(t *testing.T) {
	o := newOffice(t)
	other := o.login("jane@cars.example", goodPassword)
	first := o.login("jane@cars.example", goodPassword)
	second := readLogin(t, o.refresh(first.RefreshToken))
	third := readLogin(t, o.refresh(second.RefreshToken))
	o.advance(RefreshGrace)
	a := o.refresh(first.RefreshToken)
	a.want(t, "reuse", 401, "refresh_reused")
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="carfluence", error="invalid_token"`) || a.Header.Get("Cache-Control") != "no-store" {
		t.Error(a.Header)
	}
	for what, l := range map[string]loggedIn{"first": first, "second": second, "third": third} {
		o.do("GET", "/api/v1/read", "", l.bearer()).want(t, what+" access token", 401, "token_revoked")
	}
	o.refresh(third.RefreshToken).want(t, "unused successor", 401, "refresh_invalid")
	o.refresh(second.RefreshToken).want(t, "used successor", 401, "refresh_reused")
	o.refresh(first.RefreshToken).want(t, "once more", 401, "refresh_reused")
	if n := count(o.events(o.group.ID), "refresh.reused"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	o.do("GET", "/api/v1/read", "", other.bearer()).want(t, "the other session", 200, "")
	o.refresh(other.RefreshToken).want(t, "the other session's refresh", 200, "")
}

func TestRefreshRefusals(t *testing.T) {
	o := newOffice(t)
	for _, token := range []string{"", "x", "cfr_", NewRefreshToken().String(), strings.Repeat("x", 100_000)} {
		o.refresh(token).want(t, fmt.Sprintf("%.20q", token), 401, "refresh_invalid")
	}
	none := o.do("POST", "/api/v1/auth/refresh", "")
	none.want(t, "nothing", 422, "invalid")
	if !strings.Contains(none.body, "#/refreshToken") {
		t.Error(none.body)
	}
	o.do("POST", "/api/v1/auth/refresh", "{}").want(t, "empty object", 422, "invalid")
	o.do("POST", "/api/v1/auth/refresh", `{"refreshToken":1}`).want(t, "number", 422, "invalid")
	o.do("POST", "/api/v1/auth/refresh", `{"refreshToken":null}`).want(t, "null", 422, "invalid")
	o.do("POST", "/api/v1/auth/refresh", `{"token":"x"}`).want(t, "unknown member", 422, "invalid")

	l := o.login("jane@cars.example", goodPassword)
	o.advance(30*24*time.Hour - time.Second)
	l = readLogin(t, o.refresh(l.RefreshToken))
	o.advance(30 * 24 * time.Hour)
	o.refresh(l.RefreshToken).want(t, "unused for the refresh lifetime", 401, "refresh_invalid")

	l = o.login("jane@cars.example", goodPassword)
	for range 3 { // 90 days of diligent use
		o.advance(30*24*time.Hour - time.Second)
		l = readLogin(t, o.refresh(l.RefreshToken))
	}
	o.advance(3 * time.Second)
	o.refresh(l.RefreshToken).want(t, "beyond the session's absolute end", 401, "refresh_invalid")
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "its access token", 401, "token_revoked")

	l = o.login("jane@cars.example", goodPassword)
	o.do("POST", "/api/v1/auth/logout", "", l.bearer()).want(t, "logout", 204, "")
	o.refresh(l.RefreshToken).want(t, "after logout", 401, "refresh_invalid")
}

func TestRefreshCookie(t *testing.T) {
	o := newOffice(t)
	login := func(headers ...string) answer {
		return o.do("POST", "/api/v1/auth/login", `{"email":"jane@cars.example","password":"`+goodPassword+`","refreshCookie":true}`, headers...)
	}
	a := login("Sec-Fetch-Site: same-origin")
	if a.StatusCode != 200 || !strings.Contains(a.body, `"refreshToken":null`) {
		t.Fatal(a.StatusCode, a.body)
	}
	cookie := a.Cookies()[0]
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/api/v1/auth" || cookie.Domain != "" ||
		!strings.HasPrefix(cookie.Value, "cfr_") || !cookie.Expires.Equal(o.now().Add(30*24*time.Hour)) {
		t.Errorf("%+v", cookie)
	}
	send := "Cookie: " + cookie.Name + "=" + cookie.Value
	login("Sec-Fetch-Site: cross-site").want(t, "login from another site", 403, "cross_origin")
	for _, foreign := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example", "Origin: null"} {
		a := o.do("POST", "/api/v1/auth/refresh", "", send, foreign)
		a.want(t, foreign, 403, "cross_origin")
		if len(a.Cookies()) > 0 {
			t.Errorf("%s: sets a cookie", foreign)
		}
	}
	b := o.do("POST", "/api/v1/auth/refresh", "", send, "Origin: https://cars.example")
	if b.StatusCode != 200 || !strings.Contains(b.body, `"refreshToken":null`) || len(b.Cookies()) != 1 || b.Cookies()[0].Value == cookie.Value {
		t.Fatal(b.StatusCode, b.body, b.Cookies())
	}
	again := o.do("POST", "/api/v1/auth/refresh", "{}", send, "Sec-Fetch-Site: same-origin")
	if again.StatusCode != 200 || again.Cookies()[0].Value != b.Cookies()[0].Value {
		t.Error("another successor for the second tab")
	}
	o.do("POST", "/api/v1/auth/refresh", "", "Cookie: "+cookie.Name+"=cfr_x").want(t, "made-up cookie", 401, "refresh_invalid")
	out := o.do("POST", "/api/v1/auth/logout", "", readLogin(t, b).bearer())
	out.want(t, "logout", 204, "")
	if c := out.Cookies(); len(c) != 1 || c[0].Name != cookie.Name || c[0].MaxAge >= 0 || c[0].Path != cookie.Path || c[0].Value != "" {
		t.Errorf("not cleared: %v", c)
	}
}

func TestLogoutEndsTheSession(t *testing.T) {
	o := newOffice(t)
	l, other := o.login("jane@cars.example", goodPassword), o.login("jane@cars.example", goodPassword)
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "before", 200, "")
	o.do("POST", "/api/v1/auth/logout", "").want(t, "nobody", 401, "credentials_missing")
	o.do("POST", "/api/v1/auth/logout", "", l.bearer()).want(t, "logout", 204, "")
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "after", 401, "token_revoked")
	o.do("POST", "/api/v1/auth/logout", "", l.bearer()).want(t, "twice", 401, "token_revoked")
	o.do("GET", "/api/v1/read", "", other.bearer()).want(t, "another session", 200, "")
	if n := count(o.events(o.group.ID), "session.ended"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestSessionList(t *testing.T) {
	o := newOffice(t)
	o.person("joe@cars.example", RoleViewer)
	joe := o.login("joe@cars.example", goodPassword)
	var mine []loggedIn
	for i := range 3 {
		o.advance(time.Minute)
		mine = append(mine, o.login("jane@cars.example", goodPassword, fmt.Sprintf("User-Agent: device %d", i), fmt.Sprintf("From: 198.51.100.%d:99", i)))
	}
	type page struct {
		Sessions []struct {
			ID, IPAddress, UserAgent         string
			Current                          bool
			CreatedAt, LastSeenAt, ExpiresAt string
		}
		Pagination struct{ Total, Limit, Offset int }
	}
	list := func(l loggedIn, query string) (p page) {
		a := o.do("GET", "/api/v1/auth/sessions"+query, "", l.bearer())
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.StatusCode != 200 {
			t.Fatal(a.StatusCode, a.body)
		}
		return p
	}
	p := list(mine[1], "")
	if p.Pagination.Total != 3 || len(p.Sessions) != 3 {
		t.Fatalf("%+v", p)
	}
	for i, s := range p.Sessions { // newest first
		if s.UserAgent != fmt.Sprintf("device %d", 2-i) || s.IPAddress != fmt.Sprintf("198.51.100.%d", 2-i) || s.Current != (i == 1) || s.CreatedAt != s.LastSeenAt {
			t.Errorf("%d: %+v", i, s)
		}
	}
	if s := p.Sessions[0]; s.CreatedAt != "2025-11-23T12:03:00Z" || s.ExpiresAt != "2025-12-23T12:03:00Z" {
		t.Errorf("%+v", s)
	}
	if q := list(mine[1], "?limit=1&offset=2"); len(q.Sessions) != 1 || q.Sessions[0].ID != p.Sessions[2].ID || q.Pagination.Limit != 1 || q.Pagination.Offset != 2 {
		t.Errorf("%+v", q)
	}
	o.do("GET", "/api/v1/auth/sessions?limit=0", "", mine[0].bearer()).want(t, "limit 0", 422, "invalid")

	end := func(l loggedIn, id string) answer { return o.do("DELETE", "/api/v1/auth/sessions/"+id, "", l.bearer()) }
	foreign, unknown := end(joe, p.Sessions[0].ID), end(joe, "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00")
	foreign.want(t, "foreign", 404, "not_found")
	if strings.ReplaceAll(sameRefusal(foreign), p.Sessions[0].ID, "") != strings.ReplaceAll(sameRefusal(unknown), "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", "") {
		t.Error("foreign and unknown can be told apart")
	}
	end(mine[1], p.Sessions[0].ID).want(t, "one of mine", 204, "")
	o.do("GET", "/api/v1/read", "", mine[2].bearer()).want(t, "its token", 401, "token_revoked")
	end(mine[1], p.Sessions[0].ID).want(t, "twice", 404, "not_found")
	if q := list(mine[1], ""); q.Pagination.Total != 2 {
		t.Errorf("%+v", q)
	}
	end(mine[1], p.Sessions[1].ID).want(t, "the current one", 204, "")
	o.do("GET", "/api/v1/read", "", mine[1].bearer()).want(t, "my own token", 401, "token_revoked")
	o.advance(30 * 24 * time.Hour)
	if q := list(o.login("jane@cars.example", goodPassword), ""); q.Pagination.Total != 1 {
		t.Errorf("lists sessions that are over: %+v", q)
	}
}

func TestChangePassword(t *testing.T) {
	o := newOffice(t)
	mine, other := o.login("jane@cars.example", goodPassword), o.login("jane@cars.example", goodPassword)
	change := func(current, next string) answer {
		b, _ := json.Marshal(map[string]string{"currentPassword": current, "newPassword": next})
		return o.do("POST", "/api/v1/auth/password", string(b), mine.bearer())
	}
	faults := func(a answer) (pointers []string) {
		list, _ := a.member("errors").([]any)
		for _, f := range list {
			pointers = append(pointers, f.(map[string]any)["pointer"].(string))
		}
		return pointers
	}
	for _, c := range []struct {
		what, current, next string
		pointers            string
	}{
		{"wrong current", "wrong", nextPassword, "[#/currentPassword]"},
		{"short new", goodPassword, "short", "[#/newPassword]"},
		{"own name", goodPassword, "Jane Doe Jane Doe 1", "[#/newPassword]"},
		{"own group", goodPassword, "anciramotorgroup", "[#/newPassword]"},
		{"common", goodPassword, "correct horse battery staple", "[#/newPassword]"},
		{"both", "wrong", "short", "[#/currentPassword #/newPassword]"},
	} {
		a := change(c.current, c.next)
		a.want(t, c.what, 422, "invalid")
		if got := fmt.Sprint(faults(a)); got != c.pointers {
			t.Errorf("%s: %s", c.what, got)
		}
	}
	o.do("GET", "/api/v1/read", "", other.bearer()).want(t, "other session so far", 200, "")
	change(goodPassword, nextPassword).want(t, "change", 204, "")
	o.do("GET", "/api/v1/read", "", mine.bearer()).want(t, "this session", 200, "")
	o.refresh(mine.RefreshToken).want(t, "this session's refresh", 200, "")
	o.do("GET", "/api/v1/read", "", other.bearer()).want(t, "other session", 401, "token_revoked")
	o.refresh(other.RefreshToken).want(t, "other session's refresh", 401, "refresh_invalid")
	o.do("POST", "/api/v1/auth/login", credentials("jane@cars.example", goodPassword)).want(t, "old password", 401, "credentials_invalid")
	o.login("jane@cars.example", nextPassword)
	if n := count(o.events(o.group.ID), "password.changed"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	for range 7 { // with two above and the login, ten
		change("wrong", goodPassword).want(t, "guess", 422, "invalid")
	}
	a := change("wrong", goodPassword)
	a.want(t, "one guess more", 429, "login_throttled")
	if a.Header.Get("Retry-After") != "900" {
		t.Error(a.Header.Get("Retry-After"))
	}
}

// Nothing that opens a door may stand in the store.
func TestStoreHoldsNoSecrets(t *testing.T) {
	o := newOffice(t)
	l := o.login("jane@cars.example", goodPassword)
	next := readLogin(t, o.refresh(l.RefreshToken))
	o.do("POST", "/api/v1/auth/login", credentials("jane@cars.example", "wrong but secret"))
	secrets := []string{goodPassword, "wrong but secret", l.Token, l.RefreshToken, next.RefreshToken, l.RefreshToken[4:], next.RefreshToken[4:], officeSecret}
	held := sqldbtest.Contents(t, o.db, o.group.ID, "")
	for _, s := range secrets {
		if strings.Contains(held, s) {
			t.Errorf("the store holds %.12q…", s)
		}
	}
}

func TestPruneSessions(t *testing.T) {
	o := newOffice(t)
	l := o.login("jane@cars.example", goodPassword)
	o.do("POST", "/api/v1/auth/logout", "", l.bearer())
	live := o.login("jane@cars.example", goodPassword)
	rows := func() (sessions, tokens int) {
		if err := o.db.Tenant(o.group.ID).QueryRow(t.Context(), `SELECT count(*), (SELECT count(*) FROM credential) FROM session WHERE dealer_group_id = $1`).Scan(&sessions, &tokens); err != nil {
			t.Fatal(err)
		}
		return sessions, tokens
	}
	o.advance(29 * 24 * time.Hour)
	live = readLogin(t, o.refresh(live.RefreshToken))
	if err := o.sessions.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, c := rows(); s != 2 || c != 3 {
		t.Errorf("too early: %d sessions, %d tokens", s, c)
	}
	o.advance(2 * 24 * time.Hour)
	if err := o.sessions.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, c := rows(); s != 1 || c != 2 { // the token that was exchanged a month ago still tells a thief
		t.Errorf("after a month: %d sessions, %d tokens", s, c)
	}
	live = readLogin(t, o.refresh(live.RefreshToken))
	o.do("POST", "/api/v1/auth/logout", "", live.bearer())
	if err := o.sessions.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, c := rows(); s != 1 || c != 2 { // its session is over; the others have not expired
		t.Errorf("after the logout: %d sessions, %d tokens", s, c)
	}
}

func TestReuseAfterPruningEndsTheSession(t *testing.T) {
	o := newOffice(t)
	first := o.login("jane@cars.example", goodPassword)
	o.advance(20 * 24 * time.Hour)
	second := readLogin(t, o.refresh(first.RefreshToken))
	o.advance(20 * 24 * time.Hour)
	third := readLogin(t, o.refresh(second.RefreshToken))
	if err := o.sessions.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.refresh(first.RefreshToken).want(t, "a token whose time was over", 401, "refresh_reused")
	o.refresh(third.RefreshToken).want(t, "its session", 401, "refresh_invalid")
}
