package rule

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Rules is the collective of the rules of dealer groups.
type Rules struct {
	db    *sqldb.DB // the stock store; used by the routes
	stock *inventory.Stock
	o     Options
	kept  *otter.Cache[readyKey, vehicle.Rules]
}

// Options of the rules; zero values are filled in.
type Options struct {
	Max int64 // rules a group may have; DefaultMax
	Now func() time.Time
	Log *slog.Logger
}

// DefaultMax is how many rules a group may have unless set otherwise.
const DefaultMax = 200

// keptGroups bounds the groups whose compiled rules are kept.
const keptGroups = 1000

// New are the rules in a stock store. The caller makes InForce the stock's Rules.
func New(db *sqldb.DB, stock *inventory.Stock, o Options) *Rules {
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Rules{db: db, stock: stock, o: o, kept: otter.Must(&otter.Options[readyKey, vehicle.Rules]{MaximumSize: keptGroups})}
}

// Author is who writes or tests a rule. Only administrators may have a rule read or set sensitive fields.
type Author struct {
	audit.Actor
	Admin bool
}

var errNoRule = rest.NotFound("rule")

// List returns a page of the group's rules, newest first, and how many there are.
func (r *Rules) List(ctx context.Context, t *sqldb.Tenant, page rest.Page) ([]Rule, int64, error) {
	total, _, err := countRules(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	list, err := selectPage(ctx, t, page)
	return list, total, err
}

// Get returns one rule; not found for unknown and foreign ids.
func (r *Rules) Get(ctx context.Context, t *sqldb.Tenant, id string) (Rule, error) {
	return selectRule(ctx, t, id)
}

// Create stores a new rule, which runs after all others. One that does not compile is invalid, and so is one that uses
// sensitive fields while its author is no administrator; one too many is a conflict.
func (r *Rules) Create(ctx context.Context, t *sqldb.Tenant, by Author, in Rule) (Rule, error) {
	in.Name = strings.TrimSpace(in.Name)
	if err := invalid(r.faults(in, by.Admin)); err != nil {
		return Rule{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Rule{}, fmt.Errorf("make rule id: %w", err)
	}
	in.ID = id.String()
	err = r.write(ctx, t, func(tx *sqldb.Tenant) error {
		n, newest, err := countRules(ctx, tx)
		if err != nil {
			return err
		}
		if n >= r.o.Max {
			return errs.Conflict("too_many_rules", fmt.Sprintf("The group has %d rules, the most there may be. Delete one, or ask the operator to raise the limit.", n))
		}
		in.CreatedAt = r.o.Now().UTC().Truncate(time.Microsecond)
		if !in.CreatedAt.After(newest) { // whatever the clock says, a later rule runs later
			in.CreatedAt = newest.Add(time.Microsecond)
		}
		in.UpdatedAt = in.CreatedAt
		if err := insertRule(ctx, tx, &in); err != nil {
			return err
		}
		return r.changed(ctx, tx, by.Actor, "rule.created", &in, described(&in), in.Enabled)
	})
	return in, err
}

// Update changes a rule by edit, which sees the stored one; it keeps its place in the order. What a rule does is judged
// as in Create when the edit changes it or enables the rule: renaming and disabling always work.
func (r *Rules) Update(ctx context.Context, t *sqldb.Tenant, by Author, id string, edit func(*Rule)) (Rule, error) {
	var now Rule
	err := r.write(ctx, t, func(tx *sqldb.Tenant) error {
		old, err := selectRule(ctx, tx, id)
		if err != nil {
			return err
		}
		now = old
		edit(&now)
		now.Name = strings.TrimSpace(now.Name)
		does := !sameParts(&old, &now)
		faults := r.faults(now, by.Admin)
		if !does && (old.Enabled || !now.Enabled) {
			faults = at("#/name", faults)
		}
		if err := invalid(faults); err != nil {
			return err
		}
		diff := differences(&old, &now)
		if len(diff) == 0 {
			return nil
		}
		now.UpdatedAt = r.o.Now().UTC().Truncate(time.Microsecond)
		if err := updateRule(ctx, tx, &now); err != nil {
			return err
		}
		return r.changed(ctx, tx, by.Actor, "rule.changed", &now, diff, old.Enabled != now.Enabled || does && now.Enabled)
	})
	return now, err
}

// Delete removes a rule. What it has set stays until the next sync or refresh.
func (r *Rules) Delete(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string) error {
	return r.write(ctx, t, func(tx *sqldb.Tenant) error {
		old, err := selectRule(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := deleteRule(ctx, tx, id); err != nil {
			return err
		}
		return r.changed(ctx, tx, by, "rule.deleted", &old, described(&old), old.Enabled)
	})
}

// write is for changes of rules: nobody else writes rules or vehicles of the group meanwhile.
func (r *Rules) write(ctx context.Context, t *sqldb.Tenant, f func(tx *sqldb.Tenant) error) error {
	err := t.Alone(ctx, sqldb.LockInventory, f)
	if err == nil {
		r.stock.Committed(t.Group())
	}
	return err
}

// changed ends every write: the audit row, a new stamp, from when on the daily run is due, and word to the inventory: vehicles
// show rules' names, and with another outcome may show something else.
func (r *Rules) changed(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, event string, in *Rule, detail map[string]any, outcome bool) error {
	if _, told := detail["name"]; !told {
		detail["name"] = in.Name
	}
	err := audit.Record(ctx, tx.DB(), tx.Group(), r.o.Now(), audit.Event{Name: event, Actor: by, SubjectType: "rule", SubjectID: in.ID, Detail: detail})
	if err != nil {
		return err
	}
	stamp, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	if err := storeStamp(ctx, tx, stamp.String()); err != nil {
		return err
	}
	if err := r.keepDays(ctx, tx); err != nil {
		return err
	}
	if err := r.stock.Bump(ctx, tx); err != nil || !outcome {
		return err
	}
	return r.stock.RaiseEdition(ctx, tx)
}

// described is what an audit row tells of a rule as a whole.
func described(r *Rule) map[string]any {
	return map[string]any{"enabled": r.Enabled, "conditions": orEmpty(r.Conditions), "actions": orEmpty(r.Actions)}
}

// differences are the members that an edit has changed, old and new.
func differences(old, now *Rule) map[string]any {
	d := map[string]any{}
	if old.Name != now.Name {
		d["name"] = []any{old.Name, now.Name}
	}
	if old.Enabled != now.Enabled {
		d["enabled"] = []any{old.Enabled, now.Enabled}
	}
	if !same(old.Conditions, now.Conditions) {
		d["conditions"] = []any{orEmpty(old.Conditions), orEmpty(now.Conditions)}
	}
	if !same(old.Actions, now.Actions) {
		d["actions"] = []any{orEmpty(old.Actions), orEmpty(now.Actions)}
	}
	return d
}

func sameParts(a, b *Rule) bool {
	return same(a.Conditions, b.Conditions) && same(a.Actions, b.Actions)
}

func same[T any](a, b []T) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// faults are all that keeps a rule from being used as its author wants, by pointers relative to its body.
func (r *Rules) faults(in Rule, admin bool) []errs.Fault {
	_, faults := judged(in, admin, r.o.Now())
	if strings.ContainsFunc(in.Name, unicode.IsControl) { // it stands in history, logs and terminals
		faults = append(faults, errs.At("#/name", "must not hold control characters"))
	}
	return faults
}

// judged compiles a rule for its author.
func judged(in Rule, admin bool, now time.Time) (*Compiled, []errs.Fault) {
	c, faults := Compile(in, now)
	if admin {
		return c, faults
	}
	for _, u := range c.Sensitive() {
		faults = append(faults, errs.At(u.Pointer, fmt.Sprintf("%s is for administrators only; a rule that reads or sets it needs the scope admin", u.Field)))
	}
	return c, faults
}

// invalid is the refusal of a rule, nil without faults.
func invalid(faults []errs.Fault) error {
	return refusal("The rule can't be used as given; errors lists every fault.", faults)
}

func refusal(detail string, faults []errs.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return errs.Invalid("invalid", detail, faults...)
}

// at are the faults at one place.
func at(pointer string, faults []errs.Fault) (out []errs.Fault) {
	for _, f := range faults {
		if f.Pointer == pointer {
			out = append(out, f)
		}
	}
	return out
}

// readyKey names compiled rules. The stamp is random: what a transaction that was rolled back has compiled is never
// found again. Years are judged by the year they are compiled in.
type readyKey struct {
	stamp string
	year  int
}

// InForce are the group's enabled rules in the order of their creation, ready to run. One that does not compile, as
// after an upgrade, is left out and logged.
func (r *Rules) InForce(ctx context.Context, t *sqldb.Tenant) (vehicle.Rules, error) {
	stamp, _, err := selectSet(ctx, t)
	if err != nil || stamp == "" {
		return vehicle.Rules{}, err
	}
	key := readyKey{stamp, r.o.Now().Year()}
	out, ok := r.kept.GetIfPresent(key)
	if !ok {
		if out, err = r.load(ctx, t); err != nil {
			return vehicle.Rules{}, err
		}
		r.kept.Set(key, out)
	}
	return out, nil
}

func (r *Rules) load(ctx context.Context, t *sqldb.Tenant) (vehicle.Rules, error) {
	list, err := selectInOrder(ctx, t)
	if err != nil {
		return vehicle.Rules{}, err
	}
	ready := InOrder(r.compiled(t.Group(), list))
	if len(ready.Names) == 0 {
		return vehicle.Rules{}, nil
	}
	return ready, nil
}

// compiled are the enabled rules of a list that compile.
func (r *Rules) compiled(group string, list []Rule) []*Compiled {
	out := make([]*Compiled, 0, len(list))
	for _, one := range list {
		if !one.Enabled {
			continue
		}
		c, faults := Compile(one, r.o.Now())
		if len(faults) > 0 {
			r.o.Log.Warn("a rule is left out: it does not compile", "group", group, "rule", one.ID, "name", one.Name, "because", sentence(faults))
			continue
		}
		out = append(out, c)
	}
	return out
}

// Problem is why a stored rule is left out, "" for one that can run.
func (r *Rules) Problem(in Rule) string {
	_, faults := Compile(in, r.o.Now())
	return sentence(faults)
}

func sentence(faults []errs.Fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.Pointer + " " + f.Detail
	}
	return strings.Join(texts, "; ")
}

// Apply makes all vehicles show what the rules in force say, or when dry, finds out what that would change.
func (r *Rules) Apply(ctx context.Context, t *sqldb.Tenant, by audit.Actor, dry bool) (run inventory.Refresh, err error) {
	err = t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		if run, err = r.stock.StartRefresh(ctx, tx, by, inventory.RefreshRules, dry); err != nil || dry {
			return err
		}
		return audit.Record(ctx, tx.DB(), tx.Group(), r.o.Now(), audit.Event{Name: "rules.applied", Actor: by, SubjectType: "inventory_refresh", SubjectID: run.ID})
	})
	if err == nil && !dry {
		r.stock.Committed(t.Group())
	}
	return run, err
}

