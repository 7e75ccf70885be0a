package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"carfluence/internal/errs"
)

func TestUnknownAddressesAndMethods(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{"/api/v1/nothing", "/api/v1/things/1/2", "/api/v1/", "/api/v1", "/elsewhere", "/api/v1/inventory/%00", "/api/v1/th%ffings"} {
		s.want(404, "route_not_found", s.send("GET", target, ""))
	}
	for method, allow := range map[string]string{"PUT": "GET, HEAD, POST", "DELETE": "GET, HEAD, POST", "OPTIONS": "GET, HEAD, POST", "BREW": "GET, HEAD, POST"} {
		a := s.send(method, "/api/v1/things", "")
		p := s.want(405, "method_not_allowed", a)
		if a.Header.Get("Allow") != allow || !strings.Contains(p.Detail, allow) {
			t.Errorf("%s: Allow %q, %q", method, a.Header.Get("Allow"), p.Detail)
		}
	}
	if a := s.send("HEAD", "/api/v1/nothing", ""); a.StatusCode != 404 || len(a.body) != 0 {
		t.Errorf("HEAD of nothing: %d %q", a.StatusCode, a.body)
	}
	star := httptest.NewRequest("GET", "/", nil)
	star.RequestURI, star.URL.Path = "*", "*"
	s.want(400, "malformed", s.serve(star))
}

func TestRefusalsOfPlainHandlersAreProblems(t *testing.T) {
	s := newStand(t)
	for status, code := range map[int]string{400: "malformed", 404: "route_not_found", 405: "method_not_allowed", 503: "unavailable"} {
		a := s.send("GET", fmt.Sprintf("/page/%d", status), "")
		if p := s.want(status, code, a); p.Detail != "Not this time." || a.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%v %s", a.Header, a.body)
		}
		if a := s.send("HEAD", fmt.Sprintf("/page/%d", status), ""); a.StatusCode != status || len(a.body) != 0 || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("HEAD: %d %v %q", a.StatusCode, a.Header, a.body)
		}
	}
	if a := s.send("GET", "/page/503", ""); a.Header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	for _, status := range []int{418, 500, 502} { // no code is made for these
		s.want(500, "internal", s.send("GET", fmt.Sprintf("/page/%d", status), ""))
	}
}

func TestHeaderLimitIs64KiB(t *testing.T) {
	s := newStand(t)
	if a := s.send("GET", "/api/v1/text", "", "X-Fill: "+strings.Repeat("a", 64<<10-200)); a.StatusCode != 200 {
		t.Errorf("just below: %d", a.StatusCode)
	}
	s.want(431, "header_too_large", s.send("GET", "/api/v1/text", "", "X-Fill: "+strings.Repeat("a", 64<<10)))
	s.want(431, "header_too_large", s.send("GET", "/api/v1/text?search="+strings.Repeat("a", 64<<10), ""))
	many := make([]string, 4000)
	for i := range many {
		many[i] = "X-Fill: 0123456789"
	}
	s.want(431, "header_too_large", s.send("GET", "/elsewhere", "", many...))
}

func TestPanicBecomesAProblemAndIsLogged(t *testing.T) {
	s := newStand(t)
	a := s.send("GET", "/api/v1/panic", "", "X-Request-Id: abc-1")
	s.want(500, "internal", a)
	if bytes.Contains(a.body, []byte("hunter2")) || a.Header.Get("Etag") != "" {
		t.Errorf("the problem tells of the panic: %s", a.body)
	}
	if !strings.Contains(s.log.String(), "hunter2") || !strings.Contains(s.log.String(), `"request_id":"abc-1"`) {
		t.Errorf("log: %s", s.log)
	}
	if !slices.Equal(s.settled, []int{500}) || len(s.seen) != 1 || s.seen[0].Status() != 500 {
		t.Errorf("settled %v, observed %d", s.settled, len(s.seen))
	}
}

