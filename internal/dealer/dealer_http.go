package dealer

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

type dealerBody struct {
	ID         string      `json:"id" doc:"UUID of the dealership; dealershipId in requests, dealership_id in records elsewhere." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Name       string      `json:"name" example:"Lakeside Motors"`
	Codes      []string    `json:"codes" doc:"What feeds call it by; texts, leading zeros count." example:"[\"MP4164\"]"`
	Aliases    []aliasBody `json:"aliases" doc:"Other spellings of its name or codes in feeds."`
	Address    *string     `json:"address" nullable:"true"`
	City       *string     `json:"city" nullable:"true"`
	Region     *string     `json:"region" nullable:"true" doc:"State or province." example:"TX"`
	PostalCode *string     `json:"postal_code" nullable:"true"`
	Country    *string     `json:"country" nullable:"true" example:"US"`
	Phone      *string     `json:"phone" nullable:"true"`
	Website    *string     `json:"website" nullable:"true"`
	TimeZone   string      `json:"time_zone" doc:"IANA name; days on lot are counted in it." example:"America/Chicago"`
	Currency   string      `json:"currency" doc:"ISO 4217; the currency of its vehicles' prices." example:"USD"`
	Latitude   *float64    `json:"latitude" nullable:"true" doc:"Degrees, WGS 84."`
	Longitude  *float64    `json:"longitude" nullable:"true" doc:"Degrees, WGS 84."`
	CreatedAt  time.Time   `json:"created_at"`
	UpdatedAt  time.Time   `json:"updated_at"`
}

type aliasBody struct {
	ID        string    `json:"id"`
	Alias     string    `json:"alias" example:"Lakeside Chevy Ford"`
	CreatedAt time.Time `json:"created_at"`
}

func bodyOf(d Dealer) dealerBody {
	b := dealerBody{
		ID: d.ID, Name: d.Name, Codes: d.Codes, Aliases: []aliasBody{},
		Address: rest.TextOrNull(d.Address), City: rest.TextOrNull(d.City), Region: rest.TextOrNull(d.Region), PostalCode: rest.TextOrNull(d.PostalCode), Country: rest.TextOrNull(d.Country),
		Phone: rest.TextOrNull(d.Phone), Website: rest.TextOrNull(d.Website), TimeZone: d.TimeZone, Currency: d.Currency, Latitude: d.Latitude, Longitude: d.Longitude,
		CreatedAt: rest.Seconds(d.CreatedAt), UpdatedAt: rest.Seconds(d.UpdatedAt),
	}
	for _, a := range d.Aliases {
		b.Aliases = append(b.Aliases, aliasBody{a.ID, a.Alias, rest.Seconds(a.CreatedAt)})
	}
	return b
}

// Particulars are what both POST and PATCH take beside the name; null means unknown, or the default.
type Particulars struct {
	Codes      rest.Optional[[]string] `json:"codes,omitempty" nullable:"true" maxItems:"50"`
	Address    rest.Optional[string]   `json:"address,omitempty" nullable:"true" maxLength:"200"`
	City       rest.Optional[string]   `json:"city,omitempty" nullable:"true" maxLength:"200"`
	Region     rest.Optional[string]   `json:"region,omitempty" nullable:"true" maxLength:"200"`
	PostalCode rest.Optional[string]   `json:"postal_code,omitempty" nullable:"true" maxLength:"200"`
	Country    rest.Optional[string]   `json:"country,omitempty" nullable:"true" maxLength:"200"`
	Phone      rest.Optional[string]   `json:"phone,omitempty" nullable:"true" maxLength:"200"`
	Website    rest.Optional[string]   `json:"website,omitempty" nullable:"true" maxLength:"2000"`
	TimeZone   rest.Optional[string]   `json:"time_zone,omitempty" nullable:"true" doc:"IANA name; UTC unless given."`
	Currency   rest.Optional[string]   `json:"currency,omitempty" nullable:"true" doc:"ISO 4217; USD unless given."`
	Latitude   rest.Optional[float64]  `json:"latitude,omitempty" nullable:"true" minimum:"-90" maximum:"90"`
	Longitude  rest.Optional[float64]  `json:"longitude,omitempty" nullable:"true" minimum:"-180" maximum:"180"`
}

// faults are what a schema can't tell, to be named beside the schema's own. An empty name is the schema's to name.
func (f Particulars) faults(name string) []error {
	d := Dealer{Name: cmp.Or(name, "-")}
	f.apply(&d)
	if err := d.complete(); err != nil {
		return []error{err}
	}
	return nil
}

// apply merges what was sent into d (RFC 7396).
func (f Particulars) apply(d *Dealer) {
	merge(&d.Codes, f.Codes)
	merge(&d.Address, f.Address)
	merge(&d.City, f.City)
	merge(&d.Region, f.Region)
	merge(&d.PostalCode, f.PostalCode)
	merge(&d.Country, f.Country)
	merge(&d.Phone, f.Phone)
	merge(&d.Website, f.Website)
	merge(&d.TimeZone, f.TimeZone)
	merge(&d.Currency, f.Currency)
	if f.Latitude.Set {
		d.Latitude = pointer(f.Latitude)
	}
	if f.Longitude.Set {
		d.Longitude = pointer(f.Longitude)
	}
}

// merge overwrites what was sent; null is the zero value.
func merge[T any](to *T, from rest.Optional[T]) {
	if from.Set {
		*to = from.Value
	}
}

func pointer(o rest.Optional[float64]) *float64 {
	if o.Null {
		return nil
	}
	return &o.Value
}

type createDealerInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"200" pattern:"\\S" patternDescription:"more than blanks" doc:"Unique in the dealer group." example:"Lakeside Motors"`
		Particulars
	}
}

