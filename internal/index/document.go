package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"carfluence/internal/vehicle"
)

// daysHere stands in a list document for the days on lot of a vehicle that is not sold.
const daysHere = 0x1f

// none is the value of a number that is missing.
const none = -1

// record is what a list document says of a vehicle. Its texts are parts of the document unless they had escapes.
type record struct {
	vin, stock       string
	text             [numTexts]string // the dealership's is not in the document
	year             int16
	mileage          int32
	price, internet  int64  // cents
	days             int32  // none while the vehicle is not sold
	created, updated uint32 // Unix seconds
}

var errDamaged = errors.New("damaged list document")

// read takes the document of a list apart. It accepts what the inventory's writer writes and nothing else: the members
// in their order, without blanks.
func (r *record) read(document string) error {
	p := reader{rest: document, ok: utf8.ValidString(document)}
	r.vin = p.text(`{"vin":`)
	r.stock = p.text(`,"stock_number":`)
	r.year = int16(p.number(`,"year":`, math.MaxInt16))
	r.text[makes] = p.text(`,"make":`)
	r.text[models] = p.text(`,"model":`)
	r.text[trims] = p.text(`,"trim":`)
	r.price = p.cents(`,"price":`)
	r.internet = p.cents(`,"internet_price":`)
	r.mileage = int32(p.number(`,"mileage":`, math.MaxInt32))
	p.text(`,"exterior_color":`)
	p.text(`,"interior_color":`)
	r.text[bodies] = p.text(`,"body_style":`)
	r.text[conditions] = p.text(`,"condition":`)
	r.text[statuses] = p.text(`,"status":`)
	r.days = p.days(`,"days_on_lot":`)
	r.text[sources] = p.text(`,"source_integration_id":`)
	r.created = p.time(`,"created_at":`)
	r.updated = p.time(`,"updated_at":`)
	p.text(`,"vin_status":`)
	p.expect(`}`)
	sold := r.text[statuses] == vehicle.StatusSold
	if !p.ok || p.rest != "" || sold != (r.days != none) || !sold && r.text[statuses] != vehicle.StatusActive || !plainVIN(r.vin) {
		return fmt.Errorf("%w: not as written from byte %d on: %.40q", errDamaged, len(document)-len(p.rest), p.rest)
	}
	return nil
}

func plainVIN(vin string) bool {
	for i := range len(vin) {
		if vinDigit[vin[i]] == 0 {
			return false
		}
	}
	return vin != "" && len(vin) <= vinSize
}

// reader reads a document from its beginning. Once something is not as expected it stays where it is, not ok.
type reader struct {
	rest string
	ok   bool
}

func (p *reader) expect(text string) {
	if p.ok = p.ok && strings.HasPrefix(p.rest, text); p.ok {
		p.rest = p.rest[len(text):]
	}
}

// null reads a member's name, and its value if that is null.
func (p *reader) null(name string) bool {
	p.expect(name)
	if p.ok && strings.HasPrefix(p.rest, "null") {
		p.rest = p.rest[len("null"):]
		return true
	}
	return !p.ok
}

// text reads a member with a text that is not empty, or null.
func (p *reader) text(name string) string {
	if p.null(name) {
		return ""
	}
	s, escaped := p.rest, false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && s[0] == '"':
			p.rest = s[i+1:]
			if escaped {
				return p.unescaped(s[:i+1])
			}
			p.ok = i > 1
			return s[1:i]
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			p.ok = false
			return ""
		}
	}
	p.ok = false
	return ""
}

func (p *reader) unescaped(quoted string) (s string) {
	p.ok = json.Unmarshal([]byte(quoted), &s) == nil && s != ""
	return s
}

// number reads a member with a whole number from 0 to most, or null.
func (p *reader) number(name string, most int64) int64 {
	if p.null(name) {
		return none
	}
	return p.digits(most)
}

func (p *reader) digits(most int64) (n int64) {
	i := 0
	for i < len(p.rest) && i < 18 && p.rest[i]-'0' <= 9 {
		n = n*10 + int64(p.rest[i]-'0')
		i++
	}
	p.ok = p.ok && i > 0 && n <= most && (i == 1 || p.rest[0] != '0')
	if p.ok {
		p.rest = p.rest[i:]
	}
	return n
}

// cents reads a member with an amount written with two places, or null.
func (p *reader) cents(name string) int64 {
	if p.null(name) {
		return none
	}
	p.expect(`"`)
	n := p.digits(math.MaxInt64/100 - 1)
	p.expect(`.`)
	n = n*100 + p.fixed(2)
	p.expect(`"`)
	return n
}

// fixed reads a number of so many digits.
func (p *reader) fixed(size int) (n int64) {
	if p.ok = p.ok && len(p.rest) >= size; !p.ok {
		return 0
	}
	for i := range size {
		p.ok = p.ok && p.rest[i]-'0' <= 9
		n = n*10 + int64(p.rest[i]-'0')
	}
	p.rest = p.rest[size:]
	return n
}

// days reads the days on lot, none when their place is kept.
func (p *reader) days(name string) int32 {
	p.expect(name)
	if p.ok && p.rest != "" && p.rest[0] == daysHere {
		p.rest = p.rest[1:]
		return none
	}
	return int32(p.digits(maxDays))
}

// time reads a member with a time in UTC by the second, as Unix seconds.
func (p *reader) time(name string) uint32 {
	p.expect(name)
	p.expect(`"`)
	year := p.fixed(4)
	p.expect(`-`)
	month := p.fixed(2)
	p.expect(`-`)
	day := p.fixed(2)
	p.expect(`T`)
	hour := p.fixed(2)
	p.expect(`:`)
	minute := p.fixed(2)
	p.expect(`:`)
	second := p.fixed(2)
	p.expect(`Z"`)
	unix := daysFrom1970(year, month, day)*86400 + hour*3600 + minute*60 + second
	p.ok = p.ok && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60 && unix >= 0 && unix <= math.MaxUint32
	return uint32(unix)
}

// daysFrom1970 counts the days to a date of the Gregorian calendar. The year is taken to begin in March, so that the
// leap day is its last, and months have 153 days every five.
func daysFrom1970(year, month, day int64) int64 {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	return 365*year + year/4 - year/100 + year/400 + (153*month+2)/5 + day - 1 - 719468
}
