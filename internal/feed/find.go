package feed

import (
	"context"
	"fmt"
	"math"
	"strings"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// maxCandidates bounds the integrations that an error names.
const maxCandidates = 12

// FindIntegration returns the integration of an id or a name, in whatever case; with "" the only one there is. Names are not
// unique: the error for one that several go by, or none, lists the candidates.
func (f *Feeds) FindIntegration(ctx context.Context, t *sqldb.Tenant, nameOrID string) (Integration, error) {
	all, err := selectIntegrations(ctx, t, rest.Page{Limit: math.MaxInt32})
	if err != nil {
		return Integration{}, err
	}
	wanted := strings.TrimSpace(nameOrID)
	var found []Integration
	for _, i := range all {
		if i.ID == wanted {
			return i, nil
		}
		if wanted == "" || strings.EqualFold(i.Name, wanted) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(all) == 0:
		return Integration{}, errs.NotFound("not_found", "There is no integration yet.")
	case wanted == "":
		return Integration{}, errs.NotFound("not_found", "Say which integration:"+choices(all))
	case len(found) == 0:
		return Integration{}, errs.NotFound("not_found", fmt.Sprintf("There is no integration %q. There are:%s", wanted, choices(all)))
	}
	return Integration{}, errs.NotFound("not_found", fmt.Sprintf("Several integrations are called %q; name one by its id:%s", wanted, choices(found)))
}

// choices are integrations to choose from, a line each.
func choices(list []Integration) string {
	var b strings.Builder
	for _, i := range list[:min(len(list), maxCandidates)] {
		fmt.Fprintf(&b, "\n  %s  %s (%s)", i.ID, i.Name, i.Type)
	}
	if more := len(list) - maxCandidates; more > 0 {
		fmt.Fprintf(&b, "\n  … and %d more", more)
	}
	return b.String()
}

// FindLog returns a file's log whichever integration of the group it belongs to.
func (f *Feeds) FindLog(ctx context.Context, t *sqldb.Tenant, runID string) (Run, error) {
	r, err := selectRunByID(ctx, t, runID)
	if err != nil {
		return Run{}, err
	}
	f.watch(&r)
	return r, nil
}
