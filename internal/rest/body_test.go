package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"carfluence/internal/errs"
)

const goodThing = `{"name":"a","scopes":["admin"]}`

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestSyntaxIs400(t *testing.T) {
	s := newStand(t)
	for name, body := range map[string]string{
		"broken":               `{"name":`,
		"a word":               `hello`,
		"trailing text":        goodThing + ` x`,
		"second value":         goodThing + goodThing,
		"trailing comma":       `{"name":"a","scopes":["admin"],}`,
		"comment":              `{"name":"a"/* why */,"scopes":["admin"]}`,
		"member twice":         `{"name":"a","name":"b","scopes":["admin"]}`,
		"member twice, escape": `{"name":"a","\u006eame":"b","scopes":["admin"]}`,
		"nested member twice":  `{"name":"a","scopes":["admin"],"parts":[{"color":"red","color":"blue"}]}`,
		"invalid UTF-8":        "{\"name\":\"\xff\",\"scopes\":[\"admin\"]}",
		"half a surrogate":     `{"name":"\ud800","scopes":["admin"]}`,
		"control character":    "{\"name\":\"a\nb\",\"scopes\":[\"admin\"]}",
		"byte order mark":      "\ufeff" + goodThing,
		"single quotes":        `{'name':'a'}`,
		"NaN":                  `{"name":"a","scopes":["admin"],"count":NaN}`,
		"leading zero":         `{"name":"a","scopes":["admin"],"count":01}`,
		"depth 33":             nested(33),
		"depth 100,000":        nested(100_000),
		"only spaces":          "  \n ",
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p := s.want(400, "malformed", s.send("POST", "/api/v1/things", body))
			if len(p.Errors) > 0 || strings.Contains(p.Detail, "json:") || strings.Contains(p.Detail, "jsontext") {
				t.Errorf("problem %+v", p)
			}
		})
	}
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	s := newStand(t)
	p := s.want(400, "malformed", s.send("POST", "/api/v1/things?dryRun=perhaps", `{"name":"a",}`))
	if !strings.Contains(p.Detail, "byte 11") {
		t.Errorf("the detail does not say where: %q", p.Detail)
	}
}

