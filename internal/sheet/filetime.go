package sheet

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/vin"
)

// Stamp is the time in a feed file's name.
type Stamp struct {
	Time      time.Time     // in UTC: a name does not tell its zone
	Precision time.Duration // a day, minute, second or millisecond
	Stem      string        // the name in lower case with the time cut out
}

var (
	dateISO = regexp.MustCompile(`^(\d{4})([-_.]?)(\d{2})([-_.]?)(\d{2})`)
	dateUS  = regexp.MustCompile(`^(\d{2})([-_.]?)(\d{2})([-_.]?)(\d{4})`)
	epoch   = regexp.MustCompile(`^(\d{10}|\d{13})(?:\D|$)`)
	clock   = regexp.MustCompile(`^[Tt_ .-]?(\d{2})[-_.:]?(\d{2})(?:[-_.:]?(\d{2}))?([Zz]?)`)
	ofVIN   = regexp.MustCompile(`[0-9A-Za-z]+`)
)

// FileTime finds the one time in a file's name: 2021-08-28 or 08-28-2021 with any or no separator, with or
// without a time of day, or Unix seconds or milliseconds. Not ok: none or two of them, a day and month that
// could be read either way round, a year before 2000 or after the next, digits of a VIN.
func FileTime(name string, now time.Time) (Stamp, bool) {
	name = plainName(name)
	var only found
	count := 0
	for i := 0; i < len(name); i++ {
		if !digit(name, i) || digit(name, i-1) {
			continue
		}
		f, ok := findTime(name, i, now)
		if !ok || insideVIN(name, i) {
			continue
		}
		if count++; count > 1 {
			return Stamp{}, false
		}
		only = f
		i = f.dateEnd - 1
	}
	if count == 0 {
		return Stamp{}, false
	}
	return Stamp{Time: only.time, Precision: only.precision, Stem: strings.ToLower(name[:only.start] + name[only.end:])}, true
}

func digit(s string, i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }

// found is a time in a name. A second date is looked for from dateEnd on, so that it is not taken for the time
// of day of the first.
type found struct {
	start, dateEnd, end int
	time                time.Time
	precision           time.Duration
}

func findTime(name string, at int, now time.Time) (found, bool) {
	rest := name[at:]
	if m := epoch.FindStringSubmatch(rest); m != nil {
		return findEpoch(m[1], at, now)
	}
	day, length, ok := findDate(rest)
	if !ok || !plausible(day, now) {
		return found{}, false
	}
	f := found{start: at, dateEnd: at + length, end: at + length, time: day, precision: 24 * time.Hour}
	if m := clock.FindStringSubmatch(rest[length:]); m != nil && !digit(rest, length+len(m[0])) && f.addClock(m) {
		f.end += len(m[0])
		return f, true
	}
	return f, !digit(rest, length) // else the digits are a longer number
}

func findEpoch(digits string, at int, now time.Time) (found, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	f := found{start: at, dateEnd: at + len(digits), end: at + len(digits), time: time.Unix(n, 0).UTC(), precision: time.Second}
	if len(digits) == 13 {
		f.time, f.precision = time.UnixMilli(n).UTC(), time.Millisecond
	}
	return f, err == nil && plausible(f.time, now)
}

func findDate(s string) (day time.Time, length int, ok bool) {
	if m := dateISO.FindStringSubmatch(s); m != nil && m[2] == m[4] {
		if day, ok := date(m[1], m[3], m[5]); ok {
			return day, len(m[0]), true
		}
	}
	m := dateUS.FindStringSubmatch(s)
	if m == nil || m[2] != m[4] {
		return time.Time{}, 0, false
	}
	if _, ok := date(m[5], m[3], m[1]); ok && m[1] != m[3] {
		return time.Time{}, 0, false // the day could stand first
	}
	day, ok = date(m[5], m[1], m[3])
	return day, len(m[0]), ok
}

// date is a day of the calendar, of a century that files come from.
func date(year, month, day string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, year+"-"+month+"-"+day)
	return t, err == nil && t.Year() >= 1900 && t.Year() < 2200
}

func plausible(t, now time.Time) bool { return t.Year() >= 2000 && t.Year() <= now.UTC().Year()+1 }

// addClock adds the time of day, unless it is none.
func (f *found) addClock(m []string) bool {
	hour, _ := strconv.Atoi(m[1])
	minute, _ := strconv.Atoi(m[2])
	second, _ := strconv.Atoi(m[3]) // 0 when absent
	if hour > 23 || minute > 59 || second > 59 {
		return false
	}
	f.time = f.time.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	f.precision = time.Minute
	if m[3] != "" {
		f.precision = time.Second
	}
	return true
}

// insideVIN tells that the digits at i belong to a run of 17 characters that a VIN could be: letters among
// them, none of I, O and Q.
func insideVIN(name string, i int) bool {
	for _, run := range ofVIN.FindAllStringIndex(name, -1) {
		if run[0] <= i && i < run[1] {
			text := name[run[0]:run[1]]
			_, err := vin.Check(vin.Normalise(text))
			return len(text) == 17 && err == nil && strings.ContainsFunc(text, func(r rune) bool { return r > '9' })
		}
	}
	return false
}
