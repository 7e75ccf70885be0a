// Package resttest helps tests that read answers from a recorder.
package resttest

import "net/http"

// Header is an answer's header as clients read it: package rest spells some names as they are published, and
// http.Header finds canonical ones only.
func Header(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		for _, v := range values {
			out.Add(name, v)
		}
	}
	return out
}
