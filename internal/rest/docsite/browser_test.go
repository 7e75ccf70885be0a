package docsite

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browser finds a Chromium, or leaves the test out loudly.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CARFLUENCE_REQUIRE_BROWSER") != "" {
		t.Fatal("no Chromium found, and CARFLUENCE_REQUIRE_BROWSER asks for one")
	}
	t.Skip("LEFT OUT: no Chromium found, so the docs page was not tried in a browser")
	return ""
}

// traffic is what a page asked for, refused or not.
type traffic struct {
	mu       sync.Mutex
	requests []string
}

func (tr *traffic) note(event any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tr.requests = append(tr.requests, e.Request.URL)
	case *network.EventWebSocketCreated:
		tr.requests = append(tr.requests, e.URL)
	}
}

// elsewhere lists the requests that were not for the given origin.
func (tr *traffic) elsewhere(origin string) []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(tr.requests), func(url string) bool {
		return strings.HasPrefix(url, origin+"/") || strings.HasPrefix(url, "data:")
	})
}

const listenForViolations = `window.violations = [];
addEventListener("securitypolicyviolation", e => window.violations.push(e.effectiveDirective + " " + e.blockedURI));`

// shows waits until the page shows the text to a reader; case is left out since styles change it.
func shows(text string) chromedp.Action[bool] {
	return chromedp.Poll[bool](`document.body?.innerText.toLowerCase().includes("`+strings.ToLower(text)+`")`,
		chromedp.WithPollingInterval(100*time.Millisecond))
}

// press clicks the first visible button whose text or label begins with the given one.
func press(label string) chromedp.Action[bool] {
	return chromedp.Poll[bool](`(() => {
		const named = b => (b.innerText + "\n" + (b.ariaLabel ?? "")).split("\n").some(t => t.trim().startsWith("`+label+`"));
		const button = [...document.querySelectorAll("button")].find(b => named(b) && b.checkVisibility() && !b.disabled);
		button?.click();
		return button !== undefined;
	})()`, chromedp.WithPollingInterval(100*time.Millisecond))
}

// open starts a browser on the page and writes down all it asks for.
func open(t *testing.T, url string) (context.Context, *traffic) {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browser(t)), chromedp.NoSandbox, chromedp.WindowSize(1400, 1000))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	seen := &traffic{}
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(seen.note))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	watch := page.AddScriptToEvaluateOnNewDocumentParams{Source: listenForViolations}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, watch); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx, seen
}

// must runs an action and, when it fails, shows what the reader would have seen.
func must[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	out, err := chromedp.Run(ctx, a)
	if err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		t.Fatalf("%s: %v\nThe page shows:\n%s", what, err, text)
	}
	return out
}

func TestReferenceInBrowser(t *testing.T) {
	calls := make(chan string, 10)
	mux := http.NewServeMux()
	mux.Handle("/docs", Handler())
	mux.Handle("/docs/", Handler())
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "testdata/openapi.json")
	})
	mux.HandleFunc("GET /api/v1/inventory", func(w http.ResponseWriter, r *http.Request) {
		calls <- r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"vehicles":[{"vin":"5YJ3E1EA7KF317000"}]}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	ctx, seen := open(t, server.URL+"/docs")
	for _, text := range []string{"Sample inventory API", "List vehicles", "Records in an answer.", "/api-keys"} {
		must(t, ctx, "waiting for "+text, shows(text))
	}
	must(t, ctx, "opening the request form", press("Test Request"))
	must(t, ctx, "sending the request", press("Send"))
	select {
	case <-calls:
	case <-time.After(20 * time.Second):
		t.Error("the request form did not reach this server's API")
	}
	if path := os.Getenv("CARFLUENCE_SCREENSHOT"); path != "" {
		must(t, ctx, "settling", chromedp.Sleep(time.Second))
		if err := os.WriteFile(path, must(t, ctx, "screenshot", chromedp.CaptureScreenshot()), 0o644); err != nil {
			t.Error(err)
		}
	}

	if urls := seen.elsewhere(server.URL); len(urls) > 0 {
		t.Errorf("the page asked other origins: %q", urls)
	}
	for _, v := range must(t, ctx, "reading violations", chromedp.Evaluate[[]string]("window.violations")) {
		// The bundled validator probes whether it may compile code and goes on without.
		if v != "script-src eval" {
			t.Errorf("the policy refused: %s", v)
		}
	}
}
