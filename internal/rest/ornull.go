package rest

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// OrNull is an object in an answer that may be null, which the document can't say of a plain pointer to a struct.
type OrNull[T any] struct{ Value *T }

// MarshalJSON implements json.Marshaler.
func (o OrNull[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }

// Schema implements huma.SchemaProvider.
func (o OrNull[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[T](), true, ""), {Type: "null"}}}
}

// TextOrNull is a text of an answer, null for "".
func TextOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Seconds is a time as answers show it: UTC, whole seconds.
func Seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// SecondsOrNull is Seconds, null for the zero time.
func SecondsOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = Seconds(t)
	return &t
}
