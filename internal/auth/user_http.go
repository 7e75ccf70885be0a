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

type userBody struct {
	ID        string    `json:"id" example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Email     string    `json:"email" example:"jane@dealer.example"`
	Name      string    `json:"name" example:"Jane Doe"`
	Role      Role      `json:"role" enum:"admin,manager,viewer"`
	Status    Status    `json:"status" enum:"active,disabled"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func userBodyOf(p Person) userBody {
	return userBody{ID: p.ID, Email: p.Email, Name: p.Name, Role: p.Role, Status: p.Status, CreatedAt: rest.Seconds(p.CreatedAt), UpdatedAt: rest.Seconds(p.UpdatedAt)}
}

type createUserInput struct {
	Body struct {
		Email    string  `json:"email" minLength:"3" maxLength:"254" example:"jane@dealer.example"`
		Name     string  `json:"name" minLength:"1" maxLength:"100" example:"Jane Doe"`
		Role     Role    `json:"role" enum:"admin,manager,viewer"`
		Status   Status  `json:"status,omitempty" nullable:"true" enum:"active,disabled" default:"active"`
		Password *string `json:"password,omitempty" nullable:"true" maxLength:"1000" doc:"15 to 256 characters of any kind, not an obvious choice. Without one a password is generated and returned once."`
	}
}

// Resolve implements huma.Resolver.
func (in *createUserInput) Resolve(ctx huma.Context) []error {
	b := &in.Body
	besidePerson(ctx, Person{Email: b.Email, Name: b.Name, Role: b.Role, Status: cmp.Or(b.Status, StatusActive)}, b.Password)
	return nil
}

// besidePerson adds what can be said of a person and a password without the store.
func besidePerson(ctx huma.Context, p Person, password *string) {
	p.normalise()
	faults := p.faults()
	if password != nil {
		faults = append(faults, passwordForm("#/password", *password)...)
	}
	rest.Beside(ctx, faults...)
}

type createdUserOutput struct {
	Location string `header:"Location"`
	Body     struct {
		User     userBody `json:"user"`
		Password *string  `json:"password" nullable:"true" doc:"The generated password, shown this once; null when one was sent."`
	}
}

type userIDInput struct {
	ID string `path:"id" doc:"Id of the user."`
}

type userOutput struct {
	Body struct {
		User userBody `json:"user"`
	}
}

func userOutputOf(p Person) *userOutput {
	out := &userOutput{}
	out.Body.User = userBodyOf(p)
	return out
}

type listUsersOutput struct {
	Body struct {
		Users      []userBody      `json:"users"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

type patchUserInput struct {
	ID   string `path:"id" doc:"Id of the user."`
	Body struct {
		Email    rest.Optional[string] `json:"email,omitempty" minLength:"3" maxLength:"254"`
		Name     rest.Optional[string] `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Role     rest.Optional[Role]   `json:"role,omitempty" enum:"admin,manager,viewer"`
		Status   rest.Optional[Status] `json:"status,omitempty" enum:"active,disabled"`
		Password rest.Optional[string] `json:"password,omitempty" maxLength:"1000" doc:"A new password; ends the user's sessions."`
	}
}

// Resolve implements huma.Resolver.
func (in *patchUserInput) Resolve(ctx huma.Context) []error {
	c, nulls := in.change()
	p := Person{Email: "a@b.example", Name: "-", Role: RoleViewer, Status: StatusActive} // stands in for what is stored
	c.apply(&p)
	besidePerson(ctx, p, c.Password)
	return rest.Faults(nulls...)
}

// change reads the PATCH; no member of a user can be removed by null.
func (in *patchUserInput) change() (c PersonChange, nulls []errs.Fault) {
	b := &in.Body
	c = PersonChange{
		Email: member(b.Email, "#/email", &nulls), Name: member(b.Name, "#/name", &nulls), Role: member(b.Role, "#/role", &nulls),
		Status: member(b.Status, "#/status", &nulls), Password: member(b.Password, "#/password", &nulls),
	}
	return c, nulls
}

// member is what was sent for a member that null can't remove.
func member[T any](o rest.Optional[T], pointer string, nulls *[]errs.Fault) *T {
	switch {
	case !o.Set:
		return nil
	case o.Null:
		*nulls = append(*nulls, errs.At(pointer, "can't be null"))
		return nil
	}
	return &o.Value
}

// Register adds the routes of people.
func (ps *People) Register(api *rest.API) {
	const tag = "Users"
	admin := rest.Scope("admin")
	Handle(api, rest.Operation{
		ID: "list-users", Method: http.MethodGet, Path: "/users", Summary: "List the people of the dealer group", Tag: tag, Security: admin, Codes: []string{"invalid"},
	}, func(ctx context.Context, p Principal, in *rest.PageInput) (*listUsersOutput, error) {
		list, total, err := ps.List(ctx, p.Group, in.Page())
		out := &listUsersOutput{}
		out.Body.Users = make([]userBody, 0, len(list))
		for _, v := range list {
			out.Body.Users = append(out.Body.Users, userBodyOf(v))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	Handle(api, rest.Operation{
		ID: "create-user", Method: http.MethodPost, Path: "/users", Summary: "Add a person", Tag: tag, Security: admin, Confirms: true, Status: http.StatusCreated, Credentials: true, Codes: []string{"email_taken"},
	}, func(ctx context.Context, p Principal, in *createUserInput) (*createdUserOutput, error) {
		created, generated, err := ps.Create(ctx, p.Group, p.Actor(), PersonDraft(in.Body))
		out := &createdUserOutput{Location: rest.Prefix + "/users/" + created.ID}
		out.Body.User = userBodyOf(created)
		if generated != "" {
			out.Body.Password = &generated
		}
		return out, err
	})
	Handle(api, rest.Operation{
		ID: "get-user", Method: http.MethodGet, Path: "/users/{id}", Summary: "Show a person", Tag: tag, Security: admin,
	}, func(ctx context.Context, p Principal, in *userIDInput) (*userOutput, error) {
		found, err := ps.Get(ctx, p.Group, in.ID)
		return userOutputOf(found), err
	})
	Handle(api, rest.Operation{
		ID: "update-user", Method: http.MethodPatch, Path: "/users/{id}", Summary: "Change a person", Tag: tag, Security: admin, Confirms: true, Codes: []string{"email_taken", "last_admin"},
		Description: "In force on every replica when this has answered. A new password or `disabled` ends the person's sessions. The last active admin stays one (409 `last_admin`).",
	}, func(ctx context.Context, p Principal, in *patchUserInput) (*userOutput, error) {
		c, _ := in.change()
		changed, err := ps.Update(ctx, p.Group, p.Actor(), in.ID, c)
		return userOutputOf(changed), err
	})
	Handle(api, rest.Operation{
		ID: "delete-user", Method: http.MethodDelete, Path: "/users/{id}", Summary: "Remove a person", Tag: tag, Security: admin, Confirms: true, Status: http.StatusNoContent, Codes: []string{"last_admin"},
		Description: "Ends the person's sessions. The last active admin can't be removed (409 `last_admin`).",
	}, func(ctx context.Context, p Principal, in *userIDInput) (*struct{}, error) {
		return nil, ps.Delete(ctx, p.Group, p.Actor(), in.ID)
	})
}
