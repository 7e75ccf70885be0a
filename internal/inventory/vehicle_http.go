package inventory

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/index"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

type listInput struct {
	rest.PageInput
	FilterInput
	IntegrationID string `query:"integration_id" format:"uuid" doc:"What this integration says of the vehicles it brought, instead of the one view of all sources. Goes with status and search alone."`
	SelectionInput
	Fields string `query:"fields" doc:"Members to show of each vehicle beside its VIN, separated by commas: those of lists and of full records." example:"price,mileage,photos"`
	Facets string `query:"facets" doc:"Values to count, separated by commas: make, model, condition, body_style, dealership_id. Each is counted among the vehicles that pass all filters but its own." example:"make,body_style"`
}

// FilterInput are the parameters all lists of vehicles take.
type FilterInput struct {
	Status string `query:"status" enum:"active,sold,all" default:"active" doc:"Which vehicles to show."`
	Search string `query:"search" maxLength:"200" doc:"Substring of VIN, make, model or stock number, in any case."`
}

func (in *FilterInput) filter() (f Filter, err error) {
	if in.Status != "all" {
		f.Status = in.Status
	}
	if in.Search != "" {
		folded, ok := FoldSearch(in.Search)
		if !ok {
			return f, errs.Invalid("invalid", "The list can't be searched for this text.", errs.In("search", "must be one line of text"))
		}
		f.Search = folded
	}
	return f, nil
}

type vehicleInput struct {
	VIN           string `path:"vin" doc:"The vehicle's VIN, in any case."`
	IntegrationID string `query:"integration_id" format:"uuid" doc:"What this integration says of the vehicle, instead of the one view of all sources."`
}

type historyInput struct {
	VIN string `path:"vin" doc:"The vehicle's VIN, in any case."`
}

type overrideInput struct {
	VIN   string `path:"vin" doc:"The vehicle's VIN, in any case."`
	Field string `path:"field" doc:"The overridden field, as in a vehicle." example:"price"`
}

type upsertInput struct{ Body VehicleInput }

type patchInput struct {
	VIN  string `path:"vin" doc:"The vehicle's VIN, in any case."`
	Body VehiclePatch
}

type encoded = rest.Encoded

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
		ID: "list-inventory", Method: http.MethodGet, Path: "/inventory", Summary: "List vehicles", Tag: tag, Security: read, Codes: []string{"invalid"}, Answer: vehicleListAnswer{},
		Description: "Each VIN once, however many sources tell of it: by the group's default merge config, without one by the source that changed it last, what it leaves empty from the others. Newest first, then by VIN. days_on_lot is counted on the calendar of the dealership and stands still once a vehicle is sold.",
	}, s.list)
	auth.Handle(api, rest.Operation{
		ID: "get-vehicle", Method: http.MethodGet, Path: "/inventory/{vin}", Summary: "Show a vehicle", Tag: tag, Security: read, Codes: []string{"invalid"}, Answer: vehicleAnswer{},
		Description: "The full record. Cost, invoice, book value and wholesale price are among it for callers with the scope `admin` only.",
	}, s.show)
	auth.Handle(api, rest.Operation{
		ID: "get-vehicle-history", Method: http.MethodGet, Path: "/inventory/{vin}/history", Summary: "Show a vehicle's history", Tag: tag, Security: read, Answer: historyAnswer{},
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
		ID: "create-vehicle", Method: http.MethodPost, Path: "/inventory", Summary: "Create or update a vehicle", Tag: tag, Security: write, Status: http.StatusCreated, Also: http.StatusOK, Answer: vehicleAnswer{},
		Description: "Upsert by VIN: 201 for a new vehicle, 200 for a known one, whose members that are absent here stay as they are.",
	}, s.upsert)
	auth.Handle(api, rest.Operation{
		ID: "update-vehicle", Method: http.MethodPatch, Path: "/inventory/{vin}", Summary: "Change a vehicle", Tag: tag, Security: write, Answer: vehicleAnswer{},
		Description: "What is set here wins over every source and rule until it is released: set to null (RFC 7396), or by DELETE of the override. `overrides` tells who set it and what the sources say.",
	}, s.patch)
	auth.Handle(api, rest.Operation{
		ID: "release-overrides", Method: http.MethodDelete, Path: "/inventory/{vin}/overrides", Summary: "Release all overrides of a vehicle", Tag: tag, Security: write, Status: http.StatusNoContent,
		Description: "Its sources and rules show again. What no source but the API has told stays.",
	}, func(ctx context.Context, p auth.Principal, in *historyInput) (*struct{}, error) {
		return nil, s.Release(ctx, s.db.Tenant(p.Group), vin.Normalise(in.VIN), "", apiSource(p))
	})
	auth.Handle(api, rest.Operation{
		ID: "release-override", Method: http.MethodDelete, Path: "/inventory/{vin}/overrides/{field}", Summary: "Release one override", Tag: tag, Security: write, Status: http.StatusNoContent,
		Description: "Sources and rules show again in this field. 404 for a field that is not overridden.",
	}, func(ctx context.Context, p auth.Principal, in *overrideInput) (*struct{}, error) {
		return nil, s.Release(ctx, s.db.Tenant(p.Group), vin.Normalise(in.VIN), in.Field, apiSource(p))
	})
	s.registerMergeConfigs(api)
	s.registerMerged(api)
	s.registerExport(api)
	s.registerChanges(api)
	s.registerActivity(api)
}

