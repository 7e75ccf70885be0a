package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Refresh is one passage over all vehicles of a group, after which they show what the rules and merge configs in force say.
type Refresh struct {
	ID     string // UUIDv7
	Reason string // RefreshRules, RefreshMerge or RefreshDay
	Dry    bool   // nothing is changed, only found out
	Status string // RefreshQueued and its like
	Detail string // why it failed

	Total    int64 // vehicles to look at
	Done     int64 // looked at so far
	Vehicles int64 // of these, those that show something else
	Findings Findings

	By                            audit.Actor
	CreatedAt, StartedAt, EndedAt time.Time // zero where it has not come so far
	after                         string    // VIN of the last vehicle that is done with
	edition                       int64     // in force when it began
}

// Findings are what a refresh changed, or would change.
type Findings struct {
	Fields   map[string]int64 `json:"fields"`   // vehicles by field
	Examples []RefreshExample `json:"examples"` // the first few
	Faults   []RuleFaultCount `json:"faults"`
}

// RefreshExample is what a refresh changes of one vehicle.
type RefreshExample struct {
	VIN     string `json:"vin"`
	Changes string `json:"changes"` // changed_fields
}

// Why vehicles are refreshed.
const (
	RefreshRules = "rules" // somebody asked for it, after a change of rules
	RefreshMerge = "merge" // a merge config has changed
	RefreshDay   = "day"   // a day has passed, and rules read days_on_lot
)

// What has become of a refresh.
const (
	RefreshQueued    = "queued"
	RefreshRunning   = "running"
	RefreshCompleted = "completed"
	RefreshFailed    = "failed"
)

const (
	refreshExamples = 10
	// refreshBatch is how many vehicles are refreshed in one transaction: other writers wait no longer than for these.
	refreshBatch = 500
	// refreshAtOnce is how many vehicles a group may have for a refresh to be done within the call that asks for it.
	refreshAtOnce = 2000
	// keptRefreshes of a group can be looked up.
	keptRefreshes = 50
	// dropBatch is how many merged vehicles are deleted in one transaction.
	dropBatch = 2000
)

var errNoRefresh = rest.NotFound("run")

// StartRefresh joins the transaction that changed what makes a refresh necessary, if any. A small group is refreshed within
// it; otherwise a job is enqueued. One under way that will do the same is returned instead.
func (s *Stock) StartRefresh(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, reason string, dry bool) (Refresh, error) {
	if same, err := s.underWay(ctx, tx, reason); err != nil || same.ID != "" && !dry {
		return same, err
	}
	r, err := s.newRefresh(ctx, tx, by, reason, dry)
	if err != nil {
		return r, err
	}
	err = s.carryOut(ctx, tx, &r)
	return r, err
}

// newRefresh is a refresh of the whole group, not stored yet.
func (s *Stock) newRefresh(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, reason string, dry bool) (Refresh, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Refresh{}, err
	}
	counted, err := selectCounts(ctx, tx)
	if err != nil {
		return Refresh{}, err
	}
	return Refresh{ID: id.String(), Reason: reason, Dry: dry, Status: RefreshQueued, Total: counted.sum().total, By: by, CreatedAt: s.instant(), Findings: noFindings()}, nil
}

// carryOut stores a refresh and does it: a small group's within the transaction, another one's by a job.
func (s *Stock) carryOut(ctx context.Context, tx *sqldb.Tenant, r *Refresh) error {
	if err := insertRefresh(ctx, tx, r); err != nil {
		return err
	}
	if err := pruneRefreshes(ctx, tx); err != nil {
		return err
	}
	if !r.Dry {
		if err := adoptViews(ctx, tx, r.ID); err != nil {
			return err
		}
	}
	if r.Total > refreshAtOnce && s.EnqueueRefresh != nil {
		return s.EnqueueRefresh(ctx, tx, r.ID)
	}
	for r.Status != RefreshCompleted {
		if err := s.refreshBatch(ctx, tx, r); err != nil {
			return err
		}
	}
	return dropViews(ctx, tx)
}

// underWay is the refresh of a reason that comes to what one started now would: it has not begun, or began with the rules
// and merge config in force. It has no id when there is none. A day's comes to something else on every vehicle.
func (s *Stock) underWay(ctx context.Context, tx *sqldb.Tenant, reason string) (Refresh, error) {
	r, ok, err := selectUnderWay(ctx, tx, reason)
	if err != nil || !ok || r.Status == RefreshQueued {
		return r, err
	}
	edition, err := selectEdition(ctx, tx)
	if reason == RefreshDay || edition != r.edition {
		return Refresh{}, err
	}
	return r, err
}

