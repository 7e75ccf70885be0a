package vehicle

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"carfluence/internal/money"
)

// Cleaner reads values as feeds write them. It is forgiving: what can't be read becomes null with a warning.
type Cleaner struct {
	Now          time.Time // years and dates are judged by it
	DayFirst     bool      // 28/08/2021, where the source writes the day first
	CommaDecimal bool      // 12.345,00, where the source writes decimals after a comma
	memory       *memory   // nil for none
}

// Clean turns a raw value into the field's canonical text, "" for null. The warning, if any, is a phrase for
// the import report. What a value says about other fields is Set's business.
func (c Cleaner) Clean(f Field, raw string) (canonical, warning string) {
	if c.memory != nil {
		return c.memory.clean(c, f, raw)
	}
	return c.clean(f, raw)
}

func (c Cleaner) clean(f Field, raw string) (canonical, warning string) {
	if f == Description {
		return cleanLines(raw)
	}
	text := Tidy(raw)
	if f == Certified {
		return strconv.FormatBool(certifiedOf(strings.ToLower(text))), ""
	}
	if placeholder(text) {
		return "", ""
	}
	switch fields[f].kind {
	case Int:
		return c.cleanInt(f, text)
	case Money:
		return c.cleanMoney(f, text)
	case Decimal:
		return c.cleanLitres(text)
	case Bool:
		return strconv.FormatBool(certifiedOf(strings.ToLower(text))), ""
	case Enum:
		return cleanEnum(f, text)
	case List:
		return cleanList(f, text)
	case Map:
		return cleanMap(text)
	case Date:
		return c.cleanDate(text)
	case Time:
		return c.cleanTime(text)
	case URL:
		return cleanURL(f, text)
	}
	return cleanText(f, text)
}

// Set cleans a value and puts it into a change, together with what it says about other fields: a condition
// `CPO` certifies, `172250 km` sets the unit, a transmission names its gears. What is derived so never
// replaces what the source states in a column of its own, whichever comes first.
func (c Cleaner) Set(ch *Change, f Field, raw string) (warning string) {
	value, warning := c.Clean(f, raw)
	if f == Status && value == "" {
		return warning // a vehicle always has a status; an empty cell says nothing about it
	}
	if f == Certified && Tidy(raw) == "" {
		ch.derive(Certified, value)
		return warning
	}
	text := ""
	switch f {
	case BodyStyle, Drivetrain, Condition, Certified, Mileage:
		text = strings.ToLower(Tidy(raw))
	}
	switch f { // by what has been set before: mappings read models before bodies, and those before drivetrains
	case BodyStyle:
		if contains(text, "passenger van") && isMinivan(ch.Values[Model]) {
			value = "Minivan"
		}
	case Drivetrain:
		if value == "2wd" && contains(text, "4x2") && is(ch.Values[BodyStyle], carBodies) {
			value = "fwd"
		}
	}
	ch.Put(f, value)
	switch f {
	case Condition:
		condition, certified, loaner := conditionOf(text)
		if condition != "" {
			ch.denied = FieldsOf(Certified, Disposition)
		}
		if certified {
			ch.denied.Remove(Certified)
			ch.derive(Certified, True)
		} else if loaner {
			ch.denied.Remove(Disposition)
			ch.derive(Disposition, loanerWord)
		}
	case Certified:
		if value == True && !is(text, "y|yes|true|1|x|c|certified|t|cpo|certified pre-owned") {
			ch.derive(CertifiedProgram, clip(Tidy(raw), CertifiedProgram.limit()))
		}
	case Mileage:
		if unit := unitOf(text); unit != "" && value != "" {
			ch.derive(MileageUnit, unit)
		}
	}
	return warning
}

// Tidy makes one line of a text: no-break, zero-width and line-breaking characters are blanks, runs of blanks
// one, broken bytes U+FFFD. A tidy text is returned as it is.
func Tidy(raw string) string {
	for i := range len(raw) {
		c := raw[i]
		if c >= utf8.RuneSelf || c < ' ' || c == ' ' && (i == 0 || i == len(raw)-1 || raw[i-1] == ' ') || c == 0x7f {
			return tidy(raw)
		}
	}
	return raw
}

func tidy(raw string) string {
	raw = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(raw, string(utf8.RuneError)))
	return strings.Join(strings.Fields(raw), " ")
}

