package vin

import "strings"

// YearReason says why a model year was chosen among the candidates.
type YearReason string

// The reasons.
const (
	FeedYear  YearReason = "feed_year"  // the source states it, and it is a candidate
	Position7 YearReason = "position7"  // position 7 decides the cycle on light vehicles of the US scheme
	NotFuture YearReason = "not_future" // the other one has not come yet
	Ambiguous YearReason = "ambiguous"  // both are possible; the later one is shown
	NoYear    YearReason = ""           // position 10 holds no year
)

// ModelYear is what a VIN says about the model year.
type ModelYear struct {
	Candidates []int // both years of the 30-year cycle, earlier first; empty when position 10 holds none
	Chosen     int   // 0 without candidates
	Reason     YearReason
}

// yearCodes in the order of the years from 1980 and 2010 on.
const yearCodes = "ABCDEFGHJKLMNPRSTVWXY123456789"

// Year reads the model year of a VIN of the right structure; a short serial has none. stated is the year its source gives, 0 for none;
// now is the current calendar year.
//
// Position 7 is a digit before 2010 and a letter from then on for cars and light trucks. Trailers, buses and
// heavy trucks don't keep to it, which is why a stated year comes first; one later than next year is not believed.
func Year(vin string, stated, now int) ModelYear {
	if len(vin) != Length {
		return ModelYear{}
	}
	at := strings.IndexByte(yearCodes, vin[9])
	if at < 0 {
		return ModelYear{}
	}
	early, late := 1980+at, 2010+at
	y := ModelYear{Candidates: []int{early, late}}
	y.Chosen, y.Reason = choose(vin, early, late, stated, now)
	return y
}

func choose(vin string, early, late, stated, now int) (int, YearReason) {
	possible := late <= now+1
	if stated == early || stated == late && possible {
		return stated, FeedYear
	}
	byPosition := early
	if isUpper(vin[6]) {
		byPosition = late
	}
	switch {
	case usScheme(vin) && (possible || byPosition == early):
		return byPosition, Position7
	case !possible:
		return early, NotFuture
	}
	return late, Ambiguous
}

// usScheme tells whether a VIN was made by the US scheme: built there, or for there, which the check digit
// gives away.
func usScheme(vin string) bool { return Regulated(vin) || CheckDigit(vin) == vin[8] }
