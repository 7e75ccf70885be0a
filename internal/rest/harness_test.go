package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"carfluence/internal/errs"
	"carfluence/internal/rest/resttest"
)

// stand is a small API with one operation of each shape the product has.
type stand struct {
	t   *testing.T
	api *API
	log *bytes.Buffer

	mu      sync.Mutex
	settled []int // statuses in the order their credits were settled
	seen    []*Exchange

	admitErr error
	failWith error
}

// charge is a credit that remembers what became of it.
type charge struct{ stand *stand }

func (c charge) Settle(status int) RateLimit {
	c.stand.mu.Lock()
	defer c.stand.mu.Unlock()
	c.stand.settled = append(c.stand.settled, status)
	return RateLimit{Limit: 1000, Remaining: 998, Reset: 1700000000}
}

type part struct {
	Color string `json:"color" enum:"red,blue"`
	Size  int64  `json:"size,omitempty" minimum:"1" maximum:"9"`
}

type thingInput struct {
	DryRun bool `query:"dryRun"`
	Body   struct {
		Name   string            `json:"name" minLength:"1" maxLength:"20"`
		Scopes []string          `json:"scopes" minItems:"1" enum:"inventory:read,dealers:read,admin"`
		Count  int64             `json:"count,omitempty"`
		Parts  []part            `json:"parts,omitempty"`
		Extra  map[string]string `json:"extra,omitempty"`
	}
}

type thingOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Name string `json:"name"`
	}
}

type changeInput struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Name  Optional[string] `json:"name,omitempty" maxLength:"20"`
		Count Optional[int64]  `json:"count,omitempty"`
		Nested
	}
}

// Nested is embedded: its members stand beside the body's own.
type Nested struct {
	Settings Optional[struct {
		Hours Optional[int64]  `json:"hours,omitempty"`
		Word  Optional[string] `json:"word,omitempty"`
	}] `json:"settings,omitempty"`
}

type listOutput struct {
	Body struct {
		Things     []string   `json:"things"`
		Pagination Pagination `json:"pagination"`
	}
}

type textOutput struct {
	Body struct {
		Text string `json:"text"`
	}
}

// keptInput has a parameter of each kind whose decoded value is remembered.
type keptInput struct {
	PageInput
	Name  string   `path:"name"`
	Kind  string   `query:"kind" enum:"red,blue" default:"red"`
	Words []string `query:"words" maxItems:"3"`
	Size  int64    `query:"size" minimum:"0" maximum:"100000"`
}

// keptOnes are bodies that are kept, by size.
type keptOnes struct {
	mu  sync.Mutex
	all map[int64]*keptOne
}

type keptOne struct {
	body []byte
	zip  Zip
}

func (k *keptOnes) of(size int64) *keptOne {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all[size] == nil {
		k.all[size] = &keptOne{body: []byte(`"` + strings.Repeat("carfl", int(size)/5) + `"`)}
	}
	return k.all[size]
}

type looseInput struct {
	Body *struct {
		Token string `json:"token,omitempty"`
	}
}

