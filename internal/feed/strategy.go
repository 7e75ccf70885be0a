package feed

import (
	"fmt"
	"time"

	"carfluence/internal/inventory"
)

// absence is what becomes of the vehicles that a file does not list.
type absence struct {
	listed  int64               // vehicles the integration showed as active before
	missed  []inventory.Listing // their grace goes on
	givenUp []inventory.Listing
	moved   map[string]bool // VINs given up that another integration lists: transfers within the group, no sales
}

// note judges one vehicle that was listed before; present tells that the file lists it.
func (a *absence) note(s Sync, l inventory.Listing, present bool, now time.Time) {
	if l.Active {
		a.listed++
	}
	if present {
		return
	}
	switch s.fate(l, now) {
	case missedOnce:
		a.missed = append(a.missed, l)
	case givenUp:
		a.givenUp = append(a.givenUp, l)
	}
}

func (a *absence) missing() int64 { return int64(len(a.missed) + len(a.givenUp)) }

// vins are all that are given up.
func (a *absence) vins() []string {
	out := make([]string, len(a.givenUp))
	for i, l := range a.givenUp {
		out[i] = l.VIN
	}
	return out
}

// sold counts what is given up and not just moved.
func (a *absence) sold() int64 { return int64(len(a.givenUp) - len(a.moved)) }

// sells lists up to n VINs of active vehicles that would be sold, and counts them all.
func (a *absence) sells(n int) (vins []string, all int64) {
	for _, l := range a.givenUp {
		if !l.Active || a.moved[l.VIN] {
			continue
		}
		if all++; len(vins) < n {
			vins = append(vins, l.VIN)
		}
	}
	return vins, all
}

type fate uint8

const (
	leftAlone fate = iota
	missedOnce
	givenUp
)

// graceSlack makes up for daily files that don't come to the minute.
const graceSlack = 15 * time.Minute

// fate of a vehicle that a file does not list: this file counts as one miss, its arrival as the time.
func (s Sync) fate(l inventory.Listing, now time.Time) fate {
	switch s.Strategy {
	case StrategyOverwrite:
		return givenUp
	case StrategyMerge:
		since := l.MissedSince
		if since.IsZero() {
			since = now
		}
		if l.Missed+1 >= s.SoldGraceSyncs && now.Sub(since) >= time.Duration(s.SoldGraceHours)*time.Hour-graceSlack {
			return givenUp
		}
		return missedOnce
	}
	return leftAlone
}

// Guard holds back files that would sell suspiciously much: more than Share percent of the active vehicles an
// integration lists, and at least Least.
type Guard struct {
	Share int64 // percent
	Least int64 // vehicles
}

// DefaultGuard is the guard unless set otherwise.
var DefaultGuard = Guard{Share: 30, Least: 10}

func (g Guard) holds(a *absence) bool {
	_, active := a.sells(0)
	return active >= g.Least && active*100 > a.listed*g.Share
}

// says why a file is held.
func (g Guard) says(a *absence) string {
	_, active := a.sells(0)
	return fmt.Sprintf("The file would sell %d of %d active vehicles, more than %d %%. Confirm it if that is meant, discard it if the file is incomplete; the next file takes its place.",
		active, a.listed, g.Share)
}
