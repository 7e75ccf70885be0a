package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"carfluence/internal/errs"
)

// Exchange is one request on its way through the house: the response under construction and what is known
// of the caller. It buffers the body, so that ETag, 304, compression and the rate-limit headers, which
// depend on the final status, are set in one place.
type Exchange struct {
	RequestID string
	// Caller is the principal, nil without a valid credential; its type belongs to package auth.
	Caller any
	// Refused says why the credential that came with the request was not accepted; nil when none came.
	// Open operations ignore it, all others answer it.
	Refused error
	// Charge is the credit this request holds. Nil outside /api/v1 and when no limit applies.
	Charge Charge
	// Actor names the caller in the log ("key:<id>", "person:<id>").
	Actor string
	// IP is the client's address behind trusted proxies.
	IP string

	w           http.ResponseWriter
	r           *http.Request
	ctx         exchangeContext
	pattern     string // when the router was not asked
	api         bool
	credentials bool // the answer holds secrets
	fresh       bool // the answer is not to be kept
	gate        *Gate
	security    Security // of the operation, once it is known
	err         error
	faults      []errs.Fault // of the query
	beside      []errs.Fault // to be told with others

	status  int
	encoded *Encoded // the body, else
	body    *bytes.Buffer
	zip     *Zip
	etag    string // "" for one made from the body
	texts   [numTexts]string
	sent    bool
	written int
	started time.Time
}

// Charge is a credit taken before the request ran.
type Charge interface {
	// Settle is called once with the final status; it gives the credit back where the status doesn't count.
	Settle(status int) RateLimit
}

// RateLimit is what the X-RateLimit headers show.
type RateLimit struct {
	Limit, Remaining int64
	Reset            int64 // Unix seconds
}

// Header values that differ from one answer to the next stand in the exchange, as each would be an allocation else.
const (
	textID = iota
	textTag
	textLimit
	textRemaining
	textReset
	textLength
	numTexts
)

func (x *Exchange) text(i int, s string) []string {
	x.texts[i] = s
	return x.texts[i : i+1 : i+1]
}

type exchangeKey struct{}

// exchangeContext is the request's context, which also leads to the exchange.
type exchangeContext struct {
	context.Context
	x *Exchange
}

// Value implements context.Context.
func (c *exchangeContext) Value(key any) any {
	if key == (exchangeKey{}) {
		return c.x
	}
	return c.Context.Value(key)
}

// Context is the request's, from which From finds the exchange.
func (x *Exchange) Context() context.Context { return &x.ctx }

// From returns the exchange a handler runs in.
func From(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
}

// UserAgent is what the client calls itself, bounded.
func (x *Exchange) UserAgent() string {
	return clip(strings.ToValidUTF8(x.r.UserAgent(), ""), 300)
}

// Status is the status answered, 0 before the answer.
func (x *Exchange) Status() int { return x.status }

// Route is the pattern that matched ("GET /api/v1/inventory"), "" without one.
func (x *Exchange) Route() string { return cmp.Or(x.pattern, x.r.Pattern) }

// Path is the request's path, fit for logs.
func (x *Exchange) Path() string { return safePath(x.r.URL.Path) }

// Err is what the answer says went wrong, with its cause; nil when nothing did.
func (x *Exchange) Err() error { return x.err }

// Bytes is the size of the body as sent.
func (x *Exchange) Bytes() int { return x.written }

// Started is when the request's header had been read.
func (x *Exchange) Started() time.Time { return x.started }

// Request is the request as it came.
func (x *Exchange) Request() *http.Request { return x.r }

