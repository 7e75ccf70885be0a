package rest

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		trusted    []string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.9:1234", nil, nil, "203.0.113.9"},
		{"nobody is trusted", "203.0.113.9:1234", nil, []string{"198.51.100.1"}, "203.0.113.9"},
		{"a stranger forges", "203.0.113.9:1234", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "203.0.113.9"},
		{"a proxy", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy without the header", "10.0.0.1:1234", []string{"10.0.0.0/8"}, nil, "10.0.0.1"},
		{"forged hops left of the client", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"1.1.1.1, 10.0.0.7, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"several lines", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"proxies all the way", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"with a port", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"198.51.100.1:443"}, "198.51.100.1"},
		{"IPv6", "[fd00::1]:1234", []string{"fd00::/8"}, []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:1234", []string{"fd00::/8"}, []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"IPv6 in brackets", "[fd00::1]:1234", []string{"fd00::/8"}, []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1234", []string{"fe80::/10"}, []string{"2001:db8::7"}, "2001:db8::7"},
		{"mapped peer", "[::ffff:10.0.0.1]:1234", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "198.51.100.1"},
		{"mapped hop", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"garbage", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"unknown"}, "10.0.0.1"},
		{"garbage left of the client", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		{"garbage right of a client", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty hops", "10.0.0.1:1234", []string{"10.0.0.0/8"}, []string{" , ,"}, "10.0.0.1"},
		{"all addresses are trusted", "10.0.0.1:1234", []string{"0.0.0.0/0"}, []string{"1.1.1.1, 198.51.100.1"}, "1.1.1.1"},
		{"no port", "10.0.0.1", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "198.51.100.1"},
		{"a socket of another kind", "@", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "@"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != nil {
			r.Header["X-Forwarded-For"] = c.forwarded
		}
		var trusted []netip.Prefix
		for _, p := range c.trusted {
			trusted = append(trusted, netip.MustParsePrefix(p))
		}
		if got := clientAddress(r, trusted); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheExchangeKnowsTheClient(t *testing.T) {
	s := newStand(t, trust("192.0.2.0/24")) // where httptest's requests come from
	s.send("GET", "/api/v1/text", "", "X-Forwarded-For: 198.51.100.1")
	if got := s.seen[0].IP; got != "198.51.100.1" {
		t.Errorf("the log has %q", got)
	}
}
