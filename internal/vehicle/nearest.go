package vehicle

import (
	"fmt"
	"strings"
)

// UnknownField says that a name is no field's, and whose it may be meant to be.
func UnknownField(name string) string {
	detail := fmt.Sprintf("%q is no field of a vehicle", clip(name, 40))
	if near := Nearest(name); near != "" {
		detail += "; did you mean " + near + "?"
	}
	return detail
}

// Nearest is the name of the field, or of the other ones given, that is spelled most like a text, else the first field whose
// name goes on where the text ends; "" when there is none.
func Nearest(text string, others ...string) (nearest string) {
	meant := letters(text)
	if len(meant) > maxText {
		return ""
	}
	best := len(meant)/4 + 1 // letters that may be wrong
	look := func(name string) {
		if d := distance(meant, letters(name)); d < best || d == best && nearest == "" {
			nearest, best = name, d
		}
	}
	for f := range NumFields {
		look(fields[f].name)
	}
	for _, name := range others {
		look(name)
	}
	for f := Field(0); nearest == "" && f < NumFields; f++ {
		if strings.HasPrefix(fields[f].name, strings.ToLower(text)+"_") {
			nearest = fields[f].name
		}
	}
	return nearest
}

// letters of a name, without case and what separates its words.
func letters(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(name))
}

// distance is the number of bytes to insert, delete or replace to make one text of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, cost)
		}
	}
	return row[len(b)]
}
