package feed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// publicKey is the n-th Ed25519 key of the tests.
func publicKey(n byte) ssh.PublicKey {
	k, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)).Public())
	if err != nil {
		panic(err)
	}
	return k
}

func edKey(n byte) string { return authorizedKey(publicKey(n)) }

func TestLogin(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	_, other, otherPassword := h.integration("b")
	id := strings.TrimPrefix(path, "/integrations/")
	got, err := h.Login(t.Context(), username, password)
	if want := (Login{Group: ours, Integration: id, Username: username, Epoch: "1"}); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if ok, err := h.StillValid(t.Context(), got); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	var refusal error
	for _, c := range [][2]string{
		{username, ""}, {username, "x"}, {username, otherPassword}, {username, password + " "}, {username, strings.ToLower(password)}, {strings.ToUpper(username), password},
		{"", ""}, {"vauto-unknown", password}, {"unknown", ""}, {username + "\x00", password}, {"\xff", password},
	} {
		l, err := h.Login(t.Context(), c[0], c[1])
		if errs.KindOf(err) != errs.KindUnauthenticated || l != (Login{}) {
			t.Errorf("%q: %+v, %v", c, l, err)
		}
		if refusal != nil && err.Error() != refusal.Error() {
			t.Errorf("%q is told apart: %v, %v", c, err, refusal)
		}
		refusal = err
	}
	h.exec(`UPDATE sftp_login SET password_digest = (SELECT password_digest FROM sftp_login WHERE username = $2) WHERE dealer_group_id = $1 AND username = $3`, username, other)
	if _, err := h.Login(t.Context(), other, password); err == nil {
		t.Error("a digest is good for another username")
	}
	secret := h.Secret
	h.Secret = []byte("another secret of the same length")
	if _, err := h.Login(t.Context(), username, password); err == nil {
		t.Error("a digest is good under another secret")
	}
	h.Secret = secret
}

func TestRotationEndsThePasswordAndConnections(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	before, err := h.Login(t.Context(), username, password)
	if err != nil {
		t.Fatal(err)
	}
	next := h.must(200, "", "POST", path+"/credentials", "")["sftp"].(map[string]any)["password"].(string)
	if _, err := h.Login(t.Context(), username, password); errs.KindOf(err) != errs.KindUnauthenticated {
		t.Errorf("the old password: %v", err)
	}
	if ok, err := h.StillValid(t.Context(), before); ok || err != nil {
		t.Errorf("an old connection: %v %v", ok, err)
	}
	after, err := h.Login(t.Context(), username, next)
	if err != nil || after.Epoch == before.Epoch {
		t.Fatalf("%+v %v", after, err)
	}
	if ok, err := h.StillValid(t.Context(), after); !ok || err != nil {
		t.Errorf("a new connection: %v %v", ok, err)
	}
	forged := after
	forged.Group = theirs
	if ok, _ := h.StillValid(t.Context(), forged); ok {
		t.Error("another group")
	}
}

func TestLoginByKey(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	_, other, _ := h.integration("b")
	added := h.must(201, "", "POST", path+"/ssh-keys", `{"publicKey":"`+edKey(1)+` feeds@vauto"}`)["sshKey"].(map[string]any)
	l, err := h.LoginKey(t.Context(), username, publicKey(1))
	if err != nil || l.Username != username || l.Group != ours || l.Epoch != "1" {
		t.Fatalf("%+v %v", l, err)
	}
	if _, err := h.Login(t.Context(), username, password); err != nil {
		t.Errorf("the password beside it: %v", err)
	}
	for _, c := range []struct {
		username string
		key      byte
	}{{username, 2}, {other, 1}, {"vauto-unknown", 1}, {"", 1}} {
		if _, err := h.LoginKey(t.Context(), c.username, publicKey(c.key)); errs.KindOf(err) != errs.KindUnauthenticated {
			t.Errorf("%+v: %v", c, err)
		}
	}
	h.must(200, "", "PATCH", path, `{"status":"paused"}`)
	if _, err := h.LoginKey(t.Context(), username, publicKey(1)); errs.KindOf(err) != errs.KindUnauthenticated {
		t.Errorf("paused: %v", err)
	}
	h.must(200, "", "PATCH", path, `{"status":"active"}`)
	if l, err = h.LoginKey(t.Context(), username, publicKey(1)); err != nil {
		t.Fatal(err)
	}
	h.must(204, "", "DELETE", path+"/ssh-keys/"+added["id"].(string), "")
	if ok, err := h.StillValid(t.Context(), l); ok || err != nil {
		t.Errorf("a connection of a removed key: %v %v", ok, err)
	}
	if _, err := h.LoginKey(t.Context(), username, publicKey(1)); errs.KindOf(err) != errs.KindUnauthenticated {
		t.Errorf("removed: %v", err)
	}
	if got := names(h.events()); got != "created created ssh_key_added changed changed ssh_key_removed" {
		t.Error(got) // keys that were merely offered leave no trace
	}
}