// placeholder recognises what sources write for nothing.
func placeholder(text string) bool {
	switch len(text) {
	case 0:
		return true
	case 1, 2, 3, 4, 7, 14:
		return is(strings.ToLower(text), "-|-1|--|n/a|na|null|nan|#n/a|none|unknown|tbd|call|call for price")
	}
	return false
}

func clip(text string, limit int) string {
	if len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	n := 0
	for i := range text {
		if n == limit {
			return text[:i]
		}
		n++
	}
	return text
}

func cleanText(f Field, text string) (string, string) {
	if f == Make {
		if known, ok := makes[strings.ToLower(text)]; ok {
			return known, ""
		}
	}
	if short := clip(text, f.limit()); short != text {
		return strings.TrimSpace(short), fmt.Sprintf("%s cut to %d characters", f, f.limit())
	}
	return text, ""
}

// cleanLines keeps line breaks, as \n, and drops blanks around the lines.
func cleanLines(raw string) (string, string) {
	raw = strings.ReplaceAll(strings.ReplaceAll(raw, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(raw, "\n")
	for i := range lines {
		lines[i] = Tidy(lines[i])
	}
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	if placeholder(text) {
		return "", ""
	}
	if short := clip(text, maxSentence); short != text {
		return strings.TrimSpace(short), fmt.Sprintf("description cut to %d characters", maxSentence)
	}
	return text, ""
}

func cleanEnum(f Field, text string) (string, string) {
	lower, word := strings.ToLower(text), ""
	switch f {
	case BodyStyle:
		word = bodyOf(lower)
		if word == "Other" && lower != "other" {
			return word, fmt.Sprintf("unknown body_style %q", clip(text, 40))
		}
	case Condition:
		word, _, _ = conditionOf(lower)
	case Status:
		word = statusOf(lower)
	case Disposition:
		word = dispositionOf(lower)
	case Drivetrain:
		word = drivetrainOf(lower)
	case FuelType:
		word = fuelOf(lower)
	case TransmissionType:
		word, _ = transmissionOf(strings.ReplaceAll(lower, "_", " "))
	case MileageUnit:
		word = unitOf(lower)
	}
	if word == "" {
		return "", fmt.Sprintf("unknown %s %q", f, clip(text, 40))
	}
	return word, ""
}

// unitOf finds the unit behind an odometer reading.
func unitOf(text string) string {
	text = strings.TrimRight(text, ". ")
	switch {
	case strings.HasSuffix(text, "km") || strings.HasSuffix(text, "kms") || contains(text, "kilomet"):
		return "km"
	case strings.HasSuffix(text, "mi") || contains(text, "mile"):
		return "mi"
	}
	return ""
}

// noAmount recognises texts whose figure is none: `Call us: 555`, `1.2 million`.
var noAmount = regexp.MustCompile(`(?i)\bcall\b|\d ?(m|mio|thousand|million)\b`)

func (c Cleaner) cleanMoney(f Field, text string) (string, string) {
	n, rest := c.number(text)
	switch {
	case n == "" || strings.ContainsAny(text, "lLmMdD") && noAmount.MatchString(text): // most amounts have no letter that it needs
		other := c
		other.CommaDecimal = !c.CommaDecimal
		readable, _ := other.number(text)
		return "", fmt.Sprintf("%q is no amount%s", clip(text, 40), settingOf(n == "" && readable != "", "the decimal comma"))
	case inThousands(rest):
		return "", unwritten(text)
	case strings.HasPrefix(rest, "-") && strings.Count(rest, "-") > 1: // 210-555-1234
		return "", fmt.Sprintf("%q is no amount", clip(text, 40))
	case n[0] == '-':
		return "", fmt.Sprintf("negative amount %q", clip(text, 40))
	}
	note := ""
	amount, err := money.Parse(n)
	if err == money.ErrPlaces && mayBeThousands(n) {
		return "", fmt.Sprintf("%q may mean thousands; its notation is a setting of the source", clip(text, 40))
	}
	if err == money.ErrPlaces {
		amount, err = money.Parse(toCents(n))
		note = fmt.Sprintf("%q rounded to cents", clip(text, 40))
	}
	switch {
	case err != nil:
		return "", fmt.Sprintf("%q is no amount", clip(text, 40))
	case amount.Cents() == 0: // sources write 0 for prices they don't tell
		return "", ""
	case amount.Cents() < fields[f].low || amount.Cents() > f.top():
		return "", fmt.Sprintf("%s %s is out of range", f, amount)
	}
	return amount.String(), note
}

// settingOf adds to a warning that the source's settings would help.
func settingOf(helps bool, what string) string {
	if !helps {
		return ""
	}
	return "; " + what + " is a setting of the source"
}

// mayBeThousands recognises `23.995`, which where commas are decimals means 23,995.
func mayBeThousands(n string) bool {
	whole, fraction, _ := strings.Cut(n, ".")
	return len(whole) <= 3 && len(fraction) == 3
}

// toCents rounds a plain decimal half up by its digits.
func toCents(n string) string {
	whole, fraction, _ := strings.Cut(n, ".")
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || cents > maxCents {
		return n
	}
	if len(fraction) > 2 && fraction[2] >= '5' {
		cents++
	}
	return money.FromCents(cents).String()
}

func (c Cleaner) cleanInt(f Field, text string) (string, string) {
	if strings.Contains(text, "://") {
		return "", fmt.Sprintf("an address is no %s", f)
	}
	if first := strings.IndexAny(text, "0123456789"); f == Cylinders && first > 0 && unicode.IsLetter(rune(text[0])) {
		text = text[first:] // the hyphen of I-4 and V-8 is no minus
	}
	plain, rest := c.number(text)
	digits, fraction, _ := strings.Cut(plain, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || n < 0:
		return "", fmt.Sprintf("%q is no %s", clip(text, 40), f)
	case inThousands(rest):
		return "", unwritten(text)
	case n > 0 && mayBeThousands(plain) && n*1000 <= fields[f].high: // 45.210 miles, but never 4.000 doors
		return "", fmt.Sprintf("%q may mean thousands; its notation is a setting of the source", clip(text, 40))
	}
	note := ""
	if strings.Trim(fraction, "0") != "" {
		note = fmt.Sprintf("%s %q cut to whole numbers", f, clip(text, 40))
	}
	high := fields[f].high
	if f == Year {
		if n > 0 && n < 100 && len(digits) <= 2 {
			n, note = c.century(n), fmt.Sprintf("year %q read as %d", clip(text, 40), c.century(n))
		}
		high = int64(c.Now.Year() + 2)
	}
	switch {
	case n == 0 && fields[f].low > 0:
		return "", ""
	case n < fields[f].low || n > high:
		return "", fmt.Sprintf("%s %d is out of range", f, n)
	}
	return strconv.FormatInt(n, 10), note
}

// century completes a year of two digits to the latest one possible.
func (c Cleaner) century(yy int64) int64 {
	if y := 2000 + yy; y <= int64(c.Now.Year()+2) {
		return y
	}
	return 1900 + yy
}

func (c Cleaner) cleanLitres(text string) (string, string) {
	n, _ := c.number(text)
	litres, err := strconv.ParseFloat(n, 64) // an engine's size, not money
	if err == nil && strings.Contains(strings.ToLower(text), "cc") {
		litres /= 1000
	}
	hundredths := int64(math.Round(litres * 100))
	switch {
	case err != nil:
		return "", fmt.Sprintf("%q is no displacement", clip(text, 40))
	case hundredths == 0:
		return "", ""
	case hundredths < fields[EngineDisplacement].low || hundredths > fields[EngineDisplacement].high:
		return "", fmt.Sprintf("displacement %q is out of range", clip(text, 40))
	}
	return litresText(hundredths), ""
}

func litresText(hundredths int64) string {
	return strconv.FormatFloat(float64(hundredths)/100, 'f', -1, 64)
}

// Layouts of dates, month first.
var (
	monthFirst = []string{"2006-1-2", "1/2/2006", "20060102", "1/2/06", "2006/1/2", "1-2-2006", "Jan 2, 2006", "2-Jan-2006", "January 2, 2006"}
	dayFirst   = []string{"2006-1-2", "2/1/2006", "20060102", "2/1/06", "2006/1/2", "2.1.2006", "2.1.06", "2-1-2006", "2 Jan 2006", "2-Jan-2006", "2 January 2006"}
	hours      = []string{"", " 3:04:05 PM", " 15:04:05", " 15:04", " 3:04 PM"}
)

func (c Cleaner) cleanDate(text string) (string, string) {
	t, ok := c.instant(text)
	if !ok {
		other := c
		other.DayFirst = !c.DayFirst
		_, readable := other.instant(text)
		return "", fmt.Sprintf("%q is no date%s", clip(text, 40), settingOf(readable, "the order of day and month"))
	}
	note := ""
	if t.After(c.Now.AddDate(0, 0, 1)) {
		note = fmt.Sprintf("date %q lies in the future", clip(text, 40))
	}
	return t.Format(time.DateOnly), note
}

func (c Cleaner) cleanTime(text string) (string, string) {
	t, ok := c.instant(text)
	if !ok {
		return "", fmt.Sprintf("%q is no time", clip(text, 40))
	}
	return t.UTC().Format(time.RFC3339), ""
}

// instant reads a date with or without a time of day. An impossible date is none: never today instead.
func (c Cleaner) instant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return plausible(t)
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) >= 9 {
		if len(text) >= 12 {
			n /= 1000
		}
		return plausible(time.Unix(n, 0).UTC())
	}
	layouts := monthFirst
	if c.DayFirst {
		layouts = dayFirst
	}
	some := hours
	if !strings.Contains(text, ":") {
		some = hours[:1]
	}
	for _, day := range layouts {
		for _, clock := range some {
			if t, err := time.Parse(day+clock, text); err == nil {
				return plausible(t)
			}
		}
	}
	return time.Time{}, false
}

