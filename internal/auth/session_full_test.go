package auth

import (
	"strings"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// With a full disk nobody can log in, and nothing says that a credential is bad; who is in stays in.
func TestSessionsOnFullDisk(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its size can be capped")
	o := newOffice(t)
	l := o.login("jane@cars.example", goodPassword)
	var pages int64
	if err := o.db.QueryRow(t.Context(), `SELECT page_count FROM pragma_page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := o.db.LimitPages(t.Context(), pages); err != nil {
		t.Fatal(err)
	}
	full := false
	for range 200 {
		a := o.refresh(l.RefreshToken)
		if a.StatusCode == 503 {
			full = true
			break
		}
		a.want(t, "refresh", 200, "")
		l = readLogin(t, a)
	}
	if !full {
		t.Fatal("the disk never filled")
	}
	for range 20 {
		if a := o.do("POST", "/api/v1/auth/login", credentials("jane@cars.example", goodPassword)); a.StatusCode != 503 && a.StatusCode != 200 {
			t.Errorf("login: %d %s", a.StatusCode, a.body)
		}
	}
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "verification", 200, "")
	if err := o.db.LimitPages(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	o.refresh(l.RefreshToken).want(t, "afterwards", 200, "")
	o.login("jane@cars.example", goodPassword)
}

func TestDocumentOfSessionsAndUsers(t *testing.T) {
	o := newOffice(t)
	doc := string(o.api.JSON())
	for _, part := range []string{"/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/me", "/api/v1/users/{id}", "/.well-known/jwks.json", "application/jwk-set+json", "__Secure-carfluence-refresh", "refresh_reused", "login_throttled"} {
		if !strings.Contains(doc, part) {
			t.Errorf("the document lacks %s", part)
		}
	}
}
