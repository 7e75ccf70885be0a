package auth

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"carfluence/internal/audit"
	"carfluence/internal/rest/resttest"
)

func (h *house) events(group, name string) (list []audit.Row) {
	h.t.Helper()
	rows, err := audit.List(h.t.Context(), h.db.Tenant(group), 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Name == name {
			list = append(list, r)
		}
	}
	return list
}

// Every answer shows a limit, also when nobody could be told apart; and our failures use no limit up.
func TestAnswersWithoutTheStoreShowALimitAndUseNoneUp(t *testing.T) {
	h := newHouse(t)
	key := h.key("inventory:read")
	first := h.do("GET", "/api/v1/open", "")
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a := h.do("GET", "/api/v1/read", "", "X-API-Key: "+key)
		if a.StatusCode != 503 || a.Header.Get("X-RateLimit-Limit") == "" {
			t.Errorf("%d with limit %q", a.StatusCode, a.Header.Get("X-RateLimit-Limit"))
		}
		if got, want := a.Header.Get("X-RateLimit-Remaining"), first.Header.Get("X-RateLimit-Remaining"); got != want {
			t.Errorf("%s left of the address's limit, want still %s", got, want)
		}
	}
}

func TestRefusedAdminCallsAreAudited(t *testing.T) {
	h := newHouse(t)
	key := h.key("inventory:read")
	for range 4 {
		h.do("GET", "/api/v1/api-keys", "", "X-API-Key: "+key)
	}
	if got := h.events(h.group.ID, "admin.refused"); len(got) != 4 || got[0].SubjectID != "GET /api/v1/api-keys" {
		t.Fatalf("%+v", got)
	}
	// Who hangs up at once leaves a trace all the same, while there are credits in hand: it waits for none. On a busy machine they
	// may just have been given back; only then, when none was taken, is it tried again.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for tries := 0; ; tries++ {
		left := ""
		for range 3 {
			left = h.do("GET", "/api/v1/read", "", "X-API-Key: "+key).Header.Get("X-RateLimit-Remaining")
		}
		if err := h.authority.Beat(t.Context()); err != nil { // the lease may have run out meanwhile
			t.Fatal(err)
		}
		r, w := httptest.NewRequest("GET", "/api/v1/api-keys", nil).WithContext(ctx), httptest.NewRecorder()
		r.Header.Set("X-API-Key", key)
		h.api.ServeHTTP(w, r)
		got := h.events(h.group.ID, "admin.refused")
		if len(got) == 5 {
			return
		}
		if resttest.Header(w.Header()).Get("X-RateLimit-Remaining") != left || tries == 5 {
			t.Fatalf("%d events after a fifth call whose client left: %d %s", len(got), w.Code, w.Body)
		}
	}
}

// One caller can't fill the disk with refusals; the last one that is recorded says that there were more.
func TestRefusedAdminCallsCantFloodTheAudit(t *testing.T) {
	h := newHouse(t)
	key, other := h.key("inventory:read"), h.key("inventory:read")
	for range 3 * refusalsAudited {
		h.do("GET", "/api/v1/api-keys", "", "X-API-Key: "+key)
	}
	got := h.events(h.group.ID, "admin.refused")
	if len(got) < refusalsAudited || len(got) > 2*refusalsAudited { // the minute may end meanwhile
		t.Fatalf("%d events", len(got))
	}
	if !strings.Contains(got[0].DetailJSON, "furtherNotRecorded") && !strings.Contains(got[refusalsAudited-1].DetailJSON, "furtherNotRecorded") {
		t.Errorf("the last event says %s", got[0].DetailJSON)
	}
	h.do("GET", "/api/v1/api-keys", "", "X-API-Key: "+other)
	if n := len(h.events(h.group.ID, "admin.refused")); n != len(got)+1 {
		t.Errorf("another caller's refusal was not recorded")
	}
}

func TestAFailedLoginIsAuditedThoughItsClientLeft(t *testing.T) {
	o := newOffice(t)
	ctx, cancel := context.WithCancel(t.Context())
	compute := o.passwords.compute
	o.passwords.compute = func(p, salt []byte, time, memory uint32, threads uint8, n uint32) []byte {
		cancel() // while the password is verified
		return compute(p, salt, time, memory, threads, n)
	}
	r := httptest.NewRequest("POST", "/api/v1/auth/login", strings.NewReader(credentials("jane@cars.example", "a wrong one, a wrong one"))).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	o.api.ServeHTTP(httptest.NewRecorder(), r)
	if n := count(o.events(o.group.ID), "login.failed"); n != 1 {
		t.Errorf("%d events", n)
	}
}