func plausible(t time.Time) (time.Time, bool) { return t, t.Year() >= 1970 && t.Year() < 2200 }

func cleanURL(f Field, text string) (string, string) {
	if !webAddress(text) || len(text) > f.limit() {
		return "", fmt.Sprintf("%s is no address: %q", f, clip(text, 40))
	}
	return text, ""
}

func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.ContainsAny(text, " \"<>")
}

func cleanList(f Field, text string) (string, string) {
	var list []string
	if json.Unmarshal([]byte(text), &list) != nil {
		list = splitList(f, strings.Trim(text, "{}"))
	}
	note := ""
	list = slices.DeleteFunc(list, func(s string) bool {
		return placeholder(strings.TrimSpace(s)) || f == Photos && !webAddress(strings.TrimSpace(s))
	})
	seen := make(map[string]bool, len(list))
	kept := list[:0]
	for _, item := range list {
		item = clip(Tidy(item), f.limit())
		if !seen[item] {
			kept = append(kept, item)
		}
		seen[item] = true
	}
	if f == Photos && len(kept) == 0 {
		note = "no photo address in photos"
	}
	if len(kept) > fields[f].items {
		kept, note = kept[:fields[f].items], fmt.Sprintf("%s cut to %d", f, fields[f].items)
	}
	return ListOf(kept), note
}

