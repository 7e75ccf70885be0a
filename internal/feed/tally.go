package feed

import (
	"cmp"
	"slices"
	"strings"

	"carfluence/internal/mapping"
)

// Tally counts warnings of one kind, with the first as an example.
type Tally struct {
	Count   int64
	Example mapping.Problem
}

const maxTallies = 500

// tallies groups warnings by column and by what their reasons have in common.
type tallies map[[2]string]*Tally

func (t tallies) add(p mapping.Problem) {
	key := [2]string{p.Column, commonPart(p.Reason)}
	if n, ok := t[key]; ok {
		n.Count++
		return
	}
	if len(t) < maxTallies {
		t[key] = &Tally{1, p}
	}
}

// list is the kinds, commonest first.
func (t tallies) list() []Tally {
	out := make([]Tally, 0, len(t))
	for _, n := range t {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Example.Line, b.Example.Line), cmp.Compare(a.Example.Column, b.Example.Column))
	})
	return out
}

// commonPart leaves out of a reason what belongs to one row: quoted values and numbers.
func commonPart(reason string) string {
	var b strings.Builder
	quoted := false
	for _, r := range reason {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted || r >= '0' && r <= '9':
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
