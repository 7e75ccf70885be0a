package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

// refreshCookie holds the refresh token of a browser. Its path keeps it away from all other calls.
const (
	refreshCookie     = "__Secure-carfluence-refresh"
	refreshCookiePath = rest.Prefix + "/auth"
)

type loginInput struct {
	Body struct {
		Email         string `json:"email" maxLength:"1000" example:"jane@dealer.example"`
		Password      string `json:"password" maxLength:"1000" example:"a red lorry and four yellow ones"`
		RefreshCookie bool   `json:"refreshCookie,omitempty" nullable:"true" doc:"For browsers: the refresh token comes as an HttpOnly cookie instead of in the body."`
	}
}

type loginUser struct {
	ID    string `json:"id" example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Email string `json:"email" example:"jane@dealer.example"`
	Name  string `json:"name" example:"Jane Doe"`
	Role  Role   `json:"role" enum:"admin,manager,viewer"`
}

type loginOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"Only with refreshCookie."`
	Body      struct {
		Token        string    `json:"token" doc:"Send it as Authorization: Bearer." example:"eyJhbGciOiJSUzI1NiIs…"`
		User         loginUser `json:"user"`
		RefreshToken *string   `json:"refreshToken" nullable:"true" doc:"For POST /auth/refresh, once. null when it is in the cookie." example:"cfr_…"`
		ExpiresIn    int64     `json:"expiresIn" doc:"Seconds until the token expires." example:"900"`
		TokenType    string    `json:"tokenType" enum:"Bearer"`
	}
}

func loginOutputOf(l Login, cookie bool) *loginOutput {
	out := &loginOutput{}
	b := &out.Body
	b.Token, b.ExpiresIn, b.TokenType = l.Token, int64(l.ExpiresIn/time.Second), "Bearer"
	b.User = loginUser{ID: l.Person.ID, Email: l.Person.Email, Name: l.Person.Name, Role: l.Person.Role}
	text := l.Refresh.String()
	if cookie {
		out.SetCookie = cookieText(text, l.RefreshUntil)
	} else {
		b.RefreshToken = &text
	}
	return out
}

