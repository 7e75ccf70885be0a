package rule

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

// SubjectInput is the vehicle of a test; exactly one of the two.
type SubjectInput struct {
	Vehicle inventory.SampleInput `json:"vehicle,omitempty" doc:"A vehicle as in POST /inventory, without a VIN if need be; days_on_lot may be given. It meets this rule alone."`
	VIN     textInput             `json:"vin,omitempty" doc:"VIN of a stored vehicle, in any case; needs the scope inventory:read too. It meets the rule as in a sync: as its sources, its overrides and the enabled rules created before leave it."`
}

// read reads the vehicle.
func (in *SubjectInput) read(now time.Time) (on Subject, faults []errs.Fault) {
	given, stored := in.Vehicle.Given(), in.VIN.text != nil
	switch {
	case given && stored:
		return on, []errs.Fault{errs.At("#/vin", "can't stand beside vehicle; leave one of them out")}
	case !given && !stored:
		return on, []errs.Fault{errs.At("#/vehicle", "is needed: a vehicle to test the rule on, or the vin of a stored one")}
	case in.VIN.wrong != "":
		return on, []errs.Fault{errs.At("#/vin", "must be a string")}
	case stored:
		if on.StoredVIN = vin.Normalise(*in.VIN.text); on.StoredVIN == "" {
			faults = errNoSubject.Faults
		}
		return on, faults
	}
	on.Values, on.About, faults = in.Vehicle.Read("#/vehicle", now)
	return on, faults
}

// besideSubject names what is wrong with the vehicle beside what else is wrong; the operation reads it again, by its own
// clock.
func besideSubject(ctx huma.Context, in *SubjectInput) {
	_, faults := in.read(time.Now())
	rest.Beside(ctx, faults...)
}

type testRuleInput struct {
	ID   string `path:"id" doc:"Id of the rule."`
	Body struct{ SubjectInput }
}

// Resolve implements huma.Resolver.
func (in *testRuleInput) Resolve(ctx huma.Context) []error {
	besideSubject(ctx, &in.Body.SubjectInput)
	return nil
}

type draftInput struct {
	Name       rest.Optional[string] `json:"name,omitempty" nullable:"true" maxLength:"200" doc:"Does not matter here."`
	Enabled    rest.Optional[bool]   `json:"enabled,omitempty" nullable:"true" doc:"Does not matter here."`
	Conditions []conditionInput      `json:"conditions" maxItems:"20" doc:"All must hold; none hold for every vehicle."`
	Actions    []actionInput         `json:"actions" minItems:"1" maxItems:"20" doc:"Carried out in this order."`
}

type testDraftInput struct {
	Body struct {
		Rule draftInput `json:"rule"`
		SubjectInput
	}
}

func (in *testDraftInput) draft() Rule {
	b := &in.Body.Rule
	return Rule{Name: "-", Enabled: true, Conditions: conditionsOf(b.Conditions), Actions: actionsOf(b.Actions)}
}

// Resolve implements huma.Resolver.
func (in *testDraftInput) Resolve(ctx huma.Context) []error {
	if r := &in.Body.Rule; r.Conditions != nil || r.Actions != nil { // else there is none, which the schema says
		beside(ctx, "#/rule", in.draft())
	}
	besideSubject(ctx, &in.Body.SubjectInput)
	return rest.Faults(typeFaults("#/rule", in.Body.Rule.Conditions, in.Body.Rule.Actions)...)
}

type verdictBody struct {
	Field    string   `json:"field" example:"price"`
	Operator Operator `json:"operator" enum:"equals,not_equals,contains,in,greater_than,less_than,is_empty,is_not_empty"`
	Value    *string  `json:"value" nullable:"true"`
	Held     bool     `json:"held"`
	Actual   any      `json:"actual" doc:"What the condition looked at, as in the vehicle; null when that is empty, and for callers who may not see it."`
}

type warningBody struct {
	Pointer string `json:"pointer" doc:"Where in the rule." example:"#/actions/0"`
	Detail  string `json:"detail"`
}

type tryoutOutput struct {
	Body struct {
		Applied    bool              `json:"applied" doc:"All conditions hold."`
		Conditions []verdictBody     `json:"conditions" doc:"How each came out, in the rule's order."`
		Before     inventory.Sample  `json:"before" doc:"The vehicle as it meets the rule."`
		Vehicle    inventory.Sample  `json:"vehicle" doc:"The vehicle as the rule leaves it."`
		Changed    inventory.Changes `json:"changed_fields" doc:"Old and new value by field, typed as in the vehicle."`
		Warnings   []warningBody     `json:"warnings" doc:"What the rule could not do, and why: a missing operand, a result out of range, an overridden field."`
	}
}

