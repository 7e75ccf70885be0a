package feed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// The statuses of integrations.
const (
	StatusPending = "pending" // no file has come yet
	StatusActive  = "active"
	StatusPaused  = "paused" // takes no files; what is queued waits
	StatusError   = "error"  // the latest file failed, StatusReason says why
)

// The strategies: what becomes of vehicles that a file does not list.
const (
	StrategyOverwrite  = "overwrite"   // sold at once
	StrategyMerge      = "merge"       // sold after SoldGraceSyncs files and SoldGraceHours
	StrategyUpdateOnly = "update_only" // nothing; and a file creates nothing
)

// Sync says how an integration's files act on the inventory.
type Sync struct {
	Strategy       string
	SoldGraceSyncs int64 // files in a row that do not list a vehicle before it is sold
	SoldGraceHours int64 // hours since the first of them before it is sold
	TrackHistory   bool
}

// DefaultSync is the sync of an integration that says nothing else.
var DefaultSync = Sync{Strategy: StrategyMerge, SoldGraceSyncs: 2, SoldGraceHours: 24, TrackHistory: true}

// Integration is a source system that drops files.
type Integration struct {
	ID           string // UUIDv7
	DealershipID string // holds the rows that name no dealership, or an unknown one
	Type         string
	Name         string
	Status       string
	StatusReason string
	Sync         Sync
	DayFirst     bool              // dates are written D/M/Y
	DecimalComma bool              // numbers are written 12.345,00
	Mappings     map[string]string // source column to canonical field, "" for none
	Header       []string          // columns of the latest file that was read
	Drift        string            // how they differ from the file before, "" when they don't
	Username     string            // its SFTP login
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Limits on what an integration may hold.
const (
	maxIntegrationName = 100
	maxGraceSyncs      = 100
	maxGraceHours      = 2160 // 90 days
)

var (
	types      = []string{mapping.TypeVAuto, mapping.TypeHomeNet, mapping.TypeElead, mapping.TypeCustom}
	strategies = []string{StrategyOverwrite, StrategyMerge, StrategyUpdateOnly}
)

// Credentials are what a sender logs in with. Password is known only when it was just made.
type Credentials struct {
	Username string
	Password string
}

// Integrations returns a page of the group's integrations, newest first, and how many there are.
func (f *Feeds) Integrations(ctx context.Context, t *sqldb.Tenant, page rest.Page) ([]Integration, int64, error) {
	total, err := countIntegrations(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	list, err := selectIntegrations(ctx, t, page)
	return list, total, err
}

// Integration returns one; not found for unknown and foreign ids.
func (f *Feeds) Integration(ctx context.Context, t *sqldb.Tenant, id string) (Integration, error) {
	return selectIntegration(ctx, t, id)
}

// CreateIntegration stores a new integration, pending its first file, and makes its SFTP login.
func (f *Feeds) CreateIntegration(ctx context.Context, t *sqldb.Tenant, by audit.Actor, in Integration) (Integration, Credentials, error) {
	if err := in.complete(); err != nil {
		return Integration{}, Credentials{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Integration{}, Credentials{}, fmt.Errorf("make integration id: %w", err)
	}
	in.ID, in.Status, in.StatusReason, in.Header, in.Drift = id.String(), StatusPending, "", nil, ""
	in.CreatedAt = f.Now().UTC()
	in.UpdatedAt = in.CreatedAt
	var c Credentials
	err = t.Transact(ctx, func(tx *sqldb.Tenant) (err error) {
		if err := f.known(ctx, tx, in.DealershipID); err != nil {
			return err
		}
		if err := insertIntegration(ctx, tx, in); err != nil {
			return err
		}
		if c, err = f.newLogin(ctx, tx, in); err != nil {
			return err
		}
		in.Username = c.Username
		return f.record(ctx, tx, by, "integration.created", in, map[string]any{"type": in.Type, "dealershipId": in.DealershipID, "username": in.Username})
	})
	if err != nil {
		return Integration{}, Credentials{}, err
	}
	return in, c, nil
}

// UpdateIntegration changes an integration by edit, which sees the stored one. A pause ends its connections;
// the end of a pause hands what waited to the workers.
func (f *Feeds) UpdateIntegration(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string, edit func(*Integration)) (Integration, error) {
	var out Integration
	err := t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, id); err != nil { // its status follows from files, too
			return err
		}
		old, err := selectIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		out = old
		edit(&out)
		if err := out.settle(old); err != nil {
			return err
		}
		changes := differences(old, out)
		if len(changes) == 0 {
			return nil
		}
		if out.DealershipID != old.DealershipID {
			if err := f.known(ctx, tx, out.DealershipID); err != nil {
				return err
			}
		}
		out.UpdatedAt = f.Now().UTC()
		if err := updateIntegration(ctx, tx, out); err != nil {
			return err
		}
		if err := f.turned(ctx, tx, old, out); err != nil {
			return err
		}
		return f.record(ctx, tx, by, "integration.changed", out, changes)
	})
	return out, err
}

// settle checks an edited integration against the stored one.
func (i *Integration) settle(old Integration) error {
	if i.Status == old.Status {
		return i.complete()
	}
	i.StatusReason = ""
	return i.complete(statusFaults(i.Status)...)
}

// statusFaults refuses a status that follows from files alone.
func statusFaults(status string) []errs.Fault {
	if status == StatusActive || status == StatusPaused {
		return nil
	}
	return []errs.Fault{errs.At("#/status", "can be set to active or paused; the others follow from the files")}
}

// turned does what goes with a change of status.
func (f *Feeds) turned(ctx context.Context, tx *sqldb.Tenant, old, now Integration) error {
	switch {
	case now.Status == StatusPaused && old.Status != StatusPaused:
		return raiseEpoch(ctx, tx, now.ID)
	case old.Status == StatusPaused && now.Status == StatusActive:
		return f.resume(ctx, tx, now.ID)
	}
	return nil
}

