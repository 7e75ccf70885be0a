// Package inventory owns the vehicles of a dealer group: what each source says of a vehicle and which vehicles it lists, the
// one view that is shown of them, the history of every change to it, the counters of a group's stock, and the pages that
// show it.
//
// What a vehicle is, its fields and their values, lives in package vehicle; source.go says what is shown when sources
// differ. Where values come from, and when a vehicle that a file does not list is given up, lives in package feed; who holds
// a vehicle in package dealer.
package inventory
