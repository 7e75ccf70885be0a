package auth

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

type keyBody struct {
	ID               string     `json:"id" doc:"UUID of the key." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Name             string     `json:"name" example:"Partner Integration Key"`
	Key              string     `json:"key" doc:"The key: whole in the answer to its creation, masked ever after." example:"cf_live_…9aZq"`
	Scopes           []string   `json:"scopes" enum:"inventory:read,inventory:write,dealers:read,dealers:write,integrations:read,integrations:write,rules:read,rules:write,admin" example:"[\"inventory:read\"]"`
	RateLimitPerHour int64      `json:"rateLimitPerHour" example:"1000"`
	Status           string     `json:"status" enum:"active"`
	CreatedBy        string     `json:"createdBy"`
	CreatedAt        time.Time  `json:"createdAt"`
	UpdatedAt        time.Time  `json:"updatedAt"`
	LastUsedAt       *time.Time `json:"lastUsedAt" nullable:"true" doc:"At most a second behind; null before the first use."`
}

func keyBodyOf(k Key) keyBody {
	return keyBody{
		ID: k.ID, Name: k.Name, Key: k.Masked(), Scopes: k.Scopes.Names(), RateLimitPerHour: k.RateLimitPerHour, Status: "active",
		CreatedBy: k.CreatedBy, CreatedAt: rest.Seconds(k.CreatedAt), UpdatedAt: rest.Seconds(k.UpdatedAt),
		LastUsedAt: rest.SecondsOrNull(k.LastUsedAt),
	}
}

type createKeyInput struct {
	Body struct {
		Name             string   `json:"name" minLength:"1" maxLength:"100" pattern:"\\S" patternDescription:"more than blanks" example:"Partner Integration Key"`
		Scopes           []string `json:"scopes" minItems:"1" maxItems:"50" enum:"inventory:read,inventory:write,dealers:read,dealers:write,integrations:read,integrations:write,rules:read,rules:write,admin" doc:"At least one of the nine scopes." example:"[\"inventory:read\",\"dealers:read\"]"`
		RateLimitPerHour int64    `json:"rateLimitPerHour,omitempty" nullable:"true" minimum:"1" maximum:"1000000" default:"1000" example:"1000"`
	}
}

// Resolve implements huma.Resolver.
func (in *createKeyInput) Resolve(ctx huma.Context) []error {
	d := KeyDraft(in.Body)
	d.RateLimitPerHour = cmp.Or(d.RateLimitPerHour, DefaultKeyLimit) // a body with faults may lack the default
	besideKey(ctx, d)
	return nil
}

// besideKey adds what can be said of a key without knowing who asks.
func besideKey(ctx huma.Context, d KeyDraft) {
	if len(d.Scopes) > maxScopes {
		d.Scopes = d.Scopes[:maxScopes] // the schema has refused them; a body can hold half a million
	}
	_, faults := d.faults()
	rest.Beside(ctx, faults...)
}

// maxScopes is what the schemas say.
const maxScopes = 50

type createdKeyOutput struct {
	Location string `header:"Location"`
	Body     keyBody
}

type keyOutput struct {
	Body struct {
		APIKey keyBody `json:"apiKey"`
	}
}

type keyIDInput struct {
	ID string `path:"id" doc:"Id of the key."`
}

type listKeysOutput struct {
	Body struct {
		APIKeys    []keyBody       `json:"apiKeys"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

type patchKeyInput struct {
	ID   string `path:"id" doc:"Id of the key."`
	Body struct {
		Name             rest.Optional[string]   `json:"name,omitempty" minLength:"1" maxLength:"100" pattern:"\\S" patternDescription:"more than blanks"`
		Scopes           rest.Optional[[]string] `json:"scopes,omitempty" minItems:"1" maxItems:"50" enum:"inventory:read,inventory:write,dealers:read,dealers:write,integrations:read,integrations:write,rules:read,rules:write,admin"`
		RateLimitPerHour rest.Optional[int64]    `json:"rateLimitPerHour,omitempty" minimum:"1" maximum:"1000000"`
	}
}

// Resolve implements huma.Resolver.
func (in *patchKeyInput) Resolve(ctx huma.Context) []error {
	c, nulls := in.change()
	d := KeyDraft{Name: "-", Scopes: []string{"admin"}, RateLimitPerHour: DefaultKeyLimit} // stands in for what is stored
	c.apply(&d)
	besideKey(ctx, d)
	return rest.Faults(nulls...)
}

// change reads the PATCH; no member of a key can be removed by null.
func (in *patchKeyInput) change() (c KeyChange, nulls []errs.Fault) {
	b := &in.Body
	c = KeyChange{
		Name: member(b.Name, "#/name", &nulls), Scopes: member(b.Scopes, "#/scopes", &nulls),
		RateLimitPerHour: member(b.RateLimitPerHour, "#/rateLimitPerHour", &nulls),
	}
	return c, nulls
}

// Register adds the routes of API keys.
func (ks *Keys) Register(api *rest.API) {
	const tag = "API keys"
	admin := rest.Scope("admin")
	Handle(api, rest.Operation{
		ID: "create-api-key", Method: http.MethodPost, Path: "/api-keys", Summary: "Create an API key", Tag: tag, Security: admin, Confirms: true, Status: http.StatusCreated, Credentials: true,
		Description: "The answer holds the key's text: the only time it is ever shown.",
	}, func(ctx context.Context, p Principal, in *createKeyInput) (*createdKeyOutput, error) {
		k, text, err := ks.Create(ctx, p.Group, p.Actor(), p.Scopes, KeyDraft(in.Body))
		if err != nil {
			return nil, err
		}
		body := keyBodyOf(k)
		body.Key = text
		return &createdKeyOutput{Location: rest.Prefix + "/api-keys/" + k.ID, Body: body}, nil
	})
	Handle(api, rest.Operation{
		ID: "list-api-keys", Method: http.MethodGet, Path: "/api-keys", Summary: "List API keys", Tag: tag, Security: admin, Codes: []string{"invalid"},
	}, func(ctx context.Context, p Principal, in *rest.PageInput) (*listKeysOutput, error) {
		list, total, err := ks.List(ctx, p.Group, in.Page())
		if err != nil {
			return nil, err
		}
		out := &listKeysOutput{}
		out.Body.APIKeys = make([]keyBody, 0, len(list))
		for _, k := range list {
			out.Body.APIKeys = append(out.Body.APIKeys, keyBodyOf(k))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, nil
	})
	Handle(api, rest.Operation{
		ID: "get-api-key", Method: http.MethodGet, Path: "/api-keys/{id}", Summary: "Show an API key", Tag: tag, Security: admin,
	}, func(ctx context.Context, p Principal, in *keyIDInput) (*keyOutput, error) {
		k, err := ks.Get(ctx, p.Group, in.ID)
		return keyOutputOf(k), err
	})
	Handle(api, rest.Operation{
		ID: "update-api-key", Method: http.MethodPatch, Path: "/api-keys/{id}", Summary: "Change an API key", Tag: tag, Security: admin, Confirms: true,
		Description: "In force on every replica when this has answered. The window's count goes on.",
	}, func(ctx context.Context, p Principal, in *patchKeyInput) (*keyOutput, error) {
		c, _ := in.change()
		k, err := ks.Update(ctx, p.Group, p.Actor(), p.Scopes, in.ID, c)
		return keyOutputOf(k), err
	})
	Handle(api, rest.Operation{
		ID: "revoke-api-key", Method: http.MethodDelete, Path: "/api-keys/{id}", Summary: "Revoke an API key", Tag: tag, Security: admin, Confirms: true, Status: http.StatusNoContent,
		Description: "No replica accepts the key any more when this has answered.",
	}, func(ctx context.Context, p Principal, in *keyIDInput) (*struct{}, error) {
		return nil, ks.Revoke(ctx, p.Group, p.Actor(), in.ID)
	})
}

func keyOutputOf(k Key) *keyOutput {
	out := &keyOutput{}
	out.Body.APIKey = keyBodyOf(k)
	return out
}
