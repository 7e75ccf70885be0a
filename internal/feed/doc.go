// Package feed owns the way from a vendor's file to the inventory: bytes to text, text to records, header
// to mapping, record to inventory.Change, and the run that applies them.
//
// Everything up to the change is pure and works on a stream: memory does not grow with the file. What a
// value means (canonical words, money, dates) lives in package inventory; who holds a vehicle, in dealer.
//
// Records are split by our own scanner, not by encoding/csv: feeds need bounds on cells and records, lone
// CR line ends, and above all a way back when a quotation mark is never closed, which encoding/csv answers
// by swallowing the rest of the file. On well-formed input both agree; a fuzz test holds that.
package feed
