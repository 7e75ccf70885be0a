// Package lease owns what a replica may do without asking: the log of changes, the beat by which every replica
// follows it, the records that are fresh between two beats, and the confirmation that a change is in force on all
// replicas. What the records are lives in package auth, what credits are in package quota.
//
// The rule everything rests on: what a replica knows is good for Term after the last good beat was sent, by both of
// its clocks. So a change is in force everywhere once each registered replica has reported it, or once Outwait has
// passed since its commit, whichever replica is paused, cut off or gone.
package lease
