package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/mapping"
	"carfluence/internal/sqldb"
)

// TestNoFileIsForgotten: files come while workers end, and whoever is told of one finds it, without a sweep.
func TestNoFileIsForgotten(t *testing.T) {
	w := openFeeds(t)
	w.Now = time.Now
	in := w.integration(mapping.TypeCustom)
	var working sync.WaitGroup
	work := func() {
		for {
			err := w.Work(t.Context(), w.t.Patient(), in.ID)
			if !errors.Is(err, ErrBusy) {
				if err != nil {
					t.Error(err)
				}
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	var mu sync.Mutex
	enqueued := 0
	w.Enqueue = func(context.Context, *sqldb.Tenant, string) error {
		mu.Lock()
		defer mu.Unlock()
		enqueued++
		working.Go(func() { time.Sleep(20 * time.Millisecond); work() }) // after the commit
		return nil
	}
	var senders sync.WaitGroup
	const each = 10
	for s := range 3 {
		senders.Go(func() {
			for i := range each {
				u := Upload{Name: fmt.Sprintf("%d-%d.csv", s, i), File: strings.NewReader(stockFile(0, 2, fmt.Sprint(10_000+10*s+i)))}
				if _, err := w.Receive(t.Context(), w.t, in.ID, u); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	working.Wait()
	left, err := w.Unfinished(t.Context(), w.t)
	if err != nil || len(left) > 0 {
		t.Errorf("forgotten: %v %v, after %d jobs", left, err, enqueued)
	}
}

// TestAPauseIsNotTakenBack by a change of another setting at the same time.
func TestAPauseIsNotTakenBack(t *testing.T) {
	w := openFeeds(t)
	w.Now = time.Now
	for round := range 5 {
		in := w.integration(mapping.TypeCustom)
		var both sync.WaitGroup
		for _, edit := range []func(*Integration){func(i *Integration) { i.Status = StatusPaused }, func(i *Integration) { i.Name = "Renamed" }, func(i *Integration) { i.DayFirst = true }} {
			both.Go(func() {
				if _, err := w.UpdateIntegration(t.Context(), w.t, audit.Actor{}, in.ID, edit); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if in, err := w.Integration(t.Context(), w.t, in.ID); err != nil || in.Status != StatusPaused || in.Name != "Renamed" || !in.DayFirst {
			t.Errorf("%d: %+v %v", round, in, err)
		}
	}
}
