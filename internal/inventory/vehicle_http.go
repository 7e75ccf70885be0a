package inventory

import (
	"context"
	"net/http"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/vin"
)

type listInput struct {
	rest.PageInput
	Status        string `query:"status" enum:"active,sold,all" default:"active" doc:"Which vehicles to show."`
	IntegrationID string `query:"integration_id" format:"uuid" doc:"Only vehicles this integration brought."`
	Search        string `query:"search" maxLength:"200" doc:"Substring of VIN, make, model or stock number, in any case."`
}

type vehicleInput struct {
	VIN           string `path:"vin" doc:"The vehicle's VIN, in any case."`
	IntegrationID string `query:"integration_id" format:"uuid" doc:"Only if this integration brought the vehicle."`
}

type historyInput struct {
	VIN string `path:"vin" doc:"The vehicle's VIN, in any case."`
}

type upsertInput struct{ Body VehicleInput }

type patchInput struct {
	VIN  string `path:"vin" doc:"The vehicle's VIN, in any case."`
	Body VehiclePatch
}

// encoded is an answer that is JSON already.
type encoded struct {
	Status      int
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Location    string `header:"Location"`
	Body        []byte
}

const jsonType = "application/json"

type summaryOutput struct {
	Body struct {
		Stats Summary `json:"stats"`
	}
}

// Register adds the inventory's routes.
func (s *Stock) Register(api *rest.API) {
	const tag = "Inventory"
	read, write := rest.Scope("inventory:read"), rest.Scope("inventory:write")
	auth.Handle(api, rest.Operation{
		ID: "list-inventory", Method: http.MethodGet, Path: "/inventory", Summary: "List vehicles", Tag: tag, Security: read, Errors: []int{422},
		Description: "Each VIN once, newest first, then by VIN. days_on_lot is counted on the calendar of the dealership and stands still once a vehicle is sold.",
	}, s.list)
	auth.Handle(api, rest.Operation{
		ID: "get-vehicle", Method: http.MethodGet, Path: "/inventory/{vin}", Summary: "Show a vehicle", Tag: tag, Security: read, Errors: []int{422},
		Description: "The full record. Cost, invoice, book value and wholesale price are among it for callers with the scope `admin` only.",
	}, s.show)
	auth.Handle(api, rest.Operation{
		ID: "get-vehicle-history", Method: http.MethodGet, Path: "/inventory/{vin}/history", Summary: "Show a vehicle's history", Tag: tag, Security: read,
		Description: "Every change, oldest first, with its source and who made it. The entry `created` shows what the vehicle began with.",
	}, s.showHistory)
	auth.Handle(api, rest.Operation{
		ID: "get-inventory-summary", Method: http.MethodGet, Path: "/inventory/stats/summary", Summary: "Show figures of the inventory", Tag: tag, Security: read,
	}, func(ctx context.Context, p auth.Principal, _ *struct{}) (*summaryOutput, error) {
		sum, err := s.Summary(ctx, s.db.Tenant(p.Group))
		out := &summaryOutput{}
		out.Body.Stats = sum
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "create-vehicle", Method: http.MethodPost, Path: "/inventory", Summary: "Create or update a vehicle", Tag: tag, Security: write, Status: http.StatusCreated,
		Description: "Upsert by VIN: 201 for a new vehicle, 200 for a known one, whose members that are absent here stay as they are.",
	}, s.upsert)
	auth.Handle(api, rest.Operation{
		ID: "update-vehicle", Method: http.MethodPatch, Path: "/inventory/{vin}", Summary: "Change a vehicle", Tag: tag, Security: write,
		Description: "What is set here overrides feeds until it is set to null (RFC 7396: null clears, absent leaves alone); `overrides` names it.",
	}, s.patch)
}

func (s *Stock) list(ctx context.Context, p auth.Principal, in *listInput) (*encoded, error) {
	f := Filter{Status: in.Status, IntegrationID: in.IntegrationID}
	if f.Status == "all" {
		f.Status = ""
	}
	if in.Search != "" {
		folded, ok := FoldSearch(in.Search)
		if !ok {
			return nil, errs.Invalid("invalid", "The list can't be searched for this text.", errs.In("search", "must be one line of text"))
		}
		f.Search = folded
	}
	page, err := s.List(ctx, s.db.Tenant(p.Group), f, in.Page())
	if err != nil {
		return nil, err
	}
	return &encoded{Status: http.StatusOK, ContentType: jsonType, ETag: page.ETag, Body: page.Body}, nil
}

func (s *Stock) show(ctx context.Context, p auth.Principal, in *vehicleInput) (*encoded, error) {
	v, err := s.Get(ctx, s.db.Tenant(p.Group), vin.Normalise(in.VIN), in.IntegrationID)
	if err != nil {
		return nil, err
	}
	return s.encode(ctx, p, v)
}

// encode wraps a full record.
func (s *Stock) encode(ctx context.Context, p auth.Principal, v *Vehicle) (*encoded, error) {
	days, err := s.calendar(ctx, s.db.Tenant(p.Group))
	if err != nil {
		return nil, err
	}
	body := append(make([]byte, 0, 4096), `{"vehicle":`...)
	body = appendFull(body, v, days.daysOnLot(v, s.now()), p.Scopes.Has(auth.Admin))
	return &encoded{Status: http.StatusOK, ContentType: jsonType, Body: append(body, '}')}, nil
}

func (s *Stock) showHistory(ctx context.Context, p auth.Principal, in *historyInput) (*encoded, error) {
	entries, err := s.History(ctx, s.db.Tenant(p.Group), vin.Normalise(in.VIN), p.Scopes.Has(auth.Admin))
	if err != nil {
		return nil, err
	}
	body := appendHistory([]byte(`{"history":`), entries)
	return &encoded{Status: http.StatusOK, ContentType: jsonType, Body: append(body, '}')}, nil
}

func (s *Stock) upsert(ctx context.Context, p auth.Principal, in *upsertInput) (*encoded, error) {
	change, err := in.Body.Change(s.now())
	if err != nil {
		return nil, err
	}
	v, added, err := s.Upsert(ctx, s.db.Tenant(p.Group), change, apiSource(p))
	if err != nil {
		return nil, err
	}
	out, err := s.encode(ctx, p, v)
	if err == nil && added {
		out.Status, out.Location = http.StatusCreated, rest.Prefix+"/inventory/"+v.VIN
	}
	return out, err
}

func (s *Stock) patch(ctx context.Context, p auth.Principal, in *patchInput) (*encoded, error) {
	change, err := in.Body.Change(vin.Normalise(in.VIN), s.now())
	if err != nil {
		return nil, err
	}
	v, err := s.Patch(ctx, s.db.Tenant(p.Group), change, apiSource(p))
	if err != nil {
		return nil, err
	}
	return s.encode(ctx, p, v)
}

func apiSource(p auth.Principal) Source {
	actor := p.Actor()
	return Source{Name: SourceAPI, ActorType: actor.Type, ActorID: actor.ID, ActorName: actor.Name}
}
