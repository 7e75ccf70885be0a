package feed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func rsaKey(t testing.TB, bits uint) string {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	k, err := ssh.NewPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return authorizedKey(k)
}

func dsaKey() string {
	number := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits-1) }
	wire := ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", number(1024), number(160), big.NewInt(2), big.NewInt(4)})
	return "ssh-dss " + base64.StdEncoding.EncodeToString(wire)
}

func ecdsaKey(t testing.TB) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return authorizedKey(k)
}

func certificate(t testing.TB) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: publicKey(1), CertType: ssh.UserCert}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return authorizedKey(c)
}

func privateKey(t testing.TB) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestSSHKeysOverHTTP(t *testing.T) {
	h := newHouse(t)
	path, _, _ := h.integration("a")
	code, text, header := h.call("writer", "POST", path+"/ssh-keys", `{"publicKey":"  `+edKey(1)+` feeds@vauto\n"}`)
	if code != 201 {
		t.Fatalf("%d %s", code, text)
	}
	location := strings.TrimPrefix(header.Get("Location"), "/api/v1")
	list := h.must(200, "reader", "GET", path+"/ssh-keys", "")
	want := map[string]any{
		"id": strings.TrimPrefix(location, path+"/ssh-keys/"), "name": "feeds@vauto", "publicKey": edKey(1), "fingerprint": ssh.FingerprintSHA256(publicKey(1)), "createdAt": "2026-11-23T12:00:00Z",
	}
	if d := cmp.Diff(map[string]any{"sshKeys": []any{want}, "pagination": map[string]any{"total": 1.0, "limit": 50.0, "offset": 0.0}}, list); d != "" {
		t.Error(d)
	}
	whole := h.must(200, "reader", "GET", path, "")["integration"].(map[string]any)["sftp"].(map[string]any)["publicKeys"]
	if d := cmp.Diff([]any{want}, whole); d != "" {
		t.Error(d)
	}
	if out := h.must(409, "", "POST", path+"/ssh-keys", `{"name":"again","publicKey":"`+edKey(1)+`"}`); out["code"] != "ssh_key_exists" || !strings.Contains(out["detail"].(string), `"feeds@vauto"`) {
		t.Errorf("%v", out)
	}
	other, _, _ := h.integration("b")
	h.must(201, "", "POST", other+"/ssh-keys", `{"publicKey":"`+edKey(1)+`"}`) // the sender may have several integrations
	h.must(404, "", "DELETE", strings.Replace(location, path, other, 1), "")
	for n := byte(2); n <= maxSSHKeys; n++ {
		h.must(201, "", "POST", path+"/ssh-keys", fmt.Sprintf(`{"name":"k%d","publicKey":"%s"}`, n, edKey(n)))
	}
	if out := h.must(409, "", "POST", path+"/ssh-keys", `{"publicKey":"`+edKey(99)+`"}`); out["code"] != "too_many_ssh_keys" {
		t.Errorf("%v", out)
	}
	if out := h.must(409, "", "POST", path+"/ssh-keys", `{"publicKey":"`+edKey(1)+`"}`); out["code"] != "ssh_key_exists" {
		t.Errorf("%v", out)
	}
	h.must(204, "writer", "DELETE", location, "")
	h.must(404, "writer", "DELETE", location, "")
	h.must(404, "writer", "DELETE", "/integrations/unknown/ssh-keys/x", "")
	h.must(422, "", "GET", path+"/ssh-keys?limit=0", "")
	rows := h.events()
	if last := rows[len(rows)-1]; last.Name != "integration.ssh_key_removed" || !strings.Contains(last.DetailJSON, ssh.FingerprintSHA256(publicKey(1))) {
		t.Errorf("%+v", last)
	}
}