func noFindings() Findings {
	return Findings{Fields: map[string]int64{}, Examples: []RefreshExample{}, Faults: []RuleFaultCount{}}
}

// Refreshed tells how far a refresh has come; not found for unknown and foreign ids.
func (s *Stock) Refreshed(ctx context.Context, t *sqldb.Tenant, id string) (Refresh, error) {
	return selectRefresh(ctx, t, id)
}

// RunRefresh carries a refresh out, from where it was left; it is what the job does. One that has ended is left alone. Last it
// deletes the merged vehicles that are not shown any more.
func (s *Stock) RunRefresh(ctx context.Context, t *sqldb.Tenant, id string) error {
	for {
		ended := false
		err := t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
			r, err := selectRefresh(ctx, tx, id)
			if err != nil {
				return err
			}
			if r.Status != RefreshCompleted && r.Status != RefreshFailed {
				err = s.refreshBatch(ctx, tx, &r)
			}
			ended = r.Status == RefreshCompleted || r.Status == RefreshFailed
			return err
		})
		if err != nil {
			return err
		}
		s.Committed(t.Group())
		if ended {
			return dropViews(ctx, t)
		}
	}
}

// dropViews deletes merged vehicles that no config shows or builds any more, a batch at a time.
func dropViews(ctx context.Context, t *sqldb.Tenant) error {
	for more := true; more; {
		err := t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) (err error) {
			more, err = deleteUnshown(ctx, tx, dropBatch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// FailRefresh notes that a refresh is given up.
func (s *Stock) FailRefresh(ctx context.Context, t *sqldb.Tenant, id, why string) error {
	return t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		r, err := selectRefresh(ctx, tx, id)
		if err != nil || r.Status == RefreshCompleted {
			return err
		}
		r.Status, r.Detail, r.EndedAt = RefreshFailed, why, s.instant()
		return updateRefresh(ctx, tx, &r)
	})
}

// refreshBatch takes a refresh one batch further, and ends it after the last.
func (s *Stock) refreshBatch(ctx context.Context, tx *sqldb.Tenant, r *Refresh) error {
	if r.Status == RefreshQueued {
		edition, err := selectEdition(ctx, tx)
		if err != nil {
			return err
		}
		r.Status, r.StartedAt, r.edition = RefreshRunning, s.instant(), edition
	}
	vins, err := selectVINsAfter(ctx, tx, r.after, refreshBatch)
	if err != nil {
		return err
	}
	from := Source{Name: sourceRule, ActorType: r.By.Type, ActorID: r.By.ID, ActorName: r.By.Name}
	err = s.Write(ctx, tx, from, func(w *Writer) error {
		refresh := w.Refresh
		if r.Dry {
			refresh = w.preview
		}
		err := refresh(ctx, vins, r.note)
		r.Findings.addFaults(w.faults.list)
		return err
	})
	if err != nil {
		return err
	}
	r.Done += int64(len(vins))
	if len(vins) > 0 {
		r.after = vins[len(vins)-1]
	}
	if len(vins) < refreshBatch {
		r.Status, r.Done, r.EndedAt = RefreshCompleted, r.Total, s.instant()
		if !r.Dry {
			if err := activateViews(ctx, tx, r.ID); err != nil {
				return err
			}
		}
	}
	return updateRefresh(ctx, tx, r)
}

// note adds a vehicle that shows something else.
func (r *Refresh) note(was, is *Vehicle) {
	changed := is.Values.Differ(&was.Values, true)
	r.Vehicles++
	for _, name := range changed.Names() {
		r.Findings.Fields[name]++
	}
	if len(r.Findings.Examples) < refreshExamples {
		r.Findings.Examples = append(r.Findings.Examples, RefreshExample{is.VIN, string(vehicle.AppendChanges(nil, changed, &was.Values, &is.Values))})
	}
}

func (f *Findings) addFaults(list []RuleFaultCount) {
	all := ruleFaults{f.Faults}
	for _, c := range list {
		example := c
		example.Count = 0
		all.of(example).Count += c.Count
	}
	f.Faults = all.list
}

// preview tells what Refresh would change.
func (w *Writer) preview(ctx context.Context, vins []string, each func(was, is *Vehicle)) error {
	if err := w.begin(ctx, vins); err != nil {
		return err
	}
	for _, vin := range vins {
		v, ok := w.stored[vin]
		if !ok {
			continue
		}
		was := *v
		w.look(v)
		if v.Values != was.Values {
			each(&was, v)
		}
	}
	return nil
}