func TestCreditsAreSettledOnceWithTheStatusSent(t *testing.T) {
	s := newStand(t)
	s.send("GET", "/api/v1/text", "")
	s.send("GET", "/api/v1/text", "", "If-None-Match: *")
	s.send("GET", "/api/v1/nothing", "")
	s.send("POST", "/api/v1/things", "{")
	s.send("DELETE", "/api/v1/things/1", "")
	s.send("GET", "/api/v1/stream", "")
	if want := []int{200, 304, 404, 400, 204, 200}; !slices.Equal(s.settled, want) {
		t.Errorf("settled %v, want %v", s.settled, want)
	}
	a := s.send("GET", "/api/v1/text", "")
	if a.Header.Get("X-RateLimit-Limit") != "1000" || a.Header.Get("X-RateLimit-Remaining") != "998" || a.Header.Get("X-RateLimit-Reset") != "1700000000" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestGateRefusals(t *testing.T) {
	s := newStand(t)
	s.admitErr = &errs.Error{Kind: errs.KindRateLimited, Code: "rate_limited", Detail: "Used up.", RetryAfter: 1500 * time.Millisecond}
	a := s.send("GET", "/api/v1/text", "")
	p := s.want(429, "rate_limited", a)
	if a.Header.Get("Retry-After") != "2" || p.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" {
		t.Errorf("Retry-After %q, type %q", a.Header.Get("Retry-After"), p.Type)
	}
	if a := s.send("GET", "/elsewhere", ""); a.StatusCode != 404 {
		t.Errorf("outside the API no limit applies: %d", a.StatusCode)
	}
}

func TestErrorKinds(t *testing.T) {
	s := newStand(t)
	for _, c := range []struct {
		kind   errs.Kind
		status int
	}{
		{errs.KindMalformed, 400}, {errs.KindUnauthenticated, 401}, {errs.KindForbidden, 403}, {errs.KindNotFound, 404}, {errs.KindConflict, 409}, {errs.KindExpired, 410},
		{errs.KindTooLarge, 413}, {errs.KindInvalid, 422}, {errs.KindRateLimited, 429}, {errs.KindUnavailable, 503},
	} {
		e := errs.New(c.kind, "code_of_test", "What went wrong.")
		e.Err = errForeign
		s.failWith = e
		a := s.send("GET", "/api/v1/fail", "")
		p := s.want(c.status, "code_of_test", a)
		if p.Detail != "What went wrong." || bytes.Contains(a.body, []byte("10.1.2.3")) || p.Instance != "/api/v1/fail" {
			t.Errorf("%d: %s", c.status, a.body)
		}
		if a.Header.Get("Cache-Control") != "private, no-store" || a.Header.Get("Etag") != "" {
			t.Errorf("%d: %v", c.status, a.Header)
		}
		if (a.Header.Get("Retry-After") != "") != (c.status == 503) {
			t.Errorf("%d: Retry-After %q", c.status, a.Header.Get("Retry-After"))
		}
	}
	for _, err := range []error{errForeign, errs.New(errs.KindInternal, "db_broken", "the secret place"), io.EOF} {
		s.failWith = err
		a := s.send("GET", "/api/v1/fail", "")
		p := s.want(500, "internal", a)
		if strings.Contains(string(a.body), "10.1.2.3") || strings.Contains(string(a.body), "secret place") || strings.Contains(p.Detail, "EOF") {
			t.Errorf("the problem tells of %v: %s", err, a.body)
		}
		if x := s.seen[len(s.seen)-1]; !errors.Is(x.Err(), err) {
			t.Errorf("the log gets %v, want %v", x.Err(), err)
		}
	}
}

