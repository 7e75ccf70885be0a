package sheet

import (
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"carfluence/internal/errs"
)

func TestSniffDelimiter(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             byte
	}{
		{"comma", "a.csv", "vin,price\n1,2\n", ','},
		{"tab", "a.csv", "vin\tprice\n1\t2\n", '\t'},
		{"pipe", "a.txt", "vin|price\n1|$2,000\n3|4,000\n", '|'},
		{"semicolon with decimal commas", "a.csv", "vin;price\n1;2,5\n3;4,5\n", ';'},
		{"photo lists by pipe in a comma file", "a.csv", "vin,price,photos\n1,2,a|b|c\n3,4,a|b|c\n5,,a|b|c\n6,7\n", ','},
		{"quoted delimiters", "a.csv", "vin|name\n1|\"a,b,c\"\n2|\"a,b,c\"\n", '|'},
		{"extension between equals", "a.tsv", "a,b\tc,d\n1,2\t3,4\n", ','}, // three columns by comma beat two by tab
		{"extension decides a tie", "a.tsv", "a,b\tc\n1,2\t3\n", '\t'},
		{"header only", "a.csv", "vin;price;make\n", ';'},
		{"one column", "a.csv", "vin\n1\n", ','},
		{"CR only", "a.csv", "vin|price\r1|2\r", '|'},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sniff([]byte(tt.text), true, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if got.delim != tt.want {
				t.Errorf("delimiter %q, want %q", got.delim, tt.want)
			}
		})
	}
}

func TestSniffRefusesWhatIsNoText(t *testing.T) {
	for _, head := range []string{"PK\x03\x04...", "%PDF-1.7", "v\x00i\x00n\x00", "\x1f\x8b\x08"} {
		if _, err := sniff([]byte(head), true, "a.csv"); errs.CodeOf(err) != "file_not_text" {
			t.Errorf("%q: %v", head, err)
		}
	}
}

func TestDecode(t *testing.T) {
	utf16le := func(s string) string {
		b := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	tests := []struct{ name, in, want, charset string }{
		{"ascii", "VIN,a", "VIN,a", CharsetUTF8},
		{"utf-8", "Café “Noir”", "Café “Noir”", CharsetUTF8},
		{"byte order mark", "\xef\xbb\xbf\"VIN\"", `"VIN"`, CharsetUTF8},
		{"mark behind a quote", "\"\xef\xbb\xbfVIN\"", `" VIN"`, CharsetUTF8},
		{"windows-1252", "Caf\xe9 \x93Noir\x94 \x80", "Café “Noir” €", Charset1252},
		{"windows-1252 at the end", "Caf\xe9", "Café", Charset1252},
		{"utf-16", utf16le("VIN\tCafé"), "VIN\tCafé", CharsetUTF16LE},
		{"no-break and zero-width blanks", "Ice\u00a0Cap\u200b", "Ice Cap ", CharsetUTF8},
		{"empty", "", "", CharsetUTF8},
		{"two bytes", "ab", "ab", CharsetUTF8},
		{"long", strings.Repeat("é", 70_000), strings.Repeat("é", 70_000), CharsetUTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDecoder(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(d)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want || d.Charset() != tt.charset {
				t.Errorf("%.40q as %s, want %.40q as %s", got, d.Charset(), tt.want, tt.charset)
			}
		})
	}
}
