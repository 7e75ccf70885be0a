package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits on one record. A file that goes over them is odd, not large: the genuine rows seen have at most 90
// columns and 20 KB.
const (
	maxCell    = 1 << 20 // bytes of one cell
	maxColumns = 1000
	maxRecord  = 4 << 20 // bytes of one record, quotes and line breaks included

	// After so many quotation marks that never close, none is believed to span lines any more: looking for
	// their ends would cost maxRecord bytes each.
	maxUnclosed = 20
)

// record is one record of a delimited file.
type record struct {
	line  int      // physical line it begins on, from 1
	cells []string // untrimmed; nil when fault is set
	fault string   // why it can't be used
	// unclosed: a quotation mark opened and never closed; it was read as a plain character and the record
	// as ending with its line.
	unclosed bool
}

// scanner splits delimited text into records: RFC 4180 with lenient quotes (a quotation mark inside an
// unquoted cell, or inside a quoted one without a delimiter after it, is a plain character).
type scanner struct {
	src    io.Reader
	delim  byte
	crEnds bool // lone CR ends a line: the file has no LF
	width  int  // columns of the header, 0 while unknown

	buf      []byte
	pos, end int
	eof      bool
	line     int
	unclosed int // quotation marks found never to close

	text []byte // cells of the record being read, end to end
	ends []int
}

func newScanner(src io.Reader, delim byte, crEnds bool) *scanner {
	return &scanner{src: src, delim: delim, crEnds: crEnds, line: 1, buf: make([]byte, 64<<10)}
}

// outcome of an attempt to read one record from the bytes at hand.
type outcome uint8

const (
	whole       outcome = iota
	needMore            // the record may go on behind these bytes
	neverCloses         // at the end of the file inside quotes
)

// next returns the next record, io.EOF at the end.
func (s *scanner) next() (record, error) {
	for {
		if s.pos == s.end && s.eof {
			return record{}, io.EOF
		}
		if s.unclosed >= maxUnclosed && s.lineAtHand() {
			return s.lineAlone(), nil
		}
		n, res, fault := s.parse(s.buf[s.pos:s.end], s.eof)
		switch {
		case res == needMore && s.end-s.pos < maxRecord:
			if err := s.fill(); err != nil {
				return record{}, err
			}
		case res == needMore:
			return s.tooLong()
		case res == neverCloses:
			return s.firstLineOnly(), nil
		case s.swallowed(n):
			if rec, ok := s.asOneLine(); ok {
				return rec, nil
			}
			n, _, fault = s.parse(s.buf[s.pos:s.end], s.eof)
			return s.take(n, fault), nil
		default:
			return s.take(n, fault), nil
		}
	}
}

// swallowed suspects a quotation mark that was never meant to open: the record spans lines and has too many
// cells.
func (s *scanner) swallowed(n int) bool {
	return s.width > 0 && len(s.ends) > s.width && s.firstLineEnd(s.buf[s.pos:s.pos+n]) < n
}

// asOneLine reads the current physical line with unclosed quotes as plain characters; good if it then has as
// many cells as the header.
func (s *scanner) asOneLine() (record, bool) {
	n := s.firstLineEnd(s.buf[s.pos:s.end])
	fault, unclosed := s.parseLine(s.buf[s.pos : s.pos+n])
	if fault != "" || !unclosed || len(s.ends) != s.width {
		return record{}, false
	}
	s.unclosed++
	rec := s.take(n, "")
	rec.unclosed = true
	return rec, true
}

// firstLineOnly gives up on a quote that never closes: its line is read alone, the scanner goes on behind it.
func (s *scanner) firstLineOnly() record {
	s.unclosed++
	return s.lineAlone()
}

func (s *scanner) lineAtHand() bool {
	return s.eof || s.firstLineEnd(s.buf[s.pos:s.end]) < s.end-s.pos
}

