// Package docsite owns the pages about the API that people read in a browser: the reference at /docs and
// one page per problem type at /problems/{code}. It works offline: the reference tool is embedded, and the
// pages are locked to their own origin. The OpenAPI document and the problem types are package rest's.
package docsite

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"

	"carfluence/internal/rest"
)

//go:embed page.html problem.html docs.js docs.css scalar/scalar.js.gz scalar/licences.txt.gz
var files embed.FS

// policy locks the pages to their own origin. 'unsafe-inline' is for styles alone: the reference tool
// writes style elements and attributes. No script runs that this program did not serve.
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"style-src 'self' 'unsafe-inline'; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one file as it is sent. Its path holds a hash of its content, so it never changes.
type asset struct {
	contentType string
	body        []byte // compressed when gzipped is true
	gzipped     bool
	etag        string
}

// Handler serves /docs, /docs/ and the assets below /docs/assets/. It answers GET and HEAD; what it refuses with a
// plain sentence becomes a problem on its way through package rest.
func Handler() http.Handler {
	assets := map[string]asset{}
	add := func(name, file, contentType string) string {
		a := load(file, contentType)
		path := "/docs/assets/" + strings.Trim(a.etag, `"`) + "/" + name
		assets[path] = a
		return path
	}
	page := render(parse("page.html"), map[string]string{
		"CSS":      add("docs.css", "docs.css", "text/css; charset=utf-8"),
		"JS":       add("docs.js", "docs.js", "text/javascript; charset=utf-8"),
		"Scalar":   add("scalar.js", "scalar/scalar.js.gz", "text/javascript; charset=utf-8"),
		"Licences": add("licences.txt", "scalar/licences.txt.gz", "text/plain; charset=utf-8"),
	})
	return readOnly(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/docs" || r.URL.Path == "/docs/" {
			page.serve(w, r, "no-cache")
			return
		}
		a, ok := assets[r.URL.Path]
		if !ok {
			http.Error(w, "There is no such page; the reference is at /docs.", http.StatusNotFound)
			return
		}
		a.serve(w, r, "public, max-age=31536000, immutable")
	})
}

// readOnly sets what every page needs and refuses methods that would change something.
func readOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "This page can only be read (GET, HEAD).", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}

// load reads an embedded file, which exists by construction.
func load(file, contentType string) asset {
	body, err := files.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return newAsset(body, contentType, strings.HasSuffix(file, ".gz"))
}

func newAsset(body []byte, contentType string, gzipped bool) asset {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`
	return asset{contentType: contentType, body: body, gzipped: gzipped, etag: etag}
}

func parse(file string) *template.Template {
	status := template.FuncMap{"status": http.StatusText}
	return template.Must(template.New(file).Funcs(status).ParseFS(files, file))
}

// render fills one of the embedded templates; they are fixed, so a failure is a defect of the program.
func render(t *template.Template, data any) asset {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		panic(err)
	}
	return newAsset(b.Bytes(), "text/html; charset=utf-8", false)
}

func (a asset) serve(w http.ResponseWriter, r *http.Request, cache string) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", cache)
	encoded := a.gzipped && rest.AcceptsGzip(r.Header)
	etag := a.etag
	if a.gzipped {
		h.Add("Vary", "Accept-Encoding")
		if !encoded {
			etag = strings.TrimSuffix(etag, `"`) + `-plain"`
		}
	}
	h.Set("ETag", etag)
	if rest.Matches(r.Header["If-None-Match"], etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if encoded {
		h.Set("Content-Encoding", "gzip")
	}
	if !a.gzipped || encoded {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(a.body) // net/http drops it for HEAD; a client that has gone needs nothing undone
		return
	}
	a.inflate(w, r)
}

// inflate serves the rare client that takes no gzip, without keeping the large text in memory.
func (a asset) inflate(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		panic(err) // embedded and tested
	}
	_, _ = io.Copy(w, z)
}
