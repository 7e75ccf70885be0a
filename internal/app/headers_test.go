package app

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

// Headers are spelled on the wire as the published page spells them.
func TestHeadersAreSpelledAsPublished(t *testing.T) {
	s := httptest.NewServer(newServer(t))
	defer s.Close()
	for path, want := range map[string][]string{
		"/api/v1/inventory":    {"X-RateLimit-Limit: 1000", "X-RateLimit-Remaining: ", "X-RateLimit-Reset: ", `WWW-Authenticate: Bearer realm="carfluence"`, "X-Request-Id: "},
		"/api/v1/openapi.yaml": {`ETag: W/"`},
	} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		var header strings.Builder
		for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != ""; {
			header.WriteString(lines.Text() + "\n")
		}
		for _, line := range want {
			if !strings.Contains(header.String(), "\n"+line) {
				t.Errorf("%s: no %s in\n%s", path, line, header.String())
			}
		}
	}
}
