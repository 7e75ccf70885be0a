package auth

import (
	"context"

	"carfluence/internal/audit"
	"carfluence/internal/rest"
)

// Kind says what sort of caller a principal is.
type Kind string

// The kinds, as they stand in the audit log and in history.
const (
	PersonKind Kind = "person"
	KeyKind    Kind = "api_key"
)

// Principal is an authenticated caller. It is built from fresh records, never from a token's claims.
type Principal struct {
	Kind   Kind
	Group  string // dealer group id
	ID     string // of the key or person
	Name   string
	Scopes Scopes

	Email     string // people only
	Role      Role   // people only
	SessionID string // people only

	RateLimit int64 // requests per window

	limitAsOf int64 // the change log's number when RateLimit was read
	logged    string
}

// logged is how the log names a caller.
func logged(k Kind, id string) string { return string(k) + ":" + id }

// Actor is the principal as the audit log names it.
func (p Principal) Actor() audit.Actor {
	return audit.Actor{Type: string(p.Kind), ID: p.ID, Name: p.Name}
}

// Handle registers an operation for authenticated callers: the gate has let the principal in before the
// handler runs.
func Handle[I, O any](api *rest.API, op rest.Operation, handle func(context.Context, Principal, *I) (*O, error)) {
	if op.Security.IsOpen() {
		panic("auth: operation " + op.ID + " is open; register it with rest.Register")
	}
	rest.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		return handle(ctx, *rest.From(ctx).Caller.(*Principal), in)
	})
}
