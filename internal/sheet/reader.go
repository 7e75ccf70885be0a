package sheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"carfluence/internal/errs"
	"carfluence/internal/vin"
)

// Row is one data row of a file.
type Row struct {
	Line  int      // physical line it begins on, from 1
	Cells []string // exactly as many as the header; any number when Fault is set
	Fault string   // why the row can't be used
	Notes []string // what was odd though it is used
}

// Reader reads the rows of a delimited file: format and header first, then row by row. Memory does not grow
// with the file.
type Reader struct {
	Header []string // as written; of the known layout when the file has none
	Notes  []string // what was odd about the file as a whole

	format  Format
	decoder *decoder
	scan    *scanner
	sample  [][]string // cells of the first data rows
	pending *record    // record 1 of a file without header
}

// NewReader finds out how a file is written. Its name is asked only for the extension. A file that is empty,
// no text, or has neither a header nor a known layout is refused.
func NewReader(r io.Reader, name string) (*Reader, error) {
	d, err := newDecoder(r)
	if err != nil {
		return nil, err
	}
	text := bufio.NewReaderSize(d, sniffBytes)
	head, err := text.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return nil, errs.Invalid("file_empty", "The file is empty.")
	}
	found, err := sniff(head, len(head) < sniffBytes, name)
	if err != nil {
		return nil, err
	}
	rd := &Reader{decoder: d, scan: newScanner(text, found.delim, found.crEnds)}
	rd.format = Format{Delimiter: found.delim}
	return rd, rd.start(found)
}

// start reads the header, or finds the layout of a file without one.
func (rd *Reader) start(found sniffed) error {
	first, err := rd.record()
	if errors.Is(err, io.EOF) {
		return errs.Invalid("file_empty", "The file is empty.")
	}
	if err != nil {
		return err
	}
	if first.fault != "" {
		return errs.Invalid("header_unreadable", fmt.Sprintf("The header can't be read: %s.", first.fault))
	}
	if err := nameable(first.cells); err != nil {
		return err
	}
	rows := found.records[min(1, len(found.records)):]
	if at := headerless(first.cells, rows); at >= 0 {
		l, ok := layoutOf(len(first.cells), func(i int) bool { return vin.Shaped(first.cells[i]) })
		if !ok {
			return errs.Invalid("header_missing", fmt.Sprintf("The file has no header, and its %d columns with the VIN in column %d match no known layout.",
				len(first.cells), at+1))
		}
		rd.Header, rd.format.Layout, rd.pending = l.header, l.name, &first
		rows = found.records
	} else {
		rd.Header, rd.format.Header = first.cells, true
	}
	rd.scan.width = len(rd.Header)
	for _, rec := range rows {
		if rec.fault == "" {
			rd.sample = append(rd.sample, rec.cells)
		}
	}
	return nil
}

// Limits on a header: its names are kept, shown and compared.
const (
	maxHeaderName  = 1000     // bytes of one name, line breaks included
	maxHeaderBytes = 64 << 10 // of all names
)

// nameable refuses a first record that can be no header, and is too long for a row of known layout too.
func nameable(cells []string) error {
	if hasVIN(cells) {
		return nil
	}
	all := 0
	for _, c := range cells {
		all += len(c)
		if len(c) > maxHeaderName || all > maxHeaderBytes {
			return errs.Invalid("header_unreadable", fmt.Sprintf("The first line is no header: the names of its columns are longer than %d bytes each or %d together.", maxHeaderName, maxHeaderBytes))
		}
	}
	return nil
}

func hasVIN(cells []string) bool { return slices.ContainsFunc(cells, vin.Shaped) }

// record is the next record that holds anything.
func (rd *Reader) record() (record, error) {
	for {
		rec, err := rd.scan.next()
		if err != nil || !rec.blank() {
			return rec, err
		}
	}
}

// Next returns the next row, io.EOF at the end. A row that can't be used is returned with its fault; only a
// failure to read the file is an error.
func (rd *Reader) Next() (Row, error) {
	rec, err := rd.take()
	if err != nil {
		return Row{}, err
	}
	row := Row{Line: rec.line, Cells: rec.cells, Fault: rec.fault}
	if row.Fault == "" {
		rd.fit(&row)
	}
	if rec.unclosed && row.Fault == "" {
		row.Notes = append(row.Notes, "a quotation mark never closes; it was read as a plain character")
	}
	return row, nil
}

func (rd *Reader) take() (record, error) {
	if rec := rd.pending; rec != nil {
		rd.pending = nil
		return *rec, nil
	}
	return rd.record()
}

// fit gives a row as many cells as the header has.
func (rd *Reader) fit(row *Row) {
	n, width := len(row.Cells), len(rd.Header)
	switch {
	case n < width:
		row.Notes = append(row.Notes, fmt.Sprintf("the row has %d cells instead of %d; the missing ones count as empty", n, width))
		row.Cells = append(row.Cells, make([]string, width-n)...)
	case n > width && strings.TrimSpace(strings.Join(row.Cells[width:], "")) == "":
		row.Cells = row.Cells[:width]
	case n > width:
		row.Fault = fmt.Sprintf("the row has %d cells, the header %d", n, width)
	}
}

// Format is how the file is written; its charset is final once Next has returned io.EOF.
func (rd *Reader) Format() Format {
	f := rd.format
	f.Charset = rd.decoder.Charset()
	return f
}

// Sample returns the cells of the first data rows.
func (rd *Reader) Sample() [][]string { return rd.sample }

// headerless finds where the VIN stands in record 1 of a file without header; -1 when record 1 is one. A wrong
// check digit says little, as in Europe position 9 is free: then the records that follow decide.
func headerless(first []string, following []record) int {
	if at := slices.IndexFunc(first, vin.Proven); at >= 0 {
		return at
	}
	if slices.ContainsFunc(first, namesVIN) {
		return -1
	}
	for i, cell := range first {
		if !vin.Shaped(cell) {
			continue
		}
		filled, good := 0, 0
		for _, rec := range following {
			if i < len(rec.cells) && strings.TrimSpace(rec.cells[i]) != "" {
				filled++
				if vin.Shaped(rec.cells[i]) {
					good++
				}
			}
		}
		if len(following) == 0 || filled > 0 && good*10 >= filled*9 {
			return i
		}
	}
	return -1
}

// namesVIN tells whether a cell is the name of a VIN column.
func namesVIN(cell string) bool {
	return slices.Contains(strings.Split(VINColumns, ", "), HeaderKey(cell))
}