func TestKindsOfSSHKeys(t *testing.T) {
	for what, line := range map[string]string{"ed25519": edKey(1), "ecdsa": ecdsaKey(t), "rsa 2048": rsaKey(t, 2048), "rsa 8192": rsaKey(t, 8192)} {
		if k, err := newSSHKey("", line); err != nil || k.PublicKey != line || k.Name != "" {
			t.Errorf("%s: %+v %v", what, k, err)
		}
	}
	for _, c := range []struct{ what, line, reason string }{
		{"empty", " ", "no public key"},
		{"nonsense", "hello", "no public key"},
		{"cut", edKey(1)[:40], "no public key"},
		{"a comment", "# " + edKey(1), "no public key"},
		{"options", `command="id",no-pty ` + edKey(1), "options"},
		{"two", edKey(1) + "\n" + edKey(2), "one line"},
		{"a private key", privateKey(t), "private key"},
		{"a private key of PuTTY", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "private key"},
		{"RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "ssh-keygen -i"},
		{"DSA", dsaKey(), "algorithm"},
		{"RSA of 1024 bits", rsaKey(t, 1024), "1024 bits"},
		{"RSA of 2047 bits", rsaKey(t, 2047), "2047 bits"},
		{"RSA of 9000 bits", rsaKey(t, 9000), "9000 bits"},
		{"a certificate", certificate(t), "algorithm"},
		{"endless", edKey(1) + " " + strings.Repeat("x", maxSSHKeyText), "too long"},
	} {
		if _, _, reason := parseSSHKey(c.line); !strings.Contains(reason, c.reason) {
			t.Errorf("%s: %q", c.what, reason)
		}
	}
}

func TestSSHKeyRefusals(t *testing.T) {
	h := newHouse(t)
	path, _, _ := h.integration("a")
	secret := privateKey(t)
	quoted := strings.ReplaceAll(secret, "\n", `\n`)
	for body, want := range map[string]string{
		`{}`: "#/publicKey", `{"publicKey":7,"name":"a\u0007","x":1}`: "#/name #/publicKey #/x", `{"publicKey":"` + quoted + `"}`: "#/publicKey",
		`{"publicKey":"` + edKey(1) + `","name":"` + strings.Repeat("x", 101) + `"}`: "#/name",
	} {
		out := h.must(422, "", "POST", path+"/ssh-keys", body)
		var got []string
		for _, e := range out["errors"].([]any) {
			got = append(got, e.(map[string]any)["pointer"].(string))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", body, out)
		}
	}
	_, text, _ := h.call("", "POST", path+"/ssh-keys", `{"publicKey":"`+quoted+`"}`)
	line := strings.Split(secret, "\n")[2]
	if !strings.Contains(text, "is a private key") || strings.Contains(text+h.log.String(), line) {
		t.Errorf("%s %s", text, h.log)
	}
	h.must(400, "", "POST", path+"/ssh-keys", `{"publicKey":`)
	// Without a name, a comment that can't be shown is left out.
	if out := h.must(201, "", "POST", path+"/ssh-keys", `{"name":null,"publicKey":"`+edKey(3)+` a\u202eb"}`); out["sshKey"].(map[string]any)["name"] != nil {
		t.Errorf("%v", out)
	}
}

// FuzzSSHKey: what is accepted is one line that reads the same again.
func FuzzSSHKey(f *testing.F) {
	f.Add(edKey(1) + " feeds@vauto")
	f.Add(`no-pty ` + edKey(2))
	f.Add(dsaKey())
	f.Add(rsaKey(f, 2048))
	f.Add("-----BEGIN OPENSSH PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, line string) {
		k, err := newSSHKey("", line)
		if err != nil {
			return
		}
		again, err := newSSHKey("", k.PublicKey)
		if err != nil || again.PublicKey != k.PublicKey || again.Fingerprint != k.Fingerprint || strings.ContainsAny(k.PublicKey+k.Name, "\r\n") {
			t.Errorf("%q became %+v, then %+v, %v", line, k, again, err)
		}
	})
}
