package inventory

import (
	"slices"
	"time"
)

// MergeConfig says how one vehicle is made of what several integrations tell, and keeps the vehicles made so.
type MergeConfig struct {
	ID       string // UUIDv7
	Name     string
	Settings MergeSettings
	Default  bool // the inventory shows vehicles by it

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
	m := Merge{Sources: slices.Clone(s.Priority)}
	for _, id := range s.Sources {
		if !slices.Contains(m.Sources, id) {
			m.Sources = append(m.Sources, id)
		}
	}
	for name, id := range s.Fields {
		if f, ok := byName[name]; ok {
			if m.Fields == nil {
				m.Fields = map[Field]string{}
			}
			m.Fields[f] = id
		}
	}
	return m
}

// mergeView are merged vehicles that are kept up to date.
type mergeView struct {
	id        string
	merge     Merge
	tolerance int64
}

// views are all merged vehicles that a config keeps: those that are shown and those being built.
func (c *MergeConfig) views() (list []mergeView) {
	if c.view != "" {
		list = append(list, mergeView{c.view, c.built.merge(), c.built.MileageTolerance})
	}
	if c.next != "" {
		list = append(list, mergeView{c.next, c.Settings.merge(), c.Settings.MileageTolerance})
	}
	return list
}
