package rest

import (
	"net/url"
	"strings"
	"testing"
)

const (
	someKey     = "cf_live_0123456789abcdefghijABCDEFGHIJ01234567"
	someRefresh = "cfr_0123456789abcdefghijABCDEFGHIJ01234567"
	someToken   = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
)

func TestCredentialsInTheAddress(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{
		"/api/v1/text?api_key=x", "/api/v1/text?API_KEY=x", "/api/v1/text?apikey=x", "/api/v1/text?apiKey=x", "/api/v1/text?x-api-key=x", "/api/v1/text?X-API-Key=x",
		"/api/v1/text?access_token=x", "/api/v1/text?token=x", "/api/v1/text?authorization=Bearer+x", "/api/v1/text?password=x", "/api/v1/text?refreshToken=x", "/api/v1/text?jwt=x",
		"/api/v1/text?api%5Fkey=x", "/api/v1/text?%61pi_key=x", "/api/v1/text?size=5&api_key", "/api/v1/text?size=5&&token=",
		"/api/v1/text?q=" + someKey, "/api/v1/text?q=Bearer%20" + someKey, "/api/v1/text?" + someKey, "/api/v1/text?" + someKey + "=1", "/api/v1/text?q=cf%5flive_x", "/api/v1/text?q=a;key=" + someKey,
		"/api/v1/text?q=" + someToken, "/api/v1/text?q=Bearer+" + someToken, "/api/v1/text?q=" + someRefresh, "/api/v1/text?q=%zz" + someKey,
		"/api/v1/things/" + someKey, "/api/v1/things/" + someToken, "/api/v1/" + someRefresh + "/x", "/api/v1/things/cf%5Flive%5Fabc",
	} {
		a := s.send("GET", target, "")
		s.want(400, "credential_in_url", a)
		if x := s.seen[len(s.seen)-1]; looksSecret(string(a.body)) || looksSecret(x.Path()) {
			t.Errorf("%s: the answer or the log repeats it: %s", target, a.body)
		}
	}
	for _, target := range []string{"/api/v1/text?search=HeyJude", "/api/v1/text?search=cf_", "/api/v1/text?search=eyJ", "/api/v1/text?tokens=1", "/api/v1/text?search=key", "/api/v1/text?cfr_=1"} {
		if a := s.send("GET", target, ""); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", target, a.StatusCode, a.body)
		}
	}
}

// "search=100%" must not show the whole list.
func TestBrokenPercentEncodingIsRefused(t *testing.T) {
	s := newStand(t)
	for _, query := range []string{"search=100%", "search=%zz", "limit=%", "%=1", "a=1&b=%e"} {
		s.want(400, "malformed", s.send("GET", "/api/v1/text?"+query, ""))
	}
}

func TestAnswersRepeatNoSecret(t *testing.T) {
	s := newStand(t)
	for _, body := range []string{
		`{"` + someKey + `":1}`, `{"` + someKey + `":1,"` + someKey + `":2}`, `{"name":"` + someKey + `","scopes":["` + someToken + `"],"x":"` + someRefresh + `"}`,
		someKey, `{"name":"` + someToken, `{"name":"a","scopes":["admin"],"extra":{"` + someRefresh + `":1}}`, `{"name":"\ud800` + someKey + `"}`,
	} {
		if a := s.send("POST", "/api/v1/things", body); a.StatusCode < 400 || looksSecret(string(a.body)) || strings.Contains(string(a.body), "0123456789ab") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	a := s.send("GET", "/elsewhere/"+someKey, "")
	if s.want(404, "route_not_found", a); looksSecret(string(a.body)) {
		t.Errorf("%s", a.body)
	}
	if looksSecret(s.log.String()) {
		t.Errorf("log: %s", s.log)
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"api_key=x", "a=1&b=2", "q=" + someKey, "%zz=%", "&&=&=", "q=a;b", "cf%5flive_", "+=+", "eyJ"} {
		f.Add("/x", seed)
	}
	f.Add("/"+someToken, "")
	f.Fuzz(func(t *testing.T, path, query string) {
		err := checkURL(&url.URL{Path: path, RawQuery: query})
		values, parseErr := url.ParseQuery(query)
		if parseErr != nil || err != nil {
			return
		}
		if strings.Contains(path, "cf_live_") {
			t.Errorf("passed the path %q", path)
		}
		for name, list := range values {
			if strings.Contains(name+"\x00"+strings.Join(list, "\x00"), "cf_live_") || credentialNames[strings.ToLower(name)] {
				t.Errorf("passed the query %q", query)
			}
		}
	})
}
