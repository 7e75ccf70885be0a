package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/feed"
)

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
	if _, _, err := s.Feeds.CreateIntegration(t.Context(), tenant, by, feed.Integration{DealershipID: d.ID, Type: feed.TypeVAuto, Name: "a", Sync: feed.DefaultSync}); err != nil {
		t.Fatal(err)
	}
	if err := s.Dealers.Delete(t.Context(), tenant, by, d.ID); errs.CodeOf(err) != "dealer_has_integrations" {
		t.Error(err)
	}
}