// DeleteIntegration removes an integration with its login, keys, files and runs. Its vehicles stay.
func (f *Feeds) DeleteIntegration(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string) error {
	defer f.Stock.Committed(t.Group())
	return t.Transact(ctx, func(tx *sqldb.Tenant) error {
		stored, err := selectIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		from := inventory.Source{Name: stored.Type, IntegrationID: id, ActorType: by.Type, ActorID: by.ID, ActorName: by.Name}
		if err := f.Stock.Write(ctx, tx, from, func(w *inventory.Writer) error { return w.Abandon(ctx) }); err != nil {
			return err
		}
		if err := lockIntegration(ctx, tx, id); err != nil {
			return err
		}
		if err := deleteIntegration(ctx, tx, id); err != nil {
			return err
		}
		return f.record(ctx, tx, by, "integration.deleted", stored, map[string]any{"type": stored.Type, "username": stored.Username})
	})
}

// IntegrationNames are how history calls a group's integrations, by id.
func IntegrationNames(ctx context.Context, t *sqldb.Tenant) (map[string]inventory.IntegrationName, error) {
	return selectIntegrationNames(ctx, t)
}

// OfDealership lists in words the integrations that belong to a dealership.
func (f *Feeds) OfDealership(ctx context.Context, t *sqldb.Tenant, dealershipID string) ([]string, error) {
	return selectIntegrationsOf(ctx, t, dealershipID)
}

// known refuses a dealership that is not the group's.
func (f *Feeds) known(ctx context.Context, tx *sqldb.Tenant, dealershipID string) error {
	_, err := f.Dealers.Get(ctx, tx, dealershipID)
	if errs.KindOf(err) == errs.KindNotFound {
		return errUnknownDealership
	}
	return err
}

var errUnknownDealership = invalidIntegration(errs.At("#/dealershipId", "names no dealership of this group"))

func invalidIntegration(faults ...errs.Fault) *errs.Error {
	return errs.Invalid("invalid", "The integration can't be stored as given; errors lists every fault.", faults...)
}

// record leaves an audit row in the transaction of what it tells.
func (f *Feeds) record(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, event string, i Integration, detail map[string]any) error {
	if _, told := detail["name"]; !told {
		detail["name"] = i.Name
	}
	return audit.Record(ctx, tx.DB(), tx.Group(), f.Now(), audit.Event{Name: event, Actor: by, SubjectType: "integration", SubjectID: i.ID, Detail: detail})
}

// differences are the members that an edit has changed, old and new.
func differences(old, now Integration) map[string]any {
	d := map[string]any{}
	for _, m := range []struct {
		name     string
		old, now any
	}{
		{"name", old.Name, now.Name}, {"dealershipId", old.DealershipID, now.DealershipID}, {"status", old.Status, now.Status},
		{"strategy", old.Sync.Strategy, now.Sync.Strategy}, {"sold_grace_syncs", old.Sync.SoldGraceSyncs, now.Sync.SoldGraceSyncs},
		{"sold_grace_hours", old.Sync.SoldGraceHours, now.Sync.SoldGraceHours}, {"track_history", old.Sync.TrackHistory, now.Sync.TrackHistory},
		{"dateOrder", old.dateOrder(), now.dateOrder()}, {"decimalSeparator", old.decimalSeparator(), now.decimalSeparator()},
	} {
		if m.old != m.now {
			d[m.name] = []any{m.old, m.now}
		}
	}
	if !maps.Equal(old.Mappings, now.Mappings) {
		d["mappings"] = []any{old.Mappings, now.Mappings}
	}
	return d
}

// complete trims and checks the rules, reporting every fault at once, beside those found already.
func (i *Integration) complete(faults ...errs.Fault) error {
	add := func(ok bool, pointer, detail string) {
		if !ok {
			faults = append(faults, errs.At(pointer, detail))
		}
	}
	i.Name = strings.TrimSpace(i.Name)
	add(i.DealershipID != "", "#/dealershipId", "must not be empty")
	add(slices.Contains(types, i.Type), "#/type", "must be one of "+strings.Join(types, ", "))
	add(graphic(i.Name, maxIntegrationName), "#/name", "must be 1 to 100 printable characters")
	add(slices.Contains(strategies, i.Sync.Strategy), "#/syncSettings/strategy", "must be one of "+strings.Join(strategies, ", "))
	add(i.Sync.SoldGraceSyncs >= 1 && i.Sync.SoldGraceSyncs <= maxGraceSyncs, "#/syncSettings/sold_grace_syncs", "must be 1 to 100")
	add(i.Sync.SoldGraceHours >= 0 && i.Sync.SoldGraceHours <= maxGraceHours, "#/syncSettings/sold_grace_hours", "must be 0 to 2160")
	faults = append(faults, mapping.ValidateOwn(pointers(i.Mappings))...)
	if len(faults) > 0 {
		return invalidIntegration(faults...)
	}
	return nil
}

func pointers(m map[string]string) map[string]*string {
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = &v
	}
	return out
}

// graphic tells that a text has 1 to limit characters, all of them visible or blanks.
func graphic(s string, limit int) bool {
	n := utf8.RuneCountInString(s)
	return n > 0 && n <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// The words for how dates and numbers are written.
const (
	monthFirst = "month_first"
	dayFirst   = "day_first"
	point      = "point"
	comma      = "comma"
)

func (i Integration) dateOrder() string {
	if i.DayFirst {
		return dayFirst
	}
	return monthFirst
}

func (i Integration) decimalSeparator() string {
	if i.DecimalComma {
		return comma
	}
	return point
}
