package inventory

import (
	"context"
	"net/http"
	"strings"

	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

type activityInput struct {
	Days         int64  `query:"days" default:"30" minimum:"1" maximum:"366" doc:"How many days, today included."`
	DealershipID string `query:"dealership_id" format:"uuid" doc:"Only vehicles of this dealership."`
}

type activityOutput struct {
	Body struct {
		Activity Activity `json:"activity"`
	}
}

func (s *Stock) registerActivity(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "get-inventory-activity", Method: http.MethodGet, Path: "/inventory/stats/activity", Summary: "Show what happens to the stock, and its age", Tag: "Inventory", Security: rest.Scope("inventory:read"),
		Codes:       []string{"invalid", "not_found"},
		Description: "Counters kept by all writes, those that leave no history included. A vehicle that moves between dealerships is neither sold nor added.",
	}, func(ctx context.Context, p auth.Principal, in *activityInput) (*activityOutput, error) {
		a, err := s.Activity(ctx, s.db.Tenant(p.Group), strings.ToLower(in.DealershipID), in.Days)
		out := &activityOutput{}
		out.Body.Activity = a
		return out, err
	})
}