// cookieText is the Set-Cookie value; an empty token clears the cookie.
func cookieText(token string, until time.Time) string {
	c := http.Cookie{Name: refreshCookie, Value: token, Path: refreshCookiePath, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if token == "" {
		c.MaxAge = -1
	} else {
		c.Expires = until.UTC()
	}
	return c.String()
}

type refreshInput struct {
	Cookie string `cookie:"__Secure-carfluence-refresh" doc:"In place of a body, from pages of the same origin."`
	Body   *struct {
		RefreshToken *string `json:"refreshToken,omitempty" nullable:"true" doc:"Needed without the cookie." example:"cfr_…"`
	}
}

type sessionBody struct {
	ID         string    `json:"id"`
	Current    bool      `json:"current" doc:"The session this call was made with."`
	IPAddress  string    `json:"ipAddress" doc:"Where it was last seen."`
	UserAgent  string    `json:"userAgent"`
	CreatedAt  time.Time `json:"createdAt"`
	LastSeenAt time.Time `json:"lastSeenAt" doc:"Login or latest refresh."`
	ExpiresAt  time.Time `json:"expiresAt" doc:"When it ends unless it is refreshed before."`
}

type listSessionsOutput struct {
	Body struct {
		Sessions   []sessionBody   `json:"sessions"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

type sessionIDInput struct {
	ID string `path:"id" doc:"Id of the session."`
}

type passwordInput struct {
	Body struct {
		CurrentPassword string `json:"currentPassword" maxLength:"1000"`
		NewPassword     string `json:"newPassword" maxLength:"1000" doc:"15 to 256 characters of any kind, not an obvious choice."`
	}
}

// Resolve implements huma.Resolver.
func (in *passwordInput) Resolve(ctx huma.Context) []error {
	rest.Beside(ctx, passwordForm("#/newPassword", in.Body.NewPassword)...)
	return nil
}

type logoutOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"Clears the refresh cookie."`
}

// Origins tells requests of our own pages from those of others.
type Origins struct{ check *http.CrossOriginProtection }

// NewOrigins trusts the request's own host and the public URL ("" for none).
func NewOrigins(publicURL string) (Origins, error) {
	o := Origins{http.NewCrossOriginProtection()}
	if publicURL == "" {
		return o, nil
	}
	return o, o.check.AddTrustedOrigin(publicURL)
}

// same refuses what a page of another origin made a browser send.
func (o Origins) same(ctx context.Context) error {
	if o.check.Check(rest.From(ctx).Request()) == nil {
		return nil
	}
	return errs.New(errs.KindForbidden, "cross_origin", "The refresh cookie is for pages of this origin only.")
}

func clientOf(ctx context.Context) Client {
	x := rest.From(ctx)
	return Client{Address: x.IP, UserAgent: x.UserAgent()}
}

// Register adds the routes of sessions.
func (s *Sessions) Register(api *rest.API, origins Origins) {
	s.registerLogin(api, origins)
	s.registerOwn(api)
}

func (s *Sessions) registerLogin(api *rest.API, origins Origins) {
	const tag = "Sessions"
	rest.Register(api, rest.Operation{
		ID: "login", Method: http.MethodPost, Path: "/auth/login", Summary: "Log in", Tag: tag, Security: rest.Open(), Credentials: true, Codes: []string{"credentials_invalid", "login_throttled", "cross_origin"},
		Description: "An unknown address, a wrong password and a disabled account get the same answer. Failures are throttled per account and source (429 `login_throttled`).",
	}, func(ctx context.Context, in *loginInput) (*loginOutput, error) {
		if in.Body.RefreshCookie {
			if err := origins.same(ctx); err != nil {
				return nil, err
			}
		}
		l, err := s.Login(ctx, in.Body.Email, in.Body.Password, clientOf(ctx))
		if err != nil {
			return nil, err
		}
		return loginOutputOf(l, in.Body.RefreshCookie), nil
	})
	rest.Register(api, rest.Operation{
		ID: "refresh", Method: http.MethodPost, Path: "/auth/refresh", Summary: "Exchange a refresh token", Tag: tag, Security: rest.Open(), Credentials: true, Codes: []string{"refresh_invalid", "refresh_reused", "cross_origin"},
		Description: "A refresh token is good once. The same one again within 10 seconds gets the same successor; later it ends the session (401 `refresh_reused`). Browsers with the cookie send no body.",
	}, func(ctx context.Context, in *refreshInput) (*loginOutput, error) {
		if in.Body != nil && in.Body.RefreshToken != nil {
			return s.refreshed(ctx, *in.Body.RefreshToken, false)
		}
		if in.Cookie == "" {
			return nil, errs.Invalid("invalid", "Send the refresh token.", errs.At("#/refreshToken", "is required without the cookie"))
		}
		if err := origins.same(ctx); err != nil {
			return nil, err
		}
		return s.refreshed(ctx, in.Cookie, true)
	})
}

func (s *Sessions) refreshed(ctx context.Context, token string, cookie bool) (*loginOutput, error) {
	l, err := s.Refresh(ctx, token, clientOf(ctx))
	if err != nil {
		return nil, err
	}
	return loginOutputOf(l, cookie), nil
}

func (s *Sessions) registerOwn(api *rest.API) {
	const tag = "Sessions"
	Handle(api, rest.Operation{
		ID: "logout", Method: http.MethodPost, Path: "/auth/logout", Summary: "Log out", Tag: tag, Security: rest.People(), Confirms: true, Status: http.StatusNoContent,
		Description: "Ends the session on every replica.",
	}, func(ctx context.Context, p Principal, _ *struct{}) (*logoutOutput, error) {
		return &logoutOutput{SetCookie: cookieText("", time.Time{})}, s.Logout(ctx, p)
	})
	Handle(api, rest.Operation{
		ID: "change-password", Method: http.MethodPost, Path: "/auth/password", Summary: "Change one's password", Tag: tag, Security: rest.People(), Confirms: true, Status: http.StatusNoContent, Codes: []string{"login_throttled", "conflict"},
		Description: "Ends the other sessions. A password has 15 to 256 characters of any kind and is refused when it is one that is guessed first; the fault says why.",
	}, func(ctx context.Context, p Principal, in *passwordInput) (*struct{}, error) {
		return nil, s.ChangePassword(ctx, p, in.Body.CurrentPassword, in.Body.NewPassword, clientOf(ctx))
	})
	Handle(api, rest.Operation{
		ID: "list-sessions", Method: http.MethodGet, Path: "/auth/sessions", Summary: "List one's sessions", Tag: tag, Security: rest.People(), Codes: []string{"invalid"},
	}, func(ctx context.Context, p Principal, in *rest.PageInput) (*listSessionsOutput, error) {
		list, total, err := s.List(ctx, p, in.Page())
		out := &listSessionsOutput{}
		out.Body.Sessions = make([]sessionBody, 0, len(list))
		for _, v := range list {
			out.Body.Sessions = append(out.Body.Sessions, sessionBody{
				ID: v.ID, Current: v.ID == p.SessionID, IPAddress: v.Address, UserAgent: v.UserAgent,
				CreatedAt: rest.Seconds(v.CreatedAt), LastSeenAt: rest.Seconds(v.LastSeenAt), ExpiresAt: rest.Seconds(v.ExpiresAt),
			})
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	Handle(api, rest.Operation{
		ID: "end-session", Method: http.MethodDelete, Path: "/auth/sessions/{id}", Summary: "End one of one's sessions", Tag: tag, Security: rest.People(), Confirms: true, Status: http.StatusNoContent,
		Description: "No replica accepts a token of the session any more when this has answered.",
	}, func(ctx context.Context, p Principal, in *sessionIDInput) (*struct{}, error) {
		return nil, s.End(ctx, p, in.ID)
	})
}
