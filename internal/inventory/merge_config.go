package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Limits on merge configs.
const (
	maxMergeConfigs     = 20 // of a group: every change of a vehicle is merged once more for each
	maxMergeSources     = 50
	maxMergeName        = 200
	maxMileageTolerance = 999_999

	// DefaultMileageTolerance is that of a merge config that names none.
	DefaultMileageTolerance = 100
)

// MergeConfig says how one vehicle is made of what several integrations tell, and keeps the vehicles made so.
type MergeConfig struct {
	ID       string // UUIDv7
	Name     string // unique in the group, by dealer.Fold
	Settings MergeSettings
	Default  bool // the inventory shows vehicles by it; one of a group at most

	CreatedAt, UpdatedAt time.Time

	view    string        // id of the merged vehicles that are shown, "" until they are built for the first time
	built   MergeSettings // by which they were built
	next    string        // id of those being built by Settings, "" when the shown ones are up to date
	refresh string        // id of what builds them
}

// MergeSettings say whose values to believe.
type MergeSettings struct {
	Sources  []string          `json:"sources"`  // integration ids whose vehicles are merged
	Priority []string          `json:"priority"` // of these, the ones to believe first, best first; the others follow in their order
	Fields   map[string]string `json:"fields"`   // field to the integration to believe first about it

	// MileageTolerance is by how much mileages may differ without being a conflict, in their unit.
	MileageTolerance int64 `json:"mileage_tolerance"`
}

// merge is the settings in the form that vehicles are merged by.
func (s *MergeSettings) merge() Merge {
	m := Merge{Sources: s.order()}
	for name, id := range s.Fields {
		if f, ok := vehicle.FieldNamed(name); ok {
			if m.Fields == nil {
				m.Fields = map[vehicle.Field]string{}
			}
			m.Fields[f] = id
		}
	}
	return m
}

// order is all sources, the one to believe first first.
func (s *MergeSettings) order() []string {
	order := slices.Clone(s.Priority)
	for _, id := range s.Sources {
		if !slices.Contains(order, id) {
			order = append(order, id)
		}
	}
	return order
}

// merges tells that both give the same vehicles of the same sources.
func (s *MergeSettings) merges(other *MergeSettings) bool {
	return slices.Equal(s.order(), other.order()) && maps.Equal(s.Fields, other.Fields)
}

// Building tells that what is shown is not yet by the settings in force.
func (c *MergeConfig) Building() bool { return c.next != "" }

// defaultMerge is that of a group's inventory.
func defaultMerge(configs []MergeConfig) Merge {
	for i := range configs {
		if configs[i].Default {
			return configs[i].Settings.merge()
		}
	}
	return Merge{}
}

// mergeView are merged vehicles that are kept up to date.
type mergeView struct {
	id        string
	merge     Merge
	tolerance int64
}

func viewOf(id string, s *MergeSettings) mergeView {
	return mergeView{id, s.merge(), s.MileageTolerance}
}

// views are all merged vehicles that a config keeps: those that are shown and those being built.
func (c *MergeConfig) views() (list []mergeView) {
	if c.view != "" {
		list = append(list, viewOf(c.view, &c.built))
	}
	if c.next != "" {
		list = append(list, viewOf(c.next, &c.Settings))
	}
	return list
}

// MergeConfigs returns a page of the group's merge configs, newest first, and how many there are.
func (s *Stock) MergeConfigs(ctx context.Context, t *sqldb.Tenant, at rest.Page) ([]MergeConfig, int64, error) {
	all, err := selectMergeConfigs(ctx, t)
	total := int64(len(all))
	from := min(at.Offset, total)
	return all[from:min(from+at.Limit, total)], total, err
}

// MergeConfig returns one; not found for unknown and foreign ids.
func (s *Stock) MergeConfig(ctx context.Context, t *sqldb.Tenant, id string) (MergeConfig, error) {
	return selectMergeConfig(ctx, t, id)
}

// CreateMergeConfig stores a new merge config and begins to build its vehicles; a small group's are built when it returns.
func (s *Stock) CreateMergeConfig(ctx context.Context, t *sqldb.Tenant, by audit.Actor, in MergeConfigChange) (c MergeConfig, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return c, err
	}
	err = t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		c = MergeConfig{ID: id.String(), Settings: MergeSettings{MileageTolerance: DefaultMileageTolerance}, CreatedAt: s.now().UTC()}
		before := c
		all, err := s.applyMergeConfig(ctx, tx, &in, &c)
		if err != nil {
			return err
		}
		if len(all) >= maxMergeConfigs {
			return errs.Conflict("too_many_merge_configs", fmt.Sprintf("The group has %d merge configs, the most there may be.", maxMergeConfigs))
		}
		c.UpdatedAt = c.CreatedAt
		if err := insertMergeConfig(ctx, tx, &c); err != nil {
			return err
		}
		c, err = s.storeMergeConfig(ctx, tx, by, "merge_config.created", &before, c)
		return err
	})
	if err == nil {
		s.Committed(t.Group())
	}
	return c, err
}

// UpdateMergeConfig changes a merge config. What it shows stays as it was built before until it is built anew.
func (s *Stock) UpdateMergeConfig(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string, in MergeConfigChange) (c MergeConfig, err error) {
	err = t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		before, err := selectMergeConfig(ctx, tx, id)
		if err != nil {
			return err
		}
		c = before
		if _, err := s.applyMergeConfig(ctx, tx, &in, &c); err != nil || c.says(&before) {
			return err
		}
		c.UpdatedAt = s.now().UTC()
		c, err = s.storeMergeConfig(ctx, tx, by, "merge_config.updated", &before, c)
		return err
	})
	if err == nil {
		s.Committed(t.Group())
	}
	return c, err
}

