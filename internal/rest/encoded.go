package rest

import (
	"bytes"
	"cmp"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Encoded is an answer that is JSON already. Its body is not changed and may be sent many times.
type Encoded struct {
	Status      int    // that of the operation when 0
	ContentType string `header:"Content-Type"` // application/json when ""
	ETag        string `header:"ETag"`         // weak; made from the body when ""
	Location    string `header:"Location"`
	Body        []byte
	// Zip is for a body that is kept: clients that accept it get the compressed form, which is made once.
	Zip *Zip `hidden:"true"`
}

var (
	jsonType = []string{"application/json"}
	gzipped  = []string{"gzip"}
)

// answer is sent when the exchange is finished.
func (x *Exchange) answer(e *Encoded, status int) {
	if e == nil {
		e = &Encoded{}
	}
	x.WriteHeader(cmp.Or(e.Status, status, http.StatusOK))
	h := x.Header()
	if h["Content-Type"] = jsonType; e.ContentType != "" && e.ContentType != jsonType[0] {
		h["Content-Type"] = []string{e.ContentType}
	}
	if e.Location != "" {
		h["Location"] = []string{e.Location}
	}
	x.encoded, x.etag = e, e.ETag
}

// minCompress is the body size in bytes from which compression pays.
const minCompress = 1400

// Zip is the compressed form of bytes that are kept in memory. It belongs to them: they must not change.
type Zip struct {
	once sync.Once
	zip  []byte
}

// Of is the compressed form of body, always of the same; nil when it is not worth while.
func (z *Zip) Of(body []byte) []byte {
	z.once.Do(func() {
		if len(body) < minCompress {
			return
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(body)
		_ = w.Close()
		if out.Len() < len(body) {
			z.zip = bytes.Clone(out.Bytes())
		}
	})
	return z.zip
}

// compress takes the form that was made once. Other answers go out as they are: compressing costs each many times what
// making it does.
func (x *Exchange) compress(h http.Header, body []byte) []byte {
	if x.zip == nil || len(body) < minCompress || !AcceptsGzip(x.r.Header) {
		return body
	}
	zip := x.zip.Of(body)
	if zip == nil {
		return body
	}
	h["Content-Encoding"] = gzipped
	return zip
}

// AcceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3); what is said of gzip itself counts before "*".
func AcceptsGzip(h http.Header) bool {
	any := false
	for _, accept := range h["Accept-Encoding"] {
		for part := range strings.SplitSeq(accept, ",") {
			name, params, _ := strings.Cut(part, ";")
			wanted := params == "" || !zeroWeight.MatchString(params)
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "gzip"):
				return wanted
			case name == "*":
				any = wanted
			}
		}
	}
	return any
}

var zeroWeight = regexp.MustCompile(`^\s*[qQ]=0(\.0*)?\s*$`)

// Matches compares a tag with those of If-None-Match, weakly (RFC 9110 §8.8.3.2).
func Matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
