package inventory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

// MergeConfigInput is a new merge config as a client sends it. Each fault is named by its pointer.
type MergeConfigInput struct{ raw []byte }

// MergeConfigPatch is what to change of a merge config (RFC 7396): null gives a setting its default, absent leaves alone.
type MergeConfigPatch struct{ raw []byte }

// UnmarshalJSON implements json.Unmarshaler. It only keeps the text: judging it needs the group's integrations.
func (in *MergeConfigInput) UnmarshalJSON(b []byte) error {
	in.raw = bytes.Clone(b)
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (in *MergeConfigPatch) UnmarshalJSON(b []byte) error {
	in.raw = bytes.Clone(b)
	return nil
}

// Change reads the config.
func (in MergeConfigInput) Change() MergeConfigChange {
	c := readMergeConfig(in.raw)
	for _, name := range []string{"name", "sourceIntegrationIds"} {
		if !c.sent[name] && !c.noObject {
			c.fault("#/"+name, "is needed")
		}
	}
	return c
}

// Change reads what is to be changed.
func (in MergeConfigPatch) Change() MergeConfigChange { return readMergeConfig(in.raw) }

// MergeConfigChange is what a request says of a merge config; nil where it says nothing, or nothing that can be used.
type MergeConfigChange struct {
	name      *string
	sources   *[]string         // ids as sent, "" for what is no text
	priority  *[]string         // of none: the order of the sources
	noFields  bool              // takes all out, before fields
	fields    map[string]string // field to integration, "" to take one out
	isDefault *bool
	tolerance *int64

	sent     map[string]bool // members
	noObject bool
	faults   []errs.Fault
}

func (c *MergeConfigChange) fault(pointer, detail string) {
	c.faults = append(c.faults, errs.At(pointer, detail))
}

func readMergeConfig(raw []byte) MergeConfigChange {
	c := MergeConfigChange{fields: map[string]string{}, sent: map[string]bool{}}
	if vehicle.EachMember(raw, c.member) != nil {
		c.noObject = true
		c.fault("#", "must be an object that describes a merge config")
	}
	return c
}

func (c *MergeConfigChange) member(name string, value []byte) {
	c.sent[name] = true
	null := string(value) == "null"
	switch name {
	case "name":
		c.readName(value)
	case "sourceIntegrationIds":
		c.sources = c.readIDs("#/"+name, value)
		if c.sources != nil && (len(*c.sources) == 0 || len(*c.sources) > maxMergeSources) {
			c.fault("#/"+name, fmt.Sprintf("must have 1 to %d ids", maxMergeSources))
		}
	case "priorityOrder":
		if c.priority = new([]string); !null {
			c.priority = c.readIDs("#/"+name, value)
		}
	case "fieldPriority":
		if c.noFields = null; !null {
			c.readFields(value)
		}
	case "isDefault":
		if text := string(value); null || text == vehicle.True || text == vehicle.False {
			c.isDefault = new(text == vehicle.True)
		} else {
			c.fault("#/"+name, "must be true or false")
		}
	case "mileageTolerance":
		n, ok := vehicle.WholeNumber(value)
		if null {
			n, ok = DefaultMileageTolerance, true
		}
		if c.tolerance = &n; !ok || n < 0 || n > maxMileageTolerance {
			c.fault("#/"+name, fmt.Sprintf("must be a whole number between 0 and %d", maxMileageTolerance))
		}
	case "id", "status", "createdAt", "updatedAt":
		c.fault("#/"+name, "can't be set")
	default:
		c.fault(errs.Member("#", name), "is not a member of a merge config")
	}
}

func (c *MergeConfigChange) readName(raw []byte) {
	text, ok := vehicle.StringOf(raw)
	text = strings.TrimSpace(text)
	switch {
	case !ok:
		c.fault("#/name", "must be a string")
	case text == "" || utf8.RuneCountInString(text) > maxMergeName || strings.ContainsFunc(text, unicode.IsControl):
		c.fault("#/name", fmt.Sprintf("must be 1 to %d printable characters", maxMergeName))
	}
	c.name = &text
}

// readIDs reads a list of distinct ids; nil for what is no list.
func (c *MergeConfigChange) readIDs(pointer string, raw []byte) *[]string {
	var values []jsontext.Value
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		c.fault(pointer, "must be an array of ids")
		return nil
	}
	ids := make([]string, 0, len(values))
	for i, value := range values {
		text, ok := vehicle.StringOf(value)
		id := integrationID(text)
		switch {
		case !ok:
			c.fault(pointer+"/"+strconv.Itoa(i), "must be a string")
			id = ""
		case slices.Contains(ids, id):
			c.fault(pointer+"/"+strconv.Itoa(i), "stands in the list twice")
		}
		ids = append(ids, id)
	}
	return &ids
}