func newStand(t *testing.T, change ...func(*Config)) *stand {
	t.Helper()
	s := &stand{t: t, log: &bytes.Buffer{}}
	c := Config{
		Version: "1.0.0",
		Gate: Gate{
			Admit: func(x *Exchange) error { x.Charge = charge{s}; return s.admitErr },
			Allow: func(x *Exchange, sec Security) error {
				if sec.IsOpen() || x.Request().Header.Get("X-Api-Key") != "" {
					return nil
				}
				return errs.New(errs.KindUnauthenticated, "credentials_missing", "Send an API key.")
			},
		},
		Observe: func(x *Exchange) { s.mu.Lock(); defer s.mu.Unlock(); s.seen = append(s.seen, x) },
		Log:     slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	s.api = New(c)
	s.operations()
	s.api.ServeDocument()
	return s
}

func (s *stand) operations() {
	a := s.api
	Register(a, Operation{ID: "add-thing", Method: "POST", Path: "/things", Summary: "Add", Tag: "T", Security: Scope("inventory:write"), Status: 201},
		func(_ context.Context, in *thingInput) (*thingOutput, error) {
			out := &thingOutput{Location: Prefix + "/things/1"}
			out.Body.Name = in.Body.Name
			return out, nil
		})
	Register(a, Operation{ID: "list-things", Method: "GET", Path: "/things", Summary: "List", Tag: "T", Security: Scope("inventory:read"), Codes: []string{"invalid"}},
		func(_ context.Context, in *PageInput) (*listOutput, error) {
			out := &listOutput{}
			out.Body.Things, out.Body.Pagination = []string{}, in.Page().With(7)
			return out, nil
		})
	Register(a, Operation{ID: "change-thing", Method: "PATCH", Path: "/things/{id}", Summary: "Change", Tag: "T", Security: Open()},
		func(_ context.Context, in *changeInput) (*thingOutput, error) {
			out := &thingOutput{}
			out.Body.Name = in.Body.Name.OrElse("as it was")
			if in.Body.Name.Null {
				out.Body.Name = "removed"
			}
			return out, nil
		})
	Register(a, Operation{ID: "delete-thing", Method: "DELETE", Path: "/things/{id}", Summary: "Delete", Tag: "T", Security: Open(), Status: 204},
		func(context.Context, *struct {
			ID string `path:"id"`
		}) (*struct{}, error) {
			return nil, nil
		})
	Register(a, Operation{ID: "text", Method: "GET", Path: "/text", Summary: "Text", Tag: "T", Security: Open()},
		func(_ context.Context, in *struct {
			Size int64 `query:"size" default:"5"`
		}) (*textOutput, error) {
			out := &textOutput{}
			out.Body.Text = strings.Repeat("carfl", int(in.Size)/5)
			return out, nil
		})
	kept := keptOnes{all: map[int64]*keptOne{}}
	Register(a, Operation{ID: "kept", Method: "GET", Path: "/kept", Summary: "Kept", Tag: "T", Security: Scope("inventory:read"), Codes: []string{"invalid"}, Answer: ""},
		func(_ context.Context, in *struct {
			Size int64 `query:"size" minimum:"0" maximum:"100000"`
		}) (*Encoded, error) {
			k := kept.of(in.Size)
			return &Encoded{Body: k.body, Zip: &k.zip, ETag: fmt.Sprintf(`W/"%d"`, in.Size)}, s.failWith
		})
	Register(a, Operation{ID: "kept-name", Method: "GET", Path: "/kept/{name}", Summary: "Kept", Tag: "T", Security: Scope("inventory:read"), Codes: []string{"invalid"}, Answer: ""},
		func(_ context.Context, in *keptInput) (*Encoded, error) {
			body, err := json.Marshal(in)
			in.Words = append(in.Words[:0], "changed", "by", "the handler")
			in.Name = "changed"
			return &Encoded{Body: body}, err
		})
	Register(a, Operation{ID: "secret", Method: "POST", Path: "/secret", Summary: "Secret", Tag: "T", Security: Open(), Credentials: true},
		func(_ context.Context, in *looseInput) (*textOutput, error) { return &textOutput{}, s.failWith })
	Register(a, Operation{ID: "fail", Method: "GET", Path: "/fail", Summary: "Fail", Tag: "T", Security: Open()},
		func(context.Context, *struct{}) (*textOutput, error) { return nil, s.failWith })
	Register(a, Operation{ID: "panic", Method: "GET", Path: "/panic", Summary: "Panic", Tag: "T", Security: Open()},
		func(context.Context, *struct{}) (*textOutput, error) { panic("pool of secrets: hunter2") })
	Register(a, Operation{ID: "root", Method: "GET", Path: "/.well-known/thing", Root: true, Summary: "Root", Tag: "T", Security: Open()},
		func(context.Context, *struct{}) (*textOutput, error) { return &textOutput{}, nil })
	a.Mux().HandleFunc("/page/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.Header().Set("Allow", "GET, HEAD")
		w.Header().Set("Retry-After", "7")
		http.Error(w, "Not this time.", status)
	})
	a.Mux().HandleFunc("GET "+Prefix+"/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one ")
		w.(http.Flusher).Flush()
		if r.URL.Query().Has("break") {
			panic("late")
		}
		_, _ = io.WriteString(w, "two")
	})
}

// answer is a response as a client reads it.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) problem(t *testing.T) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%d %q is no problem: %v", a.StatusCode, a.body, err)
	}
	return p
}

// places are the pointers and parameters of a problem's faults.
func (a answer) places(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, f := range a.problem(t).Errors {
		if (f.Pointer == "") == (f.Parameter == "") || f.Detail == "" {
			t.Errorf("fault %+v names no place, two, or no reason", f)
		}
		list = append(list, f.Pointer+f.Parameter)
	}
	return list
}

// send makes one request; headers are "Name: value" and "Name:" removes one.
func (s *stand) send(method, target, body string, headers ...string) answer {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, in)
	r.Header.Set("X-Api-Key", "test")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Add(name, value)
		}
	}
	return s.serve(r)
}

func (s *stand) serve(r *http.Request) answer {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	res := w.Result()
	res.Header = resttest.Header(res.Header)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{res, b}
	s.checkAlways(r, a)
	return a
}

// checkAlways holds what is true of every answer.
func (s *stand) checkAlways(r *http.Request, a answer) {
	s.t.Helper()
	if a.Header.Get("X-Request-Id") == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		s.t.Errorf("%s %s: headers %v", r.Method, r.URL, a.Header)
	}
	if strings.HasPrefix(r.URL.Path, Prefix+"/") && a.Header.Get("X-RateLimit-Limit") == "" {
		s.t.Errorf("%s %s: %d without X-RateLimit-Limit", r.Method, r.URL, a.StatusCode)
	}
	if a.StatusCode < 400 || r.Method == http.MethodHead {
		return
	}
	p := a.problem(s.t)
	if a.Header.Get("Content-Type") != "application/problem+json" || p.Status != a.StatusCode || p.RequestID != a.Header.Get("X-Request-Id") ||
		p.Type == "" || p.Title == "" || p.Detail == "" || p.Instance == "" || p.Code == "" {
		s.t.Errorf("%s %s: incomplete problem %v %s", r.Method, r.URL, a.Header, a.body)
	}
	known := p.Code == "code_of_test"
	for _, kind := range ProblemTypes {
		known = known || kind.Code == p.Code && kind.Status == p.Status
	}
	if !known {
		s.t.Errorf("%d %s is not in the list of problem types", p.Status, p.Code)
	}
}

func (s *stand) want(status int, code string, a answer) Problem {
	s.t.Helper()
	if a.StatusCode != status {
		s.t.Fatalf("answered %d, want %d: %s", a.StatusCode, status, a.body)
	}
	p := a.problem(s.t)
	if p.Code != code {
		s.t.Errorf("code %q, want %q: %s", p.Code, code, a.body)
	}
	return p
}

var errForeign = errors.New("dial tcp 10.1.2.3:5432: connection refused")

func trust(networks ...string) func(*Config) {
	return func(c *Config) {
		for _, n := range networks {
			c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(n))
		}
	}
}
