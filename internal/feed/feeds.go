package feed

import (
	"log/slog"
	"time"

	"carfluence/internal/dealer"
	"carfluence/internal/inventory"
	"carfluence/internal/sqldb"
)

// Feeds is the collective of integrations and their files.
type Feeds struct {
	DB      *sqldb.DB // the stock store
	Stock   *inventory.Stock
	Dealers *dealer.Dealers
	Secret  []byte // the server's; see docs/architecture.md, "One secret"
	Limits  Limits
	Now     func() time.Time
	Log     *slog.Logger
}

// Limits on what integrations may do.
type Limits struct{}
