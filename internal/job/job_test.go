package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/job"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// soon is how long a test waits for what takes a moment; far longer than it takes.
const soon = 30 * time.Second

type importFile struct{ File int }

func (importFile) Kind() string { return "test.import" }

type sweep struct{}

func (sweep) Kind() string { return "test.sweep" }

// running is a queue at work.
type running struct {
	*job.Queue
	stop func() // returns when Run has
	log  *lockedBuffer
}

// newQueue makes a queue that logs into its buffer.
func newQueue(t *testing.T, db *sqldb.DB, o job.Options) (*job.Queue, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	q, err := job.New(db, slog.New(slog.NewTextHandler(log, nil)), o)
	if err != nil {
		t.Fatal(err)
	}
	return q, log
}

// start runs a queue with one worker for importFile until the test or stop ends it.
func start(t *testing.T, db *sqldb.DB, o job.Options, w job.Worker[importFile]) running {
	t.Helper()
	q, log := newQueue(t, db, o)
	job.Handle(q, w)
	return run(t, q, log)
}

func run(t *testing.T, q *job.Queue, log *lockedBuffer) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return running{Queue: q, stop: stop, log: log}
}

func enqueue(t *testing.T, q *job.Queue, db *sqldb.DB, files ...int) {
	t.Helper()
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		for _, f := range files {
			if err := q.Enqueue(t.Context(), tx, importFile{f}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(soon):
		t.Fatal("nothing happened")
	}
	return v
}

// states counts the stored jobs by state.
func states(t *testing.T, db *sqldb.DB) map[string]int {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT state, count(*) FROM river_job GROUP BY state`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			t.Fatal(err)
		}
		out[state] = n
	}
	return out
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestAJobBelongsToItsTransaction(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	done := make(chan int, 10)
	r := start(t, db, job.Options{}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
	sentinel := errors.New("no")
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		return errors.Join(r.Enqueue(t.Context(), tx, importFile{1}), sentinel)
	})
	if !errors.Is(err, sentinel) {
		t.Fatal(err)
	}
	enqueue(t, r.Queue, db, 2)
	begin := time.Now()
	if got := receive(t, done); got != 2 {
		t.Errorf("job %d ran, though its transaction was rolled back", got)
	}
	t.Logf("picked up after %v", time.Since(begin).Round(time.Millisecond))
	if n := states(t, db); n["available"]+n["running"]+n["completed"] != 1 {
		t.Errorf("stored: %v", n)
	}
}

func TestJobsRunInOrder(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	done := make(chan int, 100)
	r := start(t, db, job.Options{Workers: 1}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
	for i := range 20 {
		enqueue(t, r.Queue, db, 2*i, 2*i+1)
	}
	var got []int
	for range 40 {
		got = append(got, receive(t, done))
	}
	if !slices.IsSorted(got) {
		t.Errorf("order %v", got)
	}
}

func TestJobsRunInParallel(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	var busy, most atomic.Int32
	all := make(chan struct{})
	r := start(t, db, job.Options{Workers: 3}, job.Worker[importFile]{Work: func(ctx context.Context, _ importFile) error {
		n := busy.Add(1)
		defer busy.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == 3 {
			close(all) // a fourth at the same time would panic here, and so run twice
		}
		select {
		case <-all:
		case <-ctx.Done():
		}
		return ctx.Err()
	}})
	enqueue(t, r.Queue, db, 1, 2, 3)
	receive(t, all)
	eventually(t, "not all completed", func() bool { return states(t, db)["completed"] == 3 })
	if most.Load() != 3 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestAFailedJobIsTriedAgain(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	var tries atomic.Int32
	done := make(chan int, 1)
	r := start(t, db, job.Options{Backoff: time.Millisecond}, job.Worker[importFile]{
		Work: func(_ context.Context, a importFile) error {
			switch tries.Add(1) {
			case 1:
				return errors.New("the vendor's server is away")
			case 2:
				panic("a mistake")
			}
			done <- a.File
			return nil
		},
		GaveUp: func(context.Context, importFile, error) error { t.Error("given up"); return nil },
	})
	enqueue(t, r.Queue, db, 7)
	if got := receive(t, done); got != 7 || tries.Load() != 3 {
		t.Errorf("job %d after %d tries", got, tries.Load())
	}
	eventually(t, "not recorded", func() bool { return states(t, db)["completed"] == 1 })
	if n := bytes.Count(r.log.Bytes(), []byte("it will be tried again")); n != 2 {
		t.Errorf("log:\n%s", r.log.Bytes())
	}
}

func TestTheLastFailureIsReported(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	var tries atomic.Int32
	cause := errors.New("never")
	gaveUp := make(chan error, 10)
	r := start(t, db, job.Options{Attempts: 3, Backoff: time.Millisecond}, job.Worker[importFile]{
		Work: func(context.Context, importFile) error { tries.Add(1); return cause },
		GaveUp: func(_ context.Context, a importFile, err error) error {
			gaveUp <- fmt.Errorf("%d: %w", a.File, err)
			return nil
		},
	})
	enqueue(t, r.Queue, db, 7)
	if err := receive(t, gaveUp); !errors.Is(err, cause) || err.Error() != "7: never" {
		t.Errorf("reported %v", err)
	}
	eventually(t, "not discarded", func() bool { return states(t, db)["discarded"] == 1 })
	if tries.Load() != 3 || len(gaveUp) != 0 {
		t.Errorf("%d tries, reported %d times more", tries.Load(), len(gaveUp))
	}
}

func TestASnoozedJobDoesNotUseUpItsAttempts(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	var tries atomic.Int32
	done := make(chan struct{})
	r := start(t, db, job.Options{Attempts: 1}, job.Worker[importFile]{Work: func(context.Context, importFile) error {
		if tries.Add(1) < 3 {
			return job.Snooze(10 * time.Millisecond)
		}
		close(done)
		return nil
	}})
	enqueue(t, r.Queue, db, 1)
	receive(t, done)
}

func TestAScheduleRunsAtTheStartAndDoesNotPileUp(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	q, log := newQueue(t, db, job.Options{})
	var runs, at atomic.Int32
	job.Handle(q, job.Worker[sweep]{Work: func(ctx context.Context, _ sweep) error {
		if at.Add(1) > 1 {
			t.Error("two at once")
		}
		defer at.Add(-1)
		runs.Add(1)
		time.Sleep(300 * time.Millisecond) // several intervals
		return nil
	}})
	q.Every(50*time.Millisecond, sweep{})
	run(t, q, log)
	eventually(t, "the schedule ran less than twice", func() bool { return runs.Load() >= 2 })
}

// TestOrphansOfACrashRunAgain leaves jobs as a killed process does: recorded as running, River's leader elected.
func TestOrphansOfACrashRunAgain(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	q, _ := newQueue(t, db, job.Options{Attempts: 2})
	enqueue(t, q, db, 1, 2)
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`UPDATE river_job SET state = 'running', attempt = 1`)
	exec(`UPDATE river_job SET attempt = 2 WHERE id = (SELECT max(id) FROM river_job)`) // has crashed as often as it may
	if db.Engine() == sqldb.PostgreSQL {
		exec(`UPDATE river_job SET attempted_at = now(), attempted_by = ARRAY['earlier', 'dead']`)
		exec(`INSERT INTO river_leader (elected_at, expires_at, leader_id, name) VALUES (now(), now() + INTERVAL '3 s', 'dead', 'default')`)
	} else {
		exec(`UPDATE river_job SET attempted_at = datetime('now')`)
		exec(`INSERT INTO river_leader (elected_at, expires_at, leader_id, name) VALUES (datetime('now'), datetime('now', '+1 hour'), 'dead', 'default')`)
	}

	done, gaveUp, swept := make(chan int, 10), make(chan int, 10), make(chan struct{}, 10)
	q, log := newQueue(t, db, job.Options{Attempts: 2})
	job.Handle(q, job.Worker[importFile]{
		Work:   func(_ context.Context, a importFile) error { done <- a.File; return nil },
		GaveUp: func(_ context.Context, a importFile, _ error) error { gaveUp <- a.File; return nil },
	})
	job.Handle(q, job.Worker[sweep]{Work: func(context.Context, sweep) error { swept <- struct{}{}; return nil }})
	q.Every(time.Hour, sweep{})
	begin := time.Now()
	run(t, q, log)
	if got := receive(t, done); got != 1 {
		t.Errorf("job %d ran", got)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("an orphan waited %v", took)
	}
	if got := receive(t, gaveUp); got != 2 {
		t.Errorf("job %d given up", got)
	}
	receive(t, swept) // nobody waits for the dead leader
	eventually(t, "not recorded", func() bool { n := states(t, db); return n["completed"] == 2 && n["discarded"] == 1 })
}

// TestAKilledProcessLosesNothing kills another process in the middle of a job.
func TestAKilledProcessLosesNothing(t *testing.T) {
	if db := sqldbtest.Inherited(t, sqldb.Stock); db != nil { // the process that is killed
		start(t, db, job.Options{}, job.Worker[importFile]{Work: func(ctx context.Context, _ importFile) error {
			fmt.Println("working")
			<-ctx.Done()
			return ctx.Err()
		}})
		time.Sleep(time.Hour)
	}
	place := sqldbtest.New(t)
	db := place.Open(t, sqldb.Stock)
	q, _ := newQueue(t, db, job.Options{})
	enqueue(t, q, db, 1, 2)

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKilledProcessLosesNothing$")
	child.Env = append(os.Environ(), place.Environment())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("working\nworking\n"))); err != nil {
		t.Error(err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if n := states(t, db); n["running"] != 2 {
		t.Fatalf("after the kill: %v", n)
	}
	done := make(chan int, 10)
	begin := time.Now()
	r := start(t, db, job.Options{}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
	if a, b := receive(t, done), receive(t, done); a+b != 3 {
		t.Errorf("jobs %d and %d", a, b)
	}
	t.Logf("run again %v after the start", time.Since(begin).Round(time.Millisecond))
	r.stop()
	if n := states(t, db); n["completed"] != 2 || len(done) != 0 {
		t.Errorf("in the end: %v", n)
	}
}

func TestAStopLetsJobsEnd(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	begun := make(chan int, 10)
	r := start(t, db, job.Options{Attempts: 1}, job.Worker[importFile]{
		Work: func(ctx context.Context, a importFile) error {
			begun <- a.File
			if a.File == 1 {
				<-ctx.Done()
				return errors.New("rolled back") // whatever it says
			}
			<-ctx.Done()
			return nil // done all the same
		},
		GaveUp: func(context.Context, importFile, error) error { t.Error("a stop counted as a failure"); return nil },
	})
	enqueue(t, r.Queue, db, 1, 2)
	receive(t, begun)
	receive(t, begun)
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if n := states(t, db); n["available"] != 1 || n["completed"] != 1 {
		t.Errorf("after the stop: %v\n%s", n, r.log.Bytes())
	}
	done := make(chan int, 10)
	start(t, db, job.Options{Attempts: 1}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
	if got := receive(t, done); got != 1 {
		t.Errorf("job %d ran again", got)
	}
}

func TestAStopDoesNotWaitForEver(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	r := start(t, db, job.Options{StopTimeout: 200 * time.Millisecond}, job.Worker[importFile]{Work: func(context.Context, importFile) error {
		close(begun)
		<-release // deaf to its context
		return nil
	}})
	enqueue(t, r.Queue, db, 1)
	receive(t, begun)
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 3*time.Second || states(t, db)["running"] != 1 {
		t.Errorf("took %v, %v", took, states(t, db))
	}
	done := make(chan int, 1)
	start(t, db, job.Options{}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
	receive(t, done)
}

// TestALongWriteElsewhereLosesNothing holds the write lock for ten seconds from another process's connection
// while jobs run, end and wait.
func TestALongWriteElsewhereLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	place := sqldbtest.New(t)
	place.Busy = time.Minute
	db, other := place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)
	const jobs = 20
	begun, release := make(chan int, 10*jobs), make(chan struct{})
	r := start(t, db, job.Options{Workers: 8}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error {
		begun <- a.File
		if a.File < 8 {
			<-release // ends while the lock is held
		}
		return nil
	}})
	for f := range jobs {
		enqueue(t, r.Queue, db, f)
	}
	for range 8 {
		receive(t, begun)
	}
	err := other.Transact(t.Context(), func(*sqldb.DB) error {
		close(release)
		time.Sleep(10 * time.Second)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	free := time.Now()
	eventually(t, "jobs were lost", func() bool { return states(t, db)["completed"] == jobs })
	t.Logf("all done %v after the lock was free", time.Since(free).Round(time.Millisecond))
	if extra := len(begun); extra != jobs-8 {
		t.Errorf("%d jobs began more than once", extra-(jobs-8))
	}
	r.stop()
	if len(r.log.Bytes()) != 0 {
		t.Errorf("the wait is in the log:\n%s", r.log.Bytes())
	}
}

func TestAStartWaitsForAWriteElsewhere(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	done := make(chan int, 1)
	err := db.Transact(t.Context(), func(*sqldb.DB) error {
		start(t, db, job.Options{}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error { done <- a.File; return nil }})
		time.Sleep(6 * time.Second) // longer than one statement waits
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	q, _ := newQueue(t, db, job.Options{})
	enqueue(t, q, db, 1)
	receive(t, done)
}

func TestTwoProcessesEnqueue(t *testing.T) {
	place := sqldbtest.New(t)
	place.Busy = time.Minute
	dbs := []*sqldb.DB{place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)}
	const each = 100
	var seen sync.Map
	var n atomic.Int32
	r := start(t, dbs[0], job.Options{}, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error {
		if _, again := seen.LoadOrStore(a.File, true); again {
			t.Errorf("job %d ran twice", a.File)
		}
		n.Add(1)
		return nil
	}})
	second, _ := newQueue(t, dbs[1], job.Options{})
	var wg sync.WaitGroup
	for i, q := range []*job.Queue{r.Queue, second} {
		wg.Go(func() {
			for f := range each {
				if err := q.Enqueue(t.Context(), dbs[i], importFile{i*each + f}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "jobs were lost", func() bool { return n.Load() == 2*each })
}

func TestManyJobsDrain(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	jobs := 2000
	if testing.Short() {
		jobs = 500 // the race detector is slow with the embedded engine
	}
	q, log := newQueue(t, db, job.Options{Workers: 8})
	for base := 0; base < jobs; base += 500 {
		files := make([]int, 500)
		for i := range files {
			files[i] = base + i
		}
		enqueue(t, q, db, files...)
	}
	var n atomic.Int32
	done := make(chan struct{})
	job.Handle(q, job.Worker[importFile]{Work: func(context.Context, importFile) error {
		if int(n.Add(1)) == jobs {
			close(done)
		}
		return nil
	}})
	begin := time.Now()
	run(t, q, log)
	select {
	case <-done:
	case <-time.After(5 * time.Minute): // the race detector on a busy machine
		t.Fatalf("%d of %d jobs ran", n.Load(), jobs)
	}
	took := time.Since(begin)
	t.Logf("%d jobs in %v: %.0f a second", jobs, took.Round(time.Millisecond), float64(jobs)/took.Seconds())
	eventually(t, "not all recorded", func() bool { return states(t, db)["completed"] == jobs })
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func TestAQueueToldToStopBeforeItBeganEndsInOrder(t *testing.T) {
	q, _ := newQueue(t, sqldbtest.Open(t, sqldb.Stock), job.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestTheLoadOfAQueue(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	q, log := newQueue(t, db, job.Options{Workers: 1})
	if l, err := q.Load(t.Context()); err != nil || len(l.Jobs) != 0 || l.Delay != 0 {
		t.Errorf("an empty queue: %v, %v", l, err)
	}
	enqueue(t, q, db, 1, 2, 3)
	began, goOn := make(chan int, 3), make(chan bool)
	job.Handle(q, job.Worker[importFile]{Work: func(_ context.Context, a importFile) error {
		began <- a.File
		<-goOn
		return nil
	}})
	var waited time.Duration
	eventually(t, "nobody sees the jobs wait", func() bool {
		l, err := q.Load(t.Context())
		if err != nil || l.Jobs["available"] != 3 {
			t.Fatal(l, err)
		}
		waited = l.Delay
		return waited > 100*time.Millisecond
	})
	run(t, q, log)
	defer close(goOn)
	receive(t, began)
	if l, err := q.Load(t.Context()); err != nil || l.Jobs["running"] != 1 || l.Jobs["available"] != 2 || l.Delay < waited || l.Delay > soon {
		t.Errorf("one of three at work: %v, %v", l, err)
	}
}
