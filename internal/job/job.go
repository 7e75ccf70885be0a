// Package job owns work that is done later: jobs enqueued in the transaction of the data they belong to,
// workers by kind, schedules. What a job does lives with the feature whose job it is.
//
// It is a narrow wrapper over River, whose tables are migrations of the stock store. A job runs at least once:
// again after a failure, and again after a crash, also one that came between its end and the record of it. So
// the work itself must bear repetition.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"carfluence/internal/sqldb"
)

const (
	// pollEvery is how often the store is asked for new jobs. An idle queue takes 0.9 % of a core with it, half
	// of that for River's other services; 250 ms take 1.1 %, 50 ms 3.8 %, River's listener for SQLite 2.2 %.
	pollEvery = 500 * time.Millisecond
	// pollListening is the same on PostgreSQL, which tells of new jobs, but not of those that were taken over.
	pollListening = time.Second
	// fetchAtMost is how soon after one fetch another may follow while there are jobs waiting.
	fetchAtMost = 5 * time.Millisecond
	// busyWait is how long one statement waits for the write lock. An import may hold it for minutes: every
	// statement is tried again until it gets through, so this only bounds how long a stop is held up.
	busyWait = 5 * time.Second
	// awayAgain is how long after a start failed for want of the database the next is tried.
	awayAgain = time.Second
	// maxBackoff is the longest wait between two attempts.
	maxBackoff = 10 * time.Minute
	// finishedKept and givenUpKept are how long rows of jobs are kept for who looks into the store.
	finishedKept = 24 * time.Hour
	givenUpKept  = 30 * 24 * time.Hour
)

// Args are what a job is about, stored as JSON. A type of its own for each kind; Kind is called on the zero
// value too and never changes once jobs of it are stored.
type Args interface{ Kind() string }

// Worker does the jobs of one kind.
type Worker[T Args] struct {
	// Work does the job. An error, or a panic, means another attempt later; Snooze asks for one without
	// counting this. There is no time limit: ctx ends only when the server stops, and an error returned
	// then is not held against the job.
	Work func(ctx context.Context, args T) error
	// GaveUp is told when the last attempt has failed; optional. The job is gone whatever it returns.
	GaveUp func(ctx context.Context, args T, cause error) error
}

// Options of a queue; zero values are filled in.
type Options struct {
	Workers     int           // jobs worked at the same time; 4
	Attempts    int           // how often a job is tried in all; 10, which take about 17 minutes
	Backoff     time.Duration // wait after the first failure, doubled after each further one; 2 s
	StopTimeout time.Duration // how long Run waits for running jobs at its end; 20 s
}

func (o Options) filled() Options {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Attempts == 0 {
		o.Attempts = 10
	}
	if o.Backoff == 0 {
		o.Backoff = 2 * time.Second
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 20 * time.Second
	}
	return o
}

// Queue takes jobs and, in the one process that serves the store, works them.
type Queue struct {
	stock    *sqldb.DB
	log      *slog.Logger
	options  Options
	inserter *client
	workers  *river.Workers
	periodic []*river.PeriodicJob
}

// New makes a queue on the stock store. It is ready to take jobs; Handle and Every come before Run.
func New(stock *sqldb.DB, log *slog.Logger, o Options) (*Queue, error) {
	q := &Queue{stock: stock, log: log, options: o.filled(), workers: river.NewWorkers()}
	var err error
	q.inserter, err = newClient(stock.Engine(), nil, &river.Config{Logger: riverLog(log), MaxAttempts: q.options.Attempts})
	return q, err
}

// Handle sets the worker of a kind. A second worker for it is a mistake in the wiring and panics.
func Handle[T Args](q *Queue, w Worker[T]) {
	river.AddWorker(q.workers, &worker[T]{Worker: w, log: q.log})
}

// Every enqueues a job at the start of Run and then at the interval, unless the one before is still waiting or
// running. The schedule is not stored: it begins anew with each start.
func (q *Queue) Every(interval time.Duration, args Args) {
	once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
	q.periodic = append(q.periodic, river.NewPeriodicJob(river.PeriodicInterval(interval),
		func() (river.JobArgs, *river.InsertOpts) { return args, once }, &river.PeriodicJobOpts{RunOnStart: true}))
}

// Snooze returned by Work puts the job off without counting the attempt.
func Snooze(d time.Duration) error { return river.JobSnooze(d) }

