package sheet

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"

	"carfluence/internal/errs"
)

// Caps on what is unpacked; zero values are filled in. What an archive declares about itself is never trusted.
type Caps struct {
	Bytes   int64 // of the unpacked file; 4 GiB
	Entries int   // in a ZIP archive; 10,000
	// Ratio is how many times its upload a file may be, once it is beyond FreeBytes: 200 times, beyond 100 MiB.
	// Feeds are packed 5 to 30 times smaller, bombs 1,000 times.
	Ratio     int64
	FreeBytes int64
}

func (c Caps) filled() Caps {
	if c.Bytes == 0 {
		c.Bytes = 4 << 30
	}
	if c.Entries == 0 {
		c.Entries = 10_000
	}
	if c.Ratio == 0 {
		c.Ratio = 200
	}
	if c.FreeBytes == 0 {
		c.FreeBytes = 100 << 20
	}
	return c
}

const (
	magicBytes = 512 // enough to recognise a file, of tar also
	// directoryBytes bounds what is read to find a ZIP archive's entries: 10,000 with long names.
	directoryBytes = 4 << 20
	// directoryEnd is the size of the record that ends a ZIP archive, maxComment of the comment in it.
	directoryEnd = 22
	maxComment   = 1<<16 - 1
)

// Unpacked is a file as it was before its sender packed it. Whether it is whole is known only once it has been
// read to its end: until then an error (of kind invalid when the sender is to blame) may follow.
type Unpacked struct {
	// Name is the file's own: of the ZIP entry, or the upload's without .gz. A label, never a path.
	Name string
	// Plain says that nothing had to be unpacked: the upload itself is the file.
	Plain bool

	in    io.Reader
	close func() error
	src   *source
	read  int64
	limit int64 // bytes
	ratio bool  // the limit is the ratio's
}

// Unpack recognises by its content whether an upload is a file or one packed with gzip or ZIP, and opens it.
// name is the upload's. Memory does not grow with the file. Whatever holds not exactly one file, or can't be
// unpacked, is refused with what its sender can do.
func Unpack(src io.ReaderAt, size int64, name string, caps Caps) (*Unpacked, error) {
	s := &source{r: src, size: size}
	u, err := s.open(plainName(name), caps.filled())
	if err != nil {
		return nil, s.fault(err)
	}
	if !u.Plain {
		if err := u.refuseNested(); err != nil {
			_ = u.Close()
			return nil, s.fault(err)
		}
	}
	return u, nil
}

func (s *source) open(name string, caps Caps) (*Unpacked, error) {
	u := &Unpacked{Name: name, src: s, close: func() error { return nil }}
	u.limit, u.ratio = caps.limit(s.size)
	whole := io.NewSectionReader(s, 0, s.size)
	head := make([]byte, min(magicBytes, s.size))
	if _, err := io.ReadFull(whole, head); err != nil {
		return nil, err
	}
	switch kind := recognise(head); kind {
	case plainFile:
		u.Plain, u.limit, u.ratio = true, s.size, false
		_, err := whole.Seek(0, io.SeekStart)
		u.in = whole
		return u, err
	case gzipFile:
		_, err := whole.Seek(0, io.SeekStart)
		if err != nil {
			return nil, err
		}
		u.Name = withoutSuffix(name, ".gz", ".gzip")
		u.in, err = gzip.NewReader(bufio.NewReaderSize(whole, 64<<10))
		return u, err
	case zipFile:
		return u, u.openZIP(caps)
	default:
		return nil, refuseKind(kind, "The upload")
	}
}

// limit is how long the unpacked file may be.
func (c Caps) limit(packed int64) (limit int64, byRatio bool) {
	if packed > c.Bytes/c.Ratio {
		return c.Bytes, false
	}
	if byRatio := max(c.FreeBytes, c.Ratio*packed); byRatio < c.Bytes {
		return byRatio, true
	}
	return c.Bytes, false
}

// Read implements io.Reader.
func (u *Unpacked) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	u.read += int64(n)
	if u.read > u.limit {
		return n, u.tooLarge()
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, u.src.fault(err)
}

// Close ends reading; it does not close the upload.
func (u *Unpacked) Close() error { return u.close() }

func (u *Unpacked) tooLarge() error {
	if u.ratio {
		return errs.Invalid("archive_suspicious", fmt.Sprintf("The upload of %s unpacks to more than %s, far more than a feed does. Send the file unpacked.", inBytes(u.src.size), inBytes(u.limit)))
	}
	return errs.Invalid("unpacked_too_large", fmt.Sprintf("The file is larger than %s once unpacked. Split it, or ask for a higher limit.", inBytes(u.limit)))
}

