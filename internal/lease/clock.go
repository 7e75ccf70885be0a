package lease

import "time"

// clock tells the store's time between two beats, by this process's monotonic clock: steps of the wall clock and
// replicas that disagree about the time make no difference.
type clock struct {
	mark time.Time // by this process's clock
	at   time.Time // by the store's, then
}

func (c *clock) now(here time.Time) time.Time { return c.at.Add(here.Sub(c.mark)) }

// set is told a reading of the store's clock, and when it was sent for and received. It was taken between the two,
// so a clock that agrees with that is left alone: time would go back and forth else.
func (c *clock) set(sent, received, at time.Time) *clock {
	if c != nil && !c.now(sent).After(at) && !c.now(received).Before(at) {
		return c
	}
	return &clock{mark: sent.Add(received.Sub(sent) / 2), at: at}
}