// StillAllowed asks again, without a credit, whether the caller may do what it does: for answers that take their time.
func (x *Exchange) StillAllowed() error {
	if x.gate.Renew != nil {
		if err := x.gate.Renew(x); err != nil {
			return err
		}
	}
	return x.gate.Allow(x, x.security)
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKeptBody is the largest body buffer kept for the next request.
const maxKeptBody = 256 << 10

// Header implements http.ResponseWriter.
func (x *Exchange) Header() http.Header { return x.w.Header() }

// WriteHeader implements http.ResponseWriter; the first status wins.
func (x *Exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
}

// Write implements http.ResponseWriter by buffering.
func (x *Exchange) Write(b []byte) (int, error) {
	if x.sent {
		n, err := x.w.Write(b)
		x.written += n
		return n, err
	}
	if x.err != nil {
		return len(b), nil // the problem is the whole answer
	}
	return x.buffer(b)
}

func (x *Exchange) buffer(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if x.body == nil {
		x.body = bodies.Get().(*bytes.Buffer)
	}
	return x.body.Write(b)
}

// Unwrap lets http.ResponseController reach the connection (deadlines).
func (x *Exchange) Unwrap() http.ResponseWriter { return x.w }

// Flush ends buffering: what is written from now on goes out at once, without ETag or compression.
func (x *Exchange) Flush() {
	x.WriteHeader(http.StatusOK)
	x.send(false)
	if f, ok := x.w.(http.Flusher); ok {
		f.Flush()
	}
}

// fail replaces what was written so far by a problem.
func (x *Exchange) fail(err error) {
	if x.sent || x.err != nil && errs.KindOf(err) != errs.KindInternal {
		return
	}
	if x.body != nil {
		x.body.Reset()
	}
	x.encoded, x.zip, x.etag = nil, nil, ""
	if k := errs.KindOf(err); (k == errs.KindInternal || k == errs.KindUnavailable) && x.r.Context().Err() != nil {
		err = &errs.Error{Kind: kindGone, Code: "client_gone", Detail: "The client left before the answer.", Err: err}
	}
	x.err = err
	p := problemOf(err)
	p.decorate(x)
	x.Header().Set("Content-Type", "application/problem+json")
	for _, h := range []string{"ETag", "Content-Encoding", "Content-Disposition", "Content-Length", "Location", "Set-Cookie", "Last-Modified", ConfirmedHeader} {
		x.Header().Del(h)
	}
	p.headers(x.Header(), x.Refused != nil)
	x.status = p.Status
	_, _ = x.buffer(p.encode())
}

// finish answers what the handler left open and sends the response. It also runs after a panic.
func (x *Exchange) finish(log *slog.Logger) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			panic(p)
		}
		log.Error("panic", "request_id", x.RequestID, "panic", p, "stack", string(debug.Stack()))
		if x.sent {
			panic(http.ErrAbortHandler) // too late for an answer: cut, so that the client sees it is not whole
		}
		x.fail(errs.New(errs.KindInternal, "internal", "The server made a mistake. It is logged under this request id."))
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if x.err == nil && x.status >= 400 && !x.sent {
		x.fail(x.plainError())
	}
	x.send(true)
	if x.body != nil && x.body.Cap() <= maxKeptBody {
		x.body.Reset()
		bodies.Put(x.body)
	}
}

// plainError is the refusal of the router, or of a handler that knows only HTTP, whose text says why.
func (x *Exchange) plainError() error {
	said := ""
	if x.Route() != "" && x.body != nil {
		said = clip(strings.TrimSpace(x.body.String()), maxReason)
	}
	switch x.status {
	case http.StatusMethodNotAllowed:
		return errs.New(kindMethod, "method_not_allowed", cmp.Or(said, "This address answers to "+x.Header().Get("Allow")+" only."))
	case http.StatusBadRequest:
		return errs.New(errs.KindMalformed, "malformed", cmp.Or(said, "The request's target is no path."))
	case http.StatusNotFound:
		return errs.NotFound("route_not_found", cmp.Or(said, "There is nothing at this address; /docs lists what there is."))
	case http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(x.Header().Get("Retry-After"))
		return errs.UnavailableFor(time.Duration(seconds)*time.Second, cmp.Or(said, "Try again shortly."), nil)
	}
	return fmt.Errorf("a handler answered %d: %s", x.status, said)
}

