// Package sheet reads the files of vendors as rows: out of the archive a file was packed in, within caps; from
// bytes of whatever charset to text; by the delimiter its first rows show to records; and below its header, or that
// of a known layout, to rows of as many cells. It also knows the time in a file's name and the key by which columns
// are the same. What a row can't be used for is said on the row; only a file that can't be read at all is an error.
//
// Everything is pure and works on a stream: memory does not grow with the file. Which columns feed which field of a
// vehicle is package mapping's; where files come from, are kept, and what becomes of them, package feed's.
//
// Records are split by our own scanner, not by encoding/csv: feeds need bounds on cells and records, lone
// CR line ends, and above all a way back when a quotation mark is never closed, which encoding/csv answers
// by swallowing the rest of the file. On well-formed input both agree; a fuzz test holds that.
package sheet
