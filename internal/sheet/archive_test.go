package sheet

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"carfluence/internal/errs"
)

const feedText = "VIN,Price\n1FTFW1ET5DFC10312,20000\n"

// noise is text that does not pack well.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + r.IntN(90))
	}
	return string(b)
}

func gzipped(texts ...string) []byte {
	var b bytes.Buffer
	for _, text := range texts {
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
	}
	return b.Bytes()
}

// packed is one file of a ZIP archive, given as name and content.
type packed struct{ name, text string }

func zipped(entries ...packed) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write([]byte(e.text))
	}
	_ = w.Close()
	return b.Bytes()
}

func zippedAs(h *zip.FileHeader, text string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if h.Method != zip.Store {
		w.RegisterCompressor(h.Method, deflater)
	}
	f, err := w.CreateHeader(h)
	if err != nil {
		panic(err)
	}
	_, _ = f.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func deflater(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, -1) }

func tarred(text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "feed.csv", Mode: 0o600, Size: int64(len(text))})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func unpackAll(upload []byte, name string, caps Caps) (*Unpacked, string, error) {
	u, err := Unpack(bytes.NewReader(upload), int64(len(upload)), name, caps)
	if err != nil {
		return nil, "", err
	}
	defer u.Close()
	text, err := io.ReadAll(u)
	return u, string(text), err
}

