package feed

import (
	"context"
	"log/slog"
	"sync"
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
	SFTP    SFTPAddress
	Now     func() time.Time
	Log     *slog.Logger

	// Resumed is told, in the same transaction, that an integration takes files again after a pause.
	Resumed func(ctx context.Context, tx *sqldb.Tenant, integrationID string) error

	failures failures
	writing  sync.WaitGroup // audit rows of failed logins on their way
}

// Limits on what integrations may do.
type Limits struct{}

// SFTPAddress is where integrations drop their files, as answers show it. Set it before the routes are served.
type SFTPAddress struct {
	Host        string // "localhost" when empty
	Port        int    // 2222 when 0
	Fingerprint string // of the host key, "SHA256:…"; "" while there is none
}
