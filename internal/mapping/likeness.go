package mapping

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// term is a header key taken apart for comparison.
type term struct {
	words  []string // spelled out
	text   string   // the same without blanks
	digits string
}

func termOf(key string) term {
	w := words(key)
	text := strings.Join(w, "")
	return term{w, text, digitsOf(text)}
}

// likeness of two keys, 0 to 1: edit distance without blanks, or the words they share, whichever is higher. Digits
// must be the same: misc price 1 is not misc price 2.
func likeness(a, b term) float64 {
	switch {
	case a.text == "" || len(a.text) > maxOwnName || len(b.text) > maxOwnName || a.digits != b.digits:
		return 0
	case a.text == b.text:
		return 0.98
	}
	return max(spelledAlike(a.text, b.text), sharedWords(a, b))
}

// near is likeness where it is high enough to mean the same: a letter or two of a word that is not short, or most
// words.
func near(a, b term) float64 {
	like := likeness(a, b)
	switch {
	case like >= 0.8 && min(len(a.text), len(b.text)) >= 4:
		return like
	case like >= 0.6 && sharedWords(a, b) == like:
		return like
	}
	return 0
}

// spelledAlike is 0 for lengths so different that half of the letters can't be the same.
func spelledAlike(x, y string) float64 {
	n, m := utf8.RuneCountInString(x), utf8.RuneCountInString(y)
	longer := max(n, m)
	if 2*min(n, m) < longer {
		return 0
	}
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

// sharedWords is the share of words that two keys have in common, a little below what spelling proves.
func sharedWords(a, b term) float64 {
	both := 0
	for _, w := range a.words {
		if slices.Contains(b.words, w) {
			both++
		}
	}
	return 0.9 * float64(both) / float64(max(len(a.words), len(b.words)))
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
