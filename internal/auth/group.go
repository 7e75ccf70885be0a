package auth

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
)

// Group is a dealer group: the tenant everything else belongs to.
type Group struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// Groups are the dealer groups of this installation.
type Groups struct {
	db  *sqldb.DB
	now func() time.Time
}

// NewGroups makes the collection on the accounts store.
func NewGroups(db *sqldb.DB, now func() time.Time) *Groups { return &Groups{db, now} }

// Add creates a group with a name of its own.
func (gs *Groups) Add(ctx context.Context, by audit.Actor, name string) (Group, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > 100 {
		return Group{}, errs.Invalid("invalid", "Give the dealer group a name of 1 to 100 characters.", errs.At("#/name", "1 to 100 characters"))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Group{}, err
	}
	g := Group{ID: id.String(), Name: name, CreatedAt: gs.now()}
	err = gs.db.Transact(ctx, func(tx *sqldb.DB) error {
		if err := insertGroup(ctx, tx, g); err != nil {
			return err
		}
		return audit.Record(ctx, tx, g.ID, g.CreatedAt, audit.Event{Name: "group.created", Actor: by, SubjectType: "dealer_group", SubjectID: g.ID, Detail: map[string]any{"name": name}})
	})
	if sqldb.IsUnique(err) {
		return Group{}, errs.Conflict("name_taken", "A dealer group named "+name+" exists already.")
	}
	return g, err
}

// List returns all groups, oldest first.
func (gs *Groups) List(ctx context.Context) ([]Group, error) { return listGroups(ctx, gs.db) }

// Get returns a group by id.
func (gs *Groups) Get(ctx context.Context, id string) (Group, error) {
	g, err := getGroup(ctx, gs.db, id)
	return g, sqldb.Found(err, errs.NotFound("not_found", "There is no such dealer group."))
}

// Find returns the group of a name or id; with "" the only one there is.
func (gs *Groups) Find(ctx context.Context, nameOrID string) (Group, error) {
	list, err := gs.List(ctx)
	if err != nil {
		return Group{}, err
	}
	if len(list) == 0 {
		return Group{}, errs.NotFound("not_found", "There is no dealer group yet: the first start of carfluence serve makes one, or carfluence group add NAME.")
	}
	if nameOrID == "" && len(list) == 1 {
		return list[0], nil
	}
	names := make([]string, 0, len(list))
	for _, g := range list {
		if g.ID == nameOrID || strings.EqualFold(g.Name, nameOrID) {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return Group{}, errs.NotFound("not_found", "Say which dealer group: "+strings.Join(names, ", ")+".")
}
