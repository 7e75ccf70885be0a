package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
)

// discard is a response nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHotPage is what the house costs on top of net/http for a page in memory: key, quota, log and
// metrics on.
func BenchmarkHotPage(b *testing.B) {
	c := testConfig(b, b.TempDir())
	c.SessionRatePerHour = 10_000_000
	stores, err := OpenStores(b.Context(), c.Store)
	if err != nil {
		b.Fatal(err)
	}
	defer stores.Close()
	log, err := os.Create(b.TempDir() + "/log")
	if err != nil {
		b.Fatal(err)
	}
	logger, flush := NewLog(log, slog.LevelInfo)
	defer flush()
	s, err := NewServer(b.Context(), c, stores, "bench", logger)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = s.ledger.Run(ctx) }()
	go func() { _ = s.authority.Run(ctx) }()
	first, err := s.Bootstrap(b.Context(), "Bench")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.LoadDemo(b.Context(), first); err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 0, 20)
	for range cap(keys) {
		_, text, err := s.Keys.Create(b.Context(), first.Group.ID, audit.System("bench"), auth.RoleAdmin.Scopes(), auth.KeyDraft{Name: "bench", Scopes: []string{"inventory:read"}, RateLimitPerHour: auth.MaxKeyLimit})
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, text)
	}
	login := httptest.NewRecorder()
	asks := httptest.NewRequest(http.MethodPost, "/api/v1/auth/login", strings.NewReader(`{"email":"`+c.AdminEmail+`","password":"`+first.Password+`"}`))
	asks.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(login, asks)
	var session struct{ Token string }
	if err := json.Unmarshal(login.Body.Bytes(), &session); err != nil || session.Token == "" {
		b.Fatal(err, login.Body)
	}
	b.Run("session", func(b *testing.B) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/inventory?limit=50", nil)
		r.Header.Set("Authorization", "Bearer "+session.Token)
		b.ReportAllocs()
		for b.Loop() {
			r.Pattern = ""
			s.ServeHTTP(&discard{http.Header{}}, r)
		}
	})
	for _, path := range []string{"/api/v1/inventory?limit=1", "/api/v1/inventory?limit=50"} {
		b.Run(path, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Header["X-Api-Key"] = keys[i%len(keys) : i%len(keys)+1]
				r.Pattern = ""
				s.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}