// lineAlone reads the current physical line as a record.
func (s *scanner) lineAlone() record {
	n := s.firstLineEnd(s.buf[s.pos:s.end])
	fault, unclosed := s.parseLine(s.buf[s.pos : s.pos+n])
	if unclosed && fault == "" && s.width > 0 && len(s.ends) != s.width {
		fault = "a quotation mark opens in this row and never closes"
	}
	rec := s.take(n, fault)
	rec.unclosed = unclosed
	return rec
}

// tooLong handles a record over maxRecord: a line break inside means an unclosed quote; without one the line
// itself is skipped.
func (s *scanner) tooLong() (record, error) {
	if s.firstLineEnd(s.buf[s.pos:s.end]) < s.end-s.pos {
		return s.firstLineOnly(), nil
	}
	rec := record{line: s.line, fault: fmt.Sprintf("the row is longer than %d bytes", maxRecord)}
	for {
		s.pos = s.end
		if err := s.fill(); err != nil {
			return record{}, err
		}
		if s.pos == s.end && s.eof {
			return rec, nil
		}
		n := s.firstLineEnd(s.buf[s.pos:s.end])
		if ends := s.endsLine(s.buf[s.pos+n-1]); ends {
			s.pos += n
			s.line++
			return rec, nil
		}
	}
}

func (s *scanner) endsLine(c byte) bool { return c == '\n' || s.crEnds && c == '\r' }

// take consumes n bytes as one record of the cells last parsed.
func (s *scanner) take(n int, fault string) record {
	rec := record{line: s.line, fault: fault}
	if fault == "" {
		all := string(s.text)
		rec.cells = make([]string, len(s.ends))
		start := 0
		for i, end := range s.ends {
			rec.cells[i] = all[start:end]
			start = end
		}
	}
	s.line += s.lineEnds(s.buf[s.pos : s.pos+n])
	s.pos += n
	return rec
}

func (s *scanner) lineEnds(b []byte) int {
	if s.crEnds {
		return bytes.Count(b, []byte{'\r'})
	}
	return bytes.Count(b, []byte{'\n'})
}

// firstLineEnd is the index behind the first line end, len(b) without one.
func (s *scanner) firstLineEnd(b []byte) int {
	end := byte('\n')
	if s.crEnds {
		end = '\r'
	}
	if i := bytes.IndexByte(b, end); i >= 0 {
		return i + 1
	}
	return len(b)
}

// fill reads more bytes behind the ones at hand, as many as fit: each call doubles what parse looks at, so
// reading a long record again from its beginning stays cheap.
func (s *scanner) fill() error {
	if s.pos > 0 {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := io.ReadFull(s.src, s.buf[s.end:])
	s.end += n
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.eof = true
	case err != nil:
		return fmt.Errorf("read file: %w", err)
	}
	return nil
}

// parse reads one record from b into text and ends. final says that nothing follows b. It returns the bytes
// used, line end included.
func (s *scanner) parse(b []byte, final bool) (n int, res outcome, fault string) {
	s.text, s.ends = s.text[:0], s.ends[:0]
	i := 0
	for {
		next, more, res := s.cell(b, i, final)
		if res != whole {
			return 0, res, ""
		}
		fault = s.closeCell(fault)
		if !more {
			return next, whole, fault
		}
		i = next
	}
}

// parseLine reads b, one physical line, as a whole record in which a quotation mark that does not close is a
// plain character.
func (s *scanner) parseLine(b []byte) (fault string, unclosed bool) {
	s.text, s.ends = s.text[:0], s.ends[:0]
	for i := 0; ; {
		mark := len(s.text)
		next, more, res := s.cell(b, i, true)
		if res == neverCloses {
			s.text = s.text[:mark]
			unclosed = true
			next, more, _ = s.plainCell(b, i, true)
		}
		fault = s.closeCell(fault)
		if !more {
			return fault, unclosed
		}
		i = next
	}
}

