package rule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

type ruleBody struct {
	ID         string          `json:"id" doc:"UUID of the rule." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Name       string          `json:"name" example:"Price floor"`
	Enabled    bool            `json:"enabled" doc:"Rules that are not enabled are left out."`
	Conditions []conditionBody `json:"conditions" doc:"All must hold; none hold for every vehicle. As they were sent: a member that was not given is not there."`
	Actions    []actionBody    `json:"actions" doc:"As they were sent: a member that was not given is not there."`
	Problem    *string         `json:"problem" nullable:"true" doc:"Why the rule is left out though it may be enabled: this version of the program does not take it any more. Null otherwise."`
	CreatedAt  time.Time       `json:"createdAt" doc:"Rules run in this order, oldest first."`
	UpdatedAt  time.Time       `json:"updatedAt"`
}

type conditionBody struct {
	Field    string   `json:"field" example:"price"`
	Operator Operator `json:"operator" enum:"equals,not_equals,contains,in,greater_than,less_than,is_empty,is_not_empty"`
	Value    *string  `json:"value,omitempty" nullable:"false" example:"5000"`
}

type actionBody struct {
	Type      string  `json:"type" enum:"set_field"`
	Field     string  `json:"field" example:"price"`
	Value     *string `json:"value,omitempty" nullable:"false" example:"5000"`
	ValueExpr *string `json:"value_expr,omitempty" nullable:"false" example:"price * 0.95"`
}

func (r *Rules) bodyOf(in Rule) ruleBody {
	b := ruleBody{
		ID: in.ID, Name: in.Name, Enabled: in.Enabled, Conditions: []conditionBody{}, Actions: []actionBody{}, Problem: rest.TextOrNull(r.Problem(in)),
		CreatedAt: rest.Seconds(in.CreatedAt), UpdatedAt: rest.Seconds(in.UpdatedAt),
	}
	for _, c := range in.Conditions {
		b.Conditions = append(b.Conditions, conditionBody(c))
	}
	for _, a := range in.Actions {
		b.Actions = append(b.Actions, actionBody(a))
	}
	return b
}

// textInput is a value as rules take it: a string, and null like an absent one. Other types are refused in our words: who
// sends a number should hear how numbers are sent.
type textInput struct {
	text  *string
	wrong string // what is wrong with one of some other type; there is a text all the same, so that it is not taken for missing
}

// Schema implements huma.SchemaProvider. The keywords stand among the extensions, which document them but leave the
// judging to us.
func (textInput) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Extensions: map[string]any{"type": []string{"string", "null"}}}
}

// UnmarshalJSON implements json.Unmarshaler.
func (in *textInput) UnmarshalJSON(b []byte) error {
	*in = textInput{}
	if string(b) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) != nil {
		in.wrong = noString(b)
	}
	in.text = &text
	return nil
}

// noString says how a JSON value that is no string ought to have been sent.
func noString(b []byte) string {
	switch b[0] {
	case '[':
		return `must be a string; a list is written with commas, as in "Ford, Kia"`
	case '{':
		return "must be a string"
	case 't', 'f':
		return `must be a string, as in "` + string(b) + `"`
	}
	return `must be a string; numbers are sent as strings too, as in "5000"`
}

func (in textInput) faults(pointer string) []errs.Fault {
	if in.wrong == "" {
		return nil
	}
	return []errs.Fault{errs.At(pointer, in.wrong)}
}

type conditionInput struct {
	Field    string    `json:"field" doc:"A field of vehicles, vin, days_on_lot, or custom.<name>." example:"price"`
	Operator string    `json:"operator" enum:"equals,not_equals,contains,in,greater_than,less_than,is_empty,is_not_empty" doc:"Strings compare case-sensitively; in takes a list with commas; greater_than and less_than compare numbers, dates and times." example:"less_than"`
	Value    textInput `json:"value,omitempty" doc:"A string, numbers too; left out with is_empty and is_not_empty." example:"\"5000\""`
}

type actionInput struct {
	Type      string    `json:"type" enum:"set_field"`
	Field     string    `json:"field" doc:"A field of vehicles, or custom.<name>." example:"price"`
	Value     textInput `json:"value,omitempty" doc:"What the field is set to, a string; a list is written with commas, an empty one empties the field. Either this or value_expr." example:"\"5000\""`
	ValueExpr textInput `json:"value_expr,omitempty" doc:"Arithmetic over the vehicle's fields in exact decimals. A missing operand or a division by zero leaves the field alone and is reported. Either this or value, as in price * 0.95."`
}

func conditionsOf(list []conditionInput) []Condition {
	out := make([]Condition, len(list))
	for i, in := range list {
		out[i] = Condition{Field: in.Field, Operator: Operator(in.Operator), Value: in.Value.text}
	}
	return out
}

func actionsOf(list []actionInput) []Action {
	out := make([]Action, len(list))
	for i, in := range list {
		out[i] = Action{Type: in.Type, Field: in.Field, Value: in.Value.text, ValueExpr: in.ValueExpr.text}
	}
	return out
}

// typeFaults are values that are no strings, by pointers below the given one.
func typeFaults(pointer string, conditions []conditionInput, actions []actionInput) (faults []errs.Fault) {
	for i, in := range conditions {
		faults = append(faults, in.Value.faults(fmt.Sprintf("%s/conditions/%d/value", pointer, i))...)
	}
	for i, in := range actions {
		faults = append(faults, in.Value.faults(fmt.Sprintf("%s/actions/%d/value", pointer, i))...)
		faults = append(faults, in.ValueExpr.faults(fmt.Sprintf("%s/actions/%d/value_expr", pointer, i))...)
	}
	return faults
}

// beside names, beside what the schema refuses, what the operation would refuse: it judges the rule again, by its own clock.
func beside(ctx huma.Context, pointer string, draft Rule) {
	p, _ := rest.From(ctx.Context()).Caller.(*auth.Principal)
	_, faults := judged(draft, p != nil && p.Scopes.Has(auth.Admin), time.Now())
	rest.Beside(ctx, below(pointer, faults)...)
}

// below moves pointers relative to a rule to where the rule stands, "#" for a body that is one.
func below(pointer string, faults []errs.Fault) []errs.Fault {
	out := make([]errs.Fault, len(faults))
	for i, f := range faults {
		out[i] = errs.At(pointer+f.Pointer[1:], f.Detail)
	}
	return out
}

type createRuleInput struct {
	Body struct {
		Name       string              `json:"name" minLength:"1" maxLength:"200" pattern:"\\S" patternDescription:"more than blanks" doc:"History shows it." example:"Price floor"`
		Enabled    rest.Optional[bool] `json:"enabled,omitempty" nullable:"true" doc:"true unless given."`
		Conditions []conditionInput    `json:"conditions" maxItems:"20" doc:"All must hold; none hold for every vehicle."`
		Actions    []actionInput       `json:"actions" minItems:"1" maxItems:"20" doc:"Carried out in this order."`
	}
}

func (in *createRuleInput) draft() Rule {
	b := &in.Body
	return Rule{Name: b.Name, Enabled: b.Enabled.OrElse(true), Conditions: conditionsOf(b.Conditions), Actions: actionsOf(b.Actions)}
}

// Resolve implements huma.Resolver.
func (in *createRuleInput) Resolve(ctx huma.Context) []error {
	beside(ctx, "#", in.draft())
	return rest.Faults(typeFaults("#", in.Body.Conditions, in.Body.Actions)...)
}

type patchRuleInput struct {
	ID   string `path:"id" doc:"Id of the rule."`
	Body struct {
		Name       rest.Optional[string]           `json:"name,omitempty" minLength:"1" maxLength:"200" pattern:"\\S" patternDescription:"more than blanks"`
		Enabled    rest.Optional[bool]             `json:"enabled,omitempty" nullable:"true"`
		Conditions rest.Optional[[]conditionInput] `json:"conditions,omitempty" maxItems:"20"`
		Actions    rest.Optional[[]actionInput]    `json:"actions,omitempty" minItems:"1" maxItems:"20"`
	}
}

// apply merges what was sent into a rule (RFC 7396).
func (in *patchRuleInput) apply(to *Rule) {
	b := &in.Body
	to.Name = b.Name.OrElse(to.Name)
	if b.Enabled.Set {
		to.Enabled = b.Enabled.OrElse(true)
	}
	if b.Conditions.Set {
		to.Conditions = conditionsOf(b.Conditions.Value)
	}
	if b.Actions.Set {
		to.Actions = actionsOf(b.Actions.Value)
	}
}

// Resolve implements huma.Resolver.
func (in *patchRuleInput) Resolve(ctx huma.Context) []error {
	nothing := ""
	draft := Rule{Name: "-", Actions: []Action{{Type: SetField, Field: "description", Value: &nothing}}} // stands in for what is stored
	in.apply(&draft)
	beside(ctx, "#", draft)
	b, faults := &in.Body, []errs.Fault(nil)
	for _, m := range []struct {
		null    bool
		pointer string
	}{{b.Name.Null, "#/name"}, {b.Conditions.Null, "#/conditions"}, {b.Actions.Null, "#/actions"}} {
		if m.null {
			faults = append(faults, errs.At(m.pointer, "can't be null"))
		}
	}
	return rest.Faults(append(faults, typeFaults("#", b.Conditions.Value, b.Actions.Value)...)...)
}

type ruleIDInput struct {
	ID string `path:"id" doc:"Id of the rule."`
}

type ruleOutput struct {
	Body struct {
		Rule ruleBody `json:"rule"`
	}
}

type createdRuleOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Rule ruleBody `json:"rule"`
	}
}

type listRulesOutput struct {
	Body struct {
		Rules      []ruleBody      `json:"rules"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

const (
	tag        = "Rules"
	readScope  = "rules:read"
	writeScope = "rules:write"
)

func authorOf(p auth.Principal) Author {
	return Author{Actor: p.Actor(), Admin: p.Scopes.Has(auth.Admin)}
}

// Register adds the routes of rules.
func (r *Rules) Register(api *rest.API) {
	r.registerRules(api)
	r.registerTests(api)
	r.registerApply(api)
}

const aboutSensitive = "\n\nCost, invoice, book value and wholesale price are for administrators: without the scope `admin` a rule that reads or sets them is refused (422)."

func (r *Rules) registerRules(api *rest.API) {
	read, write := rest.Scope(readScope), rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "list-rules", Method: http.MethodGet, Path: "/rules", Summary: "List rules", Tag: tag, Security: read, Codes: []string{"invalid"},
		Description: "Newest first. They run the other way round, in the order of their creation: oldest first, each sees what the ones before have left, the last to set a field wins.",
	}, func(ctx context.Context, p auth.Principal, in *rest.PageInput) (*listRulesOutput, error) {
		list, total, err := r.List(ctx, r.db.Tenant(p.Group), in.Page())
		out := &listRulesOutput{}
		out.Body.Rules = make([]ruleBody, 0, len(list))
		for _, one := range list {
			out.Body.Rules = append(out.Body.Rules, r.bodyOf(one))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "create-rule", Method: http.MethodPost, Path: "/rules", Summary: "Create a rule", Tag: tag, Security: write,
		Status: http.StatusCreated, Codes: []string{"too_many_rules"},
		Description: "It runs on every sync, after all rules there are, and on all vehicles at once with `POST /rules/apply`. One that reads days_on_lot runs daily too.\n" +
			"What a rule sets, the sources' values are kept beside; fields that people have overridden are left alone." + aboutSensitive,
	}, func(ctx context.Context, p auth.Principal, in *createRuleInput) (*createdRuleOutput, error) {
		made, err := r.Create(ctx, r.db.Tenant(p.Group), authorOf(p), in.draft())
		out := &createdRuleOutput{Location: rest.Prefix + "/rules/" + made.ID}
		out.Body.Rule = r.bodyOf(made)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-rule", Method: http.MethodGet, Path: "/rules/{id}", Summary: "Show a rule", Tag: tag, Security: read,
	}, func(ctx context.Context, p auth.Principal, in *ruleIDInput) (*ruleOutput, error) {
		return r.output(r.Get(ctx, r.db.Tenant(p.Group), in.ID))
	})
	auth.Handle(api, rest.Operation{
		ID: "update-rule", Method: http.MethodPatch, Path: "/rules/{id}", Summary: "Change a rule", Tag: tag, Security: write,
		Description: "Members that are not sent stay as they are; conditions and actions are replaced whole; `enabled` null is true (RFC 7396). The rule keeps its place in the order.\n" +
			"Vehicles show the change with the next sync, or after `POST /rules/apply`." + aboutSensitive + " Renaming or disabling one is not.",
	}, func(ctx context.Context, p auth.Principal, in *patchRuleInput) (*ruleOutput, error) {
		return r.output(r.Update(ctx, r.db.Tenant(p.Group), authorOf(p), in.ID, in.apply))
	})
	auth.Handle(api, rest.Operation{
		ID: "delete-rule", Method: http.MethodDelete, Path: "/rules/{id}", Summary: "Delete a rule", Tag: tag, Security: write, Status: http.StatusNoContent,
		Description: "Vehicles show their sources' values again with the next sync, or after `POST /rules/apply`.",
	}, func(ctx context.Context, p auth.Principal, in *ruleIDInput) (*struct{}, error) {
		return nil, r.Delete(ctx, r.db.Tenant(p.Group), p.Actor(), in.ID)
	})
}

func (r *Rules) output(one Rule, err error) (*ruleOutput, error) {
	out := &ruleOutput{}
	out.Body.Rule = r.bodyOf(one)
	return out, err
}
