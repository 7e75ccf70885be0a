package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/errs"
)

// Upload lets an operation take a body of any type as a stream, instead of JSON.
type Upload struct {
	MaxBytes int64         // beyond it the answer is 413
	Within   time.Duration // after so long in all the answer is 408
	Idle     time.Duration // without a byte for so long the answer is 408
	Doc      string        // what the body is
}

// Body is the stream of an upload. Reading it ends with an error that says why: too large, too slow, cut off.
func (x *Exchange) Body(u Upload) io.Reader {
	return &uploadReader{x: x, limit: u, control: http.NewResponseController(x.w)}
}

// answerWithin is how long the answer may take once the body has arrived: storing it may wait for a long import.
const answerWithin = 10 * time.Minute

type uploadReader struct {
	x       *Exchange
	limit   Upload
	control *http.ResponseController
	read    int64
}

// Read implements io.Reader.
func (u *uploadReader) Read(b []byte) (int, error) {
	if u.x.r.ContentLength > u.limit.MaxBytes || u.read > u.limit.MaxBytes {
		return 0, errs.New(errs.KindTooLarge, "file_too_large", fmt.Sprintf("The file is larger than the %d bytes this server takes.", u.limit.MaxBytes))
	}
	now := time.Now()
	until := now.Add(u.limit.Idle)
	if end := u.x.started.Add(u.limit.Within); end.Before(until) {
		until = end
	}
	_ = u.control.SetReadDeadline(until) // not every connection can; then the server's own limits hold
	_ = u.control.SetWriteDeadline(now.Add(answerWithin))
	n, err := u.x.r.Body.Read(b)
	u.read += int64(n)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, errs.New(kindTimeout, "request_timeout", fmt.Sprintf("The file stopped arriving after %d bytes; nothing was changed.", u.read))
}

// UploadOf is the stream of the request a handler runs in.
func UploadOf(ctx context.Context, u Upload) io.Reader { return From(ctx).Body(u) }

// document describes the body of an upload.
func (u *Upload) document() *huma.RequestBody {
	if u == nil {
		return nil
	}
	return &huma.RequestBody{Required: true, Description: u.Doc, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		"text/csv":                 {Schema: &huma.Schema{Type: "string", Format: "binary"}},
	}}
}
