package inventory

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"carfluence/internal/vehicle"
)

// Source says where changes come from. Each source's own record of a vehicle is kept; what the inventory shows
// follows from all of them (see shown).
type Source struct {
	Name          string // in history: SourceAPI, SourceImport, or the type of the integration
	IntegrationID string // "" when no integration brought them
	Lead          bool   // knows of vehicles by hearsay: fills gaps only, creates nothing, says nothing of a status
	UpdateOnly    bool   // leaves out vehicles that are not known
	Untracked     bool   // leaves no history of changes
	ActorType     string
	ActorID       string
	ActorName     string
	File          string // "" without a file
}

// The names of sources that are no integration. They are the ids of their records too.
const (
	SourceAPI    = "api"
	SourceImport = "import"
)

// What a source's record says of its vehicle being there.
const (
	standingLists = "lists" // its files say what is there
	standingAdds  = "adds"  // it only adds to what others list
	standingLead  = "lead"  // it knows by hearsay
)

func (s Source) standing() string {
	switch {
	case s.Lead:
		return standingLead
	case s.UpdateOnly && s.IntegrationID != "":
		return standingAdds
	}
	return standingLists
}

// id of the source's records.
func (s Source) id() string { return cmp.Or(s.IntegrationID, s.Name) }

// exact sources mean every letter of what they say.
func (s Source) exact() bool { return s.Name == SourceAPI }

// record is what one source says of a vehicle.
type record struct {
	vin      string
	source   string // integration id, SourceAPI or SourceImport
	standing string
	values   vehicle.Values // Status only where the source states it

	createdAt time.Time // whole seconds, as lists show it
	changedAt time.Time // microseconds: it decides whose values are shown
	hash      int64     // of the row it was read from, 0 when the row must be read again

	missed      int64     // files in a row that did not list the vehicle
	missedSince time.Time // the first of them
	goneAt      time.Time // given up as sold; zero while the source lists it

	storedStatus string // "" for a record that is not stored yet
}

func (r *record) integration() bool { return r.source != SourceAPI && r.source != SourceImport }

// lists tells that an integration's files hold the vehicle.
func (r *record) lists() bool {
	return r.integration() && r.standing == standingLists && r.goneAt.IsZero()
}

func (r *record) lead() bool { return r.standing == standingLead }

// status is what the source's own view of the vehicle shows.
func (r *record) status() string {
	if !r.goneAt.IsZero() {
		return vehicle.StatusSold
	}
	return cmp.Or(r.values[vehicle.Status], vehicle.StatusActive)
}

// rank orders records, the one to believe first: whoever changed last, but those whose source no longer lists the
// vehicle after the others, and leads last.
func rank(a, b *record) int {
	place := func(r *record) int {
		switch {
		case r.lead():
			return 2
		case !r.goneAt.IsZero():
			return 1
		}
		return 0
	}
	return cmp.Or(place(a)-place(b), b.changedAt.Compare(a.changedAt), cmp.Compare(a.source, b.source))
}

// bundles are fields that mean something only together: all come from the record that gives the first.
var bundles = [...][]vehicle.Field{
	{vehicle.Transmission, vehicle.TransmissionType, vehicle.Gears},
	{vehicle.Photos, vehicle.PhotoCount, vehicle.PhotosUpdatedAt},
	{vehicle.Mileage, vehicle.MileageUnit},
	{vehicle.Certified, vehicle.CertifiedProgram},
	{vehicle.DealershipID, vehicle.SourceDealerCode, vehicle.SourceDealerName},
	{vehicle.ExteriorColor, vehicle.ExteriorColorGeneric, vehicle.ExteriorColorCode, vehicle.ExteriorColorHex},
	{vehicle.InteriorColor, vehicle.InteriorColorGeneric, vehicle.InteriorColorCode, vehicle.InteriorColorHex},
}

// givers are the records that fields come from; nil where a field is null.
type givers [vehicle.NumFields]*record

