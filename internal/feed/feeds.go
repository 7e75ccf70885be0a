package feed

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"carfluence/internal/dealer"
	"carfluence/internal/inventory"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
)

// Feeds is the collective of integrations and their files.
type Feeds struct {
	DB      *sqldb.DB // the stock store
	Stock   *inventory.Stock
	Dealers *dealer.Dealers
	Secret  []byte // the server's; see docs/architecture.md, "One secret"
	Spool   string // folder for temporary files
	Limits  Limits
	SFTP    SFTPAddress
	Now     func() time.Time
	Log     *slog.Logger

	// Enqueue makes Work be called for an integration once the caller's transaction has ended.
	Enqueue func(ctx context.Context, tx *sqldb.Tenant, integrationID string) error

	// Ended is told of every file that is done with or held, for metrics; optional.
	Ended func(status string, c Counts)

	uploads, previews gate

	failures failures
	writing  sync.WaitGroup // audit rows of failed logins on their way
}

// Limits on what integrations may do; see DefaultLimits.
type Limits struct {
	FileBytes int64      // of one file as received
	Unpack    sheet.Caps // on what it may be unpacked to
	Guard     Guard
	Queued    int64         // files of one integration that wait
	Uploads   int64         // over HTTP under way at once, in all
	UploadsOf int64         // and for one integration
	Problems  int64         // row errors, and warnings, kept of one file each
	KeptFiles int64         // of an integration, for reprocessing
	LogAge    time.Duration // after which logs are forgotten
}

// DefaultLimits are the limits unless set otherwise.
var DefaultLimits = Limits{FileBytes: 1 << 30, Guard: DefaultGuard, Queued: 1000, Uploads: 16, UploadsOf: 4, Problems: 10_000, KeptFiles: 10, LogAge: 400 * 24 * time.Hour}

// SFTPAddress is where integrations drop their files, as answers show it. Set it before the routes are served.
type SFTPAddress struct {
	Host        string // "localhost" when empty
	Port        int    // 2222 when 0
	Fingerprint string // of the host key, "SHA256:…"; "" while there is none
}
