package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/feed"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// storeIn is a folder, and on PostgreSQL a database that belongs to it for the time of the test.
func storeIn(t testing.TB, dir string) Store {
	t.Helper()
	if sqldbtest.Engine() == sqldb.SQLite {
		return Store{Data: dir}
	}
	if os.Getenv("CARFLUENCE_SECRET") == "" {
		t.Setenv("CARFLUENCE_SECRET", strings.Repeat("secret", 6))
	}
	place, ok := places.Load(dir)
	if !ok {
		place = sqldbtest.New(t).URL()
		places.Store(dir, place)
		t.Cleanup(func() { places.Delete(dir) })
	}
	return Store{Data: dir, Database: Database{Database: place.(string), DatabaseConnections: 10}}
}

var places sync.Map // folder → URL

func openStores(t *testing.T, dir string) (*Stores, error) {
	t.Helper()
	s, err := OpenStores(t.Context(), storeIn(t, dir))
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAFirstStartCanBeCutShortAnywhere leaves what a kill between two steps leaves, and starts again.
func TestAFirstStartCanBeCutShortAnywhere(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "it is about the files in the data folder")
	for name, files := range map[string][]string{
		"nothing":                       {},
		"the accounts' empty file":      {accountsFile},
		"both empty files":              {accountsFile, stockFile},
		"a secret that was not written": {accountsFile, stockFile, secretFile + ".part"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range files {
				write(t, filepath.Join(dir, f), "")
			}
			s, err := openStores(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			again, err := openStores(t, dir)
			if err != nil || string(again.Secret) != string(s.Secret) || len(s.Secret) < minSecret {
				t.Errorf("secret %q, then %q: %v", s.Secret, again.Secret, err)
			}
			if info, err := os.Stat(filepath.Join(dir, secretFile)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
		})
	}
}

// TestManyProcessesMakeOneInstallation opens an empty folder from many at once.
func TestManyProcessesMakeOneInstallation(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "it is about the files in the data folder")
	dir := t.TempDir()
	var wg sync.WaitGroup
	secrets := make([]string, 8)
	for i := range secrets {
		wg.Go(func() {
			s, err := OpenStores(t.Context(), Store{Data: dir})
			if err != nil {
				t.Error(err)
				return
			}
			secrets[i] = string(s.Secret)
			_ = s.Close()
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if s != secrets[0] || s == "" {
			t.Fatalf("different secrets: %q", secrets)
		}
	}
}

// TestAnotherSecretIsToldBeforeAnythingIsDone: a key made under it would never be accepted.
func TestAnotherSecretIsToldBeforeAnythingIsDone(t *testing.T) {
	dir := t.TempDir()
	s := serverOn(t, dir)
	_ = s.stores.Close()
	write(t, filepath.Join(dir, secretFile), strings.Repeat("another ", 8))
	if sqldbtest.Engine() == sqldb.PostgreSQL {
		t.Setenv("CARFLUENCE_SECRET", strings.Repeat("another ", 8))
	}
	if _, err := openStores(t, dir); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("opened under another secret: %v", err)
	}
}

// serverOn puts a server together on a folder; it holds the folder's lock until the test ends.
func serverOn(t *testing.T, dir string) *Server {
	t.Helper()
	stores, err := openStores(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Store: storeIn(t, dir), Listen: "127.0.0.1:0", MetricsListen: "off", AdminEmail: "admin@example.com", TokenTTL: time.Minute, RefreshTTL: time.Hour,
		SessionTTL: time.Hour, SigningKeyPeriod: time.Hour, SessionRatePerHour: 100, QuotaWindow: time.Hour, RulesMax: 200,
		SFTPListen: "off", SFTPConnections: 10, SFTPIdle: time.Minute, Feeds: testFeeds,
	}
	s, err := NewServer(t.Context(), c, stores, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.lock.Unlock() })
	return s
}

func TestALaterSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := openStores(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stock.Exec(t.Context(), `INSERT INTO schema_version_stock (version_id, is_applied) VALUES (9999, TRUE)`); err != nil {
		t.Fatal(err)
	}
	again, err := openStores(t, dir)
	if err != nil {
		t.Fatalf("a schema that was only added to: %v", err)
	}
	_ = again.Close()
	for _, query := range []string{`CREATE TABLE schema_version_contract (version BIGINT NOT NULL PRIMARY KEY)`, `INSERT INTO schema_version_contract VALUES (9998)`} {
		if _, err := s.Stock.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	if _, err := openStores(t, dir); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("opened: %v", err)
	}
}

func TestASchemaIsNotChangedUnderARunningServer(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "servers of two versions share a server's databases")
	dir := t.TempDir()
	s := serverOn(t, dir)
	if _, err := s.stores.Stock.Exec(t.Context(), `DELETE FROM schema_version_stock WHERE version_id > 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := openStores(t, dir); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("migrated: %v", err)
	}
}

func TestABackupIsPrivateAndWhole(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "it is about the files in the data folder")
	s, err := openStores(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, stockFile+".part"), "what a kill left")
	if err := s.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{accountsFile, stockFile} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
		db, err := sqldb.OpenSQLite(t.Context(), path, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
		_ = db.Close()
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Backup(t.Context(), dir); err == nil {
		t.Error("a backup was overwritten")
	}
}

func TestConfigurationFaultsAreToldTogether(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cert.pem"), "not a certificate")
	c := Config{PublicURL: "https://example.com/app", TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "missing.pem"), AdminEmail: "nobody"}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"--data", "--public-url", "--tls-cert", "--admin-email", "--token-ttl", "--session-rate-per-hour"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestSFTPAddressOfAnswers(t *testing.T) {
	for _, c := range []struct {
		public, listen string
		want           feed.SFTPAddress
	}{
		{"", "127.0.0.1:2222", feed.SFTPAddress{Host: "127.0.0.1", Port: 2222}},
		{"", "0.0.0.0:22", feed.SFTPAddress{Port: 22}},
		{"", "[::]:22", feed.SFTPAddress{Port: 22}},
		{"", ":2222", feed.SFTPAddress{Port: 2222}},
		{"https://inventory.example.com:8443", "0.0.0.0:2022", feed.SFTPAddress{Host: "inventory.example.com", Port: 2022}},
		{"", "", feed.SFTPAddress{}},
	} {
		config := Config{PublicURL: c.public, SFTPListen: c.listen}
		if got := config.sftpAddress(); got != c.want {
			t.Errorf("%q, %q: %+v", c.public, c.listen, got)
		}
	}
}
