package sheet

import (
	"bytes"
	"path/filepath"
	"strings"

	"carfluence/internal/errs"
)

const (
	sniffBytes   = 512 << 10 // looked at to find the format
	sniffRecords = 50
)

// Format is how a file was found to be written.
type Format struct {
	Charset   string // final when the file has been read to its end
	Delimiter byte   // one of , tab | ;
	Header    bool
	Layout    string // name of the known layout of a file without header
}

// delimiters in order of preference when nothing else decides.
var delimiters = []byte{',', '\t', '|', ';'}

// sniffed is what the first bytes of a file tell.
type sniffed struct {
	delim   byte
	crEnds  bool
	records []record // the first ones, blank ones left out
}

// sniff finds the delimiter: the one that gives the most equal number of cells, above one, on the first records.
// The file's extension decides only between equals. whole says that head is the entire file.
func sniff(head []byte, whole bool, name string) (sniffed, error) {
	if err := textual(head); err != nil {
		return sniffed{}, err
	}
	crEnds := !bytes.ContainsRune(head, '\n')
	var best sniffed
	bestScore := score{}
	for _, d := range delimiters {
		records := firstRecords(head, whole, d, crEnds)
		if s := judge(records, d, name); best.records == nil || s.above(bestScore) {
			best, bestScore = sniffed{delim: d, crEnds: crEnds, records: records}, s
		}
	}
	return best, nil
}

// textual refuses what is no delimited text at all, with the reason.
func textual(head []byte) error {
	refuse := func(detail string) error { return errs.Invalid("file_not_text", detail) }
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return refuse("the file is a ZIP archive or a spreadsheet (xlsx); unpack it, or save it as CSV")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")) || bytes.HasPrefix(head, []byte("\x1f‹")): // ‹: 0x8b in Windows-1252
		return refuse("the file is compressed with gzip; unpack it first")
	case bytes.HasPrefix(head, []byte("%PDF")):
		return refuse("the file is a PDF document, not delimited text")
	case bytes.IndexByte(head, 0) >= 0:
		return refuse("the file holds NUL bytes: it is no text, or UTF-16 without a byte order mark")
	}
	return nil
}

func firstRecords(head []byte, whole bool, delim byte, crEnds bool) []record {
	s := newScanner(bytes.NewReader(head), delim, crEnds)
	records := make([]record, 0, sniffRecords)
	for len(records) < sniffRecords {
		rec, err := s.next()
		if err != nil { // only io.EOF: a bytes.Reader does not fail
			break
		}
		if s.pos == s.end && s.eof && !whole && len(records) > 0 {
			break // cut off by the window
		}
		if !rec.blank() {
			records = append(records, rec)
		}
	}
	return records
}

// score orders delimiters: equality first, then columns, then the extension.
type score struct {
	equal   int // records with as many cells as the first
	columns int
	byName  bool
}

func (s score) above(t score) bool {
	switch {
	case s.equal != t.equal:
		return s.equal > t.equal
	case s.columns != t.columns:
		return s.columns > t.columns
	}
	return s.byName && !t.byName
}

// judge counts against the first record, not the commonest count: a delimiter that every value of one column
// holds once (a decimal comma, a photo list) is not in the header.
func judge(records []record, delim byte, name string) score {
	if len(records) == 0 || len(records[0].cells) < 2 {
		return score{}
	}
	s := score{columns: len(records[0].cells), byName: suggestedBy(name) == delim}
	for _, rec := range records {
		if len(rec.cells) == s.columns {
			s.equal++
		}
	}
	return s
}

func suggestedBy(name string) byte {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return ','
	case ".tsv", ".tab":
		return '\t'
	case ".psv":
		return '|'
	}
	return 0
}
