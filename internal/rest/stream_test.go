package rest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAHandlerMayFlushBeforeItWrites(t *testing.T) {
	s := newStand(t)
	s.api.Mux().HandleFunc("GET /api/v1/slow", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "late")
	})
	server := httptest.NewServer(s.api)
	defer server.Close()
	res, err := http.Get(server.URL + "/api/v1/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(body) != "late" {
		t.Errorf("%d %q %v", res.StatusCode, body, err)
	}
}

// deadlines notes the read deadline of a connection.
type deadlines struct {
	http.ResponseWriter
	last time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.last = at; return nil }

// When the deadline of a body that has arrived passes, the HTTP server takes the client for gone: a write that
// waits for another one would be cut off.
func TestABodyThatHasArrivedHasNoDeadline(t *testing.T) {
	s := newStand(t)
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	var before, inside time.Time
	s.api.Gate.Allow = func(*Exchange, Security) error { before = w.last; return nil }
	Register(s.api, Operation{ID: "patient", Method: "POST", Path: "/patient", Security: Open()}, func(context.Context, *looseInput) (*struct{}, error) {
		inside = w.last
		return nil, nil
	})
	r := httptest.NewRequest("POST", "/api/v1/patient", strings.NewReader(`{"token":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	s.api.ServeHTTP(w, r)
	if before.IsZero() || !inside.IsZero() {
		t.Errorf("deadline %v before the body was read, %v after", before, inside)
	}
}