// Resolve implements huma.Resolver.
func (in *createDealerInput) Resolve(huma.Context) []error {
	return in.Body.faults(in.Body.Name)
}

type patchDealerInput struct {
	ID   string `path:"id" doc:"Id of the dealership."`
	Body struct {
		Name rest.Optional[string] `json:"name,omitempty" minLength:"1" maxLength:"200" pattern:"\\S" patternDescription:"more than blanks"`
		Particulars
	}
}

// Resolve implements huma.Resolver.
func (in *patchDealerInput) Resolve(huma.Context) []error {
	list := in.Body.faults(in.Body.Name.Value)
	if in.Body.Name.Null {
		list = append(list, rest.Faults(errs.At("#/name", "can't be null"))...)
	}
	return list
}

type dealerIDInput struct {
	ID string `path:"id" doc:"Id of the dealership."`
}

type addAliasInput struct {
	ID   string `path:"id" doc:"Id of the dealership."`
	Body struct {
		Alias string `json:"alias" minLength:"1" maxLength:"200" doc:"A source's spelling of the name or of a code; upper and lower case are the same." example:"Lakeside Chevy Ford"`
	}
}

type aliasIDInput struct {
	ID      string `path:"id" doc:"Id of the dealership."`
	AliasID string `path:"aliasId" doc:"Id of the alias."`
}

type aliasTextInput struct {
	ID    string `path:"id" doc:"Id of the dealership."`
	Alias string `query:"alias" required:"true" minLength:"1" doc:"The alias; upper and lower case are the same."`
}

type dealerOutput struct {
	Body struct {
		Dealer dealerBody `json:"dealer"`
	}
}

type createdDealerOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Dealer dealerBody `json:"dealer"`
	}
}