// Run works jobs until ctx ends. Running jobs then see their context end and get StopTimeout to return; what
// is unfinished is run again by the next Run. It takes over the jobs of a process that died. On SQLite only the
// process that holds the data folder's lock may call it; on PostgreSQL as many as there are.
func (q *Queue) Run(ctx context.Context) error {
	side, err := q.stock.Connect(ctx, busyWait)
	if err != nil && ctx.Err() != nil { // told to stop before it began
		return nil
	}
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	defer side.Close()
	here, err := q.presence()
	if err != nil {
		return err
	}
	defer here.end()
	c, err := q.startPatiently(ctx, side, here)
	if err != nil || c == nil {
		return err
	}
	here.watch(ctx)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.options.StopTimeout)
	defer cancel()
	if err := c.StopAndCancel(limit); err != nil {
		q.log.Warn("jobs are cut off by the stop; the next start runs them again", "waited", q.options.StopTimeout)
	}
	return nil
}

// startPatiently waits while another process, such as an import, holds the store's write lock, or the server is
// away. It returns nil when ctx ends first.
func (q *Queue) startPatiently(ctx context.Context, side *sqldb.Side, here *presence) (*client, error) {
	for {
		c, err := q.start(ctx, side, here)
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, nil
		case sqldb.IsAway(err):
			q.log.Warn("jobs wait for the database", "error", err)
			select {
			case <-time.After(awayAgain):
			case <-ctx.Done():
			}
		case !sqldb.IsBusy(err):
			return nil, fmt.Errorf("start jobs: %w", err)
		default:
			q.log.Debug("jobs wait for the store's write lock", "error", err)
		}
	}
}

func (q *Queue) start(ctx context.Context, side *sqldb.Side, here *presence) (*client, error) {
	if err := here.begin(ctx, side); err != nil {
		return nil, err
	}
	c, err := newClient(q.stock.Engine(), side, q.config(here.id))
	if err != nil {
		return nil, err
	}
	// River's services must outlive ctx: what has finished by then is still to be recorded.
	return c, c.Start(context.WithoutCancel(ctx))
}

func (q *Queue) config(id string) *river.Config {
	listens := q.stock.Engine() == sqldb.PostgreSQL
	poll := pollEvery
	if listens {
		poll = pollListening
	}
	return &river.Config{
		ID:                          id,
		Logger:                      riverLog(q.log),
		Workers:                     q.workers,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.options.Workers}},
		PeriodicJobs:                q.periodic,
		PollOnly:                    !listens,
		FetchPollInterval:           poll,
		FetchCooldown:               fetchAtMost,
		JobTimeout:                  -1, // and so River takes no running job for a stuck one
		MaxAttempts:                 q.options.Attempts,
		RetryPolicy:                 backoff{first: q.options.Backoff},
		CompletedJobRetentionPeriod: finishedKept,
		DiscardedJobRetentionPeriod: givenUpKept,
	}
}

// backoff is River's retry policy: twice the wait after each failure.
type backoff struct{ first time.Duration }

// NextRetry implements river.ClientRetryPolicy. River compares the answer with the system's clock.
func (b backoff) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(b.after(job.Attempt))
}

func (b backoff) after(attempt int) time.Duration {
	wait := b.first
	for range attempt - 1 {
		if wait *= 2; wait >= maxBackoff {
			return maxBackoff
		}
	}
	return wait
}

// worker is a Worker in River's form.
type worker[T Args] struct {
	river.WorkerDefaults[T]
	Worker[T]
	log *slog.Logger
}

// errCrashed is why a job is given up whose last attempt took the process with it.
var errCrashed = errors.New("the server ended while the job ran, as often as it may be tried")

// Work implements river.Worker.
func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error {
	err := errCrashed
	if job.Attempt <= job.MaxAttempts {
		err = guarded(func() error { return w.Worker.Work(ctx, job.Args) })
	}
	if _, snoozed := errors.AsType[*river.JobSnoozeError](err); err == nil || snoozed {
		return err
	}
	if ctx.Err() != nil { // River takes back an attempt that says so
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	log := w.log.With("kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "error", err)
	if job.Attempt < job.MaxAttempts {
		log.Warn("job failed; it will be tried again")
		return err
	}
	log.Error("job failed for the last time and is given up")
	if w.GaveUp != nil {
		if told := guarded(func() error { return w.GaveUp(ctx, job.Args, err) }); told != nil {
			log.Error("the end of a job could not be reported", "because", told)
		}
	}
	return err
}

// guarded turns a panic into an error that says where.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