func TestFailedLoginsAreAuditedOnceAMinute(t *testing.T) {
	h := newHouse(t)
	_, username, _ := h.integration("a")
	_, other, _ := h.integration("b")
	ctx := audit.WithAddress(t.Context(), "192.0.2.7")
	fail := func(username string) {
		for range 5 {
			_, _ = h.Login(ctx, username, "wrong")
		}
		h.Settle()
	}
	fail(username)
	fail(other)
	fail("vauto-unknown")
	if got := names(h.events()); got != "created created login_failed login_failed" {
		t.Fatal(got)
	}
	h.wait(59 * time.Second)
	fail(username)
	h.wait(time.Second)
	fail(username)
	h.LoginFailed(ctx, username, "key") // within the minute
	h.LoginFailed(ctx, other, "key")
	rows := h.events()
	if got := names(rows); got != "created created login_failed login_failed login_failed login_failed" {
		t.Fatal(got)
	}
	if r := rows[2]; r.IP != "192.0.2.7" || r.Actor.Type != "anonymous" || r.DetailJSON != `{"method":"password","name":"a","username":"`+username+`"}` {
		t.Errorf("%+v", r)
	}
	if r := rows[5]; !strings.Contains(r.DetailJSON, `"method":"key"`) {
		t.Errorf("%+v", r)
	}
	if strings.Contains(h.log.String(), "wrong") {
		t.Error("a password is in the log")
	}
}

// A database that is away is no wrong password.
func TestLoginWithoutDatabase(t *testing.T) {
	h := newHouse(t)
	_, username, password := h.integration("a")
	l, err := h.Login(t.Context(), username, password)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Login(ctx, username, password); err == nil || errs.KindOf(err) == errs.KindUnauthenticated {
		t.Errorf("login: %v", err)
	}
	if _, err := h.LoginKey(ctx, username, publicKey(1)); err == nil || errs.KindOf(err) == errs.KindUnauthenticated {
		t.Errorf("by key: %v", err)
	}
	if ok, err := h.StillValid(ctx, l); ok || err == nil {
		t.Errorf("still valid: %v %v", ok, err)
	}
}

func TestUsernamesAreUnique(t *testing.T) {
	h := newHouse(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, c, err := h.CreateIntegration(h.Context(), h.tenant(), tester, Integration{DealershipID: h.dealer, Type: mapping.TypeHomeNet, Name: "n", Sync: DefaultSync})
			if err != nil || !strings.HasPrefix(c.Username, "homenet-") {
				t.Errorf("%+v %v", c, err)
			}
		})
	}
	wg.Wait()
	list, total, err := h.Integrations(t.Context(), h.tenant(), rest.Page{Limit: 100})
	seen := map[string]bool{}
	for _, i := range list {
		seen[i.Username] = true
	}
	if err != nil || total != 20 || len(seen) != 20 {
		t.Errorf("%d integrations, %d usernames, %v", total, len(seen), err)
	}
	// One that is taken is not taken again.
	err = h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		free, err := insertLogin(t.Context(), tx, list[0], list[1].Username, "")
		if free {
			t.Error("a username has two owners")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHostKeyIsSealedAndStays(t *testing.T) {
	h := newHouse(t)
	made := 0
	mint := func() ([]byte, error) {
		made++
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		return pem.EncodeToMemory(block), err
	}
	if _, err := h.HostKey(t.Context(), func() ([]byte, error) { return nil, errors.New("no entropy") }); err == nil {
		t.Error("a key that was not made")
	}
	first, err := h.HostKey(t.Context(), mint)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.ParsePrivateKey(first); err != nil {
		t.Error(err)
	}
	again, err := h.HostKey(t.Context(), mint)
	if err != nil || !bytes.Equal(first, again) || made != 1 {
		t.Errorf("made %d times, %v", made, err)
	}
	sealed, err := selectHostKey(t.Context(), h.DB)
	if err != nil || strings.Contains(sealed, "PRIVATE") || strings.Contains(sealed, string(first[40:80])) {
		t.Errorf("%s, %v", sealed, err)
	}
	h.Secret = []byte("another secret of the same length")
	if _, err := h.HostKey(t.Context(), mint); err == nil || made != 1 {
		t.Error("opened, or replaced, under another secret")
	}
}

// Replicas that start together show one host key.
func TestHostKeyOfSeveralReplicas(t *testing.T) {
	h := newHouse(t)
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for n := range keys {
		wg.Go(func() {
			k, err := h.HostKey(h.Context(), func() ([]byte, error) { return []byte{byte(n)}, nil })
			if err != nil {
				t.Error(err)
			}
			keys[n] = string(k)
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == "" {
			t.Fatalf("%q", keys)
		}
	}
}
