package vehicle

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// keys are the members' names as they stand in an object: `,"make":`.
var keys = func() (k [NumFields]string) {
	for f := range NumFields {
		k[f] = `,"` + fields[f].name + `":`
	}
	return k
}()

// AppendKey appends the name of a field as that of an object's next member.
func AppendKey(b []byte, f Field) []byte {
	key := keys[f]
	if b[len(b)-1] == '{' {
		key = key[1:]
	}
	return append(b, key...)
}

// AppendValue appends a canonical text as its JSON value. Empty lists and maps are no nulls.
func AppendValue(b []byte, f Field, value string) []byte {
	kind := fields[f].kind
	if value == "" {
		switch kind {
		case List:
			return append(b, `[]`...)
		case Map:
			return append(b, `{}`...)
		}
		return append(b, `null`...)
	}
	switch kind {
	case Int, Decimal, Bool, List, Map:
		return append(b, value...)
	case Money, Date, Time, Enum:
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	return AppendString(b, value)
}

// AppendJSON appends a change as an object: vin and every field it speaks of, null where it erases, written as in
// a vehicle. Sensitive fields are among them.
func (c *Change) AppendJSON(b []byte) []byte {
	b = AppendString(append(b, `{"vin":`...), c.VIN)
	for f := range NumFields {
		if c.Present.Has(f) {
			b = AppendValue(AppendKey(b, f), f, c.Values[f])
		}
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// AppendString appends a JSON string. Broken UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[done:i]...)
				b = append(b, "\ufffd"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[done:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// AppendJSON appends all values that are not null, as one object. The reverse is ReadJSON.
func (v *Values) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for f := range NumFields {
		if v[f] != "" {
			b = AppendValue(AppendKey(b, f), f, v[f])
		}
	}
	return append(b, '}')
}

// ReadJSON reads what AppendJSON wrote. Members of fields that no longer exist are dropped.
func (v *Values) ReadJSON(record string) error {
	rest, next := record, Field(0)
	for len(rest) > 1 {
		rest = rest[1:] // the brace or comma before a member
		if rest == "" || rest[0] != '"' {
			break
		}
		end := stringEnd(rest)
		if end < 0 || end >= len(rest) || rest[end] != ':' {
			return fmt.Errorf("record is damaged: %.40q", rest)
		}
		name := rest[1 : end-1]
		for next < NumFields && fields[next].name != name {
			next++
		}
		f, known := next, next < NumFields
		if !known {
			f, known = byName[name]
			next = 0
		}
		rest = rest[end+1:]
		size := valueEnd(rest)
		if size <= 0 {
			return fmt.Errorf("record is damaged: %.40q", rest)
		}
		if known {
			v[f] = unquote(rest[:size])
		}
		rest = rest[size:]
	}
	if rest != "}" && record != "{}" {
		return fmt.Errorf("record is damaged: %.40q", record)
	}
	return nil
}

// stringEnd is the position after the string a text begins with, -1 when it has no end.
func stringEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd is the position after the JSON value a text begins with.
func valueEnd(s string) int {
	if s == "" {
		return -1
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := stringEnd(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
			if depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return -1
}

// unquote is the canonical text of a JSON value.
func unquote(raw string) string {
	if raw[0] != '"' {
		return raw
	}
	inner := raw[1 : len(raw)-1]
	for i := range len(inner) {
		if inner[i] == '\\' {
			var s string
			if json.Unmarshal([]byte(raw), &s) == nil {
				return s
			}
			break
		}
	}
	return inner
}

// items reads a list's canonical text.
func items(list string) []string {
	out := []string{}
	if list != "" {
		_ = json.Unmarshal([]byte(list), &out) // written by ListOf
	}
	return out
}
