package inventory

import (
	"context"
	"sync"
	"time"

	"carfluence/internal/errs"
)

// waits are the calls that wait for changes. While some of a group's do, one goroutine looks for all of them.
type waits struct {
	max   int
	ended chan struct{} // closed when the server stops
	end   sync.Once

	mu     sync.Mutex
	now    int
	groups map[string]*waiting
}

// waiting are those of one group.
type waiting struct {
	calls int
	stop  context.CancelFunc
	wrote chan struct{} // something was written in this process

	mu   sync.Mutex
	seen version
	news chan struct{} // closed when seen has changed
}

func newWaits(most int) *waits {
	return &waits{max: most, ended: make(chan struct{}), groups: map[string]*waiting{}}
}

// EndWaits answers all calls that wait for changes, and lets none wait from now on: the server stops.
func (s *Stock) EndWaits() { s.waits.end.Do(func() { close(s.waits.ended) }) }

// enter takes a place among those who wait, to be given back by leave.
func (ws *waits) enter(group string, look func(context.Context) (version, error)) (*waiting, error) {
	select {
	case <-ws.ended:
		return nil, errStopping
	default:
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.now >= ws.max {
		return nil, errTooManyWait
	}
	ws.now++
	w, ok := ws.groups[group]
	if !ok {
		ctx, stop := context.WithCancel(context.Background())
		w = &waiting{stop: stop, wrote: make(chan struct{}, 1), news: make(chan struct{})}
		ws.groups[group] = w
		go w.watch(ctx, look)
	}
	w.calls++
	return w, nil
}

func (ws *waits) leave(group string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.now--
	w := ws.groups[group]
	if w.calls--; w.calls == 0 {
		w.stop()
		delete(ws.groups, group)
	}
}

// wrote tells at once what else would be found with the next look.
func (ws *waits) wrote(group string) {
	ws.mu.Lock()
	w := ws.groups[group]
	ws.mu.Unlock()
	if w == nil {
		return
	}
	select {
	case w.wrote <- struct{}{}:
	default: // it is about to look
	}
}

// watch looks for what others write.
func (w *waiting) watch(ctx context.Context, look func(context.Context) (version, error)) {
	tick := time.NewTicker(versionAge)
	defer tick.Stop()
	for {
		if v, err := look(ctx); err == nil { // else those who wait hear of it when their time is over
			w.tell(v)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.wrote:
		}
	}
}

func (w *waiting) tell(v version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v != w.seen {
		w.seen = v
		close(w.news)
		w.news = make(chan struct{})
	}
}

// await returns true when vehicles may have been written since a version was seen, false when the time is over.
func (w *waiting) await(ctx context.Context, seen version, over <-chan time.Time, ended <-chan struct{}) (bool, error) {
	for {
		w.mu.Lock()
		latest, news := w.seen, w.news
		w.mu.Unlock()
		if latest.n-latest.bumps > seen.n-seen.bumps {
			return true, nil
		}
		select {
		case <-news:
		case <-over:
			return false, nil
		case <-ended:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

var (
	errTooManyWait = errs.UnavailableFor(5*time.Second, "As many calls wait for changes as this server lets wait. Call again without wait, or later.", nil)
	errStopping    = errs.UnavailableFor(time.Second, "The server is shutting down, and nothing has changed since the cursor. Call again.", nil)
)
