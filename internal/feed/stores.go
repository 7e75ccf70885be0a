package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Bounds on the spellings of dealerships in one file.
const (
	maxPlaces    = 20_000 // remembered while it is read
	maxUnmatched = 1_000  // listed of those that lead nowhere
)

// stores finds the dealership of each row of one file, asking for each spelling once.
type stores struct {
	dealers *dealer.Dealers
	by      audit.Actor
	create  bool // make dealerships of names that nobody goes by; else they are unmatched
	known   map[[2]string]place
	created []string

	own      string // dealership id that holds rows which name none, or an unknown one
	fallback string // or its name, code or alias
}

// newStores makes dealerships that are missing; fallback names the one for rows that name none.
func newStores(d *dealer.Dealers, by audit.Actor, fallback string, create bool) *stores {
	return &stores{dealers: d, by: by, fallback: fallback, create: create, known: map[[2]string]place{}}
}

// place is the dealership of a row, and what is odd about that.
type place struct {
	id      string
	named   string // as the row names it
	reason  string // why the row can't be used, or of a warning
	refused bool
	unknown bool  // nobody goes by the name
	rows    int64 // that name it so
}

// of returns the dealership that holds a row's vehicle.
func (s *stores) of(ctx context.Context, tx *sqldb.Tenant, c *vehicle.Change) (place, error) {
	named := [2]string{c.Values[vehicle.SourceDealerCode], c.Values[vehicle.SourceDealerName]}
	p, ok := s.known[named]
	if !ok {
		var err error
		if p, err = s.find(ctx, tx, named[0], named[1]); err != nil {
			return place{}, err
		}
	}
	p.rows++
	if ok || len(s.known) < maxPlaces { // a column of VINs mapped to dealerships must not fill the memory
		s.known[named] = p
	}
	return p, nil
}

// peek finds the dealership of such a row without making one; "" when there is none yet.
func (s *stores) peek(ctx context.Context, t *sqldb.Tenant, code, name string) (id string, err error) {
	looking := *s
	looking.create = false
	p, err := looking.find(ctx, t, code, name)
	return p.id, err
}

func (s *stores) find(ctx context.Context, tx *sqldb.Tenant, code, name string) (place, error) {
	if code == "" && name == "" {
		return s.unnamed(ctx, tx)
	}
	id, err := s.dealers.Resolve(ctx, tx, code, name)
	switch {
	case errs.KindOf(err) != errs.KindNotFound:
		return place{id: id}, err
	case s.create:
		return s.make(ctx, tx, code, name)
	}
	named := strings.TrimSpace(name + " " + code)
	return place{id: s.own, named: named, unknown: true, reason: "no dealership goes by this name or code; the row is held by the integration's own"}, nil
}

// unnamed is the place of rows that name no dealership: the one given for them, else the group's only one.
func (s *stores) unnamed(ctx context.Context, tx *sqldb.Tenant) (place, error) {
	if s.own != "" {
		return place{id: s.own}, nil
	}
	if s.fallback != "" {
		return s.find(ctx, tx, "", s.fallback)
	}
	id, err := s.dealers.Only(ctx, tx)
	if errs.KindOf(err) == errs.KindNotFound {
		return place{refused: true, reason: "the row names no dealership, and none was given for such rows"}, nil
	}
	return place{id: id}, err
}

// make makes a dealership. A code beside a name is not kept: some sources send one code for all of a group's stores.
func (s *stores) make(ctx context.Context, tx *sqldb.Tenant, code, name string) (place, error) {
	draft := dealer.Dealer{Name: name}
	if name == "" {
		draft = dealer.Dealer{Name: code, Codes: []string{code}}
	}
	made, err := s.dealers.Create(ctx, tx, s.by, draft)
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.KindInvalid {
		return place{refused: true, reason: fmt.Sprintf("no dealership can be made of the name %q", sheet.Shorten(draft.Name))}, nil
	}
	if err != nil {
		return place{}, err
	}
	s.created = append(s.created, made.Name)
	return place{id: made.ID}, nil
}

// Unmatched is a name or code in files that leads to no dealership.
type Unmatched struct {
	IntegrationID, IntegrationName string
	Code, Name                     string // as the file writes them
	Vehicles                       int64  // rows of the latest file that named it
	FirstSeenAt, LastSeenAt        time.Time
}

// unmatched lists what nobody goes by.
func (s *stores) unmatched() []Unmatched {
	var out []Unmatched
	for named, p := range s.known {
		if p.unknown {
			out = append(out, Unmatched{Code: named[0], Name: named[1], Vehicles: p.rows})
		}
	}
	slices.SortFunc(out, func(a, b Unmatched) int {
		return cmp.Or(cmp.Compare(b.Vehicles, a.Vehicles), strings.Compare(a.Name+a.Code, b.Name+b.Code))
	})
	return out[:min(len(out), maxUnmatched)]
}