func (s *Stock) list(ctx context.Context, p auth.Principal, in *listInput) (*encoded, error) {
	if in.IntegrationID != "" {
		return s.listSource(ctx, p, in)
	}
	sel, err := in.selection(p.Scopes.Has(auth.Admin))
	if err != nil {
		return nil, err
	}
	page, err := s.Find(ctx, s.db.Tenant(p.Group), sel, in.Page())
	return page.encoded(), err
}

// listSource lists what one integration says.
func (s *Stock) listSource(ctx context.Context, p auth.Principal, in *listInput) (*encoded, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	if (in.SelectionInput != SelectionInput{}) || in.Fields+in.Facets != "" {
		return nil, errs.Invalid("invalid", "What one integration says can't be filtered so.", errs.In("integration_id", "goes with status and search alone; leave it or the other filters, sort, fields and facets out"))
	}
	f.IntegrationID = strings.ToLower(in.IntegrationID)
	return s.listed(ctx, p, f, in.Page())
}

// selection is what the parameters ask for.
func (in *listInput) selection(sensitive bool) (*Selection, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	sel := &Selection{Query: index.Query{Status: f.Status, Search: f.Search}, Sensitive: sensitive}
	var r reader
	in.read(&r, &sel.Query)
	if in.Fields != "" {
		sel.Fields = r.fields(in.Fields, sensitive)
	}
	if in.Facets != "" {
		sel.Query.Facets = r.facets(in.Facets)
	}
	return sel, r.err()
}

func (s *Stock) listed(ctx context.Context, p auth.Principal, f Filter, at rest.Page) (*encoded, error) {
	page, err := s.List(ctx, s.db.Tenant(p.Group), f, at)
	return page.encoded(), err
}

// encoded is the page as an answer.
func (p *Page) encoded() *encoded {
	if p == nil {
		return nil
	}
	return &encoded{Status: http.StatusOK, ContentType: jsonType, ETag: p.ETag, Body: p.Body, Zip: &p.zip}
}

func (s *Stock) show(ctx context.Context, p auth.Principal, in *vehicleInput) (*encoded, error) {
	one, err := s.answer(ctx, s.db.Tenant(p.Group), vin.Normalise(in.VIN), answerKind{strings.ToLower(in.IntegrationID), p.Scopes.Has(auth.Admin)})
	if err != nil {
		return nil, err
	}
	return &encoded{Status: http.StatusOK, ContentType: jsonType, ETag: one.etag, Body: one.body}, nil
}

// edited is what a caller is told of a vehicle after a write.
func (s *Stock) edited(p auth.Principal, r *reading) *encoded {
	return &encoded{Status: http.StatusOK, ContentType: jsonType, Body: r.encode(p.Scopes.Has(auth.Admin), s.now())}
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
	r, outcome, err := s.edit(ctx, s.db.Tenant(p.Group), change, apiSource(p), false)
	if err != nil {
		return nil, err
	}
	out := s.edited(p, &r)
	if outcome == Added {
		out.Status, out.Location = http.StatusCreated, rest.Prefix+"/inventory/"+r.v.VIN
	}
	return out, nil
}

func (s *Stock) patch(ctx context.Context, p auth.Principal, in *patchInput) (*encoded, error) {
	change, err := in.Body.Change(vin.Normalise(in.VIN), s.now())
	if err != nil {
		return nil, err
	}
	r, _, err := s.edit(ctx, s.db.Tenant(p.Group), change, apiSource(p), true)
	if err != nil {
		return nil, err
	}
	return s.edited(p, &r), nil
}

func apiSource(p auth.Principal) Source {
	actor := p.Actor()
	return Source{Name: SourceAPI, ActorType: actor.Type, ActorID: actor.ID, ActorName: actor.Name}
}