// integrationID is a text as ids are compared, never "".
func integrationID(text string) string { return cmp.Or(strings.ToLower(text), "-") }

func (c *MergeConfigChange) readFields(raw []byte) {
	err := vehicle.EachMember(raw, func(name string, value []byte) {
		pointer := errs.Member("#/fieldPriority", name)
		if detail := noMergeField(name); detail != "" {
			c.fault(pointer, detail)
			return
		}
		id, ok := vehicle.StringOf(value)
		if !ok && string(value) != "null" {
			c.fault(pointer, "must be the id of an integration")
			return
		}
		if ok {
			id = integrationID(id)
		}
		c.fields[name] = id
	})
	if err != nil {
		c.fault("#/fieldPriority", "must be an object of field to integration id")
	}
}

// noMergeField says why a field's source can't be chosen by a name; "" when it can.
func noMergeField(name string) string {
	f, known := vehicle.FieldNamed(name)
	switch {
	case known && f == vehicle.Custom:
		return "is merged property by property"
	case known:
		return ""
	case name == "vin" || vehicle.Computed(name):
		return "is the same whatever the source"
	}
	return vehicle.UnknownField(name)
}

// apply puts the change onto a config. The error is invalid and lists every fault. known are the group's integrations; one
// that was deleted may stay where it stands.
func (c *MergeConfigChange) apply(to *MergeConfig, known map[string]IntegrationName) error {
	c.checkSources(to.Settings.Sources, known)
	if c.name != nil {
		to.Name = *c.name
	}
	if c.isDefault != nil {
		to.Default = *c.isDefault
	}
	c.applySettings(&to.Settings)
	if len(c.faults) > 0 {
		return errs.Invalid("invalid", "The merge config can't be accepted; errors lists every fault.", c.faults...)
	}
	return nil
}

func (c *MergeConfigChange) checkSources(stored []string, known map[string]IntegrationName) {
	if c.sources == nil {
		return
	}
	for i, id := range *c.sources {
		if _, exists := known[id]; !exists && id != "" && !slices.Contains(stored, id) {
			c.fault("#/sourceIntegrationIds/"+strconv.Itoa(i), "names no integration of this group")
		}
	}
}

// applySettings lets what a source is preferred for go with the source.
func (c *MergeConfigChange) applySettings(to *MergeSettings) {
	if c.sources != nil {
		to.Sources = *c.sources
	}
	unknown := c.sources == nil && (c.sent["sourceIntegrationIds"] || len(to.Sources) == 0) // which is a fault of its own
	gone := func(id string) bool { return !unknown && !slices.Contains(to.Sources, id) }
	to.Priority = slices.DeleteFunc(slices.Clone(to.Priority), gone)
	if c.priority != nil {
		c.checkPriority(*c.priority, gone)
		to.Priority = *c.priority
	}
	chosen := maps.Clone(to.Fields)
	if chosen == nil || c.noFields {
		chosen = map[string]string{}
	}
	maps.DeleteFunc(chosen, func(_, id string) bool { return gone(id) })
	for _, name := range slices.Sorted(maps.Keys(c.fields)) {
		id := c.fields[name]
		if id == "" {
			delete(chosen, name)
			continue
		}
		if gone(id) {
			c.fault(errs.Member("#/fieldPriority", name), notAmongSources)
		}
		chosen[name] = id
	}
	to.Fields = chosen
	if c.tolerance != nil {
		to.MileageTolerance = *c.tolerance
	}
}

const notAmongSources = "names an integration that is not among sourceIntegrationIds"

func (c *MergeConfigChange) checkPriority(ids []string, gone func(string) bool) {
	for i, id := range ids {
		if id != "" && gone(id) {
			c.fault("#/priorityOrder/"+strconv.Itoa(i), notAmongSources)
		}
	}
}
