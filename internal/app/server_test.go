package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/feed"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
)

func TestRefusalsOutsideTheAPIAreProblems(t *testing.T) {
	s := newServer(t)
	ask := func(method, path string, status int, code, detail string) http.Header {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		var p rest.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" ||
			p.Code != code || p.Status != status || p.Instance != path || p.RequestID == "" || !strings.Contains(p.Detail, detail) {
			t.Errorf("%s %s: %d %v %s", method, path, w.Code, w.Header(), w.Body)
		}
		return w.Header()
	}
	ask("GET", "/docs/nope", 404, "route_not_found", "/docs")
	ask("GET", "/docs/assets/outdated/scalar.js", 404, "route_not_found", "/docs")
	ask("GET", "/problems/nope", 404, "route_not_found", "/problems/")
	ask("GET", "/readyz/nope", 404, "route_not_found", "")
	for method, path := range map[string]string{"POST": "/docs", "DELETE": "/problems/invalid"} {
		if h := ask(method, path, 405, "method_not_allowed", "GET, HEAD"); h.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v", path, h)
		}
	}
	s.draining.Store(true)
	ask("GET", "/readyz", 503, "unavailable", "The server is shutting down.")
	s.draining.Store(false)
	_ = s.stores.Close()
	if h := ask("GET", "/readyz", 503, "unavailable", "The database is away."); h.Get("Retry-After") != "1" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("readyz: %v", h)
	}
}

// When one part fails the server ends, and answers those who are still there before it does.
func TestRequestsAreAnsweredWhileAFailedServerEnds(t *testing.T) {
	s := serverOn(t, t.TempDir())
	s.config.MetricsListen, s.config.Drain = "127.0.0.1:0", time.Second
	group, err := s.Groups.Add(t.Context(), audit.System("test"), "Group")
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := s.Keys.Create(t.Context(), group.ID, audit.System("test"), auth.RoleAdmin.Scopes(), auth.KeyDraft{Name: "k", Scopes: []string{"inventory:read"}, RateLimitPerHour: 10})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Metrics.Close() // serving it fails at once
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context(), l, func() {}) }()
	time.Sleep(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL(l)+"/api/v1/inventory", nil)
	r.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("answered %d", res.StatusCode)
	}
	if err := <-ended; err == nil {
		t.Error("the server does not say that a part failed")
	}
}

func TestDealershipsKnowTheirIntegrations(t *testing.T) {
	s := newServer(t)
	tenant, by := s.stores.Stock.Tenant("g"), audit.System("test")
	d, err := s.Dealers.Create(t.Context(), tenant, by, dealer.Dealer{Name: "Lakeside"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Feeds.CreateIntegration(t.Context(), tenant, by, feed.Integration{DealershipID: d.ID, Type: mapping.TypeVAuto, Name: "a", Sync: feed.DefaultSync}); err != nil {
		t.Fatal(err)
	}
	if err := s.Dealers.Delete(t.Context(), tenant, by, d.ID); errs.CodeOf(err) != "dealer_has_integrations" {
		t.Error(err)
	}
}
