package inventory

import (
	"context"

	"carfluence/internal/sqldb"
)

// Edition counts the changes of a group's rules and of its default merge config: vehicles written in an earlier one may
// show something else when they are written again.
func (s *Stock) Edition(ctx context.Context, t *sqldb.Tenant) (int64, error) {
	return selectEdition(ctx, t)
}

// RaiseEdition tells, in the transaction that changes rules or the default merge config, that vehicles may show something
// else now.
func (s *Stock) RaiseEdition(ctx context.Context, tx *sqldb.Tenant) error {
	return raiseEdition(ctx, tx)
}
