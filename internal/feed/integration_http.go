package feed

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
)

// IntegrationBody is an integration on the wire.
type IntegrationBody struct {
	ID               string            `json:"id" doc:"UUID of the integration." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	DealershipID     string            `json:"dealershipId" doc:"Holds the vehicles of rows that name no dealership, or an unknown one." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Type             string            `json:"type" enum:"vauto,homenet,elead,custom"`
	Name             string            `json:"name" example:"vAuto nightly"`
	Status           string            `json:"status" enum:"pending,active,paused,error" doc:"pending until the first file; error when the latest file failed; paused takes no files."`
	StatusReason     *string           `json:"statusReason" nullable:"true" doc:"What went wrong last, while the status is error."`
	SyncSettings     syncBody          `json:"syncSettings"`
	DateOrder        string            `json:"dateOrder" enum:"month_first,day_first" doc:"How dates such as 03/04/2026 are read."`
	DecimalSeparator string            `json:"decimalSeparator" enum:"point,comma" doc:"How numbers are written."`
	Mappings         map[string]string `json:"mappings" doc:"Source column to field, beyond what is known of the type; an empty field takes a column out." example:"{\"Lot Price\":\"price\"}"`
	Drift            *string           `json:"drift" nullable:"true" doc:"How the columns of the latest file differ from the one before; null when they don't."`
	CreatedAt        time.Time         `json:"createdAt"`
	UpdatedAt        time.Time         `json:"updatedAt"`
}

type syncBody struct {
	Strategy       string `json:"strategy" enum:"overwrite,merge,update_only" doc:"What becomes of vehicles that a file does not list."`
	SoldGraceSyncs int64  `json:"sold_grace_syncs" doc:"merge: files in a row that do not list a vehicle before it is sold." example:"2"`
	SoldGraceHours int64  `json:"sold_grace_hours" doc:"merge: hours since the first of them before it is sold." example:"24"`
	TrackHistory   bool   `json:"track_history" doc:"Whether changes are kept in the vehicles' history." example:"true"`
}

func bodyOf(i Integration) IntegrationBody {
	b := IntegrationBody{
		ID: i.ID, DealershipID: i.DealershipID, Type: i.Type, Name: i.Name, Status: i.Status, StatusReason: rest.TextOrNull(i.StatusReason),
		SyncSettings: syncBody(i.Sync), DateOrder: i.dateOrder(), DecimalSeparator: i.decimalSeparator(), Mappings: i.Mappings, Drift: rest.TextOrNull(i.Drift),
		CreatedAt: rest.Seconds(i.CreatedAt), UpdatedAt: rest.Seconds(i.UpdatedAt),
	}
	if b.Mappings == nil {
		b.Mappings = map[string]string{}
	}
	return b
}

// syncInput is syncSettings as POST and PATCH take them; null is the default.
type syncInput struct {
	_              struct{}              `nullable:"true"`
	Strategy       rest.Optional[string] `json:"strategy,omitempty" nullable:"true" enum:"overwrite,merge,update_only" doc:"merge unless given. What becomes of vehicles that a file does not list: overwrite sells them at once, merge after the grace, update_only leaves them, and creates none."`
	SoldGraceSyncs rest.Optional[int64]  `json:"sold_grace_syncs,omitempty" nullable:"true" minimum:"1" maximum:"100" doc:"2 unless given."`
	SoldGraceHours rest.Optional[int64]  `json:"sold_grace_hours,omitempty" nullable:"true" minimum:"0" maximum:"2160" doc:"24 unless given."`
	TrackHistory   rest.Optional[bool]   `json:"track_history,omitempty" nullable:"true" doc:"true unless given."`
}

// Reading is what both POST and PATCH take of how files are read; null is the default.
type Reading struct {
	SyncSettings     rest.Optional[syncInput] `json:"syncSettings,omitempty" doc:"Merged member by member."`
	DateOrder        rest.Optional[string]    `json:"dateOrder,omitempty" nullable:"true" enum:"month_first,day_first" doc:"How dates such as 03/04/2026 are read; month_first unless given."`
	DecimalSeparator rest.Optional[string]    `json:"decimalSeparator,omitempty" nullable:"true" enum:"point,comma" doc:"How numbers are written; point unless given."`
}