// What a client that left makes the stores say is no failure of the server.
func TestAClientThatLeftIsNoServerError(t *testing.T) {
	s := newStand(t)
	for _, err := range []error{context.Canceled, errs.UnavailableFor(time.Second, "The count is not known.", context.Canceled)} {
		s.failWith = err
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/fail", nil).WithContext(ctx))
		if x := s.seen[len(s.seen)-1]; x.Status() != 499 || !errors.Is(x.Err(), err) {
			t.Errorf("observed %d %v", x.Status(), x.Err())
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	s := newStand(t)
	s.failWith = errs.Invalid("invalid", "No.", errs.At("#/"+strings.Repeat("x", 100_000), strings.Repeat("y", 100_000)), errs.At("#/"+someKey, "unknown member "+someKey))
	a := s.send("GET", "/api/v1/fail", "")
	s.want(422, "invalid", a)
	if got := a.places(t); len(a.body) > 2000 || len(got) != 2 || looksSecret(string(a.body)) {
		t.Errorf("%d bytes: %.300s", len(a.body), a.body)
	}
}

func TestForbiddenNamesScopes(t *testing.T) {
	s := newStand(t)
	s.failWith = &errs.Error{Kind: errs.KindForbidden, Code: "insufficient_scope", Detail: "Needs more.", RequiredScopes: []string{"rules:write"}, GrantedScopes: []string{"rules:read"}}
	a := s.send("GET", "/api/v1/fail", "")
	p := s.want(403, "insufficient_scope", a)
	if !slices.Equal(p.RequiredScopes, []string{"rules:write"}) || !slices.Equal(p.GrantedScopes, []string{"rules:read"}) ||
		a.Header.Get("WWW-Authenticate") != `Bearer realm="carfluence", error="insufficient_scope", scope="rules:write"` {
		t.Errorf("%v %s", a.Header, a.body)
	}
}

// Every 403 has both members, also where no scope would help.
func TestForbiddenNamesScopesAlways(t *testing.T) {
	s := newStand(t)
	for _, granted := range [][]string{nil, {}, {"rules:read"}} {
		s.failWith = &errs.Error{Kind: errs.KindForbidden, Code: "session_required", Detail: "For people.", GrantedScopes: granted}
		a := s.send("GET", "/api/v1/fail", "")
		s.want(403, "session_required", a)
		want := `"requiredScopes":[],"grantedScopes":["rules:read"]`
		if len(granted) == 0 {
			want = `"requiredScopes":[],"grantedScopes":[]`
		}
		if !strings.Contains(string(a.body), want) || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%v %s, want %s", a.Header, a.body, want)
		}
	}
	s.failWith = errs.NotFound("not_found", "No.")
	if a := s.send("GET", "/api/v1/fail", ""); strings.Contains(string(a.body), "Scopes") {
		t.Errorf("%s", a.body)
	}
}

func TestPages(t *testing.T) {
	s := newStand(t)
	for query, want := range map[string]string{
		"":                    `"limit":50,"offset":0`,
		"?limit=1":            `"limit":1,"offset":0`,
		"?limit=200&offset=3": `"limit":200,"offset":3`,
		"?limit=201":          `"limit":200,"offset":0`,
		"?limit=1000000":      `"limit":200,"offset":0`,
		"?lim%69t=3&OFFSET=1": `"limit":3,"offset":0`,
		"?limit=99999999999999999999&offset=" + strings.Repeat("9", 400): `"limit":200,"offset":9223372036854775807`,
		"?limit=00000000000000000000005":                                 `"limit":5,"offset":0`,
		"?offset=9223372036854775807":                                    `"limit":50,"offset":9223372036854775807`,
		"?nobody=knows&limit=2":                                          `"limit":2,"offset":0`,
		"?limit=9999999999&nobody=%25zz":                                 `"limit":200,"offset":0`,
	} {
		a := s.send("GET", "/api/v1/things"+query, "")
		if a.StatusCode != 200 || !strings.Contains(string(a.body), `"pagination":{"total":7,`+want+`}`) {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	for query, places := range map[string][]string{
		"?limit=0": {"limit"}, "?limit=-1": {"limit"}, "?limit=ten": {"limit"}, "?limit=1.5": {"limit"}, "?limit=1e2": {"limit"}, "?limit=%00": {"limit"},
		"?offset=-1": {"offset"}, "?limit=x&offset=y": {"limit", "offset"}, "?limit=0&offset=-1": {"limit", "offset"}, "?limit=-99999999999999999999": {"limit"},
		"?limit=&offset=": {"limit", "offset"}, "?limit": {"limit"}, "?limit&offset=-1": {"limit", "offset"}, "?limit=5&limit=5": {"limit"},
		"?limit=5&limit=abc": {"limit"}, "?limit=abc&limit=5": {"limit"}, "?limit=5&l%69mit=": {"limit"}, "?limit=5&limit=6&offset=x": {"limit", "offset"},
		"?offset=-99999999999999999999": {"offset"}, "?limit=99999999999999999999x": {"limit"},
	} {
		a := s.send("GET", "/api/v1/things"+query, "")
		s.want(422, "invalid", a)
		if got := a.places(t); !slices.Equal(got, places) {
			t.Errorf("%s: %q, want %q", query, got, places)
		}
	}
	many := s.send("POST", "/api/v1/things?dryRun=true&dryRun=true", `{"name":"","scopes":["x"]}`)
	s.want(422, "invalid", many)
	if got := many.places(t); !slices.Equal(got, []string{"#/name", "#/scopes/0", "dryRun"}) {
		t.Errorf("a repeated parameter and a body: %q", got)
	}
	a := s.send("PATCH", "/api/v1/things/zero", `{"name":7}`)
	s.want(422, "invalid", a)
	if got := a.places(t); !slices.Equal(got, []string{"#/name", "id"}) {
		t.Errorf("path and body: %q", got)
	}
}

func TestRequestIDs(t *testing.T) {
	s := newStand(t)
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	for _, sane := range []string{"abc", "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", strings.Repeat("x", 128), "A.b_c-9"} {
		if got := s.send("GET", "/api/v1/text", "", "X-Request-Id: "+sane).Header.Get("X-Request-Id"); got != sane {
			t.Errorf("%q became %q", sane, got)
		}
	}
	for _, hostile := range []string{strings.Repeat("x", 129), "a b", "a\nSet-Cookie: b=c", "a\r\nb", "<script>", `"`, "ü", "a/b", "\x00", "cf_live_abc123def456", "xcf_live_", "eyJhbGciOiJSUzI1NiIs"} {
		r := httptest.NewRequest("GET", "/api/v1/text", nil)
		r.Header["X-Request-Id"] = []string{hostile}
		a := s.serve(r)
		if got := a.Header.Get("X-Request-Id"); !made.MatchString(got) {
			t.Errorf("%q became %q", hostile, got)
		}
	}
	if a, b := s.send("GET", "/api/v1/text", ""), s.send("GET", "/api/v1/text", ""); a.Header.Get("X-Request-Id") == b.Header.Get("X-Request-Id") {
		t.Error("two requests with one id")
	}
}

func TestNotModified(t *testing.T) {
	s := newStand(t)
	first := s.send("GET", "/api/v1/text", "")
	tag := first.Header.Get("Etag")
	if !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("tag %q", tag)
	}
	strong := strings.TrimPrefix(tag, "W/")
	for _, match := range []string{tag, strong, "*", `"x", ` + tag, tag + `,"y"`, `W/"x" ,` + strong} {
		a := s.send("GET", "/api/v1/text", "", "If-None-Match: "+match)
		if a.StatusCode != 304 || len(a.body) != 0 || a.Header.Get("Content-Type") != "" || a.Header.Get("Content-Length") != "" ||
			a.Header.Get("Etag") != tag || a.Header.Get("Cache-Control") != "private, no-cache" || a.Header.Get("Vary") == "" {
			t.Errorf("%s: %d %q %v", match, a.StatusCode, a.body, a.Header)
		}
	}
	for _, other := range []string{`"x"`, strings.Trim(strong, `"`), `W/` + strong[:5] + `"`, `"*"`} {
		if a := s.send("GET", "/api/v1/text", "", "If-None-Match: "+other); a.StatusCode != 200 || len(a.body) == 0 {
			t.Errorf("%s: %d %q", other, a.StatusCode, a.body)
		}
	}
	if a := s.send("GET", "/api/v1/text", "", `If-None-Match: "x"`, "If-None-Match: "+tag); a.StatusCode != 304 {
		t.Errorf("two lines: %d", a.StatusCode)
	}
	if a := s.send("GET", "/api/v1/text?size=10", "", "If-None-Match: "+tag); a.StatusCode != 200 {
		t.Errorf("another body under the same tag: %d", a.StatusCode)
	}
	if a := s.send("HEAD", "/api/v1/text", "", "If-None-Match: "+tag); a.StatusCode != 304 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	s.failWith = nil
	for _, a := range []answer{s.send("POST", "/api/v1/secret", "{}", "If-None-Match: *"), s.send("GET", "/api/v1/nothing", "", "If-None-Match: *"), s.send("DELETE", "/api/v1/things/1", "", "If-None-Match: *")} {
		if a.StatusCode == 304 || a.Header.Get("Etag") != "" {
			t.Errorf("%s: %d %v", a.Request.URL, a.StatusCode, a.Header)
		}
	}
}

func TestHead(t *testing.T) {
	s := newStand(t)
	get, head := s.send("GET", "/api/v1/text?size=5000", ""), s.send("HEAD", "/api/v1/text?size=5000", "")
	if head.StatusCode != 200 || len(head.body) != 0 {
		t.Errorf("%d %q", head.StatusCode, head.body)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Etag", "Cache-Control", "Vary"} {
		if get.Header.Get(name) != head.Header.Get(name) || get.Header.Get(name) == "" {
			t.Errorf("%s: GET %q, HEAD %q", name, get.Header.Get(name), head.Header.Get(name))
		}
	}
}

func TestCompression(t *testing.T) {
	s := newStand(t)
	plain := s.send("GET", "/api/v1/kept?size=5000", "")
	for accept, want := range map[string]bool{
		"gzip": true, "gzip, deflate, br": true, "GZIP": true, "deflate, gzip;q=0.5": true, "*": true, "br, *;q=0.1": true, "*;q=0, gzip": true, "gzip;q=1.0": true, "gzip ; q=0.001": true,
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip;q=0.000": false, "gzip; q=0, *": false, "*;q=0": false, "xgzip": false, "gzip;Q=0.0, br": false,
	} {
		a := s.send("GET", "/api/v1/kept?size=5000", "", "Accept-Encoding: "+accept)
		if (a.Header.Get("Content-Encoding") == "gzip") != want {
			t.Errorf("%q: Content-Encoding %q", accept, a.Header.Get("Content-Encoding"))
			continue
		}
		if a.Header.Get("Content-Length") != strconv.Itoa(len(a.body)) || a.Header.Get("Etag") != plain.Header.Get("Etag") || a.Header.Get("Vary") != "Authorization, X-API-Key, Accept-Encoding" {
			t.Errorf("%q: %d bytes, %v", accept, len(a.body), a.Header)
		}
		if want {
			z, err := gzip.NewReader(bytes.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(z); err != nil || !bytes.Equal(b, plain.body) {
				t.Errorf("%q: %v, %d bytes unpacked", accept, err, len(b))
			}
		}
	}
	if a := s.send("GET", "/api/v1/kept", "", "Accept-Encoding: gzip"); a.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer was compressed")
	}
	if a := s.send("GET", "/api/v1/text?size=5000", "", "Accept-Encoding: gzip"); a.Header.Get("Content-Encoding") != "" {
		t.Error("an answer that is not kept was compressed")
	}
	get, head := s.send("GET", "/api/v1/kept?size=5000", "", "Accept-Encoding: gzip"), s.send("HEAD", "/api/v1/kept?size=5000", "", "Accept-Encoding: gzip")
	if get.Header.Get("Content-Length") != head.Header.Get("Content-Length") || head.Header.Get("Content-Encoding") != "gzip" || len(head.body) != 0 {
		t.Errorf("HEAD: %v, GET: %v", head.Header, get.Header)
	}
	if a := s.send("GET", "/api/v1/kept?size=5000", "", "Accept-Encoding: gzip", "If-None-Match: *"); a.StatusCode != 304 || a.Header.Get("Content-Encoding") != "" {
		t.Errorf("304: %v", a.Header)
	}
	a := s.send("GET", "/api/v1/things?limit="+strings.Repeat("0", 3000), "", "Accept-Encoding: gzip")
	if a.StatusCode != 422 {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestCaching(t *testing.T) {
	s := newStand(t)
	for _, c := range []struct {
		a     answer
		cache string
	}{
		{s.send("GET", "/api/v1/text", ""), "private, no-cache"},
		{s.send("POST", "/api/v1/things", goodThing), "private, no-cache"},
		{s.send("DELETE", "/api/v1/things/1", ""), "private, no-cache"},
		{s.send("POST", "/api/v1/secret", "{}"), "no-store"},
		{s.send("POST", "/api/v1/secret", "{"), "no-store"},
		{s.send("GET", "/api/v1/nothing", ""), "private, no-store"},
		{s.send("GET", "/api/v1/openapi.json", ""), "public, max-age=300"},
	} {
		if got := c.a.Header.Get("Cache-Control"); got != c.cache {
			t.Errorf("%d %.40s: Cache-Control %q, want %q", c.a.StatusCode, c.a.body, got, c.cache)
		}
		if c.a.Header.Get("Vary") != "Authorization, X-API-Key, Accept-Encoding" {
			t.Errorf("Vary %q", c.a.Header.Get("Vary"))
		}
	}
	if a := s.send("DELETE", "/api/v1/things/1", ""); a.StatusCode != 204 || len(a.body) != 0 || a.Header.Get("Content-Type") != "" || a.Header.Get("Content-Length") != "" {
		t.Errorf("204: %q %v", a.body, a.Header)
	}
}

func TestAnyAcceptGetsJSON(t *testing.T) {
	s := newStand(t)
	for _, accept := range []string{"text/html", "application/xml;q=0.9", "image/*", "application/json;q=0", "application/cbor", "nonsense", "*/*", ";;;,"} {
		if a := s.send("GET", "/api/v1/text", "", "Accept: "+accept); a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", accept, a.StatusCode, a.Header)
		}
		s.want(422, "invalid", s.send("GET", "/api/v1/things?limit=0", "", "Accept: "+accept))
	}
}

func TestAFailureTakesBackWhatWasPrepared(t *testing.T) {
	s := newStand(t)
	s.failWith = errs.Conflict("code_of_test", "No.")
	a := s.send("POST", "/api/v1/secret", "{}")
	s.want(409, "code_of_test", a)
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Set-Cookie") != "" || a.Header.Get("Location") != "" {
		t.Errorf("%v", a.Header)
	}
}

func TestStreams(t *testing.T) {
	s := newStand(t)
	server := httptest.NewServer(s.api)
	defer server.Close()
	res, err := http.Get(server.URL + "/api/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || string(b) != "one two" || res.Header.Get("X-RateLimit-Limit") == "" {
		t.Errorf("%q %v %v", b, err, res.Header)
	}
	res, err = http.Get(server.URL + "/api/v1/stream?break")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("a stream that broke off looks whole")
	}
}

// A client that announces a body and sends none is answered when nobody needs the body's content to refuse
// it, and let go of at the deadline.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	s := newStand(t)
	server := httptest.NewServer(s.api)
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\nContent-Type: application/json\r\nContent-Length: 300000000\r\n\r\n")
	b := make([]byte, 64)
	if n, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 413") {
		t.Errorf("%q %v", b[:n], err)
	}
}