func TestAcceptedJSON(t *testing.T) {
	s := newStand(t)
	for name, body := range map[string]string{
		"plain":            goodThing,
		"spaces around":    " \r\n\t" + goodThing + "\n\n",
		"escaped":          `{"n\u0061me":"\ud83d\ude97","scopes":["admin"]}`,
		"emptied members":  `{"name":"a","scopes":["admin"],"parts":[],"extra":{}}`,
		"null of optional": `{"name":"a","scopes":["admin"],"parts":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.send("POST", "/api/v1/things", body); a.StatusCode != 201 || a.Header.Get("Location") == "" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestNesting32IsReadAnd33IsNot(t *testing.T) {
	if err := checkJSON([]byte(nested(32))); err != nil {
		t.Error(err)
	}
	if checkJSON([]byte(nested(33))) == nil {
		t.Error("depth 33 passed")
	}
	if err := checkJSON([]byte(strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32))); err != nil {
		t.Error(err)
	}
}

func TestMissingBody(t *testing.T) {
	s := newStand(t)
	s.want(400, "malformed", s.send("POST", "/api/v1/things", "", "Content-Type: application/json"))
	s.want(400, "malformed", s.send("POST", "/api/v1/things", ""))
	if a := s.send("POST", "/api/v1/secret", ""); a.StatusCode != 200 {
		t.Errorf("an optional body left out: %d %s", a.StatusCode, a.body)
	}
}

func TestContentIs422WithEveryFault(t *testing.T) {
	s := newStand(t)
	for _, c := range []struct {
		name, query, body string
		places            []string
	}{
		{"null body", "", `null`, []string{"#"}},
		{"list for an object", "", `[]`, []string{"#"}},
		{"number for an object", "", `5`, []string{"#"}},
		{"missing members", "", `{}`, []string{"#/name", "#/scopes"}},
		{"unknown member", "", `{"name":"a","scopes":["admin"],"nmae":1}`, []string{"#/nmae"}},
		{"wrong case", "", `{"Name":"a","scopes":["admin"]}`, []string{"#/Name", "#/name"}},
		{"wrong type", "", `{"name":5,"scopes":["admin"]}`, []string{"#/name"}},
		{"null of required", "", `{"name":null,"scopes":["admin"]}`, []string{"#/name"}},
		{"too long", "", `{"name":"` + strings.Repeat("a", 21) + `","scopes":["admin"]}`, []string{"#/name"}},
		{"bad element", "", `{"name":"a","scopes":["inventory:delete","admin",7]}`, []string{"#/scopes/0", "#/scopes/2"}},
		{"empty list", "", `{"name":"a","scopes":[]}`, []string{"#/scopes"}},
		{"nested", "", `{"name":"a","scopes":["admin"],"parts":[{"color":"red"},{"color":"green","size":12},{"size":1}]}`, []string{"#/parts/1/color", "#/parts/1/size", "#/parts/2/color"}},
		{"nested unknown", "", `{"name":"a","scopes":["admin"],"parts":[{"color":"red","colour":"red"}]}`, []string{"#/parts/0/colour"}},
		{"not whole", "", `{"name":"a","scopes":["admin"],"count":1.5}`, []string{"#/count"}},
		{"beyond 64 bits", "", `{"name":"a","scopes":["admin"],"count":100000000000000000000}`, []string{"#/count"}},
		{"beyond floating point", "", `{"name":"a","scopes":["admin"],"count":1e999}`, []string{"#/count"}},
		{"as a decimal", "", `{"name":"a","scopes":["admin"],"count":2.0}`, []string{"#/count"}},
		{"a dotted name", "", `{"a.b":1,"scopes":[7]}`, []string{"#/a.b", "#/name", "#/scopes/0"}},
		{"names to escape", "", `{"name":"a","scopes":["admin"],"a/b~c[0] %ü":1}`, []string{"#/a~1b~0c%5B0%5D%20%25%C3%BC"}},
		{"dotted key of a map", "", `{"name":"a","scopes":["x"],"extra":{"k.1[2]":7,"z":1}}`, []string{"#/extra/k.1%5B2%5D", "#/extra/z", "#/scopes/0"}},
		{"parameter too", "?dryRun=perhaps", `{"name":"","scopes":["x"],"y":1}`, []string{"#/name", "#/scopes/0", "#/y", "dryRun"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			a := s.send("POST", "/api/v1/things"+c.query, c.body)
			s.want(422, "invalid", a)
			got := a.places(t)
			slices.Sort(got)
			if !slices.Equal(got, c.places) {
				t.Errorf("places %q, want %q\n%s", got, c.places, a.body)
			}
			if strings.Contains(string(a.body), "Go ") || strings.Contains(string(a.body), "json:") || strings.Contains(string(a.body), "int64") {
				t.Errorf("the problem speaks of the program's insides: %s", a.body)
			}
		})
	}
}

func TestFaultsComeInTheSameOrder(t *testing.T) {
	s := newStand(t)
	body := `{"name":"a","scopes":["admin"],"z":1,"y":1,"x":1,"w":1,"v":1}`
	first := s.send("POST", "/api/v1/things", body).places(t)
	for range 20 {
		if next := s.send("POST", "/api/v1/things", body).places(t); !slices.Equal(next, first) {
			t.Fatalf("%q, then %q", first, next)
		}
	}
}

// Ten times as many faults may cost ten times as much, and on a busy machine some more; a walk over all for each would cost
// a hundred times.
func TestHalfAMillionFaults(t *testing.T) {
	s := newStand(t)
	for name, body := range map[string]func(tenths int) string{
		"items": func(tenths int) string { return `{"name":"a","scopes":[` + strings.Repeat("1,", 50_000*tenths) + `1]}` },
		"inside": func(tenths int) string {
			return `{"name":"a","scopes":["admin"],"extra":{` + manyMembers(8_000*tenths) + `}}`
		},
		"members": func(tenths int) string { return `{` + manyMembers(8_000*tenths) + `}` },
	} {
		refused := func(body string) (fastest time.Duration) {
			for i := range 3 {
				begun := time.Now()
				a := s.send("POST", "/api/v1/things", body)
				if took := time.Since(begun); i == 0 || took < fastest {
					fastest = took
				}
				p := s.want(422, "invalid", a)
				if len(p.Errors) != 100 || len(a.body) > 20_000 || !strings.Contains(p.Detail, "100 of ") {
					t.Errorf("%s: %d faults, %d bytes: %s", name, len(p.Errors), len(a.body), p.Detail)
				}
			}
			return fastest
		}
		if few, many := refused(body(1)), refused(body(10)); many > 40*few {
			t.Errorf("%s: a tenth of the faults is refused after %s, all after %s", name, few, many)
		}
	}
	s.failWith = errs.Invalid("code_of_test", "No.", slices.Repeat([]errs.Fault{errs.At("#/a", "is wrong")}, 1000)...)
	if p := s.want(422, "code_of_test", s.send("GET", "/api/v1/fail", "")); len(p.Errors) != 100 || !strings.Contains(p.Detail, "100 of 1000") {
		t.Errorf("%d faults, %s", len(p.Errors), p.Detail)
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"a%d":1,`, i)
	}
	return b.String() + `"z":1`
}

