package auth

import (
	"context"
	"fmt"

	"carfluence/internal/lease"
	"carfluence/internal/rest"
)

// tellConfirmed says in the answer under way, if there is one, how the change came into force: an RFC 9651 item,
// how many replicas confirmed it, of how many, in how many milliseconds.
func tellConfirmed(ctx context.Context, c lease.Confirmation) {
	if x := rest.From(ctx); x != nil {
		x.Header().Set(rest.ConfirmedHeader, fmt.Sprintf("%d;of=%d;ms=%d", c.Confirmed, c.Replicas, c.Took.Milliseconds()))
	}
}
