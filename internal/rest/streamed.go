package rest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"carfluence/internal/errs"
)

// Streamed is an answer that is sent while it is made, for what may be too large to be held in memory. It has neither length
// nor tag. Clients that accept it get it compressed.
type Streamed struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	// Write makes the body. An error is answered as any other as long as nothing was sent; later the connection is cut, so that
	// nobody takes a part for the whole. Its context also ends with the server, and writing fails once the caller has lost its rights.
	Write func(ctx context.Context, to io.Writer) error
	// Ended is closed when the server is about to stop. What is not sent shortly after is cut.
	Ended <-chan struct{}
	// Idle is how long the client may take no piece; 0 for a minute.
	Idle time.Duration
	// Grace is how long the answer may go on once Ended is closed; 0 for five seconds.
	Grace time.Duration
}

const (
	sentPiece    = 64 << 10 // bytes that a client must take within Idle
	takenWithin  = time.Minute
	graceAtEnd   = 5 * time.Second
	allowedEvery = time.Second // the caller's rights are looked at again
)

var (
	errHeaderOnly = errors.New("nobody asked for the body")
	errEnding     = errs.UnavailableFor(time.Second, "The server is shutting down. Call again.", nil)
)

// stream is a Streamed on its way.
type stream struct {
	x       *Exchange
	control *http.ResponseController
	idle    time.Duration
	asked   time.Time // when the caller's rights were last looked at

	mu   sync.Mutex
	over error // why nothing more is sent
}

func (x *Exchange) stream(s *Streamed, log *slog.Logger) {
	h := x.Header()
	h.Set("Content-Type", s.ContentType)
	if s.Disposition != "" {
		h.Set("Content-Disposition", s.Disposition)
	}
	w := &stream{x: x, control: http.NewResponseController(x.w), idle: cmp.Or(s.Idle, takenWithin), asked: x.started}
	ctx, cancel := context.WithCancelCause(x.Context())
	defer cancel(nil)
	finished := make(chan struct{})
	go w.endWith(s.Ended, cmp.Or(s.Grace, graceAtEnd), finished, cancel)
	err := w.send(ctx, s)
	close(finished)
	w.end(io.EOF)
	switch {
	case err == nil || errors.Is(err, errHeaderOnly):
		x.WriteHeader(http.StatusOK)
		return
	case errors.Is(context.Cause(ctx), errEnding):
		err = errEnding
	}
	if !x.sent {
		x.fail(err)
		return
	}
	if x.err = err; errs.KindOf(err) == errs.KindInternal {
		log.Error("answer cut off", "request_id", x.RequestID, "error", err)
	}
	panic(http.ErrAbortHandler)
}

func (w *stream) send(ctx context.Context, s *Streamed) error {
	out := bufio.NewWriterSize(w, sentPiece)
	if !AcceptsGzip(w.x.r.Header) {
		if err := s.Write(ctx, out); err != nil {
			return err
		}
		return out.Flush()
	}
	w.x.Header()["Content-Encoding"] = gzipped
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := s.Write(ctx, zip); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	return out.Flush()
}

// Write implements io.Writer.
func (w *stream) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		piece := b[:min(len(b), sentPiece)]
		if err := w.piece(piece); err != nil {
			return n, err
		}
		n, b = n+len(piece), b[len(piece):]
	}
	return n, nil
}

func (w *stream) piece(b []byte) error {
	if now := time.Now(); now.Sub(w.asked) >= allowedEvery {
		if err := w.x.StillAllowed(); err != nil {
			return err
		}
		w.asked = now
	}
	if err := w.extend(); err != nil {
		return err
	}
	if !w.x.sent {
		w.x.WriteHeader(http.StatusOK)
		w.x.send(false)
	}
	if w.x.r.Method == http.MethodHead {
		return errHeaderOnly
	}
	if _, err := w.x.Write(b); err != nil {
		return &errs.Error{Kind: kindGone, Code: "client_gone", Detail: "The client left before the end of the answer.", Err: err}
	}
	return nil
}

// extend gives the client time for the next piece.
func (w *stream) extend() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over != nil {
		return w.over
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.idle)) // not every connection can; then the server's own limit holds
	return nil
}

// end lets nothing more be sent, and a piece on its way wait no longer.
func (w *stream) end(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over == nil && why != io.EOF {
		_ = w.control.SetWriteDeadline(time.Now())
	}
	w.over = cmp.Or(w.over, why)
}

func (w *stream) endWith(ended <-chan struct{}, grace time.Duration, finished <-chan struct{}, cancel context.CancelCauseFunc) {
	select {
	case <-ended:
	case <-finished:
		return
	}
	select {
	case <-time.After(grace):
		w.end(errEnding)
		cancel(errEnding)
	case <-finished:
	}
}
