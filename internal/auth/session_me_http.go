package auth

import (
	"context"
	"net/http"

	"carfluence/internal/rest"
)

type meOutput struct {
	Body struct {
		User        *meUser  `json:"user" doc:"null when a key calls."`
		APIKey      *meKey   `json:"apiKey" doc:"null when a person calls."`
		DealerGroup meGroup  `json:"dealerGroup"`
		Scopes      []string `json:"scopes" doc:"What the caller may do."`
		Roles       []string `json:"roles" doc:"Empty for keys."`
		SessionID   *string  `json:"sessionId" nullable:"true"`
	}
}

type meUser struct {
	_     struct{} `nullable:"true"`
	ID    string   `json:"id"`
	Email string   `json:"email"`
	Name  string   `json:"name"`
	Role  Role     `json:"role" enum:"admin,manager,viewer"`
}

type meKey struct {
	_                struct{} `nullable:"true"`
	ID               string   `json:"id"`
	Name             string   `json:"name"`
	Scopes           []string `json:"scopes"`
	RateLimitPerHour int64    `json:"rateLimitPerHour"`
}

type meGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func meOf(p Principal, g Group) *meOutput {
	out := &meOutput{}
	b := &out.Body
	b.DealerGroup, b.Scopes, b.Roles = meGroup{g.ID, g.Name}, p.Scopes.Names(), []string{}
	if p.Kind == KeyKind {
		b.APIKey = &meKey{ID: p.ID, Name: p.Name, Scopes: p.Scopes.Names(), RateLimitPerHour: p.RateLimit}
		return out
	}
	b.User = &meUser{ID: p.ID, Email: p.Email, Name: p.Name, Role: p.Role}
	b.Roles, b.SessionID = []string{string(p.Role)}, &p.SessionID
	return out
}

// Register adds the route by which callers learn who they are.
func (gs *Groups) Register(api *rest.API) {
	Handle(api, rest.Operation{
		ID: "who-am-i", Method: http.MethodGet, Path: "/auth/me", Summary: "Who am I?", Tag: "Sessions", Security: rest.Anyone(),
		Description: "The caller as the server sees it now, whatever the token says.",
	}, func(ctx context.Context, p Principal, _ *struct{}) (*meOutput, error) {
		g, err := gs.Get(ctx, p.Group)
		return meOf(p, g), err
	})
}
