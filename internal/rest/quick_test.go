package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"carfluence/internal/errs"
)

// shown is what a client can tell of an answer, but for the request's own id.
func shown(a answer) string {
	a.Header.Del("X-Request-Id")
	body, _, _ := strings.Cut(string(a.body), `"requestId"`)
	return fmt.Sprint(a.StatusCode, a.Header, body)
}

// What is remembered of a query makes no difference to the answer.
func TestRememberedQueriesAreAnsweredAlike(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{
		"/api/v1/kept", "/api/v1/kept?size=5", "/api/v1/kept?size=-1", "/api/v1/kept?size=x", "/api/v1/kept?size=", "/api/v1/kept?size=5&size=6",
		"/api/v1/kept?siz%65=10", "/api/v1/kept?other=1", "/api/v1/kept?size=5%", "/api/v1/kept?token=1", "/api/v1/kep%74?size=5", "/api/v1%2Fkept?size=5",
		"/api/v1/kept/a", "/api/v1/kept/b?kind=blue&words=x,y&limit=7", "/api/v1/kept/a?kind=green&limit=0", "/api/v1/kept/%C3%A9%2F?words=x",
		"/api/v1/kept/", "/api/v1/kept/a?words=1,2,3,4",
		"/api/v1/kept/a?x=" + strings.Repeat("y", 2*maxInputQuery),
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			first := shown(s.send(method, target, ""))
			for range 2 {
				if again := shown(s.send(method, target, "")); again != first {
					t.Errorf("%s %s:\n%s\nthen\n%s", method, target, first, again)
				}
			}
		}
	}
}

func TestRememberedQueriesAreStillGuarded(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{"/api/v1/kept?size=5", "/api/v1/kept/a?kind=blue"} {
		for range 2 {
			if a := s.send("GET", target, ""); a.StatusCode != 200 {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
		s.want(401, "credentials_missing", s.send("GET", target, "", "X-Api-Key:"))
		if route := s.seen[len(s.seen)-1].Route(); !strings.HasPrefix(route, "GET /api/v1/kept") {
			t.Errorf("logged as %q", route)
		}
	}
	s.failWith = errs.Conflict("code_of_test", "No.")
	s.want(409, "code_of_test", s.send("GET", "/api/v1/kept?size=5", ""))
}

// Requests share what is remembered, and nothing else.
func TestRememberedInputsAreNotShared(t *testing.T) {
	s := newStand(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				name, query := fmt.Sprintf("name-%d-%d", g, i), "kind=blue&words=one,two"
				r := httptest.NewRequest(http.MethodGet, "/api/v1/kept/"+name+"?"+query, nil)
				r.Header.Set("X-Api-Key", "test")
				w := httptest.NewRecorder()
				s.api.ServeHTTP(w, r)
				if want := `"Name":"` + name + `","Kind":"blue","Words":["one","two"]`; !strings.Contains(w.Body.String(), want) {
					t.Errorf("no %s in %s", want, w.Body)
				}
			}
		})
	}
	all.Wait()
}

func TestRememberedInputsAreBounded(t *testing.T) {
	n := newInputs[PageInput]()
	for i := range 2 * maxInputs {
		n.keep(fmt.Sprint("offset=", i), PageInput{Offset: int64(i)})
	}
	n.keep(strings.Repeat("x", maxInputQuery+1), PageInput{})
	r := httptest.NewRequest("GET", fmt.Sprint("/?offset=", 2*maxInputs-1), nil)
	if in, ok := n.of(r); len(n.known) != maxInputs || !ok || in.Offset != 2*maxInputs-1 {
		t.Errorf("%d, %v %v", len(n.known), in, ok)
	}
}

// Inputs that are not decided by the address, or could not be copied, are the library's.
func TestOtherInputsAreNotRemembered(t *testing.T) {
	type body struct{ Body PageInput }
	type header struct {
		Token string `header:"X-Token"`
	}
	type pattern struct {
		ID string `path:"id" format:"uuid"`
	}
	type pointer struct {
		Flag *bool `query:"flag"`
	}
	if newInputs[body]() != nil || newInputs[header]() != nil || newInputs[pattern]() != nil || newInputs[pointer]() != nil {
		t.Error("remembered")
	}
	if newInputs[struct{}]() == nil || newInputs[keptInput]() == nil {
		t.Error("not remembered")
	}
}
