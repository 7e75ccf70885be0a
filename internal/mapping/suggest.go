package mapping

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
)

// Suggestion is a field that a column probably feeds.
type Suggestion struct {
	Field  string  `json:"field"` // wire name, or vin
	Score  float64 `json:"score"` // 0 to 1
	Reason string  `json:"reason"`
}

const (
	leastScore  = 0.3
	knownName   = 0.95 // of the file's own type
	nearName    = 0.8  // of what likeness says
	allFit      = 0.3  // what it adds to a near name that all values fit a field of numbers, words or dates
	mostValues  = 0.8  // share of values that are a sign
	unlikeTaken = 0.5  // of a score by values, when another column feeds the field
)

// suggester judges the columns of one file.
type suggester struct {
	clean vehicle.Cleaner
	kind  string
	names map[string][]string // header key → fields it is a known name of
	keys  []string            // these keys, in order
	terms map[string]term
	taken map[string]int // field → index of the column that feeds it first
}

func newSuggester(c vehicle.Cleaner, m *Mapping) *suggester {
	s := &suggester{clean: c, kind: m.options.Type, names: map[string][]string{}, taken: map[string]int{}}
	s.known(targetVIN, synonym{columns: sheet.VINColumns}.keysIn(s.kind))
	for _, candidate := range candidates(s.kind) {
		s.known(candidate.field.String(), candidate.keysIn(s.kind))
	}
	for _, t := range m.targets {
		s.taken[t.field.String()] = t.columns[0].index
	}
	if len(m.vins) > 0 {
		s.taken[targetVIN] = m.vins[0].index
	}
	s.terms = make(map[string]term, len(s.names))
	for key := range s.names {
		s.terms[key] = termOf(key)
	}
	s.keys = slices.Sorted(maps.Keys(s.names))
	return s
}

func (s *suggester) known(field string, keys []string) {
	for _, key := range append(keys, sheet.HeaderKey(field)) {
		if key != "" && !slices.Contains(s.names[key], field) {
			s.names[key] = append(s.names[key], field)
		}
	}
}

// suggest finds the best field for a column by its name and some of its values, nil when nothing speaks for any.
func (s *suggester) suggest(index int, key string, values []string) *Suggestion {
	if customers(key) {
		return nil
	}
	found := s.byName(key, values)
	for _, v := range s.byValues(index, key, values) {
		n, both := found[v.Field]
		switch {
		case both:
			found[v.Field] = Suggestion{v.Field, 1 - (1-n.Score)*(1-v.Score), n.Reason + "; " + v.Reason}
		default:
			found[v.Field] = v
		}
	}
	var best *Suggestion
	for _, field := range slices.Sorted(maps.Keys(found)) {
		c := found[field]
		c.Score = math.Round(c.Score*100) / 100
		if s.sensible(field, key) && c.Score >= leastScore && (best == nil || c.Score > best.Score) {
			best = &c
		}
	}
	return best
}

// sensible refuses what values or names suggest and is never meant.
func (s *suggester) sensible(field, key string) bool {
	switch {
	case field == vehicle.Condition.String():
		return key != "vehicle type" && key != "vehicletype" // a class of vehicle
	case s.kind != TypeElead || field == targetVIN:
		return true
	}
	return slices.ContainsFunc(leadSynonyms, func(l synonym) bool { return l.field.String() == field })
}

// byName finds the fields that a column's name speaks for, by how well its values fit them.
func (s *suggester) byName(key string, values []string) map[string]Suggestion {
	found := map[string]Suggestion{}
	for _, field := range s.names[key] {
		found[field] = s.fitting(Suggestion{field, knownName, "the name is a known one"}, values)
	}
	if len(found) > 0 || key == "" {
		return found
	}
	meant := termOf(key)
	for _, known := range s.keys {
		like := near(meant, s.terms[known])
		if like == 0 {
			continue
		}
		for _, field := range s.names[known] {
			c := s.fitting(Suggestion{field, like * nearName, fmt.Sprintf("the name is close to %q", known)}, values)
			if f, _ := vehicle.FieldNamed(field); len(values) > 0 && f.Kind() != vehicle.Text && c.Score == like*nearName {
				c.Score = 1 - (1-c.Score)*(1-allFit)
			}
			if c.Score > found[field].Score {
				found[field] = c
			}
		}
	}
	return found
}

// fitting lowers a score by the share of values that the field can't hold.
func (s *suggester) fitting(c Suggestion, values []string) Suggestion {
	if len(values) == 0 {
		return c
	}
	fit := share(values, func(v string) bool { return s.fits(c.Field, v) })
	c.Score *= fit
	if fit < mostValues {
		c.Reason += fmt.Sprintf(", but only %d %% of the values fit", int(fit*100))
	}
	return c
}

func (s *suggester) fits(field, value string) bool {
	if field == targetVIN {
		return isVIN(value)
	}
	f, ok := vehicle.FieldNamed(field)
	if !ok {
		return false
	}
	got, warning := s.clean.Clean(f, value)
	switch {
	case f == vehicle.BodyStyle && strings.Contains(value, "_"): // car_truck: a class
		return false
	case f.Kind() == vehicle.Enum:
		return warning == ""
	}
	return got != "" || warning == "" // a placeholder fits everywhere
}

// sign is something that values show.
type sign struct {
	field  string
	weight float64
	what   string
	is     func(c vehicle.Cleaner, v string) bool
}

