package feed

import (
	"strings"
	"unicode/utf8"
)

// likeness of two header keys, 0 to 1: edit distance without blanks, or the words they share, whichever is
// higher. Digits must be the same: misc price 1 is not misc price 2.
func likeness(a, b string) float64 {
	if a == b {
		return 1
	}
	x, y := squeezed(a), squeezed(b)
	if x == "" || y == "" || len(x) > maxOwnName || len(y) > maxOwnName || digitsOf(x) != digitsOf(y) {
		return 0
	}
	if x == y {
		return 0.98
	}
	return max(spelledAlike(x, y), sharedWords(a, b))
}

// near is likeness where it is high enough to mean the same: a letter or two of a word that is not short, or most
// words.
func near(a, b string) float64 {
	like := likeness(a, b)
	switch {
	case like >= 0.8 && min(len(squeezed(a)), len(squeezed(b))) >= 4:
		return like
	case like >= 0.6 && sharedWords(a, b) == like:
		return like
	}
	return 0
}

func spelledAlike(x, y string) float64 {
	longer := max(utf8.RuneCountInString(x), utf8.RuneCountInString(y))
	return 1 - float64(distance(x, y))/float64(longer)
}

// abbreviations met in headers.
var abbreviations = map[string]string{
	"veh": "vehicle", "ext": "exterior", "int": "interior", "no": "number", "num": "number", "nbr": "number", "dt": "date", "desc": "description",
	"img": "image", "pic": "photo", "pics": "photo", "photos": "photo", "images": "image", "trans": "transmission", "mfr": "make", "mfg": "make", "odo": "odometer",
	"clr": "color", "col": "color", "colour": "color", "dlr": "dealer", "amt": "amount", "cyl": "cylinders", "eng": "engine", "stk": "stock",
}

// words of a key, spelled out. That it is of a vehicle goes without saying.
func words(key string) []string {
	list := strings.Fields(key)
	for i, w := range list {
		if full, ok := abbreviations[w]; ok {
			list[i] = full
		}
	}
	if len(list) > 1 && list[0] == "vehicle" {
		return list[1:]
	}
	return list
}

func squeezed(key string) string { return strings.Join(words(key), "") }

// sharedWords is the share of words that two keys have in common, a little below what spelling proves.
func sharedWords(a, b string) float64 {
	x, y := words(a), words(b)
	both := 0
	for _, w := range x {
		for _, v := range y {
			if w == v {
				both++
				break
			}
		}
	}
	return 0.9 * float64(both) / float64(max(len(x), len(y)))
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// distance is the number of letters to insert, delete, replace or swap with the next one (optimal string
// alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
