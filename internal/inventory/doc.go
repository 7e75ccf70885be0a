// Package inventory owns the vehicles of a dealer group: what each source says of a vehicle and which vehicles it lists, the
// one view that is shown of them, the history of every change to it, the counters of a group's stock, and the pages that
// show it.
//
// Lists are asked of Find, which has them from package index (indexed.go loads it and keeps it current), of List as long as the
// store must tell, and of Export for whole files; answer.go keeps single vehicles, changes.go and waits.go tell followers what
// was written, activity.go counts by day. All of them know what has changed by the version that each vehicle carries.
//
// What a vehicle is, its fields and their values, lives in package vehicle; source.go says what is shown when sources
// differ. Where values come from, and when a vehicle that a file does not list is given up, lives in package feed; who holds
// a vehicle in package dealer.
package inventory