// send writes header and body once. whole says that the body is complete.
func (x *Exchange) send(whole bool) {
	if x.sent {
		return
	}
	h := x.Header()
	if tag, ok := h[canonicalTag]; ok {
		delete(h, canonicalTag)
		h[headerTag] = tag
		x.etag = cmp.Or(x.etag, tag[0])
	}
	body := x.content()
	if whole && x.status == http.StatusOK && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) {
		body = x.validate(h, body)
	}
	x.limits(h)
	x.caching(h)
	if whole {
		body = x.compress(h, body)
		if x.status >= 200 && x.status != http.StatusNoContent && x.status != http.StatusNotModified {
			h["Content-Length"] = x.text(textLength, strconv.Itoa(len(body)))
		}
	}
	x.sent = true
	x.w.WriteHeader(x.status)
	if len(body) > 0 && x.r.Method != http.MethodHead && x.status != http.StatusNotModified && x.status != http.StatusNoContent {
		n, _ := x.w.Write(body) // a client that went away is no error of ours
		x.written += n
	}
}

func (x *Exchange) content() []byte {
	switch {
	case x.encoded != nil:
		x.zip = x.encoded.Zip
		return x.encoded.Body
	case x.body != nil:
		return x.body.Bytes()
	}
	return nil
}

// Names of headers as they are published and go out, which are not Go's canonical ones: no difference to HTTP, but to people
// who search an answer for what they have read. They are set without http.Header's methods.
const (
	headerLimit     = "X-RateLimit-Limit"
	headerRemaining = "X-RateLimit-Remaining"
	headerReset     = "X-RateLimit-Reset"
	headerTag       = "ETag"
	headerChallenge = "WWW-Authenticate"

	canonicalTag = "Etag" // as handlers set it that know only HTTP
)

// validate sets the ETag and turns the answer into 304 where the client has it already (RFC 9110 §13.1.2).
// Tags are weak: one tag for all encodings.
func (x *Exchange) validate(h http.Header, body []byte) []byte {
	if !x.api || x.credentials || x.fresh {
		return body
	}
	if x.etag == "" {
		x.etag = TagOf(body)
	}
	h[headerTag] = x.text(textTag, x.etag)
	if matching := x.r.Header["If-None-Match"]; matching != nil && Matches(matching, x.etag) {
		x.status = http.StatusNotModified
		delete(h, "Content-Type")
		return nil
	}
	return body
}

// TagOf is the weak tag of a body. It has to tell the states of one address apart, which takes no cryptography: that would cost
// a random page as much as all else.
func TagOf(body []byte) string {
	b := append(make([]byte, 0, 20), `W/"`...)
	b = strconv.AppendUint(b, xxhash.Sum64(body), 36)
	return string(append(b, '"'))
}

func (x *Exchange) limits(h http.Header) {
	if x.Charge == nil {
		return
	}
	l := x.Charge.Settle(x.status)
	var digits [60]byte // of all three numbers: one allocation
	b := strconv.AppendInt(digits[:0], l.Limit, 10)
	first := len(b)
	b = strconv.AppendInt(b, l.Remaining, 10)
	second := len(b)
	text := string(strconv.AppendInt(b, l.Reset, 10))
	h[headerLimit], h[headerRemaining], h[headerReset] = x.text(textLimit, text[:first]), x.text(textRemaining, text[first:second]), x.text(textReset, text[second:])
}

var (
	varyAPI        = []string{"Authorization, X-API-Key, Accept-Encoding"}
	privateNoCache = []string{"private, no-cache"}
	privateNoStore = []string{"private, no-store"}
	noStore        = []string{"no-store"}
	noSniff        = []string{"nosniff"}
)

func (x *Exchange) caching(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	if !x.api {
		return
	}
	h["Vary"] = varyAPI
	switch {
	case x.credentials:
		h["Cache-Control"] = noStore
	case x.status >= 400 || x.fresh:
		h["Cache-Control"] = privateNoStore
	case h.Get("Cache-Control") == "":
		h["Cache-Control"] = privateNoCache
	}
}

// requestID accepts the client's id when it is sane, and makes one otherwise.
func requestID(sent string) string {
	if len(sent) >= 1 && len(sent) <= 128 && strings.Trim(sent, idAlphabet) == "" && !looksSecret(sent) {
		return sent
	}
	var b [16]byte // not to be met again; there is nothing to guess
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	var text [2 * len(b)]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
