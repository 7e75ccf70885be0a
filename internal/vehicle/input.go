package vehicle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"carfluence/internal/errs"
	"carfluence/internal/money"
	"carfluence/internal/vin"
)

// Read reads a vehicle as a client of the API describes it: a JSON object of vin and one more member at least. It is strict
// where feeds are forgiven: an unknown member, a wrong type and a value out of range are faults, each named by its pointer.
// now judges years. The error is invalid and lists every fault.
func Read(body []byte, now time.Time) (Change, error) {
	r := inputReader{now: now, pointer: "#"}
	r.object(body)
	switch {
	case !r.isObject:
	case !r.hasVIN:
		r.fault("#/vin", "is needed: a vehicle is known by its VIN")
	case r.members < 2:
		r.fault("#", "names a VIN only; say at least one thing about the vehicle")
	}
	return r.change, r.err()
}

// ReadPatch reads what a client wants changed of the vehicle with the given VIN (RFC 7396): null clears, absent leaves
// alone. The error is invalid and lists every fault.
func ReadPatch(body []byte, vin string, now time.Time) (Change, error) {
	r := inputReader{now: now, pointer: "#", patch: true}
	r.object(body)
	if r.hasVIN && r.change.VIN != "" && r.change.VIN != vin {
		r.fault("#/vin", "can't be changed; create another vehicle instead")
	}
	r.change.VIN = vin
	return r.change, r.err()
}

const daysName = "days_on_lot"

// maxDays is the most days on lot that a sample may claim.
const maxDays = 100_000

// ReadSample reads a vehicle that is described for the sake of trying rules out, as a new one would meet them. It is read
// like one of Read, but the VIN may be left out, and days_on_lot given. Faults are named by pointers below the given one.
func ReadSample(body []byte, pointer string, now time.Time) (Values, Ruling, []errs.Fault) {
	var v Values
	var about Ruling
	r := inputReader{now: now, pointer: pointer}
	err := EachMember(body, func(name string, value []byte) {
		switch {
		case (name == "vin" || name == daysName) && string(value) == "null":
			return
		case name != daysName:
			r.member(name, value)
			return
		}
		days, err := strconv.ParseInt(string(value), 10, 64)
		if about.DaysOnLot = days; err != nil || days < 0 || days > maxDays {
			r.fault(pointer+"/"+name, "must be a whole number between 0 and "+strconv.Itoa(maxDays))
		}
	})
	if err != nil {
		r.fault(pointer, "must be an object that describes a vehicle")
	}
	v.Merge(&r.change, true)
	if v[Status] == "" {
		v[Status] = StatusActive
	}
	about.VIN = r.change.VIN
	return v, about, r.faults
}

// inputReader reads one body.
type inputReader struct {
	now      time.Time
	pointer  string // of the object being read
	patch    bool
	isObject bool
	hasVIN   bool
	members  int
	change   Change
	faults   []errs.Fault
}

func (r *inputReader) fault(pointer, detail string) {
	r.faults = append(r.faults, errs.At(pointer, detail))
}

func (r *inputReader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return errs.Invalid("invalid", "The vehicle can't be accepted; errors lists every fault.", r.faults...)
}

// object reads the members. The transport has refused broken JSON and members given twice already.
func (r *inputReader) object(raw []byte) {
	err := EachMember(raw, func(name string, value []byte) {
		r.members++
		r.member(name, value)
	})
	if r.isObject = err == nil; err != nil {
		r.fault("#", "must be an object that describes a vehicle")
	}
}

var errNoObject = errors.New("no JSON object")

// EachMember calls f for each member of an object, in order.
func EachMember(raw []byte, f func(name string, value []byte)) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return errNoObject
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return errNoObject
		}
		text := name.String() // before the decoder moves on
		value, err := d.ReadValue()
		if err != nil {
			return errNoObject
		}
		f(text, value)
	}
	return nil
}

// computed members stand in answers and can't be sent.
const computed = "|vin_status|days_on_lot|source_integration_id|created_at|updated_at|sold_at|relisted_at|overrides|rules|"

// Computed tells whether a member of vehicles is worked out and can't be given.
func Computed(name string) bool { return strings.Contains(computed, "|"+name+"|") }

