package lease

import (
	"context"
	"sync"
	"time"
)

// Wait returns when ch is closed or has something, d has passed (never, when negative), or ctx ends.
type Wait func(ctx context.Context, ch <-chan struct{}, d time.Duration)

func wait(ctx context.Context, ch <-chan struct{}, d time.Duration) {
	var passed <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-ch:
	case <-passed:
	case <-ctx.Done():
	}
}

// flight lets those who ask at the same time share one run. A run that began after somebody asked is theirs too.
type flight[T any] struct {
	wait Wait

	mu    sync.Mutex
	begun int64   // runs so far
	last  *run[T] // that was begun
	under bool    // it is under way
}

type run[T any] struct {
	number int64
	done   chan struct{} // closed once the result is set
	result T
	err    error
}

// do runs work, or waits for a run that serves as well.
func (f *flight[T]) do(ctx context.Context, work func() (T, error)) (T, error) {
	f.mu.Lock()
	for asked := f.begun; f.under || f.begun > asked; {
		r := f.last
		f.mu.Unlock()
		f.wait(ctx, r.done, -1)
		if err := ctx.Err(); err != nil {
			var none T
			return none, err
		}
		if r.number > asked {
			return r.result, r.err
		}
		f.mu.Lock()
	}
	return f.run(f.start(), work)
}

// own runs work that no other run stands for.
func (f *flight[T]) own(ctx context.Context, work func() (T, error)) (T, error) {
	f.mu.Lock()
	for f.under {
		r := f.last
		f.mu.Unlock()
		f.wait(ctx, r.done, -1)
		if err := ctx.Err(); err != nil {
			var none T
			return none, err
		}
		f.mu.Lock()
	}
	return f.run(f.start(), work)
}

// start begins a run and lets go of the mutex.
func (f *flight[T]) start() *run[T] {
	defer f.mu.Unlock()
	f.begun++
	f.last, f.under = &run[T]{number: f.begun, done: make(chan struct{})}, true
	return f.last
}

func (f *flight[T]) run(r *run[T], work func() (T, error)) (T, error) {
	defer func() {
		f.mu.Lock()
		f.under = false
		f.mu.Unlock()
		close(r.done)
	}()
	r.result, r.err = work()
	return r.result, r.err
}