// signs of the values, strongest first.
var signs = []sign{
	{targetVIN, 0.98, "VINs", func(_ vehicle.Cleaner, v string) bool { return isVIN(v) }},
	{vehicle.Photos.String(), 0.8, "addresses of photos", func(_ vehicle.Cleaner, v string) bool { return isPhoto(v) }},
	{vehicle.Make.String(), 0.7, "makes", func(_ vehicle.Cleaner, v string) bool { _, ok := vehicle.KnownMake(v); return ok }},
	{vehicle.Year.String(), 0.7, "model years", isYear},
	{vehicle.Mileage.String(), 0.7, "distances", isDistance},
	{vehicle.Condition.String(), 0.65, "words for new and used", word(vehicle.Condition)},
	{vehicle.BodyStyle.String(), 0.65, "words for bodies", word(vehicle.BodyStyle)},
	{vehicle.Drivetrain.String(), 0.6, "words for drivetrains", word(vehicle.Drivetrain)},
	{vehicle.TransmissionType.String(), 0.55, "words for transmissions", word(vehicle.TransmissionType)},
	{vehicle.FuelType.String(), 0.55, "words for fuels", word(vehicle.FuelType)},
	{vehicle.Price.String(), 0.55, "amounts of money", isMoney},
	{vehicle.ExteriorColor.String(), 0.5, "colours", isColour},
	{vehicle.VDPURL.String(), 0.45, "web addresses", func(c vehicle.Cleaner, v string) bool { got, _ := c.Clean(vehicle.VDPURL, v); return got != "" }},
	{vehicle.Description.String(), 0.4, "sentences", func(_ vehicle.Cleaner, v string) bool { return len(v) > 80 && strings.Count(v, " ") > 8 }},
	{vehicle.DateInStock.String(), 0.4, "dates", isDate},
	{vehicle.Price.String(), 0.35, "numbers of the size of prices", plainNumber(2_000, 200_000)},
	{vehicle.Mileage.String(), 0.33, "numbers of the size of mileages", plainNumber(1_000, 300_000)},
}

// byValues finds what a column's values are signs of. A field that another column feeds already is less likely,
// but the VIN, whose column its values prove.
func (s *suggester) byValues(index int, key string, values []string) (found []Suggestion) {
	if len(values) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, sg := range signs {
		part := share(values, func(v string) bool { return sg.is(s.clean, v) })
		if part < mostValues || seen[sg.field] {
			continue
		}
		seen[sg.field] = true
		field, score := sg.field, sg.weight*part
		if field == vehicle.ExteriorColor.String() && slices.ContainsFunc(words(key), func(w string) bool { return strings.HasPrefix(w, "interior") }) {
			field = vehicle.InteriorColor.String()
		}
		if field == vehicle.TransmissionType.String() {
			field = vehicle.Transmission.String() // its type follows
		}
		if at, taken := s.taken[field]; taken && at != index && field != targetVIN {
			score *= unlikeTaken
		}
		found = append(found, Suggestion{field, score, fmt.Sprintf("%d %% of the values are %s", int(part*100), sg.what)})
		if sg.field == targetVIN {
			return found
		}
	}
	return found
}

func share(values []string, is func(string) bool) float64 {
	n := 0
	for _, v := range values {
		if is(v) {
			n++
		}
	}
	return float64(n) / float64(len(values))
}

// word is a sign for one of an enumeration's words, spelled out.
func word(f vehicle.Field) func(vehicle.Cleaner, string) bool {
	return func(c vehicle.Cleaner, v string) bool {
		if len(v) > 40 || strings.Contains(v, "_") || slices.Contains([]string{"", "true", "false", "0", "1"}, strings.ToLower(v)) {
			return false
		}
		got, warning := c.Clean(f, v)
		return got != "" && warning == ""
	}
}

func isPhoto(v string) bool {
	lower := strings.ToLower(v)
	if !strings.HasPrefix(lower, "http") {
		return false
	}
	return strings.Count(lower, "http") > 1 || slices.ContainsFunc([]string{".jpg", ".jpeg", ".png", ".webp", ".gif"}, func(end string) bool { return strings.Contains(lower, end) })
}

func isYear(c vehicle.Cleaner, v string) bool {
	return len(v) == 4 && digitsOf(v) == v && v >= "1950" && v <= fmt.Sprint(c.Now.Year()+2)
}

func isDistance(c vehicle.Cleaner, v string) bool {
	lower := strings.TrimRight(strings.ToLower(v), ".s")
	got, _ := c.Clean(vehicle.Mileage, v)
	return got != "" && len(v) < 20 && slices.ContainsFunc([]string{" mi", " km", " mile", "0km", "0mi"}, func(unit string) bool { return strings.HasSuffix(lower, unit) })
}

func isMoney(c vehicle.Cleaner, v string) bool {
	got, _ := c.Clean(vehicle.Price, v)
	return got != "" && len(v) < 30 && strings.ContainsAny(v, "$€£")
}

// plainNumber is a sign for whole numbers between two bounds that are no years.
func plainNumber(low, high int) func(vehicle.Cleaner, string) bool {
	return func(c vehicle.Cleaner, v string) bool {
		n := 0
		if v == "" || len(v) > 9 || digitsOf(v) != strings.TrimSuffix(strings.ReplaceAll(v, ",", ""), ".") || isYear(c, v) {
			return false
		}
		_, err := fmt.Sscan(digitsOf(v), &n)
		return err == nil && n >= low && n <= high
	}
}

func isDate(c vehicle.Cleaner, v string) bool {
	got, _ := c.Clean(vehicle.DateInStock, v)
	return got != "" && strings.ContainsAny(v, "/-.")
}

var colours = strings.Fields("black white silver gray grey red blue green brown beige gold orange yellow purple tan maroon burgundy charcoal pearl ivory cream bronze copper navy")

func isColour(_ vehicle.Cleaner, v string) bool {
	return len(v) <= 60 && slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == ' ' || r == '/' || r == '-' }), func(w string) bool {
		return slices.Contains(colours, w)
	})
}
