package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/index"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// exportPiece is how many vehicles of an export are read at once.
const exportPiece = 500

// A writing appends an encoded vehicle to a file.
type writing func(b, object []byte) []byte

// Export writes the vehicles of a selection, each once whatever is written meanwhile, as it is when its piece is read. Which
// ones, and their order, are of one moment, and all is there that was written before. Without an index it can only select by status and search; the order is that of VINs
// then, and vehicles that come or change meanwhile may be among them. head goes before the first one.
func (s *Stock) Export(ctx context.Context, t *sqldb.Tenant, sel *Selection, head []byte, form writing, to io.Writer) error {
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	default:
		return errTooManyExports
	}
	now := s.now()
	v, err := s.pages.version(ctx, t, now)
	if err != nil {
		return err
	}
	x, _, err := s.indexes.get(ctx, t, v, needAll)
	if err != nil && !(sel.simple() && errors.Is(err, errNoIndex)) {
		return err
	}
	days, err := s.calendarAt(ctx, t, v)
	if err != nil {
		return err
	}
	e := &export{finding: finding{s, t, sel, days, now}, form: form, to: to, out: head}
	if x == nil {
		return e.fromStore(ctx)
	}
	return e.fromIndex(ctx, x)
}

// export is a file being made.
type export struct {
	finding
	form writing
	to   io.Writer
	out  []byte // not yet written
	one  []byte
}

func (e *export) fromIndex(ctx context.Context, x *index.Index) error {
	all := x.Select(&e.Query, e.today)
	for from := 0; from < all.Len(); from += exportPiece {
		if err := e.piece(ctx, all.Rows(from, min(from+exportPiece, all.Len()))); err != nil {
			return err
		}
	}
	return e.flush()
}

func (e *export) fromStore(ctx context.Context) error {
	for after := ""; ; {
		rows, err := selectExported(ctx, e.t, e.filter(), after, exportPiece)
		if err != nil {
			return err
		}
		passing := make([]index.Row, 0, len(rows))
		for _, row := range rows {
			if after = row.VIN; row.Document != "" {
				passing = append(passing, row)
			}
		}
		if err := e.piece(ctx, passing); err != nil {
			return err
		}
		if len(rows) < exportPiece {
			return e.flush()
		}
	}
}

// piece writes vehicles. Documents read for it are not kept: a file of all would drive out those that lists show.
func (e *export) piece(ctx context.Context, rows []index.Row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.beyondLists() {
		if err := e.eachFull(ctx, rows, func(full []byte) { e.out = e.form(e.out, full) }); err != nil {
			return err
		}
		return e.flush()
	}
	if _, err := e.complete(ctx, nil, rows); err != nil {
		return err
	}
	for i := range rows {
		e.one = appendListDocument(e.one[:0], rows[i].Document, e.today(rows[i].DealershipID)-rows[i].LotSince)
		e.out = e.form(e.out, e.one)
	}
	return e.flush()
}

func (e *export) flush() error {
	if len(e.out) == 0 {
		return nil
	}
	_, err := e.to.Write(e.out)
	e.out = e.out[:0]
	return err
}

// lines writes a vehicle a line, with the members asked for.
func lines(fields []string) writing {
	return func(b, object []byte) []byte {
		if fields == nil {
			b = append(b, object...)
		} else {
			b = appendMembers(b, object, fields)
		}
		return append(b, '\n')
	}
}

// table writes a vehicle a row of CSV (RFC 4180), and head the names of its columns: the VIN's, and those asked for in their
// order.
func table(fields []string) (head []byte, form writing) {
	if fields == nil {
		for _, f := range listed {
			fields = append(fields, f.String())
		}
		fields = append(fields, "days_on_lot", "source_integration_id", "created_at", "updated_at", "vin_status")
	}
	columns := []string{"vin"}
	place := map[string]int{"vin": 0}
	head = append(head, "vin"...)
	for _, name := range fields {
		if _, there := place[name]; !there {
			place[name] = len(columns)
			columns = append(columns, name)
			head = append(append(head, ','), name...)
		}
	}
	money := make([]bool, len(columns))
	for i, name := range columns {
		f, isField := vehicle.FieldNamed(name)
		money[i] = isField && f.Kind() == vehicle.Money
	}
	values := make([][]byte, len(columns))
	return append(head, "\r\n"...), func(b, object []byte) []byte {
		clear(values)
		for name, value := range members(object) {
			if i, wanted := place[string(name)]; wanted {
				values[i] = value
			}
		}
		for i, value := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCell(b, value, money[i])
		}
		return append(b, "\r\n"...)
	}
}

// appendCell appends a JSON value as a cell: a text as it is, null as an empty one, lists and objects as JSON. A text that a
// spreadsheet might take for a formula gets an apostrophe before it (OWASP, "CSV injection"); amounts are numbers.
func appendCell(b, value []byte, amount bool) []byte {
	if len(value) == 0 || string(value) == "null" {
		return b
	}
	if value[0] != '"' {
		return appendQuoted(b, value, "")
	}
	text := unquoted(value)
	if len(text) > 0 && !amount {
		switch text[0] {
		case '=', '+', '-', '@', '\t', '\r':
			return appendQuoted(b, text, "'")
		}
	}
	return appendQuoted(b, text, "")
}

// appendQuoted appends a cell's text, in quotes if it needs them.
func appendQuoted(b, text []byte, prefix string) []byte {
	plain := true
	for _, c := range text {
		if c == '"' || c == ',' || c == '\n' || c == '\r' {
			plain = false
			break
		}
	}
	if plain && !blankEnds(text) {
		return append(append(b, prefix...), text...)
	}
	b = append(append(b, '"'), prefix...)
	for _, c := range text {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// blankEnds tells of blanks at the ends, which some programs drop outside quotes.
func blankEnds(text []byte) bool {
	return len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[len(text)-1] == ' ' || text[len(text)-1] == '\t')
}

// unquoted is the text of a JSON string.
func unquoted(value []byte) []byte {
	inner := value[1 : len(value)-1]
	for _, c := range inner {
		if c == '\\' {
			var text string
			if json.Unmarshal(value, &text) == nil { // it was made by AppendString
				return []byte(text)
			}
		}
	}
	return inner
}

var errTooManyExports = errs.UnavailableFor(30*time.Second, "As many exports are under way as this server makes at once (--exports-max). Call again later.", nil)