// The shapes of the answers, for the document; the answers themselves are written by document.go.
type (
	vehicleListAnswer struct {
		Vehicles   []listedVehicle         `json:"vehicles"`
		Pagination rest.Pagination         `json:"pagination"`
		Facets     map[string][]facetCount `json:"facets,omitempty" doc:"Of what was asked for in facets."`
	}
	facetCount struct {
		Value *string `json:"value" nullable:"true" doc:"Null for vehicles without one."`
		Count int64   `json:"count"`
	}
	vehicleAnswer struct {
		Vehicle fullVehicle `json:"vehicle"`
	}
	historyAnswer struct {
		History []historyEntry `json:"history"`
	}
	historyEntry struct {
		ChangeType    string                  `json:"change_type" enum:"created,price_change,status_change,field_update"`
		ChangedFields map[string]historyValue `json:"changed_fields" doc:"Old and new value by field, typed as in the vehicle."`
		Source        string                  `json:"source" enum:"api,import,vauto,homenet,elead,custom,rule,integration" doc:"api: a call; import: a file of the command line; rule: a rule, or that one was taken back; the type of the integration else, or integration where that is deleted."`
		ActorType     *string                 `json:"actor_type" doc:"person or api_key for calls, integration for its files, rule for what a rule made of them, system for the command line and the calendar."`
		ActorID       *string                 `json:"actor_id"`
		ActorName     *string                 `json:"actor_name"`
		File          *string                 `json:"file" doc:"Name of the file that brought the change."`
		Line          *int64                  `json:"line" doc:"Line of the file."`
		CreatedAt     time.Time               `json:"created_at"`
	}
	historyValue struct {
		Old any `json:"old"`
		New any `json:"new"`
	}
)

// listedVehicle and fullVehicle are documented from the table of fields.
type (
	listedVehicle struct{}
	fullVehicle   struct{}
)

// Schema implements huma.SchemaProvider.
func (listedVehicle) Schema(r huma.Registry) *huma.Schema {
	names, properties := listedSchema()
	return component(r, "ListedVehicle", answerSchema("A vehicle as lists show it.", names, properties))
}

// Schema implements huma.SchemaProvider.
func (fullVehicle) Schema(r huma.Registry) *huma.Schema {
	names, properties := listedSchema()
	for f := range vehicle.NumFields {
		if !listedSet.Has(f) {
			properties[f.String()] = f.Schema()
			if !f.Sensitive() {
				names = append(names, f.String())
			}
		}
	}
	properties["sold_at"] = nullableText("date-time", "When it was sold.")
	properties["relisted_at"] = nullableText("date-time", "When it last came back after it was sold.")
	properties["overrides"] = map[string]any{"type": "array", "items": overrideSchema, "description": "Fields set by PATCH, which sources and rules leave alone until they are released."}
	properties["rules"] = map[string]any{"type": "array", "items": ruleValueSchema, "description": "Fields that show what a rule has set."}
	return component(r, "Vehicle", answerSchema("A vehicle with all that is known of it.", append(names, "sold_at", "relisted_at", "overrides", "rules"), properties))
}

var overrideSchema = answerSchema("A field whose value a caller of the API has set.", []string{"field", "value", "source_value", "set_by", "set_at"}, map[string]any{
	"field":        map[string]any{"type": "string", "example": "price"},
	"value":        map[string]any{"description": "In force, as in the vehicle."},
	"source_value": map[string]any{"description": "What the vehicle's sources say; null when they say nothing."},
	"set_by": map[string]any{
		"type": []string{"object", "null"}, "required": []string{"type", "id", "name"}, "description": "Null where it was not noted.",
		"properties": map[string]any{"type": map[string]any{"type": "string"}, "id": map[string]any{"type": "string"}, "name": map[string]any{"type": "string"}},
	},
	"set_at": nullableText("date-time", "Null where it was not noted."),
})

var ruleValueSchema = answerSchema("A field whose value a rule has set.", []string{"field", "rule_id", "rule_name", "source_value"}, map[string]any{
	"field":        map[string]any{"type": "string", "example": "internet_price"},
	"rule_id":      map[string]any{"type": "string", "format": "uuid"},
	"rule_name":    map[string]any{"type": []string{"string", "null"}, "description": "Null when the rule is no longer in force; its value stays until the next sync or POST /rules/apply."},
	"source_value": map[string]any{"description": "What the vehicle's sources say; null when they say nothing."},
})

func answerSchema(text string, names []string, properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "description": text, "required": names, "properties": properties}
}

func nullableText(format, text string) map[string]any {
	return map[string]any{"type": []string{"string", "null"}, "format": format, "description": text}
}

func listedSchema() (names []string, properties map[string]any) {
	names = []string{"vin"}
	properties = map[string]any{"vin": map[string]any{"type": "string", "example": "1FTEW1EF8HFA85881"}}
	for _, f := range listed {
		names = append(names, f.String())
		properties[f.String()] = f.Schema()
	}
	properties["days_on_lot"] = map[string]any{"type": "integer", "minimum": 0, "example": 42, "description": "Days on the dealership's calendar since date_in_stock, or since the vehicle was first seen, until today or the sale."}
	properties["source_integration_id"] = nullableText("uuid", "The integration that changed the vehicle last; null for what no integration brought.")
	properties["created_at"] = map[string]any{"type": "string", "format": "date-time"}
	properties["updated_at"] = map[string]any{"type": "string", "format": "date-time"}
	properties["vin_status"] = map[string]any{"type": "string", "enum": []string{string(vin.Valid), string(vin.CheckDigitFailed), string(vin.NotApplicable), string(vin.Short)}, "description": "The verdict on the VIN's check digit."}
	return append(names, "days_on_lot", "source_integration_id", "created_at", "updated_at", "vin_status"), properties
}
