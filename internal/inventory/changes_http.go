package inventory

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

type changesInput struct {
	Since  string `query:"since" doc:"The cursor: next of the latest answer, as it came. Without it the changes begin with all vehicles there are."`
	Limit  int64  `query:"limit" default:"200" minimum:"1" doc:"How many changes, 1 to 1000; more is cut to 1000."`
	Wait   int64  `query:"wait" default:"0" minimum:"0" maximum:"60" doc:"Seconds to wait for a change when there is none."`
	Status string `query:"status" enum:"active,sold,all" doc:"Which vehicles to follow: active ones where it is left out, or those the cursor follows. A vehicle that is not one of them any more is removed; with all, none is."`
}

func (s *Stock) registerChanges(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "follow-inventory", Method: http.MethodGet, Path: "/inventory/changes", Summary: "Follow the changes of vehicles", Tag: "Inventory", Security: rest.Scope("inventory:read"),
		Codes: []string{"invalid", "cursor_expired"}, Fresh: true, Answer: changesAnswer{},
		Description: "For a copy of the stock: begin without `since`, store each vehicle that is upserted, drop each that is removed, keep `next` together with them, and send it as `since` of the next call: at once while `more` is true, with `wait` otherwise. Nothing is left out, however much is written meanwhile. Each vehicle comes as it is now, so several changes in a row may come as one, and one may come again. A removal may be of a vehicle that the copy does not have.\n\n" +
			"410 `cursor_expired` when changes since the cursor are not known, as after a restored backup: start again without `since`. With `wait`, 503 when too many calls wait, or when the server is about to stop.",
	}, s.changes)
}

func (s *Stock) changes(ctx context.Context, p auth.Principal, in *changesInput) (*encoded, error) {
	followed, since := Followed(in.Status), (*Cursor)(nil)
	if in.Since != "" {
		var err error
		if since, err = ParseCursor(p.Group, in.Since); err != nil {
			return nil, err
		}
		if followed != "" && followed != since.Followed {
			return nil, errs.Invalid("invalid", "The cursor follows other vehicles.", errs.In("status", "differs from the cursor's, which is "+string(since.Followed)+"; send that or none, or start again without since"))
		}
		followed = since.Followed
	}
	if followed == "" {
		followed = FollowActive
	}
	wait := time.Duration(in.Wait) * time.Second
	c, err := s.Follow(ctx, s.db.Tenant(p.Group), followed, since, int(min(in.Limit, MaxChanges)), wait)
	if err == nil && wait > 0 { // the caller may have lost its rights meanwhile
		err = rest.From(ctx).StillAllowed()
	}
	if err != nil {
		return nil, err
	}
	body := append(append(make([]byte, 0, len(c.List)+200), `{"changes":`...), c.List...)
	body = append(append(append(body, `,"next":"`...), c.Next.Text(p.Group)...), `","more":`...)
	body = append(strconv.AppendBool(body, c.More), '}')
	return &encoded{Status: http.StatusOK, ContentType: jsonType, Body: body}, nil
}

// The shape of the answer, for the document; the answer itself is written by changes.go.
type (
	changesAnswer struct {
		Changes []changeAnswer `json:"changes" doc:"In their order."`
		Next    string         `json:"next" doc:"The cursor after these changes."`
		More    bool           `json:"more" doc:"There are more changes already; changes may be empty all the same."`
	}
	changeAnswer struct {
		Type      string         `json:"type" enum:"upsert,remove"`
		Vehicle   *listedVehicle `json:"vehicle,omitempty" doc:"With upsert."`
		VIN       string         `json:"vin,omitempty" doc:"With remove."`
		Reason    string         `json:"reason,omitempty" enum:"sold,relisted" doc:"With remove: why it is not followed any more."`
		RemovedAt *time.Time     `json:"removed_at,omitempty" doc:"With remove."`
	}
)