func TestUnpack(t *testing.T) {
	long := noise(1 << 20)
	for _, c := range []struct {
		what       string
		upload     []byte
		name       string
		text       string
		unpackedAs string
		plain      bool
	}{
		{"plain", []byte(feedText), "a.csv", feedText, "a.csv", true},
		{"plain under a wrong name", []byte(feedText), "a.zip", feedText, "a.zip", true},
		{"empty", nil, "a.csv", "", "a.csv", true},
		{"gzip", gzipped(feedText), "a.csv.gz", feedText, "a.csv", false},
		{"gzip under a wrong name", gzipped(feedText), "a.csv", feedText, "a.csv", false},
		{"gzip in capitals", gzipped(feedText), "A.CSV.GZ", feedText, "A.CSV", false},
		{"gzip of several members", gzipped("VIN,", "", "Price\n"), "a.csv.gz", "VIN,Price\n", "a.csv", false},
		{"gzip of nothing", gzipped(""), "a.csv.gz", "", "a.csv", false},
		{"long gzip", gzipped(long), "a.csv.gz", long, "a.csv", false},
		{"zip", zipped(packed{"b.csv", feedText}), "a.zip", feedText, "b.csv", false},
		{"zip of nothing", zipped(packed{"b.csv", ""}), "a.zip", "", "b.csv", false},
		{"stored", zippedAs(&zip.FileHeader{Name: "b.csv", Method: zip.Store}, feedText), "a.zip", feedText, "b.csv", false},
		{"long zip", zipped(packed{"b.csv", long}), "a.zip", long, "b.csv", false},
		{"zip with byproducts", zipped(packed{"feeds/", ""}, packed{"feeds/b.csv", feedText}, packed{"__MACOSX/feeds/._b.csv", "x"},
			packed{"feeds/.DS_Store", "x"}, packed{".hidden/c.csv", "x"}, packed{"feeds/thumbs.DB", "x"}, packed{"desktop.ini", "x"}), "a.zip", feedText, "b.csv", false},
		{"a name that climbs", zipped(packed{"../../etc/b.csv", feedText}), "a.zip", feedText, "b.csv", false},
		{"a name of Windows", zipped(packed{`C:\feeds\b.csv`, feedText}), "a.zip", feedText, "b.csv", false},
		{"a name that hides", zipped(packed{"b\x00\x1b[2J\u202e.csv", feedText}), "a.zip", feedText, "b[2J.csv", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			u, text, err := unpackAll(c.upload, "in/"+c.name, Caps{})
			if err != nil {
				t.Fatal(err)
			}
			if text != c.text || u.Name != c.unpackedAs || u.Plain != c.plain {
				t.Errorf("%d bytes as %q, plain %v", len(text), u.Name, u.Plain)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	xlsx := zipped(packed{"[Content_Types].xml", "<x/>"}, packed{"xl/workbook.xml", "<x/>"}, packed{"xl/worksheets/sheet1.xml", "<x/>"})
	ods := zippedAs(&zip.FileHeader{Name: "mimetype", Method: zip.Store}, "application/vnd.oasis.opendocument.spreadsheet")
	gz, zp := gzipped(noise(5000)), zipped(packed{"b.csv", noise(5000)})
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0xff
		return b
	}
	many := make([]packed, 11)
	for i := range many {
		many[i] = packed{fmt.Sprintf("%d/", i), ""}
	}
	for _, c := range []struct {
		what   string
		upload []byte
		code   string
	}{
		{"xlsx", xlsx, "file_is_spreadsheet"},
		{"ods", ods, "file_is_spreadsheet"},
		{"xls", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00"), "file_is_spreadsheet"},
		{"xlsx in gzip", gzipped(string(xlsx)), "archive_nested"},
		{"two files", zipped(packed{"new.csv", feedText}, packed{"used.csv", feedText}), "archive_several_files"},
		{"no file", zipped(packed{"a/", ""}, packed{"__MACOSX/._b.csv", "x"}), "archive_empty"},
		{"an empty archive", zipped(), "archive_empty"},
		{"an archive longer than its entries", zipped(many...), "archive_too_many_files"},
		{"encrypted", zippedAs(&zip.FileHeader{Name: "b.csv", Method: zip.Deflate, Flags: 1}, feedText), "archive_encrypted"},
		{"AES", zippedAs(&zip.FileHeader{Name: "b.csv", Method: 99}, feedText), "archive_encrypted"},
		{"deflate64", zippedAs(&zip.FileHeader{Name: "b.csv", Method: 9}, feedText), "archive_unsupported"},
		{"zip in zip", zipped(packed{"b.zip", string(zp)}), "archive_nested"},
		{"gzip in zip", zipped(packed{"b.csv", string(gz)}), "archive_nested"},
		{"gzip in gzip", gzipped(string(gz)), "archive_nested"},
		{"tar", tarred(feedText), "archive_unsupported"},
		{"tar in gzip", gzipped(string(tarred(feedText))), "archive_unsupported"},
		{"7z", []byte("7z\xbc\xaf\x27\x1c\x00\x04"), "archive_unsupported"},
		{"rar", []byte("Rar!\x1a\x07\x01\x00"), "archive_unsupported"},
		{"bzip2", []byte("BZh91AY&SY\x00\x00"), "archive_unsupported"},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x00\x00"), "archive_unsupported"},
		{"compress", []byte("\x1f\x9d\x90\x00"), "archive_unsupported"},
		{"a part of a zip", []byte("PK\x07\x08PK\x03\x04"), "archive_unsupported"},
		{"half a gzip", gz[:len(gz)/2], "archive_truncated"},
		{"a gzip without its last byte", gz[:len(gz)-1], "archive_truncated"},
		{"a short gzip cut off", gzipped(feedText)[:25], "archive_truncated"},
		{"a gzip's magic", gz[:2], "archive_truncated"},
		{"half a zip", zp[:len(zp)/2], "archive_truncated"},
		{"a zip without its last byte", zp[:len(zp)-1], "archive_truncated"},
		{"a gzip's wrong checksum", flipped(gz, len(gz)-6), "archive_damaged"},
		{"a gzip of an unknown method", flipped(gz, 2), "archive_damaged"},
		{"a gzip with something behind", append(bytes.Clone(gz), "something else"...), "archive_damaged"},
		{"damage in a zip", flipped(zp, 2000), "archive_damaged"},
		{"a zip's wrong checksum", bytes.ReplaceAll(zp, crcOf(zp), []byte{1, 2, 3, 4}), "archive_damaged"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, _, err := unpackAll(c.upload, "a", Caps{Entries: 10})
			if errs.CodeOf(err) != c.code || errs.KindOf(err) != errs.KindInvalid {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

// crcOf is the checksum in a ZIP archive's directory.
func crcOf(z []byte) []byte {
	at := bytes.LastIndex(z, []byte("PK\x01\x02"))
	return bytes.Clone(z[at+16 : at+20])
}

// TestEveryCutIsNoticed cuts archives off at every byte: a feed must never look whole when it isn't.
func TestEveryCutIsNoticed(t *testing.T) {
	for _, upload := range [][]byte{gzipped(noise(700)), zipped(packed{"b.csv", noise(700)})} {
		for n := 2; n < len(upload); n++ {
			if _, _, err := unpackAll(upload[:n], "a", Caps{}); n >= 4 && errs.KindOf(err) != errs.KindInvalid {
				t.Errorf("%d bytes of %d: %v", n, len(upload), err)
			}
		}
	}
}

func TestDeclaredSizesAreNotTrusted(t *testing.T) {
	z := zipped(packed{"b.csv", strings.Repeat("VIN,Price\n", 1000)})
	at := bytes.LastIndex(z, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(z[at+24:], 10) // says it unpacks to 10 bytes
	if _, text, err := unpackAll(z, "a.zip", Caps{Bytes: 5000}); err == nil {
		t.Errorf("%d bytes", len(text))
	}
	for name, upload := range map[string][]byte{"gzip": gzipped(strings.Repeat("x", 5001)), "zip": zipped(packed{"b.csv", strings.Repeat("x", 5001)})} {
		if _, _, err := unpackAll(upload, "a", Caps{Bytes: 5000}); errs.CodeOf(err) != "unpacked_too_large" {
			t.Errorf("%s of 5,001 bytes: %v", name, err)
		}
		if _, _, err := unpackAll(upload, "a", Caps{Bytes: 5001}); err != nil {
			t.Errorf("%s of just as many as may be: %v", name, err)
		}
	}
	end := zipped(packed{"b.csv", feedText})
	binary.LittleEndian.PutUint16(end[len(end)-12:], 60_000)
	if _, _, err := unpackAll(end, "a.zip", Caps{}); errs.CodeOf(err) != "archive_too_many_files" {
		t.Errorf("60,000 declared entries: %v", err)
	}
}

// TestHugeDirectoriesAreNotRead has the directory hold far more entries than it says.
func TestHugeDirectoriesAreNotRead(t *testing.T) {
	entries := make([]packed, 60_000)
	for i := range entries {
		entries[i].name = fmt.Sprintf("%0100d/", i)
	}
	z := zipped(entries...)
	binary.LittleEndian.PutUint16(z[len(z)-12:], 1)
	used := peak(func() {
		if _, _, err := unpackAll(z, "a.zip", Caps{}); errs.CodeOf(err) != "archive_too_many_files" {
			t.Error(err)
		}
	})
	if used > 32<<20 {
		t.Errorf("%s of memory", inBytes(int64(used)))
	}
}

// manyBlocks is one block over and over, without being held.
type manyBlocks struct {
	block []byte
	n     int64
}

func (r manyBlocks) size() int64 { return int64(len(r.block)) * r.n }

func (r manyBlocks) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size() {
			return n, io.EOF
		}
		n += copy(p[n:], r.block[at%int64(len(r.block)):])
	}
	return n, nil
}

// peak is how much memory f takes in all, garbage included.
func peak(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBombsTakeNoMemory(t *testing.T) {
	bomb := manyBlocks{gzipped(strings.Repeat("\x00", 64<<20)), 160} // 10 GiB of zeros in 10 MiB
	for _, c := range []struct {
		caps Caps
		code string
		read int64
	}{
		{Caps{Bytes: 50 << 20}, "unpacked_too_large", 50 << 20},
		{Caps{FreeBytes: 100 << 20, Ratio: 20, Bytes: 100 << 30}, "archive_suspicious", 20 * bomb.size()},
	} {
		var n int64
		used := peak(func() {
			u, err := Unpack(bomb, bomb.size(), "bomb.gz", c.caps)
			if err != nil {
				t.Fatal(err)
			}
			n, err = io.Copy(struct{ io.Writer }{io.Discard}, u)
			if errs.CodeOf(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
		t.Logf("%s: stopped after %s, %s of memory", c.code, inBytes(n), inBytes(int64(used)))
		if used > 2<<20 || n > c.read+1<<20 {
			t.Errorf("%s: read %s with %s of memory", c.code, inBytes(n), inBytes(int64(used)))
		}
	}
	small := gzipped(strings.Repeat("\x00", 3<<20)) // packed 1,000 times smaller, but no harm
	if _, _, err := unpackAll(small, "a.gz", Caps{}); err != nil {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestOurOwnFailureIsNotTheSenders(t *testing.T) {
	_, err := Unpack(failing{fs.ErrPermission}, 1000, "a.zip", Caps{})
	if !errors.Is(err, fs.ErrPermission) || errs.KindOf(err) != errs.KindInternal {
		t.Error(err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(feedText))
	f.Add(gzipped(feedText, feedText))
	f.Add(zipped(packed{"b.csv", feedText}))
	f.Add(zipped(packed{"a/b.csv", feedText}, packed{"__MACOSX/._b.csv", "x"}))
	f.Add(zippedAs(&zip.FileHeader{Name: "b.csv", Method: zip.Store}, feedText))
	f.Add(tarred(feedText))
	f.Fuzz(func(t *testing.T, upload []byte) {
		caps := Caps{Bytes: 1 << 20, Entries: 10}
		u, text, err := unpackAll(upload, "a", caps)
		switch {
		case err != nil:
			if errs.KindOf(err) != errs.KindInvalid {
				t.Errorf("not the sender's: %v", err)
			}
		case u.Plain != (text == string(upload)) && len(text) > 0:
			t.Errorf("plain %v, %d bytes of %d", u.Plain, len(text), len(upload))
		case !u.Plain && len(text) > 1<<20:
			t.Errorf("%d bytes", len(text))
		case strings.ContainsAny(u.Name, "/\\\x00"):
			t.Errorf("name %q", u.Name)
		}
	})
}
