// Package inventory owns the vehicles of a dealer group: the canonical fields and their values, merging a
// change into what is stored, the history of every change, the counters of a group's stock, and the pages that
// show it.
//
// A vehicle is its VIN and one canonical text per field, "" for null; the table in field.go says what each
// field holds. Where values come from lives in package feed, who holds a vehicle in package dealer.
package inventory
