// Package audit owns the record of what was done by whom. A row is written in the transaction of what it
// describes, into the store where that happens; each store has its own table.
package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Actor is who did it.
type Actor struct {
	Type string // "person", "api_key", "system", "anonymous"
	ID   string
	Name string
}

// System is the program itself, for what its commands and schedules do.
func System(what string) Actor { return Actor{Type: "system", Name: what} }

// Event is one thing done. Detail holds no secrets: names, old and new values, reasons.
type Event struct {
	Name        string // "key.created", "login.failed" …
	Actor       Actor
	SubjectType string // "api_key", "person", "session", "dealership" …
	SubjectID   string
	Detail      map[string]any
}

type addressKey struct{}

// WithAddress says where from, for what does not come as an HTTP request.
func WithAddress(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, addressKey{}, ip)
}

// Record writes one row in the caller's transaction. group is "" when nobody can know it, as for a failed
// login of an unknown address. Address and request id come from the request in ctx, if there is one.
func Record(ctx context.Context, tx *sqldb.DB, group string, at time.Time, e Event) error {
	detail := []byte("{}")
	if len(e.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	address, _ := ctx.Value(addressKey{}).(string)
	request := ""
	if x := rest.From(ctx); x != nil {
		address, request = x.IP, x.RequestID
	}
	return insert(ctx, tx.Tenant(group), id.String(), at, e, address, request, string(detail))
}