func TestMergePatch(t *testing.T) {
	s := newStand(t)
	for body, name := range map[string]string{`{}`: "as it was", `{"name":"b"}`: "b", `{"name":null}`: "removed"} {
		a := s.send("PATCH", "/api/v1/things/1", body, "Content-Type:", "Content-Type: application/merge-patch+json")
		if a.StatusCode != 200 || !strings.Contains(string(a.body), `"`+name+`"`) {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	all := s.send("PATCH", "/api/v1/things/1", `{"count":1e30,"name":7}`)
	if got := all.places(t); !slices.Equal(got, []string{"#/name", "#/count"}) {
		t.Errorf("a number that does not fit hides what comes after it: %q", got)
	}
	for body, place := range map[string]string{`{"count":1e30}`: "#/count", `{"count":7.0}`: "#/count", `{"name":7}`: "#/name", `{"settings":7}`: "#/settings",
		`{"settings":{"hours":7.0}}`: "#/settings/hours", `{"settings":{"hours":"7"}}`: "#/settings/hours", `{"settings":{"word":7}}`: "#/settings/word", `{"name":"` + strings.Repeat("é", 21) + `"}`: "#/name"} {
		a := s.send("PATCH", "/api/v1/things/1", body)
		s.want(422, "invalid", a)
		if got := a.places(t); !slices.Equal(got, []string{place}) {
			t.Errorf("%s: %q %s", body, got, a.body)
		}
	}
}

func TestBodyOfOneMiBPasses(t *testing.T) {
	s := newStand(t)
	fill := func(size int) string { return strings.Repeat(" ", size-len(goodThing)) + goodThing }
	if a := s.send("POST", "/api/v1/things", fill(1<<20)); a.StatusCode != 201 {
		t.Errorf("1 MiB: %d %s", a.StatusCode, a.body)
	}
	s.want(413, "too_large", s.send("POST", "/api/v1/things", fill(1<<20+1)))
	s.want(413, "too_large", s.send("POST", "/api/v1/secret", fill(3<<20)))
}

func TestDeclaredSizeIsRefusedUnread(t *testing.T) {
	s := newStand(t)
	r := httptest.NewRequest("POST", "/api/v1/things", &failing{errors.New("must not be read")})
	r.ContentLength = 1 << 40
	r.Header.Set("X-Api-Key", "test")
	r.Header.Set("Content-Type", "application/json")
	s.want(413, "too_large", s.serve(r))
}

func TestMediaTypes(t *testing.T) {
	s := newStand(t)
	for _, good := range []string{
		"application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8", `application/json ; charset="utf-8"`,
		"application/merge-patch+json",
	} {
		if a := s.send("POST", "/api/v1/things", goodThing, "Content-Type:", "Content-Type: "+good); a.StatusCode != 201 {
			t.Errorf("%s: %d %s", good, a.StatusCode, a.body)
		}
	}
	for _, bad := range []string{
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "text/json", "text/html+json", "application/xml", "application/jsonx", "json",
		"application/json; charset=iso-8859-1", "application/json; charset=utf-16", "application/+json", "application/a;+json", "*/*", ";", "application/json, text/plain", "application/cbor",
	} {
		a := s.send("POST", "/api/v1/things", goodThing, "Content-Type:", "Content-Type: "+bad)
		if a.StatusCode != 415 {
			t.Errorf("%s: %d %s", bad, a.StatusCode, a.body)
		}
	}
	s.want(415, "unsupported_media_type", s.send("POST", "/api/v1/things", goodThing, "Content-Type:"))
	s.want(415, "unsupported_media_type", s.send("POST", "/api/v1/things", goodThing, "Content-Encoding: gzip"))
	if a := s.send("POST", "/api/v1/things", goodThing, "Content-Encoding: identity"); a.StatusCode != 201 {
		t.Errorf("identity: %d", a.StatusCode)
	}
	// A chunked body says no length.
	r := httptest.NewRequest("POST", "/api/v1/things", io.MultiReader(strings.NewReader(goodThing)))
	r.ContentLength = -1
	r.Header.Set("X-Api-Key", "test")
	s.want(415, "unsupported_media_type", s.serve(r))
}

func TestUnknownCallerIsToldBeforeTheBodyIsRead(t *testing.T) {
	s := newStand(t)
	r := httptest.NewRequest("POST", "/api/v1/things", &failing{errors.New("must not be read")})
	r.Header.Set("Content-Type", "application/json")
	a := s.serve(r)
	s.want(401, "credentials_missing", a)
	if a.Header.Get("WWW-Authenticate") != `Bearer realm="carfluence"` {
		t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
	}
}

// failing is a body that breaks off.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestBodyThatBreaksOff(t *testing.T) {
	s := newStand(t)
	send := func(err error) answer {
		r := httptest.NewRequest("POST", "/api/v1/things", io.MultiReader(strings.NewReader(goodThing[:9]), &failing{err}))
		r.ContentLength = 100
		r.Header.Set("X-Api-Key", "test")
		r.Header.Set("Content-Type", "application/json")
		return s.serve(r)
	}
	s.want(400, "malformed", send(io.ErrUnexpectedEOF))
	s.want(400, "malformed", send(errors.New("invalid byte in chunk length")))
	s.want(408, "request_timeout", send(os.ErrDeadlineExceeded))
}

// clocked remembers the deadlines set on a connection.
type clocked struct {
	*httptest.ResponseRecorder
	deadlines int
}

func (c *clocked) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		c.deadlines++
	}
	return nil
}

// A body nobody asks for is still awaited by the HTTP server before it answers, so it needs a deadline too.
func TestEveryBodyHasADeadline(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{"/api/v1/things", "/api/v1/nothing", "/elsewhere"} {
		w := &clocked{ResponseRecorder: httptest.NewRecorder()}
		s.api.ServeHTTP(w, httptest.NewRequest("POST", target, strings.NewReader("{}")))
		if w.deadlines == 0 {
			t.Errorf("%s waits for the body without end", target)
		}
	}
	w := &clocked{ResponseRecorder: httptest.NewRecorder()}
	s.api.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/text", http.NoBody))
	if w.deadlines != 0 {
		t.Error("a deadline without a body")
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{goodThing, nested(32), nested(33), `"\ud800"`, `{"a":1,"a":2}`, "\ufeff1", " 1 ", "", "  ", `1 2`, "\xff", `{"a":[1,2,{"b":null}]}`, "-0", "1e999"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) == nil && !json.Valid(data) {
			t.Errorf("accepted %q, which encoding/json refuses", data)
		}
	})
}