func (r *inputReader) member(name string, value []byte) {
	pointer := errs.Member(r.pointer, name)
	if name == "vin" {
		r.vin(pointer, value)
		return
	}
	f, known := FieldNamed(name)
	switch {
	case known:
		if canonical, detail := r.value(f, pointer, value); detail != "" {
			r.fault(pointer, detail)
		} else {
			r.change.Put(f, canonical)
		}
	case Computed(name):
		r.fault(pointer, "is computed and can't be set")
	default:
		r.fault(pointer, "is not a member of a vehicle")
	}
}

func (r *inputReader) vin(pointer string, value []byte) {
	r.hasVIN = true
	text, ok := StringOf(value)
	if !ok {
		r.fault(pointer, "must be a string")
		return
	}
	r.change.VIN = vin.Normalise(text)
	if _, err := vin.Check(r.change.VIN); err != nil {
		r.fault(pointer, "is no VIN: "+err.Error())
	}
}

// value reads a member's value into its canonical text. detail is what is wrong with it, "" if nothing is or
// the faults inside a list have been named already.
func (r *inputReader) value(f Field, pointer string, raw []byte) (canonical, detail string) {
	if string(raw) == "null" {
		if fields[f].needed && !r.patch { // a patch releases its override; the value stays
			return "", "can't be null; " + mustBeWord(f)
		}
		return "", ""
	}
	switch fields[f].kind {
	case Int:
		return r.int(f, raw)
	case Money:
		return readMoney(f, raw)
	case Decimal:
		return readDecimal(f, raw)
	case Bool:
		if text := string(raw); text == True || text == False {
			return text, ""
		}
		return "", "must be true or false"
	case List:
		return r.list(f, pointer, raw), ""
	case Map:
		return r.mapping(f, pointer, raw), ""
	}
	text, ok := StringOf(raw)
	if !ok {
		return "", "must be a string or null"
	}
	return readText(f, text)
}

// readText reads the kinds that are strings on the wire.
func readText(f Field, text string) (canonical, detail string) {
	switch fields[f].kind {
	case Enum:
		if !f.hasWord(text) {
			return "", mustBeWord(f)
		}
		return text, ""
	case Date:
		if t, err := time.Parse(time.DateOnly, text); err != nil || t.Year() < 1900 || t.Year() > 2199 {
			return "", "must be a date, as in 2021-08-28"
		}
		return text, ""
	case Time:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1900 || t.Year() > 2199 {
			return "", "must be a time by RFC 3339, as in 2021-08-28T10:00:00Z"
		}
		return t.UTC().Truncate(time.Second).Format(time.RFC3339), ""
	case ID:
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return "", "must be an id, a UUID"
		}
		return id.String(), ""
	case URL:
		if !webAddress(text) {
			return "", "must be an http or https address"
		}
	}
	if text = tidyInput(f, text); utf8.RuneCountInString(text) > f.limit() {
		return "", fmt.Sprintf("must not be longer than %d characters", f.limit())
	}
	return text, ""
}

