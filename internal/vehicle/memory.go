package vehicle

import "strings"

// Many columns of a file hold few different texts: makes, colours, transmissions. A memory reads each once.
const (
	// memoryTexts is how many different texts of a field are remembered; a field with more has others in nearly every row.
	memoryTexts = 1000
	// memoryLength is the longest text, in bytes, that is looked for.
	memoryLength = 64
)

type memory [NumFields]struct {
	known map[string]cleaned
	many  bool // too many different texts
}

type cleaned struct{ canonical, warning string }

// Remembering is the cleaner with a memory of what it has read, for one goroutine and one notation.
func (c Cleaner) Remembering() Cleaner {
	c.memory = &memory{}
	return c
}

// clean is Clean by the memory.
func (m *memory) clean(c Cleaner, f Field, raw string) (canonical, warning string) {
	of := &m[f]
	if of.many || len(raw) > memoryLength {
		return c.clean(f, raw)
	}
	if v, ok := of.known[raw]; ok {
		return v.canonical, v.warning
	}
	canonical, warning = c.clean(f, raw)
	if len(of.known) == memoryTexts {
		of.known, of.many = nil, true
		return canonical, warning
	}
	if of.known == nil {
		of.known = map[string]cleaned{}
	}
	of.known[strings.Clone(raw)] = cleaned{strings.Clone(canonical), warning} // neither may hold the row that it is a part of
	return canonical, warning
}
