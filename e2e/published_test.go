package e2e

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestPublishedPage sends every request the published page "API Authentication & Keys" prints, and checks
// every field, header and status it shows.
func TestPublishedPage(t *testing.T) {
	s := serve(t, t.TempDir(), "--demo")

	// Method 1: login.
	login := s.must(200, "POST", "/api/v1/auth/login", `{"email":"`+adminEmail+`","password":"`+adminPassword+`"}`)
	token := login.text("token")
	if !strings.HasPrefix(token, "eyJhbGciOiJSUzI1NiIs") {
		t.Errorf("the token does not begin as the page prints it: %.24s", token)
	}
	if login.text("user.email") != adminEmail || !uuidPattern.MatchString(login.text("user.id")) || login.text("user.name") == "" {
		t.Errorf("user: %v", login.json("user"))
	}
	if login.text("refreshToken") == "" || login.json("expiresIn") != 900.0 || login.text("tokenType") != "Bearer" || login.text("user.role") != "admin" {
		t.Errorf("the members beside the page's: %v", login.json("expiresIn"))
	}
	if login.Header.Get("Content-Type") != "application/json" || login.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("login headers: %v", login.Header)
	}
	checkToken(t, s, token)

	// Using the token.
	bearer := "Authorization: Bearer " + token
	list := s.must(200, "GET", "/api/v1/inventory", "", bearer)
	if vehicles, ok := list.json("vehicles").([]any); !ok || len(vehicles) != 50 {
		t.Errorf("a page of the inventory: %.300s", list.body)
	}
	checkLimit(t, list, 5000)

	// Refresh an expired token.
	fresh := s.must(200, "POST", "/api/v1/auth/refresh", `{"refreshToken":"`+login.text("refreshToken")+`"}`)
	if fresh.text("token") == "" || fresh.text("user.id") != login.text("user.id") || fresh.text("refreshToken") == login.text("refreshToken") {
		t.Errorf("refresh: %.200s", fresh.body)
	}
	bearer = "Authorization: Bearer " + fresh.text("token")

	// Method 2: create a key.
	created := s.must(201, "POST", "/api/v1/api-keys", `{"name": "Partner Integration Key", "scopes": ["inventory:read", "dealers:read"], "rateLimitPerHour": 1000}`, bearer)
	if !regexp.MustCompile(`^cf_live_[0-9A-Za-z]{38}$`).MatchString(created.text("key")) || created.text("name") != "Partner Integration Key" ||
		created.json("rateLimitPerHour") != 1000.0 || !uuidPattern.MatchString(created.text("id")) {
		t.Errorf("key: %v %v", created.text("name"), created.json("scopes"))
	}
	if created.Header.Get("Location") != "/api/v1/api-keys/"+created.text("id") || created.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("created headers: %v", created.Header)
	}

	// Every scope of the table can be granted, no other.
	for _, scope := range []string{"inventory:read", "inventory:write", "dealers:read", "dealers:write", "integrations:read", "integrations:write", "rules:read", "rules:write", "admin"} {
		s.must(201, "POST", "/api/v1/api-keys", `{"name":"one","scopes":["`+scope+`"]}`, bearer)
	}
	s.must(422, "POST", "/api/v1/api-keys", `{"name":"one","scopes":["inventory:delete"]}`, bearer)

	// Using the key; the limit is in every response.
	key := "X-API-Key: " + created.text("key")
	used := s.must(200, "GET", "/api/v1/inventory", "", key)
	checkLimit(t, used, 1000)
	if used.Header.Get("X-RateLimit-Remaining") != "999" {
		t.Errorf("remaining after the first call: %s", used.Header.Get("X-RateLimit-Remaining"))
	}
	s.must(200, "GET", "/api/v1/dealers", "", key)

	// Default limit of a key.
	if d := s.must(201, "POST", "/api/v1/api-keys", `{"name":"default","scopes":["inventory:read"]}`, bearer); d.json("rateLimitPerHour") != 1000.0 {
		t.Errorf("default limit: %v", d.json("rateLimitPerHour"))
	}

	// Error responses.
	for _, headers := range [][]string{nil, {"X-API-Key: cf_live_abc123def456"}, {"Authorization: Bearer nonsense"}} {
		r := s.must(401, "GET", "/api/v1/inventory", "", headers...)
		checkProblem(t, r, 401)
	}
	r := s.must(403, "POST", "/api/v1/inventory", `{"vin":"1FTEW1EF8HFA85881","price":"1.00"}`, key)
	checkProblem(t, r, 403)
	checkLimit(t, r, 1000)
	small := s.key(bearer, 2, "inventory:read")
	s.must(200, "GET", "/api/v1/inventory?limit=1", "", small)
	s.must(200, "GET", "/api/v1/inventory?limit=1", "", small)
	r = s.must(429, "GET", "/api/v1/inventory?limit=1", "", small)
	checkProblem(t, r, 429)
	checkLimit(t, r, 2)
	wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
	reset, _ := strconv.ParseInt(r.Header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || time.Now().Unix()+int64(wait) < reset-1 || wait > 3600 || r.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("429: Retry-After %q, %v", r.Header.Get("Retry-After"), r.Header)
	}
	if strings.Contains(s.logged(), created.text("key")) || strings.Contains(s.logged(), token) || strings.Contains(s.logged(), adminPassword) || strings.Contains(s.logged(), login.text("refreshToken")) {
		t.Error("the log holds a secret")
	}
}

