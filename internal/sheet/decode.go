package sheet

import (
	"bufio"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Charsets a file can be found in.
const (
	CharsetUTF8    = "utf-8"
	CharsetUTF16LE = "utf-16le"
	CharsetUTF16BE = "utf-16be"
	Charset1252    = "windows-1252"
)

// decoder reads a file's bytes as clean UTF-8: the byte order mark is gone, no-break and zero-width blanks
// are plain blanks. A file without a mark is UTF-8 as long as it is valid; each byte that is not is read as
// Windows-1252. Deciding byte by byte keeps it a stream: text in Windows-1252 that happens to be
// valid UTF-8 does not occur in practice.
type decoder struct {
	io.Reader
	charset string
	clean   *cleaner
}

// newDecoder looks at the first bytes for a byte order mark.
func newDecoder(r io.Reader) (*decoder, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	mark, err := br.Peek(3)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read file: %w", err)
	}
	d := &decoder{charset: CharsetUTF8, clean: &cleaner{}}
	var text io.Reader = br
	switch {
	case len(mark) == 3 && string(mark) == "\xef\xbb\xbf":
		_, _ = br.Discard(3)
	case len(mark) >= 2 && string(mark[:2]) == "\xff\xfe":
		d.charset = CharsetUTF16LE
		text = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(br)
	case len(mark) >= 2 && string(mark[:2]) == "\xfe\xff":
		d.charset = CharsetUTF16BE
		text = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder().Reader(br)
	}
	d.Reader = transform.NewReader(text, d.clean)
	return d, nil
}

// Charset is what the file has been read as so far; final when the file is at its end.
func (d *decoder) Charset() string {
	if d.charset == CharsetUTF8 && d.clean.fellBack {
		return Charset1252
	}
	return d.charset
}

// cleaner is the transformer under decoder.
type cleaner struct {
	transform.NopResetter
	fellBack bool // some byte was not valid UTF-8
}

// Transform implements transform.Transformer.
func (c *cleaner) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if n := asciiPrefix(src[nSrc:]); n > 0 {
			copied := copy(dst[nDst:], src[nSrc:nSrc+n])
			nDst, nSrc = nDst+copied, nSrc+copied
			if copied < n {
				return nDst, nSrc, transform.ErrShortDst
			}
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		invalid := r == utf8.RuneError && size == 1
		if invalid {
			r = charmap.Windows1252.DecodeByte(src[nSrc])
		}
		r = plainBlank(r)
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
		c.fellBack = c.fellBack || invalid
	}
	return nDst, nSrc, nil
}

func asciiPrefix(b []byte) int {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return len(b)
}

// plainBlank turns blanks that look like nothing or like a blank into one. Joiners (U+200C, U+200D) carry
// meaning in some scripts and stay. C1 controls appear where Windows-1252 defines no character.
func plainBlank(r rune) rune {
	switch r {
	case '\u00a0', '\u2007', '\u202f', '\u200b', '\u2060', '\ufeff', '\u0085':
		return ' '
	}
	if r >= 0x80 && r < 0xa0 {
		return ' '
	}
	return r
}
