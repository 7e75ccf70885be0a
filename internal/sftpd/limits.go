package sftpd

import (
	"cmp"
	"net/netip"
	"sync"
	"time"

	"carfluence/internal/quota"
)

// Limits bound what clients can use up. A zero field stands for its default.
type Limits struct {
	Handshake time.Duration // from the TCP connection to a login; 20 s
	AuthTries int           // failed passwords on one connection; 3

	Connections           int // open at once; 500
	ConnectionsPerAddress int // open at once from an IPv4 address or IPv6 /64; 20
	ConnectionsPerLogin   int // open at once; 10
	Sessions              int // SFTP sessions open at once on one connection; 4
	Handles               int // files and folders open at once on one connection; 64

	Idle  time.Duration // a connection without an SFTP request, and with no file being received, is cut; 10 min
	Probe time.Duration // a client silent for this long is asked for a sign of life, and cut at three times it; 10 s
	Check time.Duration // time between two questions whether the credentials hold; 1 s

	FileBytes   int64         // largest file; 2 GiB
	SpoolBytes  int64         // all partial files of one login together; 4 GiB
	Partials    int           // partial files of one login; 100
	Directories int           // made folders of one login; 100
	PartialAge  time.Duration // a partial file that has not grown for this long is deleted by Sweep; 24 h
	FolderAge   time.Duration // a made folder not used for this long is deleted by Sweep; 90 days

	Failures      int64         // failed logins of an IPv4 address or IPv6 /64 in a FailureWindow, then it waits for the next; 30
	FailureWindow time.Duration // whole seconds; 10 min

	Receive time.Duration // Receive may take this long for one file, also when it waits for an import; 10 min
	Grace   time.Duration // uploads under way when the server ends may go on for this long; 10 s
}

// keyOffers is how many keys a client may offer besides its tries of a password: an agent offers all it has,
// and an offer is not a guess.
const keyOffers = 10

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	l.Handshake = cmp.Or(l.Handshake, 20*time.Second)
	l.AuthTries = cmp.Or(l.AuthTries, 3)
	l.Connections = cmp.Or(l.Connections, 500)
	l.ConnectionsPerAddress = cmp.Or(l.ConnectionsPerAddress, 20)
	l.ConnectionsPerLogin = cmp.Or(l.ConnectionsPerLogin, 10)
	l.Sessions = cmp.Or(l.Sessions, 4)
	l.Handles = cmp.Or(l.Handles, 64)
	l.Idle = cmp.Or(l.Idle, 10*time.Minute)
	l.Probe = cmp.Or(l.Probe, 10*time.Second)
	l.Check = cmp.Or(l.Check, time.Second)
	l.FileBytes = cmp.Or(l.FileBytes, 2<<30)
	l.SpoolBytes = cmp.Or(l.SpoolBytes, 4<<30)
	l.Partials = cmp.Or(l.Partials, 100)
	l.Directories = cmp.Or(l.Directories, 100)
	l.PartialAge = cmp.Or(l.PartialAge, 24*time.Hour)
	l.FolderAge = cmp.Or(l.FolderAge, 90*24*time.Hour)
	l.Failures = cmp.Or(l.Failures, 30)
	l.FailureWindow = cmp.Or(l.FailureWindow, 10*time.Minute)
	l.Receive = cmp.Or(l.Receive, 10*time.Minute)
	l.Grace = cmp.Or(l.Grace, 10*time.Second)
	return l
}

// census counts the open connections.
type census struct {
	mu        sync.Mutex
	all       int
	addresses map[netip.Prefix]int
	logins    map[string]int // by integration
}

func newCensus() *census {
	return &census{addresses: map[netip.Prefix]int{}, logins: map[string]int{}}
}

// enter counts a connection, or names the limit that is in its way.
func (c *census) enter(a netip.Addr, l Limits) (leave func(), refusal string) {
	network := quota.Network(a.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= l.Connections:
		return nil, "too many connections"
	case c.addresses[network] >= l.ConnectionsPerAddress:
		return nil, "too many connections of this address"
	}
	c.all++
	c.addresses[network]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		decrement(c.addresses, network)
	}, ""
}

// logIn counts a connection of an integration; ok is false when it has enough of them.
func (c *census) logIn(integration string, l Limits) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins[integration] >= l.ConnectionsPerLogin {
		return nil, false
	}
	c.logins[integration]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		decrement(c.logins, integration)
	}, true
}

func decrement[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] == 0 {
		delete(m, k)
	}
}