// splitList takes a cell apart. Photos: by |, else before each http. Others: by |, else by ~ with a category
// before @, else by comma.
func splitList(f Field, text string) []string {
	switch {
	case strings.Contains(text, "|"):
		return strings.Split(text, "|")
	case f == Photos:
		return splitAddresses(text)
	case strings.Contains(text, "~") || strings.Contains(text, "@"):
		list := strings.Split(text, "~")
		for i := range list {
			_, option, found := strings.Cut(list[i], "@")
			if found {
				list[i] = option
			}
		}
		return list
	}
	return strings.Split(text, ",")
}

// splitAddresses begins an address at each http but those inside another address (`…/fetch/https://…`,
// `?src=https://…`).
func splitAddresses(text string) []string {
	var list []string
	from := 0
	for at := 1; at < len(text); at++ {
		if webScheme(text[at:]) && !strings.ContainsRune("/=", rune(text[at-1])) {
			list = append(list, text[from:at])
			from = at
		}
	}
	list = append(list, text[from:])
	for i := range list {
		list[i] = strings.TrimRight(strings.TrimSpace(list[i]), ",; ")
	}
	return list
}

func webScheme(text string) bool {
	return strings.HasPrefix(text, "http") && (strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://"))
}

// ListOf is the canonical text of a list, "" for an empty one.
func ListOf(items []string) string {
	if len(items) == 0 {
		return ""
	}
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, item)
	}
	return string(append(b, ']'))
}

// MapOf is the canonical text of named texts, "" for none.
func MapOf(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b := []byte{'{'}
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, k)
		b = append(b, ':')
		b = AppendString(b, m[k])
	}
	return string(append(b, '}'))
}

// CleanCustom makes a value of a custom property.
func CleanCustom(raw string) (text, warning string) {
	text = Tidy(raw)
	if short := clip(text, Custom.limit()); short != text {
		return strings.TrimSpace(short), fmt.Sprintf("custom property cut to %d characters", Custom.limit())
	}
	return text, ""
}

func cleanMap(text string) (string, string) {
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", "custom is no object of texts"
	}
	return MapOf(m), ""
}
