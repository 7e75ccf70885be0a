package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"carfluence/internal/job"
	"carfluence/internal/sqldb"
)

// readingLimit bounds what one scrape waits for the database; what can't be read in it is left out of the answer.
const readingLimit = 2 * time.Second

// storeReadings are taken from the stores when metrics are asked for.
type storeReadings struct {
	stores map[sqldb.Store]*sqldb.DB
	load   func(context.Context) (job.Load, error)

	connections, most, waits, waited, refused *prometheus.Desc // on PostgreSQL only
	jobs, delay                               *prometheus.Desc
}

func newStoreReadings(s *Stores, q *job.Queue) *storeReadings {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("carfluence_"+name, help, labels, nil)
	}
	return &storeReadings{
		stores: map[sqldb.Store]*sqldb.DB{sqldb.Accounts: s.Accounts, sqldb.Stock: s.Stock}, load: q.Load,
		connections: desc("database_connections", "Open connections to PostgreSQL, used and idle.", "store", "state"),
		most:        desc("database_connections_max", "Connections to PostgreSQL that may be open.", "store"),
		waits:       desc("database_waits_total", "Times a connection to PostgreSQL was waited for.", "store"),
		waited:      desc("database_wait_seconds_total", "Time that connections to PostgreSQL were waited for.", "store"),
		refused:     desc("database_refused_total", "Waits for a connection to PostgreSQL that ended without one.", "store"),
		jobs:        desc("jobs", "Jobs of all servers on the database, by state.", "state"),
		delay:       desc("jobs_delay_seconds", "Since the job that waits longest could have begun."),
	}
}

// Describe implements prometheus.Collector.
func (r *storeReadings) Describe(out chan<- *prometheus.Desc) {
	descs := []*prometheus.Desc{r.jobs, r.delay}
	if r.stores[sqldb.Stock].Engine() == sqldb.PostgreSQL {
		descs = append(descs, r.connections, r.most, r.waits, r.waited, r.refused)
	}
	for _, d := range descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *storeReadings) Collect(out chan<- prometheus.Metric) {
	for store, db := range r.stores {
		c, ok := db.Connections()
		if !ok {
			continue
		}
		gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
		out <- prometheus.MustNewConstMetric(r.connections, gauge, float64(c.Used), string(store), "used")
		out <- prometheus.MustNewConstMetric(r.connections, gauge, float64(c.Idle), string(store), "idle")
		out <- prometheus.MustNewConstMetric(r.most, gauge, float64(c.Most), string(store))
		out <- prometheus.MustNewConstMetric(r.waits, counter, float64(c.Waits), string(store))
		out <- prometheus.MustNewConstMetric(r.waited, counter, c.Waited.Seconds(), string(store))
		out <- prometheus.MustNewConstMetric(r.refused, counter, float64(c.Refused), string(store))
	}
	ctx, cancel := context.WithTimeout(context.Background(), readingLimit)
	defer cancel()
	l, err := r.load(ctx)
	if err != nil { // the authority's age tells of it; the other readings must not be lost
		return
	}
	for _, state := range job.LoadStates {
		out <- prometheus.MustNewConstMetric(r.jobs, prometheus.GaugeValue, float64(l.Jobs[state]), state)
	}
	out <- prometheus.MustNewConstMetric(r.delay, prometheus.GaugeValue, l.Delay.Seconds())
}
