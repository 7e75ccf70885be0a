package sqldb

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"
)

// Time stores an instant as BIGINT Unix microseconds; the zero time is NULL. One adapter keeps both
// engines alike.
type Time struct{ time.Time }

// At is Time for an argument list.
func At(t time.Time) Time { return Time{t} }

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		t.Time = time.Time{}
	case int64:
		t.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("sqldb: %T is no time", src)
	}
	return nil
}

// Strings stores a list of texts as a JSON array.
type Strings []string

// Value implements driver.Valuer.
func (s Strings) Value() (driver.Value, error) {
	if s == nil {
		return "[]", nil
	}
	b, err := json.Marshal([]string(s))
	return string(b), err
}

// Scan implements sql.Scanner.
func (s *Strings) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("sqldb: %T is no list", src)
	}
	return json.Unmarshal([]byte(text), (*[]string)(s))
}