// shown is the one view of a vehicle its records give: each field from the first record in the merge's order that has a
// value, so an empty value falls through. Overridden fields are the API's. dealership says which ids exist.
func (m *Merge) shown(records []*record, overrides vehicle.Fields, dealership func(id string) bool) (v vehicle.Values, from givers) {
	order := m.order(records)
	take := func(f vehicle.Field, r *record) bool {
		if r.values[f] == "" || f == vehicle.DealershipID && !dealership(r.values[f]) {
			return false
		}
		v[f], from[f] = r.values[f], r
		return true
	}
	for _, r := range order {
		for f := range vehicle.NumFields {
			if v[f] == "" {
				take(f, r)
			}
		}
	}
	for f, source := range m.Fields {
		if i := slices.IndexFunc(order, func(r *record) bool { return r.source == source }); i >= 0 && !outdated(order[i], order, f) {
			take(f, order[i])
		}
	}
	for _, b := range bundles {
		giver := from[b[0]]
		for _, f := range b[1:] {
			chosen := from[f] != nil && from[f].source == m.Fields[f]
			if giver != nil && giver != from[f] && !chosen {
				v[f], from[f] = giver.values[f], giver
			}
		}
	}
	v[vehicle.Custom] = joined(order)
	v[vehicle.Status], from[vehicle.Status] = m.status(order)
	overlay(&v, &from, records, overrides)
	return v, from
}

// joined is the custom properties of all records; of one name the first in order counts.
func joined(order []*record) string {
	var first string
	for _, r := range order {
		switch text := r.values[vehicle.Custom]; {
		case text == "" || text == first:
		case first == "":
			first = text
		default:
			all := map[string]string{}
			for _, r := range slices.Backward(order) {
				maps.Copy(all, properties(r.values[vehicle.Custom]))
			}
			return vehicle.MapOf(all)
		}
	}
	return first
}

// properties reads a canonical Map.
func properties(text string) map[string]string {
	var all map[string]string
	if text != "" {
		_ = json.Unmarshal([]byte(text), &all) // written by MapOf
	}
	return all
}

// lastStatus is the last word any source has had on the status. That a source no longer lists the vehicle is a word too,
// unless another one still does: then it has moved within the group. Nobody's word means active.
func lastStatus(records []*record) (string, *record) {
	listed := slices.ContainsFunc(records, func(r *record) bool { return r.lists() })
	latest := slices.SortedFunc(slices.Values(records), func(a, b *record) int {
		return cmp.Or(b.changedAt.Compare(a.changedAt), cmp.Compare(a.source, b.source))
	})
	for _, r := range latest {
		switch {
		case r.lead() || !r.goneAt.IsZero() && listed:
		case !r.goneAt.IsZero():
			return vehicle.StatusSold, r
		case r.values[vehicle.Status] != "":
			return r.values[vehicle.Status], r
		}
	}
	return vehicle.StatusActive, nil
}

// overlay puts overridden fields, and what follows from them, over the rest.
func overlay(v *vehicle.Values, from *givers, records []*record, overrides vehicle.Fields) {
	if overrides.Empty() {
		return
	}
	i := slices.IndexFunc(records, func(r *record) bool { return r.source == SourceAPI })
	if i < 0 {
		return
	}
	api := records[i]
	covered := covered(overrides)
	for f := range vehicle.NumFields {
		if covered.Has(f) {
			v[f], from[f] = api.values[f], api
		}
	}
	if overrides.Has(vehicle.Condition) && v[vehicle.Condition] == vehicle.ConditionNew && !overrides.Has(vehicle.Certified) { // certified ones are pre-owned
		v[vehicle.Certified], v[vehicle.CertifiedProgram] = "", ""
	}
}

// covered are overridden fields and those that come with them.
func covered(overrides vehicle.Fields) vehicle.Fields {
	all := overrides
	if overrides.Empty() {
		return all
	}
	for _, b := range bundles {
		if overrides.Has(b[0]) {
			for _, f := range b[1:] {
				all.Add(f)
			}
		}
	}
	return all
}

// latestIntegration is the integration whose word counts most, "" when none brought the vehicle.
func (m *Merge) latestIntegration(records []*record) string {
	for _, r := range m.order(records) {
		if r.integration() && !r.lead() {
			return r.source
		}
	}
	return ""
}

// own finds the record of a source.
func (v *Vehicle) own(source string) *record {
	i := slices.IndexFunc(v.records, func(r *record) bool { return r.source == source })
	if i < 0 {
		return nil
	}
	return v.records[i]
}

// ownView is the vehicle as one of its sources alone describes it.
func (c calendar) ownView(r *record) *Vehicle {
	v := &Vehicle{VIN: r.vin, Values: r.values, CreatedAt: r.createdAt, UpdatedAt: r.changedAt}
	v.Values[vehicle.Status] = r.status()
	if r.integration() {
		v.SourceIntegrationID = r.source
	}
	if v.Values[vehicle.Status] == vehicle.StatusSold {
		v.SoldAt = cmp.Or(r.goneAt, r.changedAt)
	}
	v.LotSince = c.lotSince(v, r.createdAt)
	return v
}
