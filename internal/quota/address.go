package quota

import (
	"net/netip"
	"sync"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

// maxAddresses bounds the addresses counted at once (about 100 bytes each). When it is reached, the counts
// of past windows go first, then any.
const maxAddresses = 100_000

// Addresses counts calls without a valid credential by client address, IPv6 by /64, in memory.
type Addresses struct {
	limit   int64
	seconds int64
	now     func() time.Time

	mu     sync.Mutex
	counts map[netip.Prefix]*count
}

type count struct{ window, n int64 }

// NewAddresses makes the counter; a limit of 0 turns it off.
func NewAddresses(limit int64, window time.Duration, now func() time.Time) *Addresses {
	return &Addresses{limit: limit, seconds: int64(window / time.Second), now: now, counts: map[netip.Prefix]*count{}}
}

// AddressCharge is a counted call.
type AddressCharge struct{ limit rest.RateLimit }

// Settle implements rest.Charge. Nothing is given back: failures are what this limit is for.
func (c *AddressCharge) Settle(int) rest.RateLimit { return c.limit }

// Take counts one call of the address. The charge is nil when the limit is off.
func (a *Addresses) Take(address string) (*AddressCharge, error) {
	if a.limit <= 0 {
		return nil, nil
	}
	now := a.now()
	window := floorDiv(now.Unix(), a.seconds)
	state := State{RateLimit: rest.RateLimit{Limit: a.limit, Reset: (window + 1) * a.seconds}}
	a.mu.Lock()
	c := a.count(Network(address), window)
	over := c.n >= a.limit
	if !over {
		c.n++
	}
	state.Remaining = a.limit - c.n
	a.mu.Unlock()
	if over {
		err := exceeded(state, now).(*errs.Error)
		err.Detail = "The limit of this address for calls without a valid credential is used up. Send a valid credential, or wait until the window resets."
		return &AddressCharge{state.RateLimit}, err
	}
	return &AddressCharge{state.RateLimit}, nil
}

// Look shows where an address stands, without counting a call. The charge is nil when the limit is off.
func (a *Addresses) Look(address string) *AddressCharge {
	if a.limit <= 0 {
		return nil
	}
	window := floorDiv(a.now().Unix(), a.seconds)
	left := a.limit
	a.mu.Lock()
	if c := a.counts[Network(address)]; c != nil && c.window == window {
		left -= c.n
	}
	a.mu.Unlock()
	return &AddressCharge{rest.RateLimit{Limit: a.limit, Remaining: left, Reset: (window + 1) * a.seconds}}
}

func (a *Addresses) count(p netip.Prefix, window int64) *count {
	c := a.counts[p]
	if c == nil {
		a.makeRoom(window)
		c = &count{window: window}
		a.counts[p] = c
	}
	if c.window != window {
		*c = count{window: window}
	}
	return c
}

func (a *Addresses) makeRoom(window int64) {
	if len(a.counts) < maxAddresses {
		return
	}
	for p, c := range a.counts {
		if c.window != window {
			delete(a.counts, p)
		}
	}
	for p := range a.counts {
		if len(a.counts) < maxAddresses*9/10 {
			return
		}
		delete(a.counts, p)
	}
}

// Network is what one client controls: an IPv4 address, or an IPv6 /64. Text that is no address shares one
// count.
func Network(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}