// Applied tells how far a run of Apply has come; not found for unknown and foreign ids.
func (r *Rules) Applied(ctx context.Context, t *sqldb.Tenant, id string) (inventory.Refresh, error) {
	run, err := r.stock.Refreshed(ctx, t, id)
	if err == nil && run.Reason != inventory.RefreshRules {
		return inventory.Refresh{}, rest.NotFound("run")
	}
	return run, err
}

// keepDays notes, when the rules in force have begun to read days_on_lot, that today needs no run of its own, and forgets
// the days when they no longer do.
func (r *Rules) keepDays(ctx context.Context, tx *sqldb.Tenant) error {
	_, days, err := selectSet(ctx, tx)
	if err != nil {
		return err
	}
	ready, err := r.InForce(ctx, tx)
	switch {
	case err != nil || ready.ReadDays == (days != ""):
		return err
	case !ready.ReadDays:
		return storeDays(ctx, tx, "")
	}
	today, err := r.stock.Today(ctx, tx)
	if err != nil {
		return err
	}
	return storeDays(ctx, tx, strings.Join(today, "\n"))
}

// NewDay runs the rules on all vehicles once for each calendar day of each of the group's dealerships, while some rule
// reads days_on_lot. Call it now and then; days that nobody called it on are made up for by one run.
func (r *Rules) NewDay(ctx context.Context, t *sqldb.Tenant) error {
	due, err := r.due(ctx, t)
	if err != nil || due == "" {
		return err
	}
	var run inventory.Refresh
	err = t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		if due, err = r.due(ctx, tx); err != nil || due == "" {
			return err
		}
		if err := storeDays(ctx, tx, due); err != nil {
			return err
		}
		run, err = r.stock.StartRefresh(ctx, tx, audit.System("rules"), inventory.RefreshDay, false)
		return err
	})
	if err != nil || run.ID == "" { // somebody else has begun the day
		return err
	}
	r.stock.Committed(t.Group())
	r.o.Log.Info("rules run for a new day", "group", t.Group(), "run", run.ID, "status", run.Status, "total", run.Total, "vehicles", run.Vehicles)
	return nil
}

// due are today's days when it is time for a run, "" otherwise.
func (r *Rules) due(ctx context.Context, t *sqldb.Tenant) (string, error) {
	_, days, err := selectSet(ctx, t)
	if err != nil || days == "" {
		return "", err
	}
	today, err := r.stock.Today(ctx, t)
	if err != nil {
		return "", err
	}
	for _, day := range today {
		if !strings.Contains("\n"+days+"\n", "\n"+day+"\n") {
			return strings.Join(today, "\n"), nil
		}
	}
	return "", nil
}
