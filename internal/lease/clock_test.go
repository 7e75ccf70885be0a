package lease

import (
	"testing"
	"time"
)

func TestTheStoresTimeIsTakenFromItsReadings(t *testing.T) {
	here := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	store := here.Add(-time.Hour)
	after := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	var c *clock
	c = c.set(here, here.Add(after(10)), store.Add(after(2)))
	if got := c.now(here.Add(after(5))); !got.Equal(store.Add(after(2))) {
		t.Errorf("%s", got)
	}
	if again := c.set(here.Add(after(500)), here.Add(after(520)), store.Add(after(510))); again != c {
		t.Error("a reading that agrees moves the clock")
	}
	drifted := c.set(here.Add(after(1000)), here.Add(after(1002)), store.Add(after(1030)))
	if got := drifted.now(here.Add(after(1001))); !got.Equal(store.Add(after(1030))) {
		t.Errorf("%s", got)
	}
}
