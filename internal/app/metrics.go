package app

import (
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/feed"
	"carfluence/internal/quota"
	"carfluence/internal/rest"
)

// observer logs and measures each answer. Labels are route patterns and statuses, never tenants or VINs.
type observer struct {
	log      *slog.Logger
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	files    *prometheus.CounterVec
	rows     *prometheus.CounterVec
	registry *prometheus.Registry
	routes   sync.Map // pattern → *routeMetrics
}

func newObserver(log *slog.Logger) *observer {
	o := &observer{
		log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carfluence_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "carfluence_http_request_seconds", Help: "Time from header to answer, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
		files: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carfluence_feed_files_total", Help: "Files of integrations done with or held, by status.",
		}, []string{"status"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carfluence_feed_rows_total", Help: "Rows of processed files, by what became of them.",
		}, []string{"outcome"}),
		registry: prometheus.NewRegistry(),
	}
	for _, status := range []string{feed.RunCompleted, feed.RunFailed, feed.RunHeld} { // from 0: a rise from nothing would be no rise to Prometheus
		o.files.WithLabelValues(status)
	}
	o.registry.MustRegister(o.requests, o.seconds, o.files, o.rows, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return o
}

// watch adds readings that are taken when metrics are asked for.
func (o *observer) watch(a *auth.Authority, l *quota.Ledger, version string) {
	o.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "carfluence_build_info", Help: "Always 1; the version of the program.", ConstLabels: prometheus.Labels{"version": version},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "carfluence_authority_age_seconds", Help: "Since the last good beat; from 2 on credentials can't be checked.",
		}, func() float64 { return a.Age().Seconds() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "carfluence_authority_loads_total", Help: "Records of callers read from the database.",
		}, func() float64 { return float64(a.Loads()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "carfluence_quota_takes_total", Help: "Takes of credits that calls waited for; those of one caller that wait together are one.",
		}, func() float64 { return float64(l.Takes()) }))
}

// fileEnded counts a file of an integration.
func (o *observer) fileEnded(status string, c feed.Counts) {
	o.files.WithLabelValues(status).Inc()
	if status == feed.RunCompleted {
		o.rows.WithLabelValues("created").Add(float64(c.Created))
		o.rows.WithLabelValues("updated").Add(float64(c.Updated))
		o.rows.WithLabelValues("refused").Add(float64(c.Errors))
		o.rows.WithLabelValues("skipped").Add(float64(c.Skipped))
	}
}

// routeMetrics are those of one route, looked up once.
type routeMetrics struct {
	seconds  prometheus.Observer
	statuses [600]atomic.Pointer[prometheus.Counter]
}

func (o *observer) of(route string) *routeMetrics {
	if m, ok := o.routes.Load(route); ok {
		return m.(*routeMetrics)
	}
	m, _ := o.routes.LoadOrStore(route, &routeMetrics{seconds: o.seconds.WithLabelValues(route)})
	return m.(*routeMetrics)
}

func (o *observer) answers(m *routeMetrics, route string, status int) prometheus.Counter {
	if status < 0 || status >= len(m.statuses) {
		return o.requests.WithLabelValues(route, strconv.Itoa(status))
	}
	if c := m.statuses[status].Load(); c != nil {
		return *c
	}
	c := o.requests.WithLabelValues(route, strconv.Itoa(status))
	m.statuses[status].Store(&c)
	return c
}

func (o *observer) observe(x *rest.Exchange) {
	route := x.Route()
	if route == "" {
		route = "none"
	}
	now := time.Now()
	took, m := now.Sub(x.Started()), o.of(route)
	o.answers(m, route, x.Status()).Inc()
	m.seconds.Observe(took.Seconds())
	o.logRequest(x, route, took, now)
}

func (o *observer) logRequest(x *rest.Exchange, route string, took time.Duration, now time.Time) {
	ctx, level, err := x.Context(), slog.LevelInfo, x.Err()
	if x.Status() >= 500 {
		level = slog.LevelError
	}
	if !o.log.Enabled(ctx, level) {
		return
	}
	a := answered{
		id: x.RequestID, method: x.Request().Method, route: route, path: x.Path(), ip: x.IP, actor: x.Actor,
		status: x.Status(), bytes: x.Bytes(), took: took,
	}
	if err != nil {
		a.code = errs.CodeOf(err)
	}
	if h, ok := o.log.Handler().(*handler); ok && level == slog.LevelInfo && a.plain() {
		var line [512]byte
		h.out.later(a.appendTo(line[:0], now))
		return
	}
	attrs := a.attrs()
	if err != nil && level == slog.LevelError {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	o.log.LogAttrs(ctx, level, "request", attrs...)
}

func (o *observer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	return mux
}