// refuseNested looks at the beginning of the unpacked file and puts it back.
func (u *Unpacked) refuseNested() error {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, u.in, magicBytes); err != nil && err != io.EOF {
		return err
	}
	if kind := recognise(head.Bytes()); kind != plainFile {
		return refuseKind(kind, "The packed file")
	}
	u.in = io.MultiReader(&head, u.in)
	return nil
}

// openZIP opens the one file of a ZIP archive.
func (u *Unpacked) openZIP(caps Caps) error {
	if n := u.src.declaredEntries(); n > uint64(caps.Entries) {
		return tooManyEntries(caps.Entries)
	}
	u.src.budget = directoryBytes
	z, err := zip.NewReader(u.src, u.src.size)
	if errors.Is(err, errBudget) || z != nil && len(z.File) > caps.Entries {
		return tooManyEntries(caps.Entries)
	}
	u.src.budget = 0
	if errors.Is(err, zip.ErrFormat) {
		return errs.Invalid("archive_truncated", "The ZIP archive has no directory at its end: it is cut off or damaged. Send it again.")
	}
	if err != nil {
		return err
	}
	entry, err := onlyFile(z.File)
	if err != nil {
		return err
	}
	if err := unpackable(entry); err != nil {
		return err
	}
	in, err := entry.Open()
	if err != nil {
		return err
	}
	u.in, u.close = in, in.Close
	if own := plainName(entry.Name); own != "" {
		u.Name = own
	}
	return nil
}

func tooManyEntries(most int) error {
	return errs.Invalid("archive_too_many_files", fmt.Sprintf("The ZIP archive holds more than %d files; a feed is one file. Pack only that.", most))
}

