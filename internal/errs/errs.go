// Package errs owns the closed set of error kinds the house speaks. Packages below the routes return
// *Error (wrapped with %w as needed); package rest maps kinds to HTTP once. Anything that is not an
// *Error is internal: logged at the edge, never shown.
package errs

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// Kind says what sort of failure happened; rest maps each kind to one status.
type Kind uint8

// The kinds, with the HTTP status rest gives each.
const (
	KindInternal        Kind = iota // 500; also every foreign error
	KindMalformed                   // 400: the request can't be read (syntax, two credentials, credential in the URL)
	KindInvalid                     // 422: read, but its content is wrong
	KindUnauthenticated             // 401
	KindForbidden                   // 403
	KindNotFound                    // 404: unknown and foreign ids alike
	KindConflict                    // 409
	KindExpired                     // 410: it was good once; start anew
	KindTooLarge                    // 413
	KindRateLimited                 // 429
	KindUnavailable                 // 503: try again later; never a false 401
)

// Error is a failure somebody can act on.
type Error struct {
	Kind   Kind
	Code   string // stable, snake_case; part of the wire contract
	Detail string // a sentence for the sender: what is wrong and what to do
	Faults []Fault

	RetryAfter time.Duration // KindRateLimited and KindUnavailable; rounded up to whole seconds on the wire

	// KindForbidden only: what the call needs and what the caller has.
	RequiredScopes, GrantedScopes []string

	Err error // the cause; logged, never shown
}

// Fault is one thing wrong with a request. Exactly one of Pointer (RFC 6901 fragment, "#/scopes/0") and
// Parameter (a query, path or header parameter) is set.
type Fault struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code)
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	for _, f := range e.Faults {
		b.WriteString("; ")
		b.WriteString(f.Pointer + f.Parameter + " " + f.Detail)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first *Error in the chain, KindInternal without one.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// CodeOf is the code of the first *Error in the chain, "internal" without one.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "internal"
}

// New makes an error of any kind.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Invalid is content that can't be accepted (422).
func Invalid(code, detail string, faults ...Fault) *Error {
	return &Error{Kind: KindInvalid, Code: code, Detail: detail, Faults: faults}
}

// NotFound is an id that does not exist for this caller (404).
func NotFound(code, detail string) *Error { return New(KindNotFound, code, detail) }

// Conflict is a request at odds with what is stored (409).
func Conflict(code, detail string) *Error { return New(KindConflict, code, detail) }

// UnavailableFor is a temporary failure worth retrying after the given time (503).
func UnavailableFor(retry time.Duration, detail string, cause error) *Error {
	return &Error{Kind: KindUnavailable, Code: "unavailable", Detail: detail, RetryAfter: retry, Err: cause}
}

// At names a fault in a body by JSON pointer fragment ("#/name").
func At(pointer, detail string) Fault { return Fault{Pointer: pointer, Detail: detail} }

// Member is the pointer to a member of the object that a pointer names.
func Member(pointer, name string) string {
	return pointer + "/" + url.PathEscape(memberEscapes.Replace(name))
}

// memberEscapes are those of RFC 6901; its URI fragment form (section 6) escapes further.
var memberEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// In names a fault in a query, path or header parameter.
func In(parameter, detail string) Fault { return Fault{Parameter: parameter, Detail: detail} }

// DetailOf is the sentence for the sender of the first *Error in the chain, "" without one.
func DetailOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return ""
}
