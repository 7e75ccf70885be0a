package rest

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is the client's address: the peer's, or, when the peer is a trusted proxy, the rightmost
// hop of X-Forwarded-For that is not one. What anyone else writes there is ignored.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if len(trusted) == 0 {
		return host
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.WithZone("")
	if err != nil || !within(addr, trusted) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(hopAddress(strings.TrimSpace(hops[i])))
		if err != nil {
			break // whatever stands left of it can't be trusted either
		}
		addr = hop.Unmap().WithZone("")
		if !within(addr, trusted) {
			break
		}
	}
	return addr.Unmap().String()
}

// hopAddress drops the port some proxies add.
func hopAddress(hop string) string {
	if host, _, err := net.SplitHostPort(hop); err == nil {
		return host
	}
	return strings.Trim(hop, "[]")
}

func within(addr netip.Addr, prefixes []netip.Prefix) bool {
	addr = addr.Unmap()
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
