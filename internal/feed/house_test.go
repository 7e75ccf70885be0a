package feed

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/rest/resttest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

const (
	ours   = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"
	theirs = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02"
)

var tester = audit.Actor{Type: "person", ID: "p1", Name: "Jo"}

// house is the feeds behind their real handler, with callers named by a header.
type house struct {
	testing.TB
	*Feeds
	api    *rest.API
	log    *bytes.Buffer
	dealer string // a dealership of ours

	mu  sync.Mutex
	now time.Time
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{TB: t, log: &bytes.Buffer{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
	db := sqldbtest.Open(t, sqldb.Stock)
	stock := inventory.NewStock(db, inventory.Options{Now: clock})
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Feeds = &Feeds{
		DB: db, Stock: stock, Dealers: &dealer.Dealers{DB: db, Now: clock, Held: stock.Count, Changed: stock.Bump},
		Secret: []byte("0123456789abcdef0123456789abcdef"), SFTP: SFTPAddress{Host: "sftp.example.com", Port: 2022, Fingerprint: "SHA256:host"}, Now: clock, Log: log, Limits: DefaultLimits,
	}
	h.Dealers.Fed = h.OfDealership
	h.api = rest.New(rest.Config{Version: "test", Log: log, Observe: func(*rest.Exchange) {}, Gate: rest.Gate{Admit: admit, Allow: allow}})
	h.Dealers.Register(h.api)
	h.Feeds.Register(h.api)
	h.dealer = h.dealership(ours, "Lakeside Motors")
	t.Cleanup(h.Settle)
	return h
}

func admit(x *rest.Exchange) error {
	p := &auth.Principal{Kind: auth.KeyKind, Group: ours, ID: "key-1", Name: "Test key", Scopes: auth.Admin}
	switch x.Request().Header.Get("X-Caller") {
	case "reader":
		p.Scopes = auth.IntegrationsRead
	case "writer":
		p.Scopes = auth.IntegrationsWrite
	case "foreign":
		p.Group = theirs
	}
	x.Caller = p
	return nil
}

func allow(x *rest.Exchange, s rest.Security) error {
	need, _ := auth.ParseScope(s.Needs())
	if !x.Caller.(*auth.Principal).Scopes.Has(need) {
		return errs.New(errs.KindForbidden, "insufficient_scope", "no")
	}
	return nil
}

func (h *house) wait(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }

func (h *house) tenant() *sqldb.Tenant { return h.DB.Tenant(ours) }

func (h *house) dealership(group, name string) string {
	h.Helper()
	d, err := h.Dealers.Create(h.Context(), h.DB.Tenant(group), tester, dealer.Dealer{Name: name})
	if err != nil {
		h.Fatal(err)
	}
	return d.ID
}

// call answers status, body and header. as is "" for a caller who may do everything.
func (h *house) call(as, method, path, body string) (int, string, http.Header) {
	h.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Caller", as)
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	return w.Code, w.Body.String(), resttest.Header(w.Header())
}

// must is call for a status that is expected; it returns the body decoded.
func (h *house) must(status int, as, method, path, body string) map[string]any {
	h.Helper()
	code, text, _ := h.call(as, method, path, body)
	if code != status {
		h.Fatalf("%s %s %s: %d %s, want %d", method, path, body, code, text, status)
	}
	var out map[string]any
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		h.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return out
}

// integration makes one over HTTP: its path, username and password.
func (h *house) integration(name string) (path, username, password string) {
	h.Helper()
	out := h.must(201, "", "POST", "/integrations", `{"dealershipId":"`+h.dealer+`","type":"vauto","name":"`+name+`"}`)
	sftp := out["sftp"].(map[string]any)
	return "/integrations/" + out["integration"].(map[string]any)["id"].(string), sftp["username"].(string), sftp["password"].(string)
}

// events are the audit rows of integrations, oldest first.
func (h *house) events() (out []audit.Row) {
	h.Helper()
	h.Settle()
	rows, err := audit.List(h.Context(), h.tenant(), 1000)
	if err != nil {
		h.Fatal(err)
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if strings.HasPrefix(rows[i].Name, "integration.") {
			out = append(out, rows[i])
		}
	}
	return out
}

func names(rows []audit.Row) string {
	var out []string
	for _, r := range rows {
		out = append(out, strings.TrimPrefix(r.Name, "integration."))
	}
	return strings.Join(out, " ")
}
