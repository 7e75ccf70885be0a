package job_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"carfluence/internal/job"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// TestJobsThatWaitAreTakenOver by a store that may be on the other engine: those never begun, one that failed and one
// that was running when its process died; not one that is done.
func TestJobsThatWaitAreTakenOver(t *testing.T) {
	from, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "stock.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := from.Migrate(t.Context(), sqldb.Stock); err != nil {
		t.Fatal(err)
	}
	old, _ := newQueue(t, from, job.Options{})
	enqueue(t, old, from, 1, 2, 3, 4)
	for _, query := range []string{
		`UPDATE river_job SET state = 'completed', finalized_at = created_at WHERE id = 1`,
		`UPDATE river_job SET state = 'running', attempt = 3, attempted_by = jsonb('["gone"]') WHERE id = 2`,
		`UPDATE river_job SET state = 'retryable', attempt = 9, scheduled_at = '2999-01-01 00:00:00' WHERE id = 3`,
	} {
		if _, err := from.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	to := sqldbtest.Open(t, sqldb.Stock)
	q, log := newQueue(t, to, job.Options{})
	unlike(t, from, to)
	err = to.Transact(t.Context(), func(tx *sqldb.DB) error { return q.TakeOver(t.Context(), tx, from) })
	if err != nil {
		t.Fatal(err)
	}
	here, err := job.Unfinished(t.Context(), from)
	there, thereErr := job.Unfinished(t.Context(), to)
	if err != nil || thereErr != nil || here != there || here.Rows != 3 {
		t.Errorf("%d %s, taken over %d %s: %v %v", here.Rows, here, there.Rows, there, err, thereErr)
	}
	var mu sync.Mutex
	var worked []int
	done := make(chan struct{})
	job.Handle(q, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error {
		mu.Lock()
		defer mu.Unlock()
		if worked = append(worked, a.File); len(worked) == 3 {
			close(done)
		}
		return nil
	}})
	run(t, q, log)
	receive(t, done)
	mu.Lock()
	defer mu.Unlock()
	if slices.Sort(worked); !slices.Equal(worked, []int{2, 3, 4}) {
		t.Errorf("worked %v", worked)
	}
}

// unlike holds that stores with different jobs are told apart.
func unlike(t *testing.T, a, b *sqldb.DB) {
	t.Helper()
	x, err := job.Unfinished(t.Context(), a)
	y, errY := job.Unfinished(t.Context(), b)
	if err != nil || errY != nil || x == y {
		t.Errorf("%s and %s: %v %v", x, y, err, errY)
	}
}
