package feed

import (
	"context"
	"errors"
	"fmt"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/sqldb"
)

// stores finds the dealership of each row of one file, asking for each spelling once.
type stores struct {
	dealers  *dealer.Dealers
	by       audit.Actor
	fallback string // what rows that name none are held by
	known    map[[2]string]place
	created  []string
}

// place is a dealership, or why there is none.
type place struct{ id, reason string }

// of returns the dealership that holds a row's vehicle, or the reason why the row can't be used.
func (s *stores) of(ctx context.Context, tx *sqldb.Tenant, c *inventory.Change) (id, reason string, err error) {
	named := [2]string{c.Values[inventory.SourceDealerCode], c.Values[inventory.SourceDealerName]}
	p, ok := s.known[named]
	if !ok {
		if p, err = s.find(ctx, tx, named[0], named[1]); err != nil {
			return "", "", err
		}
		s.known[named] = p
	}
	return p.id, p.reason, nil
}

func (s *stores) find(ctx context.Context, tx *sqldb.Tenant, code, name string) (place, error) {
	if code == "" && name == "" {
		return s.unnamed(ctx, tx)
	}
	return s.findOrCreate(ctx, tx, code, name)
}

// unnamed is the place of rows that name no dealership: the one given for them, else the group's only one.
func (s *stores) unnamed(ctx context.Context, tx *sqldb.Tenant) (place, error) {
	if s.fallback != "" {
		return s.findOrCreate(ctx, tx, "", s.fallback)
	}
	id, err := s.dealers.Only(ctx, tx)
	if errs.KindOf(err) == errs.KindNotFound {
		return place{reason: "the row names no dealership, and none was given for such rows"}, nil
	}
	return place{id: id}, err
}

// findOrCreate makes a dealership of a name that nobody goes by. A code beside a name is not kept: some sources
// send one code for all of a group's stores.
func (s *stores) findOrCreate(ctx context.Context, tx *sqldb.Tenant, code, name string) (place, error) {
	id, err := s.dealers.Resolve(ctx, tx, code, name)
	if errs.KindOf(err) != errs.KindNotFound {
		return place{id: id}, err
	}
	draft := dealer.Dealer{Name: name}
	if name == "" {
		draft = dealer.Dealer{Name: code, Codes: []string{code}}
	}
	made, err := s.dealers.Create(ctx, tx, s.by, draft)
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.KindInvalid {
		return place{reason: fmt.Sprintf("no dealership can be made of the name %q", shorten(draft.Name))}, nil
	}
	if err != nil {
		return place{}, err
	}
	s.created = append(s.created, made.Name)
	return place{id: made.ID}, nil
}
