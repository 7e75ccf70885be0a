package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
)

// The types of integrations.
const (
	TypeVAuto   = "vauto"
	TypeHomeNet = "homenet"
	TypeElead   = "elead" // sales opportunities, not vehicles
	TypeCustom  = "custom"
)

// Options say how the files of an integration are read.
type Options struct {
	Type string // "" takes the columns of every type but Elead's restraint, as the import command does
	// Own is the integration's own mapping: source column → wire name of a field, "vin", "custom.<name>", or ""
	// to ignore the column. Columns are found by header key. See ValidateOwn for what may stand in it.
	Own          map[string]string
	DayFirst     bool // 28/08/2021
	DecimalComma bool // 12.345,00
}

// Targets of columns that are no fields.
const (
	targetVIN    = "vin"
	targetIgnore = ""
	customPrefix = "custom."
)

// Bounds of an integration's own mapping. As many custom names as a vehicle holds.
const (
	maxOwn         = 1000
	maxOwnName     = 200
	maxOwnCustom   = 200
	nearestOffered = 3
)

// ValidateOwn lists what is wrong with an own mapping as a client sends it; nil and "" ignore a column. Several
// columns may feed one field: in each row the first in the header's order that holds a value wins, and photos are
// joined. Whether a file then still has a VIN shows only with its header: New refuses it otherwise.
func ValidateOwn(own map[string]*string) []errs.Fault {
	if len(own) > maxOwn {
		return []errs.Fault{errs.At("#/mappings", fmt.Sprintf("must not have more than %d members", maxOwn))}
	}
	var faults []errs.Fault
	seen, named := map[string]string{}, map[string]bool{}
	for _, column := range slices.Sorted(maps.Keys(own)) {
		detail := cmp.Or(faultOfColumn(column, seen), faultOfTarget(own[column], named))
		if detail != "" {
			faults = append(faults, errs.At(errs.Member("#/mappings", column), detail))
		}
	}
	return faults
}

// Amend makes of an own mapping and changes of it the new one: of each column named, nil goes back to the default. Columns
// are the same by header key.
func Amend(own map[string]string, changes map[string]*string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, own)
	for column, target := range changes {
		maps.DeleteFunc(merged, func(known, _ string) bool { return sheet.HeaderKey(known) == sheet.HeaderKey(column) })
		if target != nil {
			merged[column] = *target
		}
	}
	return merged
}

func faultOfColumn(column string, seen map[string]string) string {
	key := sheet.HeaderKey(column)
	first, twice := seen[key]
	switch {
	case utf8.RuneCountInString(column) > maxOwnName:
		return fmt.Sprintf("the name of a column must not be longer than %d characters", maxOwnName)
	case key == "":
		return "the name of a column must have a letter or digit"
	case twice:
		return fmt.Sprintf("is the same column as %q: case, blanks and punctuation don't count", first)
	}
	seen[key] = column
	return ""
}

// faultOfTarget judges a target; named collects custom names.
func faultOfTarget(target *string, named map[string]bool) string {
	if target == nil || *target == targetIgnore {
		return ""
	}
	name, custom := strings.CutPrefix(*target, customPrefix)
	switch {
	case *target == targetVIN:
		return ""
	case custom && (strings.TrimSpace(name) == "" || name != vehicle.Tidy(name) || utf8.RuneCountInString(name) > maxOwnName):
		return fmt.Sprintf("custom. must be followed by a name of at most %d characters without blanks around it", maxOwnName)
	case custom:
		if named[name] = true; len(named) > maxOwnCustom {
			return fmt.Sprintf("a vehicle has no more than %d custom properties", maxOwnCustom)
		}
		return ""
	case *target == vehicle.DealershipID.String():
		return "dealership_id can't come from a file; map the column to source_dealer_code or source_dealer_name, and it is found by them"
	case *target == vehicle.Custom.String():
		return "custom needs a name: custom.<name>"
	case vehicle.Computed(*target):
		return *target + " is computed and can't be mapped"
	}
	if _, known := vehicle.FieldNamed(*target); !known {
		return unknownField(*target)
	}
	return ""
}

func unknownField(target string) string {
	detail := fmt.Sprintf("%q is no field of a vehicle", sheet.Shorten(target))
	near := nearestFields(target)
	if len(near) > 0 {
		detail += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return detail + " Use custom.<name> to keep a value under a name of your own."
}

// nearestFields are the names closest to a text, best first.
func nearestFields(text string) []string {
	type near struct {
		name  string
		score float64
	}
	var found []near
	meant := termOf(sheet.HeaderKey(text))
	for _, name := range targetNames() {
		if s := likeness(meant, termOf(sheet.HeaderKey(name))); s >= 0.5 {
			found = append(found, near{name, s})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(b.score, a.score) })
	var names []string
	for _, n := range found[:min(nearestOffered, len(found))] {
		names = append(names, n.name)
	}
	return names
}

// targetNames are the fields a column can feed.
func targetNames() []string {
	names := []string{targetVIN}
	for f := range vehicle.NumFields {
		if f != vehicle.DealershipID && f != vehicle.Custom {
			names = append(names, f.String())
		}
	}
	return names
}
