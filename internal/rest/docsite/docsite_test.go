package docsite

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"carfluence/internal/rest"
)

func ask(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// assetPath finds an asset the way a browser does: in the page.
func assetPath(t *testing.T, h http.Handler, name string) string {
	t.Helper()
	page := ask(t, h, "GET", "/docs").Body.String()
	path := regexp.MustCompile(`/docs/assets/[^"]+/` + regexp.QuoteMeta(name)).FindString(page)
	if path == "" {
		t.Fatalf("the page does not load %s:\n%s", name, page)
	}
	return path
}

func TestPageIsLockedToItsOrigin(t *testing.T) {
	h := Handler()
	for _, path := range []string{"/docs", "/docs/"} {
		w := ask(t, h, "GET", path)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<title>Carfluence API reference</title>") {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %q", path, csp, want)
			}
		}
		if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, got)
		}
	}
	page := ask(t, h, "GET", "/docs").Body.String()
	if regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page) {
		t.Error("the page holds an inline script, which its policy forbids")
	}
	if regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page) {
		t.Error("the page names another origin")
	}
}

func TestAssetsAreCachedForGood(t *testing.T) {
	h := Handler()
	for _, name := range []string{"scalar.js", "docs.js", "docs.css", "licences.txt"} {
		path := assetPath(t, h, name)
		w := ask(t, h, "GET", path, "Accept-Encoding", "gzip")
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, Cache-Control %q", name, w.Code, w.Header().Get("Cache-Control"))
		}
		etag := w.Header().Get("ETag")
		again := ask(t, h, "GET", path, "Accept-Encoding", "gzip", "If-None-Match", `"other", W/`+etag)
		if again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("%s: asked again with its ETag: %d, %d bytes", name, again.Code, again.Body.Len())
		}
	}
	if w := ask(t, h, "GET", "/docs/assets/outdated/scalar.js"); w.Code != 404 {
		t.Errorf("an asset of another version: %d, want 404", w.Code)
	}
}

func TestClientsWithoutGzip(t *testing.T) {
	h := Handler()
	path := assetPath(t, h, "scalar.js")
	zipped := ask(t, h, "GET", path, "Accept-Encoding", "br, gzip;q=0.5")
	if zipped.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("Content-Encoding %q, want gzip", zipped.Header().Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"", "br", "gzip;q=0", "identity"} {
		w := ask(t, h, "GET", path, "Accept-Encoding", accept)
		if w.Header().Get("Content-Encoding") != "" || !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("Accept-Encoding %q: encoding %q, %d bytes, want the plain %d", accept, w.Header().Get("Content-Encoding"), w.Body.Len(), len(want))
		}
		if w.Header().Get("ETag") == zipped.Header().Get("ETag") {
			t.Errorf("Accept-Encoding %q: the plain text has the ETag of the compressed one", accept)
		}
	}
}

func TestOnlyReads(t *testing.T) {
	h := Handler()
	w := ask(t, h, "POST", "/docs")
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	server := httptest.NewServer(h)
	defer server.Close()
	for _, path := range []string{"/docs", assetPath(t, h, "scalar.js")} {
		resp, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || len(body) != 0 {
			t.Errorf("HEAD %s: %d, %d bytes", path, resp.StatusCode, len(body))
		}
	}
}

// The embedded tool is the one VERSION names, byte for byte.
func TestEmbeddedToolIsThePinnedOne(t *testing.T) {
	about, err := os.ReadFile("scalar/VERSION")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(load("scalar/scalar.js.gz", "").body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, z); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.Contains(string(about), got) {
		t.Errorf("scalar.js.gz unpacks to %s, VERSION says:\n%s", got, about)
	}
}

func TestProblems(t *testing.T) {
	h := Problems([]rest.ProblemType{
		{Code: "vehicle_not_found", Title: "Vehicle not found", Status: 404, Meaning: "No <vehicle> has this VIN. Check the VIN."},
		{Code: "credentials_missing", Title: "Credentials missing", Status: 401, Meaning: "Nothing was sent."},
	})
	w := ask(t, h, "GET", "/problems/vehicle_not_found")
	body := w.Body.String()
	for _, want := range []string{"<h1>Vehicle not found</h1>", "404 Not Found", "No &lt;vehicle&gt; has this VIN. Check the VIN."} {
		if w.Code != 200 || !strings.Contains(body, want) {
			t.Errorf("status %d, the page lacks %q:\n%s", w.Code, want, body)
		}
	}
	if again := ask(t, h, "GET", "/problems/vehicle_not_found", "If-None-Match", w.Header().Get("ETag")); again.Code != 304 {
		t.Errorf("asked again with its ETag: %d", again.Code)
	}

	list := ask(t, h, "GET", "/problems/").Body.String()
	first, second := strings.Index(list, `href="/problems/credentials_missing"`), strings.Index(list, `href="/problems/vehicle_not_found"`)
	if first < 0 || second < first {
		t.Errorf("the list does not lead to both types in order:\n%s", list)
	}

	if unknown := ask(t, h, "GET", "/problems/%3Cscript%3E"); unknown.Code != 404 || strings.Contains(unknown.Body.String(), "script") {
		t.Errorf("an unknown code: %d\n%s", unknown.Code, unknown.Body)
	}
}