// apply merges what was sent into i (RFC 7396).
func (r Reading) apply(i *Integration) {
	if r.SyncSettings.Null {
		i.Sync = DefaultSync
	}
	s := r.SyncSettings.Value
	merge(&i.Sync.Strategy, s.Strategy, DefaultSync.Strategy)
	merge(&i.Sync.SoldGraceSyncs, s.SoldGraceSyncs, DefaultSync.SoldGraceSyncs)
	merge(&i.Sync.SoldGraceHours, s.SoldGraceHours, DefaultSync.SoldGraceHours)
	merge(&i.Sync.TrackHistory, s.TrackHistory, DefaultSync.TrackHistory)
	if r.DateOrder.Set {
		i.DayFirst = r.DateOrder.Value == dayFirst
	}
	if r.DecimalSeparator.Set {
		i.DecimalComma = r.DecimalSeparator.Value == comma
	}
}

// merge overwrites what was sent; null is the default.
func merge[T any](to *T, from rest.Optional[T], byDefault T) {
	if from.Set {
		*to = from.OrElse(byDefault)
	}
}

type createIntegrationInput struct {
	Body struct {
		DealershipID string `json:"dealershipId" minLength:"1" maxLength:"36" doc:"Holds the vehicles of rows that name no dealership, or an unknown one." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
		Type         string `json:"type" enum:"vauto,homenet,elead,custom" doc:"Whose files come; settles how columns are mapped. elead files are opportunities: they fill gaps and create nothing."`
		Name         string `json:"name" minLength:"1" maxLength:"100" pattern:"\\S" patternDescription:"more than blanks" example:"vAuto nightly"`
		Reading
		Mappings map[string]string `json:"mappings,omitempty" nullable:"true" doc:"Source column to field, beyond what is known of the type; an empty field takes a column out." example:"{\"Lot Price\":\"price\"}"`
	}
}

func (in *createIntegrationInput) draft() Integration {
	b := &in.Body
	i := Integration{DealershipID: b.DealershipID, Type: b.Type, Name: b.Name, Sync: DefaultSync, Mappings: b.Mappings}
	b.apply(&i)
	return i
}

// Resolve implements huma.Resolver: what a schema can't tell, to be named beside the schema's own faults.
func (in *createIntegrationInput) Resolve(huma.Context) []error {
	draft := in.draft()
	return listed(draft.complete())
}

type patchIntegrationInput struct {
	ID   string `path:"id" doc:"Id of the integration."`
	Body struct {
		DealershipID rest.Optional[string] `json:"dealershipId,omitempty" minLength:"1" maxLength:"36"`
		Name         rest.Optional[string] `json:"name,omitempty" minLength:"1" maxLength:"100" pattern:"\\S" patternDescription:"more than blanks"`
		Status       rest.Optional[string] `json:"status,omitempty" enum:"active,paused" doc:"paused ends all connections and lets files that have arrived wait; active goes on with them, and ends an error."`
		Reading
	}
}

func (in *patchIntegrationInput) apply(i *Integration) {
	b := &in.Body
	merge(&i.DealershipID, b.DealershipID, "")
	merge(&i.Name, b.Name, "")
	merge(&i.Status, b.Status, "")
	b.Reading.apply(i)
}

// Resolve implements huma.Resolver.
func (in *patchIntegrationInput) Resolve(huma.Context) []error {
	draft := Integration{DealershipID: "-", Type: mapping.TypeCustom, Name: "-", Status: StatusActive, Sync: DefaultSync}
	in.apply(&draft)
	return listed(draft.complete(statusFaults(draft.Status)...))
}

func listed(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

type integrationIDInput struct {
	ID string `path:"id" doc:"Id of the integration."`
}

type integrationOutput struct {
	Body struct {
		Integration IntegrationBody `json:"integration"`
	}
}

type listIntegrationsOutput struct {
	Body struct {
		Integrations []IntegrationBody `json:"integrations"`
		Pagination   rest.Pagination   `json:"pagination"`
	}
}

// SFTPBody is where files are dropped.
type SFTPBody struct {
	Host               string  `json:"host" example:"inventory.example.com"`
	Port               int     `json:"port" example:"2222"`
	Username           string  `json:"username" example:"vauto-k3f7q2m5xd"`
	HostKeyFingerprint *string `json:"hostKeyFingerprint" nullable:"true" doc:"Of the server's host key; null while no SFTP server runs." example:"SHA256:uNiVztksCsDhcc0u9e8BrqXoxtHLT4zYmQoiR6U5XoQ"`
}

func (f *Feeds) sftpBody(username string) SFTPBody {
	a := f.SFTP
	return SFTPBody{Host: cmp.Or(a.Host, "localhost"), Port: cmp.Or(a.Port, 2222), Username: username, HostKeyFingerprint: rest.TextOrNull(a.Fingerprint)}
}

type credentialsBody struct {
	SFTPBody
	Password string `json:"password" doc:"Shown this once." example:"3kTn0vYQ2dLr8bXcW5zJ7mGpHsA1fE9u"`
}

func (f *Feeds) credentialsBody(c Credentials) credentialsBody {
	return credentialsBody{f.sftpBody(c.Username), c.Password}
}

type createdIntegrationOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Integration IntegrationBody `json:"integration"`
		SFTP        credentialsBody `json:"sftp"`
	}
}

type wholeIntegrationOutput struct {
	Body struct {
		Integration wholeIntegrationBody `json:"integration"`
	}
}

type wholeIntegrationBody struct {
	IntegrationBody
	SFTP keyedSFTPBody `json:"sftp"`
}

type keyedSFTPBody struct {
	SFTPBody
	PublicKeys []sshKeyBody `json:"publicKeys" doc:"What logs in instead of the password."`
}

func (f *Feeds) registerIntegrations(api *rest.API) {
	read, write := rest.Scope(readScope), rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "list-integrations", Method: http.MethodGet, Path: "/integrations", Summary: "List integrations", Tag: tag, Security: read, Codes: []string{"invalid"},
		Description: "Newest first.",
	}, func(ctx context.Context, p auth.Principal, in *rest.PageInput) (*listIntegrationsOutput, error) {
		list, total, err := f.Integrations(ctx, f.DB.Tenant(p.Group), in.Page())
		out := &listIntegrationsOutput{}
		out.Body.Integrations = make([]IntegrationBody, 0, len(list))
		for _, i := range list {
			out.Body.Integrations = append(out.Body.Integrations, bodyOf(i))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "create-integration", Method: http.MethodPost, Path: "/integrations", Summary: "Create an integration", Tag: tag, Security: write,
		Status: http.StatusCreated, Credentials: true,
		Description: "The answer holds the SFTP login of whoever sends the files. Its password is shown this once.",
	}, func(ctx context.Context, p auth.Principal, in *createIntegrationInput) (*createdIntegrationOutput, error) {
		i, c, err := f.CreateIntegration(ctx, f.DB.Tenant(p.Group), p.Actor(), in.draft())
		if err != nil {
			return nil, err
		}
		out := &createdIntegrationOutput{Location: rest.Prefix + "/integrations/" + i.ID}
		out.Body.Integration, out.Body.SFTP = bodyOf(i), f.credentialsBody(c)
		return out, nil
	})
	auth.Handle(api, rest.Operation{
		ID: "get-integration", Method: http.MethodGet, Path: "/integrations/{id}", Summary: "Show an integration", Tag: tag, Security: read,
	}, func(ctx context.Context, p auth.Principal, in *integrationIDInput) (*wholeIntegrationOutput, error) {
		i, keys, err := f.whole(ctx, p.Group, in.ID)
		out := &wholeIntegrationOutput{}
		out.Body.Integration = wholeIntegrationBody{bodyOf(i), keyedSFTPBody{f.sftpBody(i.Username), keyBodies(keys)}}
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "update-integration", Method: http.MethodPatch, Path: "/integrations/{id}", Summary: "Change an integration", Tag: tag, Security: write,
		Description: "Members that are not sent stay as they are; null gives a setting its default (RFC 7396).",
	}, func(ctx context.Context, p auth.Principal, in *patchIntegrationInput) (*integrationOutput, error) {
		i, err := f.UpdateIntegration(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.apply)
		out := &integrationOutput{}
		out.Body.Integration = bodyOf(i)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "delete-integration", Method: http.MethodDelete, Path: "/integrations/{id}", Summary: "Delete an integration", Tag: tag, Security: write,
		Status:      http.StatusNoContent,
		Description: "Its SFTP login ends at once, its files and logs are removed. The vehicles it brought stay.",
	}, func(ctx context.Context, p auth.Principal, in *integrationIDInput) (*struct{}, error) {
		return nil, f.DeleteIntegration(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID)
	})
}

// whole is an integration with all its keys.
func (f *Feeds) whole(ctx context.Context, group, id string) (Integration, []SSHKey, error) {
	t := f.DB.Tenant(group)
	i, err := f.Integration(ctx, t, id)
	keys, _, keysErr := f.SSHKeys(ctx, t, id, rest.Page{Limit: maxSSHKeys})
	return i, keys, errors.Join(err, keysErr)
}
