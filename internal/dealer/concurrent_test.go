package dealer

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"carfluence/internal/errs"
)

func TestDealersWrittenAtOnce(t *testing.T) {
	d, tenant := open(t)
	d.Now = time.Now
	store := create(t, d, tenant, Dealer{Name: "Main Street"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 10 {
		wg.Go(func() {
			if _, err := d.AddAlias(t.Context(), tenant, somebody, store.ID, fmt.Sprintf("alias %d", i)); err != nil {
				t.Errorf("alias %d: %v", i, err)
			}
		})
		wg.Go(func() {
			_, err := d.Create(t.Context(), tenant, somebody, Dealer{Name: "North", Codes: []string{fmt.Sprint(i)}})
			if err != nil && errs.KindOf(err) != errs.KindConflict {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			}
		})
	}
	wg.Wait()
	if store, err := d.Get(t.Context(), tenant, store.ID); err != nil || len(store.Aliases) != 10 || made != 1 {
		t.Errorf("%d aliases kept, %d dealerships of one name made, %v", len(store.Aliases), made, err)
	}
	for i := range 10 {
		if id, err := d.Resolve(t.Context(), tenant, "", fmt.Sprintf("Alias %d", i)); err != nil || id != store.ID {
			t.Errorf("alias %d leads to %q, %v", i, id, err)
		}
	}
}