func tidyInput(f Field, text string) string {
	if f != Description {
		return Tidy(text)
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = Tidy(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func mustBeWord(f Field) string { return "must be one of " + strings.Join(fields[f].words, ", ") }

// StringOf reads a JSON string.
func StringOf(raw []byte) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// isNumber tells whether a JSON value is a number.
func isNumber(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

func (r *inputReader) int(f Field, raw []byte) (string, string) {
	low, high := fields[f].low, fields[f].high
	if f == Year {
		high = int64(r.now.Year() + 2)
	}
	outside := fmt.Sprintf("must be a whole number between %d and %d", low, high)
	n, ok := WholeNumber(raw)
	if !ok {
		return "", outside
	}
	if n < low || n > high {
		return "", outside
	}
	return strconv.FormatInt(n, 10), ""
}

// WholeNumber reads a JSON number without a fraction: 2021.0 and 2.021e3 are whole numbers too.
func WholeNumber(raw []byte) (n int64, ok bool) {
	if !isNumber(raw) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		return n, true
	}
	amount, err := money.Parse(string(raw))
	return amount.Cents() / 100, err == nil && amount.Cents()%100 == 0
}

func readMoney(f Field, raw []byte) (string, string) {
	if !isNumber(raw) && raw[0] != '"' {
		return "", `must be an amount: a decimal string as in "32999.00", or a number`
	}
	between := fmt.Sprintf("between %s and %s", money.FromCents(fields[f].low), money.FromCents(f.top()))
	amount, err := money.ParseJSON(raw)
	switch {
	case !isNumber(raw) && bytes.ContainsAny(raw, "eE"): // how JSON writes numbers, not amounts
		return "", money.ErrSyntax.Error()
	case errors.Is(err, money.ErrRange), err == nil && (amount.Cents() < fields[f].low || amount.Cents() > f.top()):
		return "", "must lie " + between
	case errors.Is(err, money.ErrSyntax) && isNumber(raw): // longer than any amount
		return "", "must be an amount " + between + " with at most two decimals"
	case err != nil:
		return "", err.Error()
	}
	return amount.String(), ""
}

func readDecimal(f Field, raw []byte) (string, string) {
	low, high := fields[f].low, fields[f].high
	if isNumber(raw) {
		if n, err := money.Parse(string(raw)); err == nil && n.Cents() >= low && n.Cents() <= high {
			return litresText(n.Cents()), ""
		}
	}
	return "", fmt.Sprintf("must be a number between %s and %s with at most two decimals", litresText(low), litresText(high))
}

// list reads an array of texts and names each item at fault by its own pointer.
func (r *inputReader) list(f Field, pointer string, raw []byte) string {
	var values []jsontext.Value
	if err := json.Unmarshal(raw, &values); err != nil || raw[0] != '[' {
		r.fault(pointer, "must be an array of strings")
		return ""
	}
	if len(values) > fields[f].items {
		r.fault(pointer, fmt.Sprintf("must not have more than %d items", fields[f].items))
		return ""
	}
	list := make([]string, len(values))
	for i, value := range values {
		text, detail := readItem(f, value)
		if detail != "" {
			r.fault(pointer+"/"+strconv.Itoa(i), detail)
		}
		list[i] = text
	}
	return ListOf(list)
}

func readItem(f Field, raw []byte) (string, string) {
	text, ok := StringOf(raw)
	text = Tidy(text)
	switch {
	case !ok:
		return "", "must be a string"
	case text == "":
		return "", "must not be empty"
	case utf8.RuneCountInString(text) > f.limit():
		return "", fmt.Sprintf("must not be longer than %d characters", f.limit())
	case f == Photos && !webAddress(text):
		return "", "must be an http or https address"
	}
	return text, ""
}

// mapping reads an object of texts. In a patch its members may be null, which takes them away when the change
// is merged (Onto).
func (r *inputReader) mapping(f Field, pointer string, raw []byte) string {
	b, n := []byte{'{'}, 0
	err := EachMember(raw, func(name string, value []byte) {
		text, isText := StringOf(value)
		at := errs.Member(pointer, name)
		switch {
		case !isText && (!r.patch || string(value) != "null"):
			r.fault(at, "must be a string")
		case utf8.RuneCountInString(text) > f.limit() || utf8.RuneCountInString(name) > maxText:
			r.fault(at, fmt.Sprintf("must not be longer than %d characters, its name than %d", f.limit(), maxText))
		case strings.TrimSpace(name) == "":
			r.fault(at, "must have a name")
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(AppendString(b, name), ':')
		b = append(b, value...)
	})
	switch {
	case err != nil:
		r.fault(pointer, "must be an object of strings")
		return ""
	case n > fields[f].items:
		r.fault(pointer, fmt.Sprintf("must not have more than %d members", fields[f].items))
		return ""
	case r.patch:
		return string(append(b, '}'))
	}
	return mergeMap("", string(append(b, '}')))
}

// mergeMap merges an object of texts and nulls into a map's canonical text.
func mergeMap(stored, patch string) string {
	merged := map[string]string{}
	if stored != "" {
		_ = json.Unmarshal([]byte(stored), &merged) // written by MapOf
	}
	var changes map[string]*string
	if json.Unmarshal([]byte(patch), &changes) != nil {
		return stored
	}
	for name, text := range changes {
		if text == nil {
			delete(merged, name)
			continue
		}
		merged[name] = *text
	}
	return MapOf(merged)
}