// DeleteMergeConfig removes a merge config and its merged vehicles. What its sources brought stays.
func (s *Stock) DeleteMergeConfig(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string) error {
	err := t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		c, err := selectMergeConfig(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := deleteMergeConfig(ctx, tx, id); err != nil {
			return err
		}
		if err := s.recordMergeConfig(ctx, tx, by, "merge_config.deleted", &c); err != nil {
			return err
		}
		if err := raiseBumps(ctx, tx); err != nil { // pages of it are in memory
			return err
		}
		r, err := s.newRefresh(ctx, tx, by, RefreshMerge, false)
		if err != nil {
			return err
		}
		if c.Default {
			err = raiseEdition(ctx, tx)
		} else { // no vehicle is to be looked at, only the merged ones are to be deleted
			r.Status, r.EndedAt = RefreshCompleted, r.CreatedAt
		}
		if err != nil {
			return err
		}
		return s.carryOut(ctx, tx, &r)
	})
	if err == nil {
		s.Committed(t.Group())
	}
	return err
}

// applyMergeConfig changes c as a request says, and returns all configs of the group as they are stored.
func (s *Stock) applyMergeConfig(ctx context.Context, tx *sqldb.Tenant, in *MergeConfigChange, c *MergeConfig) ([]MergeConfig, error) {
	var known map[string]IntegrationName
	if s.Integrations != nil {
		var err error
		if known, err = s.Integrations(ctx, tx); err != nil {
			return nil, err
		}
	}
	if err := in.apply(c, known); err != nil {
		return nil, err
	}
	all, err := selectMergeConfigs(ctx, tx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID != c.ID && dealer.Fold(all[i].Name) == dealer.Fold(c.Name) {
			return nil, mergeNameTaken(c.Name, all[i].ID)
		}
	}
	return all, nil
}

func mergeNameTaken(name, holder string) error {
	return errs.Conflict("merge_config_name_taken", fmt.Sprintf("Another merge config of this group goes by the name %q: %s.", name, holder))
}

// says tells that both configs say the same.
func (c *MergeConfig) says(other *MergeConfig) bool {
	a, b := &c.Settings, &other.Settings
	return c.Name == other.Name && c.Default == other.Default && a.MileageTolerance == b.MileageTolerance && maps.Equal(a.Fields, b.Fields) &&
		slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Priority, b.Priority)
}

// storeMergeConfig stores an edited config, which has a row already, and makes what follows: vehicles merged anew, an
// inventory that shows something else. It returns the config as it is then.
func (s *Stock) storeMergeConfig(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, event string, before *MergeConfig, c MergeConfig) (MergeConfig, error) {
	r, waiting, err := selectUnderWay(ctx, tx, RefreshMerge)
	if waiting = waiting && r.Status == RefreshQueued; err == nil && !waiting { // one that has begun has passed vehicles already
		r, err = s.newRefresh(ctx, tx, by, RefreshMerge, false)
	}
	if err != nil {
		return c, err
	}
	remerged := !c.Settings.merges(&before.Settings)
	rebuilt := remerged || c.Settings.MileageTolerance != before.Settings.MileageTolerance
	reshown := c.Default != before.Default || c.Default && remerged
	if rebuilt {
		if err := c.rebuild(ctx, tx, r.ID); err != nil {
			return c, err
		}
	}
	if c.Default && !before.Default {
		if err := s.releaseDefault(ctx, tx, by, c.ID); err != nil {
			return c, err
		}
	}
	if err := updateMergeConfig(ctx, tx, &c); err != nil {
		return c, err
	}
	if err := s.recordMergeConfig(ctx, tx, by, event, &c); err != nil {
		return c, err
	}
	if reshown { // what sources say beside an override is shown at once
		if err = raiseEdition(ctx, tx); err == nil {
			err = raiseBumps(ctx, tx)
		}
	}
	if err == nil && (rebuilt || reshown) && !waiting {
		err = s.carryOut(ctx, tx, &r)
	}
	if err != nil {
		return c, err
	}
	return selectMergeConfig(ctx, tx, c.ID)
}

// rebuild has a refresh build the config's vehicles by its settings.
func (c *MergeConfig) rebuild(ctx context.Context, tx *sqldb.Tenant, refreshID string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	c.next, c.refresh = id.String(), refreshID
	return addMergedCount(ctx, tx, c.next, mergedCount{})
}

// releaseDefault takes being the default from the config that is, if it is another one.
func (s *Stock) releaseDefault(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, id string) error {
	all, err := selectMergeConfigs(ctx, tx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if !c.Default || c.ID == id {
			continue
		}
		c.Default, c.UpdatedAt = false, s.now().UTC()
		if err := updateMergeConfig(ctx, tx, &c); err != nil {
			return err
		}
		if err := s.recordMergeConfig(ctx, tx, by, "merge_config.updated", &c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stock) recordMergeConfig(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, event string, c *MergeConfig) error {
	return audit.Record(ctx, tx.DB(), tx.Group(), s.now(), audit.Event{
		Name: event, Actor: by, SubjectType: "merge_config", SubjectID: c.ID,
		Detail: map[string]any{"name": c.Name, "sources": c.Settings.Sources, "order": c.Settings.order(), "fields": c.Settings.Fields,
			"mileageTolerance": c.Settings.MileageTolerance, "default": c.Default},
	})
}
