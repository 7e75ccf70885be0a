package rest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
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
