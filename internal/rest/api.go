package rest

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"carfluence/internal/errs"
)

// Prefix is the path under which the API lives on any host.
const Prefix = "/api/v1"

// MaxHeaderBytes bounds a request's header; beyond it the answer is 431.
const MaxHeaderBytes = 64 << 10

// Limits of request bodies.
const (
	MaxBodyBytes    = 1 << 20 // of a JSON call
	BodyReadTimeout = 30 * time.Second
)

// Gate decides who gets in. Both functions are given by the wiring.
type Gate struct {
	// Admit looks at the credential and takes a credit. It sets Caller, Actor, Refused and Charge; an error
	// is answered at once (400, 429, 503).
	Admit func(*Exchange) error
	// Allow checks a declared security against the caller (401, 403).
	Allow func(*Exchange, Security) error
	// Renew looks at the credential again, takes no credit and sets Caller (401, 503). Callers stay what they are when it is nil.
	Renew func(*Exchange) error
}

// Config of the API.
type Config struct {
	Version        string
	PublicURL      string // "" when not set
	TrustedProxies []netip.Prefix
	Gate           Gate
	Observe        func(*Exchange) // after each answer: log, metrics
	Log            *slog.Logger
}

// API is the set of operations and the handler in front of them.
type API struct {
	Config
	huma       huma.API
	mux        *http.ServeMux
	routes     []Route
	codes      map[string][]string // of each operation's refusals, by its id
	confirming map[string]bool     // operations whose answers have ConfirmedHeader, by id
	fresh      map[string]bool     // operations whose answers have no ETag, by id
	quick      map[string]quick    // operations the library is not always needed for, by id
	exact      map[string]route    // those without path parameters, by path
	spec       sync.Once
	json       []byte
	yaml       []byte
}

// Route is one operation with its declared security, for the golden list.
type Route struct {
	Method, Path string
	Security     Security
}

// New makes an API without operations.
func New(c Config) *API {
	configureHuma()
	a := &API{Config: c, mux: http.NewServeMux(), codes: map[string][]string{}, confirming: map[string]bool{}, fresh: map[string]bool{}, quick: map[string]quick{}, exact: map[string]route{}}
	a.huma = huma.NewAPI(a.document(), adapter{a})
	return a
}

// Mux is for pages outside the API (docs, health); API routes go through Register.
func (a *API) Mux() *http.ServeMux { return a.mux }

// Routes lists the operations in order of registration.
func (a *API) Routes() []Route { return a.routes }

// ServeHTTP runs one request: observe, admit, route.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &Exchange{w: w, r: r, started: time.Now()}
	x.ctx = exchangeContext{r.Context(), x}
	x.api = r.URL.Path == Prefix || strings.HasPrefix(r.URL.Path, Prefix+"/")
	x.IP = clientAddress(r, a.TrustedProxies)
	x.RequestID = requestID(r.Header.Get("X-Request-Id"))
	w.Header()["X-Request-Id"] = x.text(textID, x.RequestID)
	if r.ContentLength != 0 { // the HTTP server awaits even a body nobody asks for before it answers
		_ = huma.SetReadDeadline(w, x.started.Add(BodyReadTimeout))
	}
	defer a.Observe(x)
	defer x.finish(a.Log)
	if err := a.admit(x); err != nil {
		x.fail(err)
		return
	}
	if found, ok := a.quickRoute(r); ok {
		if x.pattern = found.pattern; found.answer(x) {
			return
		}
		x.pattern = ""
	}
	x.r = r.WithContext(x.Context())
	a.mux.ServeHTTP(x, x.r)
}

func (a *API) admit(x *Exchange) error {
	if x.api {
		if err := a.Gate.Admit(x); err != nil {
			return err
		}
	}
	if headerBytes(x.r) > MaxHeaderBytes {
		return errs.New(kindHeaders, "header_too_large", "The request's header is larger than 64 KiB.")
	}
	if !x.api {
		return nil
	}
	return checkURL(x.r.URL)
}

func headerBytes(r *http.Request) int {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// configureHuma sets the library's process-wide switches once, before the first API exists.
var configureHuma = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true
	validation.MsgExpectedMinimumNumber, validation.MsgExpectedMaximumNumber = "must be at least %.15g", "must be at most %.15g" // not 1e+06
	huma.NewError = func(status int, msg string, faults ...error) huma.StatusError {
		return problemOf(humaError(status, msg, faults))
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, faults ...error) huma.StatusError {
		x := From(ctx.Context())
		err := humaError(status, msg, slices.Concat(faults, Faults(x.faults...), Faults(x.beside...)))
		x.fail(err)
		return problemOf(err)
	}
})
