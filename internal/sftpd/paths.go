package sftpd

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rules for names that clients give.
const (
	maxPath  = 1024 // bytes of a whole path
	maxName  = 255  // bytes of one part
	maxDepth = 8    // folders above a file
)

// checkPath holds a cleaned virtual path ("/folder/name") against the rules for names that may come into
// being. Names are shown to people and logged, so what can't be seen is refused.
func checkPath(p string) error {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p:
		return failure("the name %s is not clean", shown(p))
	case p == "/":
		return failure("give a name below the folder")
	case len(p) > maxPath:
		return failure("the path is longer than %d bytes", maxPath)
	case len(parts) > maxDepth+1:
		return failure("folders are nested deeper than %d", maxDepth)
	case !utf8.ValidString(p):
		return failure("the name is not valid UTF-8")
	case strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return failure("the name %s has control characters", shown(p))
	case strings.Contains(p, `\`):
		return failure("the name %s has a backslash; folders are separated by /", shown(p))
	}
	for _, part := range parts {
		if len(part) > maxName {
			return failure("the name is longer than %d bytes", maxName)
		}
	}
	return nil
}

// climbs tells whether a path as the client wrote it leads above where it starts at any point.
func climbs(raw string) bool {
	depth := 0
	for part := range strings.SplitSeq(raw, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// temporary tells whether clients use such a name for a file that is still being uploaded: WinSCP's
// .filepart, rclone's .partial, lftp's .in.*, editors' and browsers' forms.
func temporary(p string) bool {
	name := strings.ToLower(path.Base(p))
	suffixes := []string{".part", ".partial", ".filepart", ".tmp", ".temp", ".uploading", ".crdownload", ".writing", "~"}
	return strings.HasPrefix(name, ".") || slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// ancestors lists the folders above a cleaned path, without the root.
func ancestors(p string) []string {
	var all []string
	for p = path.Dir(p); p != "/"; p = path.Dir(p) {
		all = append(all, p)
	}
	return all
}

// validID tells whether an integration's id can name its folder in the spool.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}
