package auth

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/audit"
)

// atOnce calls f that many times at the same time.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestOneRefreshTokenFromManyTabs(t *testing.T) {
	o := newOffice(t)
	for range 3 {
		l := o.login("jane@cars.example", goodPassword)
		next := make([]string, 12)
		atOnce(len(next), func(i int) {
			a := o.refresh(l.RefreshToken)
			a.want(t, strconv.Itoa(i), 200, "")
			next[i] = readLogin(t, a).RefreshToken
		})
		for _, token := range next {
			if token != next[0] || token == "" {
				t.Fatalf("different successors: %q", next)
			}
		}
	}
}

// TestChangesAtOnceAreAllKept of one key, and of one person.
func TestChangesAtOnceAreAllKept(t *testing.T) {
	o := newOffice(t)
	for round := range 5 {
		k, _, err := o.keys.Create(t.Context(), o.group.ID, audit.System("test"), allScopes, KeyDraft{Name: "old", Scopes: []string{"inventory:read"}, RateLimitPerHour: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := o.person(fmt.Sprintf("kim%d@cars.example", round), RoleAdmin)
		name, rate, scopes, role, status := "new", int64(7), []string{"dealers:read"}, RoleViewer, StatusDisabled
		atOnce(6, func(i int) {
			var err error
			by := audit.System("test")
			switch i {
			case 0:
				_, err = o.keys.Update(t.Context(), o.group.ID, by, allScopes, k.ID, KeyChange{Name: &name})
			case 1:
				_, err = o.keys.Update(t.Context(), o.group.ID, by, allScopes, k.ID, KeyChange{RateLimitPerHour: &rate})
			case 2:
				_, err = o.keys.Update(t.Context(), o.group.ID, by, allScopes, k.ID, KeyChange{Scopes: &scopes})
			case 3:
				_, err = o.people.Update(t.Context(), o.group.ID, by, p.ID, PersonChange{Name: &name})
			case 4:
				_, err = o.people.Update(t.Context(), o.group.ID, by, p.ID, PersonChange{Role: &role})
			case 5:
				_, err = o.people.Update(t.Context(), o.group.ID, by, p.ID, PersonChange{Status: &status})
			}
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
		if k, err = o.keys.Get(t.Context(), o.group.ID, k.ID); err != nil || k.Name != name || k.RateLimitPerHour != rate || strings.Join(k.Scopes.Names(), " ") != "dealers:read" {
			t.Errorf("%+v %v", k, err)
		}
		if p, err = o.people.Get(t.Context(), o.group.ID, p.ID); err != nil || p.Name != name || p.Role != role || p.Status != status {
			t.Errorf("%+v %v", p, err)
		}
	}
	var n, rows, last int64
	if err := o.db.QueryRow(t.Context(), `SELECT (SELECT n FROM authority), count(*), max(n) FROM change`).Scan(&n, &rows, &last); err != nil || n != rows || n != last {
		t.Errorf("%d changes numbered up to %d, and the number is %d: %v", rows, last, n, err)
	}
}

// TestNoLoginSlipsPastANewPassword: whoever was let in by the old one is out.
func TestNoLoginSlipsPastANewPassword(t *testing.T) {
	o := newOffice(t)
	for round := range 8 {
		p := o.person(fmt.Sprintf("lee%d@cars.example", round), RoleViewer)
		next := nextPassword
		atOnce(5, func(i int) {
			if i > 0 {
				o.do("POST", "/api/v1/auth/login", credentials(p.Email, goodPassword))
				return
			}
			if _, err := o.people.Update(t.Context(), o.group.ID, audit.System("test"), p.ID, PersonChange{Password: &next}); err != nil {
				t.Error(err)
			}
		})
		var open int
		if err := o.db.Tenant(o.group.ID).QueryRow(t.Context(), `SELECT count(*) FROM session WHERE dealer_group_id = $1 AND person_id = $2 AND ended_at IS NULL`, p.ID).Scan(&open); err != nil || open != 0 {
			t.Errorf("%d sessions by the old password go on, %v", open, err)
		}
	}
}

func TestSigningKeysAreRotatedOnce(t *testing.T) {
	o := newOffice(t)
	o.advance(91 * 24 * time.Hour)
	before, err := selectSigningKeys(t.Context(), o.db)
	if err != nil {
		t.Fatal(err)
	}
	atOnce(3, func(int) {
		v, err := NewVerifier(testIssuer, testAudience, 10)
		if err != nil {
			t.Error(err)
			return
		}
		a := NewAuthority(o.db, nil, slog.New(slog.DiscardHandler), o.now)
		keys, err := NewSigningKeys(a, []byte(officeSecret), NewRotation(90*24*time.Hour, 15*time.Minute), NewSigner(testIssuer, testAudience), v, slog.New(slog.DiscardHandler))
		if err == nil {
			err = keys.Rotate(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
	})
	if after, err := selectSigningKeys(t.Context(), o.db); err != nil || len(after) != len(before)+1 {
		t.Errorf("%d keys before, %d after, %v", len(before), len(after), err)
	}
}