// tryoutOutputOf shows a test to a caller who may see sensitive fields, or may not.
func tryoutOutputOf(t *Tryout, sensitive bool) *tryoutOutput {
	out := &tryoutOutput{}
	b := &out.Body
	b.Applied, b.Conditions, b.Warnings = t.Applied, make([]verdictBody, len(t.Conditions)), make([]warningBody, len(t.Warnings))
	for i, v := range t.Conditions {
		b.Conditions[i] = verdictBody{v.Field, v.Operator, v.Value, v.Holds, v.shown(sensitive)}
	}
	b.Before = inventory.Sample{VIN: t.About.VIN, DaysOnLot: t.About.DaysOnLot, Values: t.Before, Sensitive: sensitive}
	b.Vehicle = inventory.Sample{VIN: t.About.VIN, DaysOnLot: t.DaysOnLot, Values: t.Values, Sensitive: sensitive}
	if b.Changed = inventory.ChangesBetween(&t.Before, &t.Values); !sensitive {
		b.Changed, _ = b.Changed.Public()
	}
	for i, w := range t.Warnings {
		if b.Warnings[i] = (warningBody{w.Pointer, w.Detail}); t.Hides && !sensitive {
			b.Warnings[i].Detail = "was left alone " + vehicle.HiddenReason
		}
	}
	return out
}

// shown is the JSON of what a condition looked at; nil for nothing.
func (v *Verdict) shown(sensitive bool) any {
	s, _ := subjectNamed(v.Field)
	switch {
	case v.Actual == "" || s.origin == ofField && s.field.Sensitive() && !sensitive:
		return nil
	case s.origin == ofField:
		return json.RawMessage(vehicle.AppendValue(nil, s.field, v.Actual))
	case s.origin == ofDays:
		return json.RawMessage(v.Actual)
	}
	return v.Actual
}

const untestable = "The test can't be made as asked for; errors lists every fault."

// mayRead refuses callers who may not read vehicles to test a rule on a stored one.
func mayRead(p auth.Principal, on *Subject) error {
	if on.StoredVIN == "" || p.Scopes.Has(auth.InventoryRead) {
		return nil
	}
	return &errs.Error{
		Kind: errs.KindForbidden, Code: "insufficient_scope", Detail: "To test a rule on a stored vehicle needs inventory:read too; send a vehicle instead of a vin.",
		RequiredScopes: auth.InventoryRead.Names(), GrantedScopes: p.Scopes.Names(),
	}
}

func (r *Rules) registerTests(api *rest.API) {
	read := rest.Scope(readScope)
	const about = "Tells of each condition whether it held and on what value, and shows the vehicle before and after. Nothing is stored.\n\n" +
		"The vehicle is given, or a stored one is named by its `vin`, for which the caller needs the scope `inventory:read` too."
	auth.Handle(api, rest.Operation{
		ID: "test-rule", Method: http.MethodPost, Path: "/rules/{id}/test", Summary: "Test a rule", Tag: tag, Security: read, Codes: []string{"conflict"},
		Description: about + " It does not matter whether the rule is enabled. 409 for a rule with a `problem`.",
	}, func(ctx context.Context, p auth.Principal, in *testRuleInput) (*tryoutOutput, error) {
		on, faults := in.Body.read(r.o.Now())
		if err := refusal(untestable, faults); err != nil {
			return nil, err
		}
		if err := mayRead(p, &on); err != nil {
			return nil, err
		}
		out, err := r.TestStored(ctx, r.db.Tenant(p.Group), in.ID, on)
		if err != nil {
			return nil, err
		}
		return tryoutOutputOf(&out, p.Scopes.Has(auth.Admin)), nil
	})
	auth.Handle(api, rest.Operation{
		ID: "test-unsaved-rule", Method: http.MethodPost, Path: "/rules/test", Summary: "Test a rule that is not saved", Tag: tag, Security: read,
		Description: about + aboutSensitive,
	}, func(ctx context.Context, p auth.Principal, in *testDraftInput) (*tryoutOutput, error) {
		admin := p.Scopes.Has(auth.Admin)
		draft, faults := judged(in.draft(), admin, r.o.Now())
		on, further := in.Body.read(r.o.Now())
		if err := refusal(untestable, append(below("#/rule", faults), further...)); err != nil {
			return nil, err
		}
		if err := mayRead(p, &on); err != nil {
			return nil, err
		}
		out, err := r.TestDraft(ctx, r.db.Tenant(p.Group), draft, on)
		if err != nil {
			return nil, err
		}
		return tryoutOutputOf(&out, admin), nil
	})
}
