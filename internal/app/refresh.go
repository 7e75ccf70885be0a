package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"carfluence/internal/inventory"
	"carfluence/internal/job"
	"carfluence/internal/sqldb"
)

// lookAtCalendar is how often it is looked whether a day has begun somewhere.
const lookAtCalendar = 5 * time.Minute

// refreshVehicles is the job of making all vehicles of a group show what rules and merge configs say.
type refreshVehicles struct {
	Group string `json:"group"`
	ID    string `json:"id"` // of the refresh
}

// Kind implements job.Args.
func (refreshVehicles) Kind() string { return "inventory.refresh" }

// newDay is the job of running rules that read the calendar.
type newDay struct{}

// Kind implements job.Args.
func (newDay) Kind() string { return "rules.day" }

// handleRefreshes lets the queue carry out the stock's refreshes.
func (s *Stores) handleRefreshes(q *job.Queue, stock *inventory.Stock, shared *processors, log *slog.Logger) {
	stock.EnqueueRefresh = func(ctx context.Context, tx *sqldb.Tenant, id string) error {
		return q.Enqueue(ctx, tx.DB(), refreshVehicles{tx.Group(), id})
	}
	job.Handle(q, job.Worker[refreshVehicles]{
		Work: func(ctx context.Context, a refreshVehicles) error {
			defer shared.share()()
			if err := stock.RunRefresh(ctx, s.Stock.Patient().Tenant(a.Group), a.ID); err != nil {
				return err
			}
			r, err := stock.Refreshed(ctx, s.Stock.Patient().Tenant(a.Group), a.ID)
			if err == nil {
				log.Info("vehicles looked at anew", "group", a.Group, "run", r.ID, "reason", r.Reason, "dry", r.Dry, "status", r.Status, "total", r.Total, "vehicles", r.Vehicles)
			}
			return err
		},
		GaveUp: func(ctx context.Context, a refreshVehicles, _ error) error {
			return stock.FailRefresh(ctx, s.Stock.Patient().Tenant(a.Group), a.ID, "The vehicles could not all be looked at; the server's log says why. What is done stays, and a further run goes on from the start.")
		},
	})
}

// newDay runs the rules of groups for which a day has begun. One group's failure holds no other up.
func (s *Server) newDay(ctx context.Context) error {
	groups, err := s.Groups.List(ctx)
	all := []error{err}
	for _, g := range groups {
		all = append(all, s.Rules.NewDay(ctx, s.stores.Stock.Patient().Tenant(g.ID)))
	}
	return errors.Join(all...)
}
