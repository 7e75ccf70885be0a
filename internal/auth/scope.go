package auth

import (
	"fmt"
	"strings"

	"carfluence/internal/errs"
)

// Scopes is a set of the nine published scopes.
type Scopes uint16

// The scopes. Admin implies all others; write does not imply read.
const (
	InventoryRead Scopes = 1 << iota
	InventoryWrite
	DealersRead
	DealersWrite
	IntegrationsRead
	IntegrationsWrite
	RulesRead
	RulesWrite
	Admin
)

const allScopes = Admin<<1 - 1

var scopeNames = [...]string{
	"inventory:read", "inventory:write", "dealers:read", "dealers:write",
	"integrations:read", "integrations:write", "rules:read", "rules:write", "admin",
}

// ParseScope is the scope of a name; ok is false for an unknown one.
func ParseScope(name string) (s Scopes, ok bool) {
	for i, n := range scopeNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// ParseScopes reads a list as a client sends it. Faults name the members of #/scopes.
func ParseScopes(names []string) (Scopes, []errs.Fault) {
	if len(names) == 0 {
		return 0, []errs.Fault{errs.At("#/scopes", "name at least one scope; a key without scopes could do nothing")}
	}
	var set Scopes
	var faults []errs.Fault
	for i, name := range names {
		s, ok := ParseScope(name)
		if !ok {
			faults = append(faults, errs.At(fmt.Sprintf("#/scopes/%d", i), "unknown scope; the scopes are "+strings.Join(scopeNames[:], ", ")))
		}
		set |= s
	}
	return set, faults
}

// Has tells whether the set allows what needs the scopes in want.
func (s Scopes) Has(want Scopes) bool { return s&Admin != 0 || s&want == want }

// Names lists the set in published order.
func (s Scopes) Names() []string {
	names := []string{}
	for i, n := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// Role is what a person may do in a dealer group.
type Role string

// The roles.
const (
	RoleAdmin   Role = "admin"   // everything
	RoleManager Role = "manager" // read and write of the four resources
	RoleViewer  Role = "viewer"  // inventory and dealers, read only
)

// Scopes of a role; an unknown role has none.
func (r Role) Scopes() Scopes {
	switch r {
	case RoleAdmin:
		return allScopes
	case RoleManager:
		return allScopes &^ Admin
	case RoleViewer:
		return InventoryRead | DealersRead
	}
	return 0
}