// closeCell ends a cell, within the limits.
func (s *scanner) closeCell(fault string) string {
	start := 0
	if len(s.ends) > 0 {
		start = s.ends[len(s.ends)-1]
	}
	switch {
	case fault != "":
		s.text = s.text[:start]
		return fault
	case len(s.ends) == maxColumns:
		s.text = s.text[:start]
		return fmt.Sprintf("the row has more than %d columns", maxColumns)
	case len(s.text)-start > maxCell:
		s.text = s.text[:start]
		return fmt.Sprintf("a cell is longer than %d bytes", maxCell)
	case bytes.IndexByte(s.text[start:], 0) >= 0:
		s.text = s.text[:start]
		return "a cell holds a NUL byte"
	}
	s.ends = append(s.ends, len(s.text))
	return ""
}

// cell appends the cell that begins at i. more says that a delimiter, not a line end, follows.
func (s *scanner) cell(b []byte, i int, final bool) (next int, more bool, res outcome) {
	j := i
	for j < len(b) && b[j] == ' ' {
		j++
	}
	if j == len(b) && !final {
		return 0, false, needMore
	}
	if j < len(b) && b[j] == '"' {
		return s.quotedCell(b, j+1, final)
	}
	return s.plainCell(b, i, final)
}

func (s *scanner) plainCell(b []byte, i int, final bool) (next int, more bool, res outcome) {
	for j := i; j < len(b); j++ {
		switch c := b[j]; {
		case c == s.delim:
			s.text = append(s.text, b[i:j]...)
			return j + 1, true, whole
		case c == '\n' || c == '\r':
			n, known := s.lineEnd(b, j, final)
			if !known {
				return 0, false, needMore
			}
			if n > 0 {
				s.text = append(s.text, b[i:j]...)
				return j + n, false, whole
			}
		}
	}
	if !final {
		return 0, false, needMore
	}
	s.text = append(s.text, b[i:]...)
	return len(b), false, whole
}

func (s *scanner) quotedCell(b []byte, i int, final bool) (next int, more bool, res outcome) {
	for {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			if final {
				return 0, false, neverCloses
			}
			return 0, false, needMore
		}
		j += i
		s.text = append(s.text, b[i:j]...)
		if j+1 < len(b) && b[j+1] == '"' {
			s.text = append(s.text, '"')
			i = j + 2
			continue
		}
		next, more, res = s.behindQuote(b, j+1, final)
		if res != whole || next > 0 {
			return next, more, res
		}
		s.text = append(s.text, '"')
		i = j + 1
	}
}

// behindQuote decides what a quotation mark inside a quoted cell is: the end of the cell when a delimiter or
// line end follows (blanks between are ignored), a plain character (next 0) otherwise.
func (s *scanner) behindQuote(b []byte, k int, final bool) (next int, more bool, res outcome) {
	for k < len(b) && b[k] == ' ' {
		k++
	}
	if k == len(b) {
		if final {
			return k, false, whole
		}
		return 0, false, needMore
	}
	if b[k] == s.delim {
		return k + 1, true, whole
	}
	n, known := s.lineEnd(b, k, final)
	if !known {
		return 0, false, needMore
	}
	if n == 0 {
		return 0, false, whole
	}
	return k + n, false, whole
}

// lineEnd is the length of the line end at j, 0 if there is none; known is false when the next byte decides
// and is not there yet.
func (s *scanner) lineEnd(b []byte, j int, final bool) (n int, known bool) {
	switch {
	case b[j] == '\n':
		return 1, true
	case b[j] != '\r':
		return 0, true
	case s.crEnds:
		return 1, true
	case j+1 < len(b):
		if b[j+1] == '\n' {
			return 2, true
		}
		return 0, true
	case final: // the last byte of the file
		return 1, true
	}
	return 0, false
}

// blank tells whether a record holds nothing.
func (r record) blank() bool {
	if r.fault != "" {
		return false
	}
	for _, c := range r.cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}
