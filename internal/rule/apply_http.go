package rule

import (
	"context"
	"net/http"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
)

type runBody struct {
	ID        string           `json:"id" doc:"UUID of the run." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	DryRun    bool             `json:"dryRun" doc:"Nothing is changed, only found out."`
	Status    string           `json:"status" enum:"queued,running,completed,failed"`
	Detail    *string          `json:"detail" nullable:"true" doc:"Why the run failed."`
	Total     int64            `json:"total" doc:"Vehicles to look at."`
	Done      int64            `json:"done" doc:"Looked at so far."`
	Vehicles  int64            `json:"vehicles" doc:"Of these, those that show, or would show, something else."`
	Fields    map[string]int64 `json:"fields" doc:"Vehicles by field that changes. Sensitive fields are counted for administrators only." example:"{\"price\":12}"`
	Examples  []exampleBody    `json:"examples" doc:"The first ten vehicles that change, for callers with inventory:read; sensitive fields for administrators only."`
	Faults    []faultBody      `json:"faults" doc:"Rules that could not do their work on some vehicles; the fields are left alone."`
	CreatedAt time.Time        `json:"createdAt"`
	StartedAt *time.Time       `json:"startedAt" nullable:"true"`
	EndedAt   *time.Time       `json:"endedAt" nullable:"true"`
}

type exampleBody struct {
	VIN     string            `json:"vin" example:"1FTEW1EF8HFA85881"`
	Changed inventory.Changes `json:"changed_fields" doc:"Old and new value by field, typed as in the vehicle."`
}

type faultBody struct {
	RuleID   string `json:"ruleId"`
	RuleName string `json:"ruleName"`
	Count    int64  `json:"count" doc:"Actions that could not be carried out."`
	VIN      string `json:"vin" doc:"Of an example."`
	Field    string `json:"field" doc:"That was left alone there." example:"internet_price"`
	Reason   string `json:"reason" example:"msrp is empty"`
}

// runBodyOf is a run as a caller with these scopes may see it: examples are vehicles.
func runBodyOf(r *inventory.Refresh, scopes auth.Scopes) runBody {
	sensitive := scopes.Has(auth.Admin)
	b := runBody{
		ID: r.ID, DryRun: r.Dry, Status: r.Status, Detail: rest.TextOrNull(r.Detail), Total: r.Total, Done: r.Done, Vehicles: r.Vehicles, Fields: map[string]int64{},
		Examples: []exampleBody{}, Faults: []faultBody{}, CreatedAt: rest.Seconds(r.CreatedAt), StartedAt: rest.SecondsOrNull(r.StartedAt), EndedAt: rest.SecondsOrNull(r.EndedAt),
	}
	for name, n := range r.Findings.Fields {
		if f, known := vehicle.FieldNamed(name); sensitive || !known || !f.Sensitive() {
			b.Fields[name] = n
		}
	}
	for _, e := range r.Findings.Examples {
		if !scopes.Has(auth.InventoryRead) {
			break
		}
		changed, nothing := inventory.Changes(e.Changes), false
		if !sensitive {
			changed, nothing = changed.Public()
		}
		if !nothing {
			b.Examples = append(b.Examples, exampleBody{e.VIN, changed})
		}
	}
	for _, f := range r.Findings.Faults {
		b.Faults = append(b.Faults, faultBody{f.Rule.ID, f.Rule.Name, f.Count, f.VIN, f.Field, f.Shown(sensitive)})
	}
	return b
}

type applyInput struct {
	Body *struct {
		DryRun rest.Optional[bool] `json:"dryRun,omitempty" nullable:"true" doc:"Only find out what would change; false unless given."`
	}
}

type runIDInput struct {
	ID string `path:"id" doc:"Id of the run."`
}

type runOutput struct {
	Body struct {
		Run runBody `json:"run"`
	}
}

type startedRunOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Run runBody `json:"run"`
	}
}

func (r *Rules) registerApply(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "apply-rules", Method: http.MethodPost, Path: "/rules/apply", Summary: "Apply the rules to all vehicles", Tag: tag, Security: rest.Scope(writeScope), Status: http.StatusAccepted,
		Description: "All vehicles of the group show what the rules in force make of their sources' values, also where a rule was removed or disabled. With `dryRun` nothing is changed: the run tells how many vehicles would\n" +
			"change, in which fields, and ten examples. The run goes on after the answer; `Location` shows how far it is. Of a small inventory the answer shows it completed already. While a run that is not dry\n" +
			"and would come to the same is under way, the answer is that one.",
	}, func(ctx context.Context, p auth.Principal, in *applyInput) (*startedRunOutput, error) {
		run, err := r.Apply(ctx, r.db.Tenant(p.Group), p.Actor(), in.Body != nil && in.Body.DryRun.Value)
		out := &startedRunOutput{Location: rest.Prefix + "/rules/apply/" + run.ID}
		out.Body.Run = runBodyOf(&run, p.Scopes)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-rules-run", Method: http.MethodGet, Path: "/rules/apply/{id}", Summary: "Show how far a run of the rules is", Tag: tag, Security: rest.Scope(readScope),
		Description: "The latest runs of a group are kept.",
	}, func(ctx context.Context, p auth.Principal, in *runIDInput) (*runOutput, error) {
		run, err := r.Applied(ctx, r.db.Tenant(p.Group), in.ID)
		out := &runOutput{}
		out.Body.Run = runBodyOf(&run, p.Scopes)
		return out, err
	})
}
