package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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
		if _, first := v.(*any); first { // huma reads each body twice: for validation, then into its type
			if err := checkJSON(data); err != nil {
				return err
			}
		}
		return json.Unmarshal(data, v)
	},
}

func checkJSON(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.ReadToken(); err != nil {
			if errors.Is(err, io.EOF) && d.StackDepth() == 0 && d.InputOffset() > 0 {
				return nil
			}
			return fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		if d.StackDepth() > maxNesting {
			return fmt.Errorf("at byte %d: nested deeper than %d", d.InputOffset(), maxNesting)
		}
		if d.StackDepth() == 0 {
			return checkEnd(data[d.InputOffset():], d.InputOffset())
		}
	}
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
	Value T
}

// UnmarshalJSON implements json.Unmarshaler; it is called only for members that are present.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
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
