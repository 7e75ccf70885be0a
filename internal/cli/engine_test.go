package cli

import (
	"strings"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// newFolder is an empty data folder. On PostgreSQL the commands that come then work on a new database.
func newFolder(t testing.TB) string {
	t.Helper()
	if sqldbtest.Engine() == sqldb.PostgreSQL {
		onServer(t, sqldbtest.New(t).URL())
	}
	return t.TempDir()
}

func onServer(t testing.TB, url string) {
	t.Setenv("CARFLUENCE_DATABASE", url)
	t.Setenv("CARFLUENCE_DATABASE_CONNECTIONS", "10")
	t.Setenv("CARFLUENCE_SECRET", strings.Repeat("secret", 6))
}
