package app

import "net/http"

// spelling is how headers are written whose usual names are not Go's canonical ones. It makes no difference to
// HTTP, but to people who search an answer for what they have read.
var spelling = [...]struct{ canonical, usual string }{
	{"X-Ratelimit-Limit", "X-RateLimit-Limit"},
	{"X-Ratelimit-Remaining", "X-RateLimit-Remaining"},
	{"X-Ratelimit-Reset", "X-RateLimit-Reset"},
	{"Etag", "ETag"},
	{"Www-Authenticate", "WWW-Authenticate"},
}

// speller respells an answer's headers as they go out.
type speller struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w speller) WriteHeader(status int) {
	h := w.Header()
	for _, s := range spelling {
		if values, ok := h[s.canonical]; ok {
			delete(h, s.canonical)
			h[s.usual] = values
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher.
func (w speller) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (w speller) Unwrap() http.ResponseWriter { return w.ResponseWriter }
