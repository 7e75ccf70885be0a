package app

import (
	"context"
	"fmt"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/demo"
	"carfluence/internal/feed"
)

// DemoGroup is the name of the dealer group that serve --demo makes.
const DemoGroup = "Demo Auto Group"

// Demo is what the demo loaded, and the text of an API key to try it with.
type Demo struct {
	Dealerships int
	Vehicles    int64
	Key         string
}

// LoadDemo fills the first dealer group with sample data.
func (s *Server) LoadDemo(ctx context.Context, first *FirstStart) (*Demo, error) {
	by := audit.System("demo")
	importer := &feed.Importer{Stock: s.Stock, Dealers: s.Dealers, Now: time.Now}
	reports, err := demo.Load(ctx, s.stores.Stock.Tenant(first.Group.ID), importer, by)
	if err != nil {
		return nil, fmt.Errorf("load sample data: %w", err)
	}
	d := &Demo{Dealerships: len(reports)}
	for _, r := range reports {
		d.Vehicles += r.Created
	}
	_, d.Key, err = s.Keys.Create(ctx, first.Group.ID, by, auth.RoleAdmin.Scopes(), auth.KeyDraft{
		Name: "Demo", Scopes: auth.RoleViewer.Scopes().Names(), RateLimitPerHour: auth.DefaultKeyLimit,
	})
	return d, err
}