// onlyFile finds the one feed file among what packing programs add.
func onlyFile(entries []*zip.File) (*zip.File, error) {
	var found []*zip.File
	for _, f := range entries {
		name := strings.ReplaceAll(f.Name, `\`, "/")
		switch {
		case name == "[Content_Types].xml" || name == "mimetype" && f.Method == zip.Store:
			return nil, refuseKind(spreadsheet, "The upload")
		case f.Mode().IsRegular() && !strings.HasSuffix(name, "/") && !byproduct(name):
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return nil, errs.Invalid("archive_empty", "The ZIP archive holds no file. Pack the feed file and send it again.")
	case 1:
		return found[0], nil
	}
	return nil, errs.Invalid("archive_several_files", fmt.Sprintf("The ZIP archive holds %d files (%q, %q …); which of them is the feed can't be told. Send one file in each archive.",
		len(found), Shorten(plainName(found[0].Name)), Shorten(plainName(found[1].Name))))
}

// byproduct is what operating systems put into archives beside the files meant.
func byproduct(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." || strings.EqualFold(part, "__MACOSX") {
			return true
		}
	}
	base := path.Base(name)
	return strings.EqualFold(base, "Thumbs.db") || strings.EqualFold(base, "desktop.ini")
}

const (
	flagEncrypted       = 1 << 0
	flagStrongEncrypted = 1 << 6
	flagMaskedHeaders   = 1 << 13
	methodAES           = 99
)

func unpackable(f *zip.File) error {
	if f.Flags&(flagEncrypted|flagStrongEncrypted|flagMaskedHeaders) != 0 || f.Method == methodAES {
		return errs.Invalid("archive_encrypted", "The file in the ZIP archive is encrypted. Send it without a password; SFTP and HTTPS protect it on its way.")
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return errs.Invalid("archive_unsupported", fmt.Sprintf("The ZIP archive is packed by method %d; only the usual one (deflate) can be read. Pack it again with it, or send the file unpacked.", f.Method))
	}
	return nil
}

// fileKind is what the first bytes of a file say it is.
type fileKind int

const (
	plainFile fileKind = iota
	gzipFile
	zipFile
	emptyZIP
	tarFile
	spreadsheet
	otherArchive
)

var magics = []struct {
	magic string
	kind  fileKind
}{
	{"PK\x03\x04", zipFile},
	{"PK\x05\x06", emptyZIP},
	{"PK\x07\x08", otherArchive}, // ZIP in several parts
	{"\x1f\x8b", gzipFile},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", spreadsheet}, // xls
	{"7z\xbc\xaf\x27\x1c", otherArchive},
	{"Rar!\x1a\x07", otherArchive},
	{"\xfd7zXZ\x00", otherArchive},
	{"\x28\xb5\x2f\xfd", otherArchive}, // zstd
	{"\x1f\x9d", otherArchive},         // compress
	{"\x1f\xa0", otherArchive},
}

func recognise(head []byte) fileKind {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind
		}
	}
	switch {
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return tarFile
	case len(head) >= 10 && string(head[:3]) == "BZh" && string(head[4:10]) == "1AY&SY":
		return otherArchive
	}
	return plainFile
}

// refuseKind says what to do about a file that is nothing we unpack; what is "The upload" or what was in it.
func refuseKind(kind fileKind, what string) error {
	switch kind {
	case spreadsheet:
		return errs.Invalid("file_is_spreadsheet", what+" is a spreadsheet or an office document. Save it as CSV and send that.")
	case tarFile:
		return errs.Invalid("archive_unsupported", what+" is a tar archive. Send the feed file itself, packed with gzip or ZIP or not at all.")
	case emptyZIP:
		return errs.Invalid("archive_empty", what+" is a ZIP archive that holds no file. Pack the feed file and send it again.")
	case gzipFile, zipFile:
		return errs.Invalid("archive_nested", what+" is itself an archive or a spreadsheet. Pack the feed file only once, as CSV.")
	}
	return errs.Invalid("archive_unsupported", what+" is packed in a way that can't be read. Pack it with gzip or ZIP, or send it unpacked.")
}

// source is the upload. It keeps a failure to read it apart from faults of its content, and can bound what is
// read.
type source struct {
	r      io.ReaderAt
	size   int64
	err    error
	budget int64 // bytes that may still be read; 0 when unbounded, below when used up
}

var errBudget = errors.New("sheet: the archive's directory is too large")

// ReadAt implements io.ReaderAt.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if s.budget != 0 {
		if s.budget -= int64(len(p)); s.budget <= 0 {
			s.budget = -1
			return 0, errBudget
		}
	}
	if off < 0 || off >= s.size { // archive/zip follows some offsets unchecked
		return 0, io.EOF
	}
	n, err := s.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fault says what an error in unpacking means for the sender. One of the upload's own storage is ours.
func (s *source) fault(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case s.err != nil:
		return fmt.Errorf("read upload: %w", s.err)
	case errs.KindOf(err) == errs.KindInvalid:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errs.Invalid("archive_truncated", "The archive ends in the middle; the upload was cut off. Send it again.")
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zip.ErrChecksum):
		return errs.Invalid("archive_damaged", "The archive is damaged: its checksum is wrong. Pack the file and send it again, in binary mode.")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, zip.ErrAlgorithm), errors.As(err, &corrupt), strings.HasPrefix(err.Error(), "zip:"):
		return errs.Invalid("archive_damaged", "The archive is damaged. Pack the file and send it again, in binary mode.")
	}
	return fmt.Errorf("unpack: %w", err)
}

// declaredEntries is what a ZIP archive says about its length, 0 when it can't be found. archive/zip takes
// memory by it before it has seen an entry.
func (s *source) declaredEntries() uint64 {
	tail := make([]byte, min(s.size, directoryEnd+maxComment))
	if _, err := s.ReadAt(tail, s.size-int64(len(tail))); err != nil && err != io.EOF {
		return 0
	}
	at := bytes.LastIndex(tail[:max(0, len(tail)-directoryEnd+4)], []byte("PK\x05\x06"))
	if at < 0 {
		return 0
	}
	entries := uint64(binary.LittleEndian.Uint16(tail[at+10:]))
	const locator, record = 20, 56
	if at < locator || string(tail[at-locator:at-locator+4]) != "PK\x06\x07" {
		return entries
	}
	zip64 := make([]byte, record)
	offset := binary.LittleEndian.Uint64(tail[at-locator+8:])
	if offset > uint64(s.size) {
		return entries
	}
	if n, _ := s.ReadAt(zip64, int64(offset)); n < record || string(zip64[:4]) != "PK\x06\x06" {
		return entries
	}
	return max(entries, binary.LittleEndian.Uint64(zip64[32:]))
}

// plainName is the last part of a name, without what could hide in it.
func plainName(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name[strings.LastIndexByte(name, '/')+1:])
	if name == "." || name == ".." {
		return ""
	}
	return name
}

func withoutSuffix(name string, suffixes ...string) string {
	for _, s := range suffixes {
		if at := len(name) - len(s); at > 0 && strings.EqualFold(name[at:], s) {
			return name[:at]
		}
	}
	return name
}

func inBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
