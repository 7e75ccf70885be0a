package inventory

import (
	"cmp"
	"slices"

	"carfluence/internal/vehicle"
)

// Merge says whose values to believe where several sources describe a vehicle. The zero value believes whoever changed
// last.
type Merge struct {
	Sources []string                 // integration ids, the one to believe first first; all other sources come after them
	Fields  map[vehicle.Field]string // integrations to believe first about one field
}

// order sorts records, the one to believe first: the sources of the merge, then the others. What a source gave up comes
// after what others list, since it may be long outdated; leads that the merge does not name come last.
func (m *Merge) order(records []*record) []*record {
	if len(records) < 2 {
		return records
	}
	tier := func(r *record) int {
		switch {
		case !r.goneAt.IsZero():
			return 2
		case m.names(r.source):
			return 0
		case r.lead():
			return 3
		}
		return 1
	}
	return slices.SortedFunc(slices.Values(records), func(a, b *record) int {
		return cmp.Or(tier(a)-tier(b), m.place(a.source)-m.place(b.source), rank(a, b))
	})
}

// place of a source in the order, the same for all that are not named.
func (m *Merge) place(source string) int {
	if i := slices.Index(m.Sources, source); i >= 0 {
		return i
	}
	return len(m.Sources)
}

func (m *Merge) names(source string) bool { return m.place(source) < len(m.Sources) }

// outdated tells that a source gave the vehicle up while another that has not says something of the field.
func outdated(r *record, records []*record, f vehicle.Field) bool {
	return !r.goneAt.IsZero() && slices.ContainsFunc(records, func(o *record) bool { return o.goneAt.IsZero() && !o.lead() && o.values[f] != "" })
}

// status is what the sources of the merge say, in its order: the first that states one, else that they list the vehicle.
// When none of them does, the last word of all counts.
func (m *Merge) status(order []*record) (string, *record) {
	if len(m.Sources) == 0 {
		return lastStatus(order)
	}
	says := func(r *record) bool { return m.names(r.source) && !r.lead() && r.goneAt.IsZero() }
	if i := slices.IndexFunc(order, func(r *record) bool {
		return says(r) && r.source == m.Fields[vehicle.Status] && r.values[vehicle.Status] != ""
	}); i >= 0 {
		return order[i].values[vehicle.Status], order[i]
	}
	if i := slices.IndexFunc(order, func(r *record) bool { return says(r) && r.values[vehicle.Status] != "" }); i >= 0 {
		return order[i].values[vehicle.Status], order[i]
	}
	if i := slices.IndexFunc(order, func(r *record) bool { return says(r) && r.lists() }); i >= 0 {
		return vehicle.StatusActive, order[i]
	}
	return lastStatus(order)
}