type listDealersOutput struct {
	Body struct {
		Dealers    []dealerBody    `json:"dealers"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

const (
	tag        = "Dealers"
	readScope  = "dealers:read"
	writeScope = "dealers:write"
)

// Register adds the routes of dealerships.
func (d *Dealers) Register(api *rest.API) {
	d.registerDealers(api)
	d.registerAliases(api)
}

func (d *Dealers) registerDealers(api *rest.API) {
	read, write := rest.Scope(readScope), rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "list-dealers", Method: http.MethodGet, Path: "/dealers", Summary: "List dealerships", Tag: tag, Security: read, Codes: []string{"invalid"},
		Description: "Newest first.",
	}, func(ctx context.Context, p auth.Principal, in *rest.PageInput) (*listDealersOutput, error) {
		list, total, err := d.List(ctx, d.DB.Tenant(p.Group), in.Page())
		out := &listDealersOutput{}
		out.Body.Dealers = make([]dealerBody, 0, len(list))
		for _, dealer := range list {
			out.Body.Dealers = append(out.Body.Dealers, bodyOf(dealer))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "create-dealer", Method: http.MethodPost, Path: "/dealers", Summary: "Create a dealership", Tag: tag, Security: write,
		Status: http.StatusCreated, Codes: []string{"dealer_name_taken", "alias_taken"},
		Description: "A name, code or alias belongs to one dealership of the group; 409 says which one holds it.",
	}, func(ctx context.Context, p auth.Principal, in *createDealerInput) (*createdDealerOutput, error) {
		draft := Dealer{Name: in.Body.Name}
		in.Body.apply(&draft)
		dealer, err := d.Create(ctx, d.DB.Tenant(p.Group), p.Actor(), draft)
		out := &createdDealerOutput{Location: rest.Prefix + "/dealers/" + dealer.ID}
		out.Body.Dealer = bodyOf(dealer)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-dealer", Method: http.MethodGet, Path: "/dealers/{id}", Summary: "Show a dealership", Tag: tag, Security: read,
	}, func(ctx context.Context, p auth.Principal, in *dealerIDInput) (*dealerOutput, error) {
		return output(d.Get(ctx, d.DB.Tenant(p.Group), in.ID))
	})
	auth.Handle(api, rest.Operation{
		ID: "update-dealer", Method: http.MethodPatch, Path: "/dealers/{id}", Summary: "Change a dealership", Tag: tag, Security: write, Codes: []string{"dealer_name_taken", "alias_taken"},
		Description: "Members that are not sent stay as they are; null empties a member, or gives it its default (RFC 7396).",
	}, func(ctx context.Context, p auth.Principal, in *patchDealerInput) (*dealerOutput, error) {
		return output(d.Update(ctx, d.DB.Tenant(p.Group), p.Actor(), in.ID, func(stored *Dealer) {
			merge(&stored.Name, in.Body.Name)
			in.Body.apply(stored)
		}))
	})
	auth.Handle(api, rest.Operation{
		ID: "delete-dealer", Method: http.MethodDelete, Path: "/dealers/{id}", Summary: "Delete a dealership", Tag: tag, Security: write,
		Status: http.StatusNoContent, Codes: []string{"dealer_has_vehicles", "dealer_has_integrations", "conflict"},
		Description: "A dealership that holds vehicles can't be deleted: 409 `dealer_has_vehicles` says how many. Nor can one that integrations\n" +
			"belong to: 409 `dealer_has_integrations` says which.",
	}, func(ctx context.Context, p auth.Principal, in *dealerIDInput) (*struct{}, error) {
		return nil, d.Delete(ctx, d.DB.Tenant(p.Group), p.Actor(), in.ID)
	})
}

func (d *Dealers) registerAliases(api *rest.API) {
	write := rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "add-dealer-alias", Method: http.MethodPost, Path: "/dealers/{id}/aliases", Summary: "Give a dealership an alias", Tag: tag, Security: write,
		Status: http.StatusCreated, Codes: []string{"alias_taken", "too_many_aliases"},
		Description: "Feeds that use this spelling mean this dealership from now on.",
	}, func(ctx context.Context, p auth.Principal, in *addAliasInput) (*createdDealerOutput, error) {
		dealer, err := d.AddAlias(ctx, d.DB.Tenant(p.Group), p.Actor(), in.ID, in.Body.Alias)
		out := &createdDealerOutput{}
		for _, a := range dealer.Aliases {
			if Fold(a.Alias) == Fold(in.Body.Alias) {
				out.Location = rest.Prefix + "/dealers/" + dealer.ID + "/aliases/" + a.ID
			}
		}
		out.Body.Dealer = bodyOf(dealer)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "remove-dealer-alias", Method: http.MethodDelete, Path: "/dealers/{id}/aliases/{aliasId}", Summary: "Take an alias away", Tag: tag, Security: write,
		Status: http.StatusNoContent,
	}, func(ctx context.Context, p auth.Principal, in *aliasIDInput) (*struct{}, error) {
		return nil, d.RemoveAlias(ctx, d.DB.Tenant(p.Group), p.Actor(), in.ID, in.AliasID)
	})
	auth.Handle(api, rest.Operation{
		ID: "remove-dealer-alias-by-text", Method: http.MethodDelete, Path: "/dealers/{id}/aliases", Summary: "Take an alias away by its text", Tag: tag, Security: write,
		Status: http.StatusNoContent, Codes: []string{"invalid"},
	}, func(ctx context.Context, p auth.Principal, in *aliasTextInput) (*struct{}, error) {
		return nil, d.RemoveAlias(ctx, d.DB.Tenant(p.Group), p.Actor(), in.ID, in.Alias)
	})
}

func output(d Dealer, err error) (*dealerOutput, error) {
	out := &dealerOutput{}
	out.Body.Dealer = bodyOf(d)
	return out, err
}
