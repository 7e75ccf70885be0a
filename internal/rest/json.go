package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting bounds how deep arrays and objects may nest in a request body.
const maxNesting = 32

// strictJSON reads requests strictly (RFC 8259 with I-JSON's rules, RFC 7493): no duplicate members, valid
// UTF-8, nothing after the value, bounded nesting. Answers are written without HTML escaping.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		parsed, first := v.(*any)
		if !first { // huma reads each body twice: for validation, then into its type
			return misfit(json.Unmarshal(data, v), reflect.TypeOf(v))
		}
		if err := checkJSON(data); err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(parsed); err != nil {
			return err
		}
		*parsed = validatable(*parsed)
		return nil
	},
}

// The validator joins member names with dots and brackets and takes them apart again, so that these signs
// inside a name would put every later fault in the wrong place. It gets stand-ins from a private plane.
var (
	hideSigns = strings.NewReplacer(".", "\U0010F000", "[", "\U0010F001", "]", "\U0010F002")
	showSigns = strings.NewReplacer("\U0010F000", ".", "\U0010F001", "[", "\U0010F002", "]")
)

// validatable is the parsed body as the validator can take it.
func validatable(v any) any {
	switch v := v.(type) {
	case json.Number: // beyond a float's range it becomes infinite; the second reading refuses it in its place
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f
	case []any:
		for i := range v {
			v[i] = validatable(v[i])
		}
	case map[string]any:
		for name, member := range v {
			if hidden := hideSigns.Replace(name); hidden != name {
				delete(v, name)
				name = hidden
			}
			v[name] = validatable(member)
		}
	}
	return v
}

// misfitMark leads the text of an error that names the member it is about.
const misfitMark = "misfit at "

// misfit says in our words which member did not fit into its type. The schema has been checked by then; what
// is left are numbers out of the type's range, or written with a fraction.
func misfit(err error, into reflect.Type) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	reason := "is not of the type this member has"
	if strings.HasPrefix(e.Value, "number") {
		reason = "is not a whole number of the range this member takes"
	}
	return errors.New(misfitMark + onWire(e.Field, into) + ": " + reason)
}

// onWire takes the names of embedded structs, which the body does not show, off a member's path.
func onWire(path string, t reflect.Type) string {
	for {
		name, rest, _ := strings.Cut(path, ".")
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return path
		}
		f, ok := t.FieldByName(name)
		if !ok || !f.Anonymous || f.Tag.Get("json") != "" {
			return path
		}
		path, t = rest, f.Type
	}
}

func checkJSON(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.ReadToken(); err != nil {
			return syntaxError(err, d.InputOffset())
		}
		if d.StackDepth() > maxNesting {
			return fmt.Errorf("at byte %d: nested deeper than %d", d.InputOffset(), maxNesting)
		}
		if d.StackDepth() == 0 {
			return checkEnd(data[d.InputOffset():], d.InputOffset())
		}
	}
}

// syntaxError says where reading ended and why, without the decoder's name.
func syntaxError(err error, offset int64) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, err = e.ByteOffset, e.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("at byte %d: it ends too early", offset)
	}
	return fmt.Errorf("at byte %d: %s", offset, strings.TrimPrefix(err.Error(), "jsontext: "))
}

func checkEnd(rest []byte, offset int64) error {
	if len(bytes.Trim(rest, " \t\r\n")) > 0 {
		return fmt.Errorf("at byte %d: text after the JSON value", offset)
	}
	return nil
}

// Optional is a member of a PATCH body: absent, null, or a value (RFC 7396).
type Optional[T any] struct {
	Set   bool // the member is present
	Null  bool // and null
	Value T    `json:"⁂"` // shows in the paths of faults below it, where faultAt takes it out

	misfit bool   // a number out of the type's range, or with a fraction
	inside string // where in an object it stands, dotted; "" for the member itself
}

// UnmarshalJSON implements json.Unmarshaler; it is called only for members that are present.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	err := json.Unmarshal(b, &o.Value)
	o.misfit = err != nil && (b[0] == '-' || b[0] >= '0' && b[0] <= '9')
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && b[0] == '{' && strings.HasPrefix(e.Value, "number") {
		o.misfit, o.inside = true, "."+e.Field
	}
	return nil // an error would keep the members after it from being read
}

// Resolve implements huma.ResolverWithPath: it names a number that does not fit, where the schema did not.
func (o *Optional[T]) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	if !o.misfit {
		return nil
	}
	return Faults(faultAt(at.String()+o.inside, "is not a whole number of the range this member takes"))
}

// MarshalJSON implements json.Marshaler.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if !o.Set || o.Null {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// Schema implements huma.SchemaProvider: the value's own schema.
func (o Optional[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(typeFor[T](), true, "")
}

// OrElse is the value when one was sent, the given one otherwise.
func (o Optional[T]) OrElse(current T) T {
	if o.Set && !o.Null {
		return o.Value
	}
	return current
}