func checkLimit(t *testing.T, r reply, limit int64) {
	t.Helper()
	now := time.Now().Unix()
	got := map[string]int64{}
	for _, name := range []string{"Limit", "Remaining", "Reset"} {
		n, err := strconv.ParseInt(r.Header.Get("X-RateLimit-"+name), 10, 64)
		if err != nil {
			t.Errorf("X-RateLimit-%s: %q", name, r.Header.Get("X-RateLimit-"+name))
		}
		got[name] = n
	}
	if got["Limit"] != limit || got["Remaining"] < 0 || got["Remaining"] >= limit || got["Reset"] <= now-1 || got["Reset"] > now+3600 {
		t.Errorf("limits %v at %d", got, now)
	}
}

func checkProblem(t *testing.T, r reply, status int) {
	t.Helper()
	if r.Header.Get("Content-Type") != "application/problem+json" || r.json("status") != float64(status) || r.text("requestId") != r.Header.Get("X-Request-Id") {
		t.Errorf("problem: %v %s", r.Header, r.body)
	}
	for _, name := range []string{"type", "title", "detail", "instance", "code"} {
		if r.text(name) == "" {
			t.Errorf("problem without %s: %s", name, r.body)
		}
	}
	if status == 401 || status == 403 {
		if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), `Bearer realm="carfluence"`) {
			t.Errorf("challenge %q", r.Header.Get("WWW-Authenticate"))
		}
	}
}

// checkToken verifies a session token as a stranger would: with the published keys.
func checkToken(t *testing.T, s *server, token string) {
	t.Helper()
	r := s.must(200, "GET", "/.well-known/jwks.json", "")
	var set struct {
		Keys []struct{ Kty, Use, Alg, Kid, N, E string }
	}
	if err := json.Unmarshal(r.body, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("key set: %v %s", err, r.body)
	}
	parsed, err := jwt.Parse(token, func(tok *jwt.Token) (any, error) {
		i := slices.IndexFunc(set.Keys, func(k struct{ Kty, Use, Alg, Kid, N, E string }) bool { return k.Kid == tok.Header["kid"] })
		if i < 0 {
			return nil, jwt.ErrTokenUnverifiable
		}
		n, _ := base64.RawURLEncoding.DecodeString(set.Keys[i].N)
		e, _ := base64.RawURLEncoding.DecodeString(set.Keys[i].E)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("carfluence"), jwt.WithAudience("carfluence"), jwt.WithExpirationRequired(), jwt.WithLeeway(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	claims := parsed.Claims.(jwt.MapClaims)
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "email", "name", "roles"} {
		if claims[name] == nil {
			t.Errorf("the token has no %s", name)
		}
	}
	if roles, _ := claims["roles"].([]any); len(roles) != 1 || roles[0] != "admin" {
		t.Errorf("roles %v", claims["roles"])
	}
}
