package auth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func (o *office) published() (kids []string) {
	o.t.Helper()
	a := o.do("GET", "/.well-known/jwks.json", "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/jwk-set+json" || a.Header.Get("Cache-Control") != "public, max-age=900" {
		o.t.Fatal(a.StatusCode, a.Header, a.body)
	}
	var set PublicKeys
	if err := json.Unmarshal([]byte(a.body), &set); err != nil {
		o.t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.ID)
	}
	return kids
}

func TestSigningKeysRotateWithoutAFalseRefusal(t *testing.T) {
	o := newOffice(t)
	const period = 90 * 24 * time.Hour
	first := o.published()
	if len(first) != 1 {
		t.Fatal(first)
	}
	rotate := func() {
		t.Helper()
		if err := o.signing.rotateIfDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.advance(period - 31*time.Minute)
	rotate()
	if got := o.published(); !slices.Equal(got, first) {
		t.Error("a successor too early")
	}
	o.advance(time.Minute)
	rotate()
	rotate()
	both := o.published()
	if len(both) != 2 || both[1] != first[0] {
		t.Fatalf("the next key is not published beside the active one: %v", both)
	}
	before := o.login("jane@cars.example", goodPassword)
	if kidOf(t, before.Token) != first[0] {
		t.Error("signed by a key that is not active yet")
	}
	o.advance(30*time.Minute - time.Second)
	last := readLogin(t, o.refresh(before.RefreshToken))
	o.advance(time.Second)
	after := readLogin(t, o.refresh(last.RefreshToken))
	if kidOf(t, last.Token) != first[0] || kidOf(t, after.Token) != both[0] {
		t.Error("the successor did not take over at its time")
	}
	o.advance(14 * time.Minute)
	o.open() // the keys survive a restart
	for what, l := range map[string]loggedIn{"old key": last, "new key": after} {
		o.do("GET", "/api/v1/read", "", l.bearer()).want(t, what, 200, "")
	}
	o.advance(MaxTokenTTL)
	rotate()
	o.advance(2 * time.Minute)
	rotate()
	if got := o.published(); !slices.Equal(got, both[:1]) {
		t.Errorf("the old key is still published: %v", got)
	}
	o.do("GET", "/api/v1/read", "", last.bearer()).want(t, "token of a key that is gone", 401, "credentials_invalid")
	events := o.events("")
	if count(events, "signing_key.created") != 1 || count(events, "signing_key.retired") != 1 {
		t.Error(events)
	}
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	kid, err := checkHeader(token)
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

// Two replicas that find a successor due at the same time make one.
func TestSecondReplicaFindsRotationDone(t *testing.T) {
	o := newOffice(t)
	o.advance(90 * 24 * time.Hour)
	now := o.now()
	for i := range 2 {
		next := newSigningKey(testKeys()[1+i], now, now.Add(30*time.Minute))
		if err := o.signing.replace(t.Context(), now, next); err != nil {
			t.Fatal(err)
		}
	}
	if got := o.published(); len(got) != 2 {
		t.Errorf("%d keys", len(got))
	}
}

func TestSigningKeysUnderAnotherSecret(t *testing.T) {
	o := newOffice(t)
	sealer, err := NewKeySealer([]byte("not the secret they were sealed under"))
	if err != nil {
		t.Fatal(err)
	}
	o.signing.sealer = sealer
	if err := o.signing.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Error(err)
	}
}

func TestFirstSigningKeyIsMade(t *testing.T) {
	o := newOffice(t)
	if _, err := o.db.Exec(t.Context(), `DELETE FROM signing_key`); err != nil {
		t.Fatal(err)
	}
	if err := o.signing.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := o.login("jane@cars.example", goodPassword)
	o.do("GET", "/api/v1/read", "", l.bearer()).want(t, "its token", 200, "")
	if k, err := o.signing.current.Load().active(o.now()); err != nil || k.Public.N.BitLen() != 3072 {
		t.Error(k, err)
	}
}
