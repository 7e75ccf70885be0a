package vin

import "strings"

// order of the second character within a country's block (ISO 3780): letters, then 1 to 9, then 0.
const order = "ABCDEFGHJKLMNPRSTUVWXYZ1234567890"

// block of codes that one country gives out: a first character and a range of second ones.
type block struct {
	first    byte
	from, to byte
	country  string // ISO 3166-1 alpha-2
}

// blocks met on the markets we know; codes outside are valid, their country is just not known here. Not every
// 7 is Oceania: 7F to 70 belong to the US.
var blocks = []block{
	{'1', 'A', '0', "US"}, {'4', 'A', '0', "US"}, {'5', 'A', '0', "US"}, {'7', 'F', '0', "US"},
	{'2', 'A', '0', "CA"}, {'3', 'A', 'X', "MX"},
	{'6', 'A', '0', "AU"}, {'7', 'A', 'E', "NZ"},
	{'8', 'A', 'E', "AR"}, {'9', 'A', 'E', "BR"}, {'9', '3', '9', "BR"},
	{'A', 'A', 'H', "ZA"},
	{'J', 'A', '0', "JP"}, {'K', 'L', 'R', "KR"}, {'L', 'A', '0', "CN"}, {'M', 'A', 'E', "IN"}, {'M', 'L', 'R', "TH"},
	{'N', 'L', 'R', "TR"},
	{'S', 'A', 'M', "GB"}, {'S', 'N', 'T', "DE"}, {'T', 'J', 'P', "CZ"}, {'T', 'R', 'V', "HU"}, {'U', '5', '7', "SK"},
	{'V', 'A', 'E', "AT"}, {'V', 'F', 'R', "FR"}, {'V', 'S', 'W', "ES"}, {'W', 'A', '0', "DE"},
	{'Y', 'F', 'K', "FI"}, {'Y', 'S', 'W', "SE"}, {'Z', 'A', 'U', "IT"},
}

func (b block) holds(second byte) bool {
	at := strings.IndexByte(order, second)
	return at >= strings.IndexByte(order, b.from) && at <= strings.IndexByte(order, b.to)
}

// Country is where a VIN's maker is registered (ISO 3166-1 alpha-2), "" when not known.
func Country(vin string) string {
	for _, b := range blocks {
		if vin[0] == b.first && b.holds(vin[1]) {
			return b.country
		}
	}
	return ""
}

// Region is the continent of a VIN's first character (ISO 3780).
func Region(vin string) string {
	switch c := vin[0]; {
	case c >= 'A' && c <= 'H':
		return "Africa"
	case c >= 'J' && c <= 'R':
		return "Asia"
	case c >= 'S' && c <= 'Z':
		return "Europe"
	case c >= '1' && c <= '5', c == '7' && Regulated(vin):
		return "North America"
	case c == '6' || c == '7':
		return "Oceania"
	}
	return "South America"
}

// Regulated tells whether a vehicle was built where the check digit is mandatory and channels refuse a wrong
// one: 1 to 5 and 7F to 70.
func Regulated(vin string) bool {
	return vin[0] >= '1' && vin[0] <= '5' || vin[0] == '7' && strings.IndexByte(order, vin[1]) >= strings.IndexByte(order, 'F')
}
