package mapping

import (
	"fmt"
	"slices"
	"strings"

	"carfluence/internal/sheet"
)

// drift compares the header of a file with that of the one before, by header keys. changed tells that columns came
// or went; their order and spelling don't count. Names are as written, in the order of their header.
func drift(before, after []string) (added, removed []string, changed bool) {
	added, removed = namesMissing(after, before), namesMissing(before, after)
	return added, removed, len(added)+len(removed) > 0
}

// DriftSentence says for a log what differs between two headers, "" when nothing does.
func DriftSentence(before, after []string) string {
	added, removed, changed := drift(before, after)
	if !changed {
		if slices.Equal(headerKeys(before), headerKeys(after)) {
			return ""
		}
		return "The file's columns stand in another order than those of the file before."
	}
	var parts []string
	if len(added) > 0 {
		parts = append(parts, "new: "+quoteNames(added))
	}
	if len(removed) > 0 {
		parts = append(parts, "gone: "+quoteNames(removed))
	}
	return "The file's columns are not those of the file before; " + strings.Join(parts, "; ") + "."
}

// namesMissing are the names of a header, each once, that the other one does not have.
func namesMissing(header, other []string) (names []string) {
	known := map[string]bool{"": true}
	for _, key := range headerKeys(other) {
		known[key] = true
	}
	for _, name := range header {
		if key := sheet.HeaderKey(name); !known[key] {
			known[key] = true
			names = append(names, strings.Join(strings.Fields(name), " "))
		}
	}
	return names
}

func headerKeys(header []string) []string {
	keys := make([]string, len(header))
	for i, name := range header {
		keys[i] = sheet.HeaderKey(name)
	}
	return keys
}

const maxNamesShown = 20

func quoteNames(names []string) string {
	var b strings.Builder
	for i, name := range names[:min(len(names), maxNamesShown)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", sheet.Shorten(name))
	}
	if more := len(names) - maxNamesShown; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}
