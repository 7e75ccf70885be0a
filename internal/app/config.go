// Package app owns the wiring: the configuration, the stores, all parts put together, and their start and
// orderly end. What the parts do lives with them.
package app

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/feed"
)

// Store is where the data lives; every command takes it.
type Store struct {
	Data     string `help:"Folder of the embedded databases and the secret, and of files under way." default:"./carfluence-data" env:"CARFLUENCE_DATA" type:"path" placeholder:"DIR"`
	Database `embed:""`
}

// Config is everything serve can be told. Secrets come from the environment or from files only:
// CARFLUENCE_SECRET, CARFLUENCE_ADMIN_PASSWORD, or the same with _FILE.
type Config struct {
	Store `embed:""`

	Listen        string `help:"Address of the API." default:"127.0.0.1:8080" env:"CARFLUENCE_LISTEN" placeholder:"HOST:PORT"`
	SFTPListen    string `name:"sftp-listen" help:"Address of the SFTP server on which integrations drop files. 'off' for none." default:"127.0.0.1:2222" env:"CARFLUENCE_SFTP_LISTEN" placeholder:"HOST:PORT"`
	SFTPPublic    string `name:"sftp-public" help:"Address under which clients reach the SFTP server, where it is another: HOST:PORT of a proxy or a forwarded port." env:"CARFLUENCE_SFTP_PUBLIC" placeholder:"HOST:PORT"`
	MetricsListen string `help:"Address of Prometheus metrics; off-host only if set so. 'off' for none." default:"127.0.0.1:9464" env:"CARFLUENCE_METRICS_LISTEN" placeholder:"HOST:PORT"`
	PublicURL     string `name:"public-url" help:"Address under which clients reach the API, e.g. https://inventory.example.com. Issuer and audience of session tokens." env:"CARFLUENCE_PUBLIC_URL" placeholder:"URL"`
	TLSCert       string `name:"tls-cert" help:"Certificate chain (PEM). With --tls-key the API is served over TLS." env:"CARFLUENCE_TLS_CERT" type:"path" placeholder:"FILE"`
	TLSKey        string `name:"tls-key" help:"Private key of --tls-cert (PEM)." env:"CARFLUENCE_TLS_KEY" type:"path" placeholder:"FILE"`

	TrustedProxies []string `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." env:"CARFLUENCE_TRUSTED_PROXIES" placeholder:"CIDR,…"`

	AdminEmail string `help:"E-mail address of the first administrator." default:"admin@carfluence.local" env:"CARFLUENCE_ADMIN_EMAIL" placeholder:"ADDRESS"`
	GroupName  string `help:"Name of the first dealer group." default:"My Dealer Group" env:"CARFLUENCE_GROUP_NAME" placeholder:"NAME"`

	TokenTTL         time.Duration `name:"token-ttl" help:"Life of a session token." default:"15m" env:"CARFLUENCE_TOKEN_TTL"`
	RefreshTTL       time.Duration `name:"refresh-ttl" help:"Life of an unused refresh token." default:"720h" env:"CARFLUENCE_REFRESH_TTL"`
	SessionTTL       time.Duration `name:"session-ttl" help:"Absolute life of a session, however often it is refreshed." default:"2160h" env:"CARFLUENCE_SESSION_TTL"`
	SigningKeyPeriod time.Duration `help:"How long a signing key signs before the next one does." default:"2160h" env:"CARFLUENCE_SIGNING_KEY_PERIOD"`

	SessionRatePerHour   int64         `help:"Requests a person may make per window, over all sessions." default:"5000" env:"CARFLUENCE_SESSION_RATE_PER_HOUR"`
	AnonymousRatePerHour int64         `help:"Requests an address may make per window without a valid credential; 0 for no limit." default:"1000" env:"CARFLUENCE_ANONYMOUS_RATE_PER_HOUR"`
	QuotaWindow          time.Duration `help:"Length of the window limits count in; shorter ones are for tests." default:"1h" env:"CARFLUENCE_QUOTA_WINDOW"`

	PasswordHashes  int           `help:"Password hashes computed at once (19 MiB each); 0 for one per CPU." default:"0" env:"CARFLUENCE_PASSWORD_HASHES"`
	RulesMax        int64         `help:"Rules a dealer group may have." default:"200" env:"CARFLUENCE_RULES_MAX"`
	PageCacheMB     int           `name:"page-cache-mb" help:"Memory for inventory pages and single vehicles kept ready, half each, in MiB." default:"32" env:"CARFLUENCE_PAGE_CACHE_MB"`
	IndexMB         int           `name:"index-mb" help:"Memory for the indexes by which inventories are filtered, sorted and counted, in MiB; about 125 bytes a vehicle; up to as much again while large files are written. 0 for none." default:"160" env:"CARFLUENCE_INDEX_MB"`
	DocumentCacheMB int           `name:"document-cache-mb" help:"Memory for vehicles as lists show them, in MiB; about half a KiB each." default:"64" env:"CARFLUENCE_DOCUMENT_CACHE_MB"`
	WaitingMax      int           `help:"Calls that may wait for changes of the inventory at once." default:"2000" env:"CARFLUENCE_WAITING_MAX"`
	ExportsMax      int           `help:"Exports of inventories under way at once." default:"8" env:"CARFLUENCE_EXPORTS_MAX"`
	Drain           time.Duration `help:"How long the server goes on answering after it was told to stop, so that balancers notice." default:"500ms" env:"CARFLUENCE_DRAIN"`
	LogLevel        string        `help:"What is logged: debug, info, warn or error. Requests are logged at info." default:"info" enum:"debug,info,warn,error" env:"CARFLUENCE_LOG_LEVEL"`

	SFTPConnections int           `name:"sftp-connections" help:"SFTP connections open at once." default:"500" env:"CARFLUENCE_SFTP_CONNECTIONS"`
	SFTPIdle        time.Duration `name:"sftp-idle" help:"An SFTP connection without a request for so long is cut." default:"10m" env:"CARFLUENCE_SFTP_IDLE"`
	Feeds           `embed:""`

	proxies []netip.Prefix
}

// Feeds are the limits on files of integrations; commands that take files know them too.
type Feeds struct {
	FeedMaxFileMB     int64 `name:"feed-max-file-mb" help:"Largest file of an integration as received, in MiB." default:"1024" env:"CARFLUENCE_FEED_MAX_FILE_MB"`
	FeedMaxUnpackedMB int64 `name:"feed-max-unpacked-mb" help:"Largest file of an integration once unpacked, in MiB." default:"4096" env:"CARFLUENCE_FEED_MAX_UNPACKED_MB"`
	FeedGuardPercent  int64 `help:"A file that would sell more than this share of the active vehicles its integration lists waits for a confirmation, in percent." default:"30" env:"CARFLUENCE_FEED_GUARD_PERCENT"`
	FeedGuardLeast    int64 `help:"A file that would sell fewer vehicles than this does not wait." default:"10" env:"CARFLUENCE_FEED_GUARD_LEAST"`
	FeedWorkers       int   `help:"Files of different integrations processed at once." default:"4" env:"CARFLUENCE_FEED_WORKERS"`
	FeedUploads       int64 `help:"Files uploaded over HTTP at once." default:"16" env:"CARFLUENCE_FEED_UPLOADS"`
	FeedQueued        int64 `help:"Files of one integration that may wait." default:"1000" env:"CARFLUENCE_FEED_QUEUED"`
	FeedKeptFiles     int64 `help:"Files kept of each integration." default:"10" env:"CARFLUENCE_FEED_KEPT_FILES"`
	FeedMaxProblems   int64 `help:"Row errors, and warnings, kept of one file each." default:"10000" env:"CARFLUENCE_FEED_MAX_PROBLEMS"`
	FeedLogDays       int64 `help:"Days after which logs of files are forgotten." default:"400" env:"CARFLUENCE_FEED_LOG_DAYS"`
}

// MemoryBytes are set aside for what is kept to answer faster, and for passwords.
func (c *Config) MemoryBytes() int64 {
	return int64(c.PageCacheMB+c.IndexMB+c.DocumentCacheMB)<<20 + int64(c.hashes())*auth.PasswordBytes
}

// hashes is how many passwords are hashed at once.
func (c *Config) hashes() int { return cmp.Or(c.PasswordHashes, runtime.GOMAXPROCS(0)) }

// Validate reports every fault at once, with the setting's name and what it should be.
func (c *Config) Validate() error {
	return errors.Join(c.Store.Validate(), c.checkAddresses(), c.checkTimes(), c.checkLimits(), c.Feeds.Validate())
}

// Validate checks where the data is to live.
func (s *Store) Validate() error {
	err := s.Database.Validate()
	if s.Data == "" {
		err = errors.Join(fmt.Errorf("--data: name a folder"), err)
	}
	return err
}

func (c *Config) checkAddresses() error {
	var all []error
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			all = append(all, fmt.Errorf("--public-url: %q is not an address like https://inventory.example.com", c.PublicURL))
		}
		c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		all = append(all, errors.New("--tls-cert and --tls-key: set both or neither"))
	} else if c.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			all = append(all, fmt.Errorf("--tls-cert and --tls-key: %w", err))
		}
	}
	c.proxies = nil
	for _, text := range c.TrustedProxies {
		p, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			all = append(all, fmt.Errorf("--trusted-proxies: %q is neither an address nor a network", text))
			continue
		}
		c.proxies = append(c.proxies, p)
	}
	if _, _, err := net.SplitHostPort(c.SFTPPublic); c.SFTPPublic != "" && err != nil {
		all = append(all, fmt.Errorf("--sftp-public: %q is no HOST:PORT", c.SFTPPublic))
	}
	if !strings.Contains(c.AdminEmail, "@") {
		all = append(all, fmt.Errorf("--admin-email: %q is no e-mail address", c.AdminEmail))
	}
	return errors.Join(all...)
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func (c *Config) checkTimes() error {
	var all []error
	within := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			all = append(all, fmt.Errorf("--%s: %s is outside %s to %s", name, d, least, most))
		}
	}
	const year = 366 * 24 * time.Hour
	within("token-ttl", c.TokenTTL, time.Second, auth.MaxTokenTTL)
	within("refresh-ttl", c.RefreshTTL, time.Second, year)
	within("session-ttl", c.SessionTTL, time.Second, 2*year)
	within("signing-key-period", c.SigningKeyPeriod, time.Second, 2*year)
	within("quota-window", c.QuotaWindow, time.Second, 24*time.Hour)
	within("drain", c.Drain, 0, time.Minute)
	within("sftp-idle", c.SFTPIdle, time.Second, 24*time.Hour)
	if c.QuotaWindow%time.Second != 0 {
		all = append(all, fmt.Errorf("--quota-window: %s is not whole seconds", c.QuotaWindow))
	}
	return errors.Join(all...)
}

func (c *Config) checkLimits() error {
	var all []error
	if c.SessionRatePerHour < 1 || c.SessionRatePerHour > 10_000_000 {
		all = append(all, fmt.Errorf("--session-rate-per-hour: %d is outside 1 to 10000000", c.SessionRatePerHour))
	}
	if c.AnonymousRatePerHour < 0 || c.AnonymousRatePerHour > 10_000_000 {
		all = append(all, fmt.Errorf("--anonymous-rate-per-hour: %d is outside 0 to 10000000", c.AnonymousRatePerHour))
	}
	if c.SFTPConnections < 1 || c.SFTPConnections > 100_000 {
		all = append(all, fmt.Errorf("--sftp-connections: %d is outside 1 to 100000", c.SFTPConnections))
	}
	if c.PasswordHashes < 0 || c.PasswordHashes > 1000 {
		all = append(all, fmt.Errorf("--password-hashes: %d is outside 0 to 1000", c.PasswordHashes))
	}
	if c.RulesMax < 1 || c.RulesMax > 10_000 {
		all = append(all, fmt.Errorf("--rules-max: %d is outside 1 to 10000", c.RulesMax))
	}
	for _, memory := range []struct {
		name string
		mb   int
	}{{"page-cache-mb", c.PageCacheMB}, {"index-mb", c.IndexMB}, {"document-cache-mb", c.DocumentCacheMB}} {
		if memory.mb < 0 || memory.mb > 1_000_000 {
			all = append(all, fmt.Errorf("--%s: %d is outside 0 to 1000000", memory.name, memory.mb))
		}
	}
	if c.ExportsMax < 0 || c.ExportsMax > 10_000 {
		all = append(all, fmt.Errorf("--exports-max: %d is outside 0 to 10000", c.ExportsMax))
	}
	if c.WaitingMax < 0 || c.WaitingMax > 1_000_000 {
		all = append(all, fmt.Errorf("--waiting-max: %d is outside 0 to 1000000", c.WaitingMax))
	}
	return errors.Join(all...)
}

// Validate reports every fault at once.
func (c *Feeds) Validate() error {
	var all []error
	within := func(name string, n, least, most int64) {
		if n < least || n > most {
			all = append(all, fmt.Errorf("--%s: %d is outside %d to %d", name, n, least, most))
		}
	}
	within("feed-max-file-mb", c.FeedMaxFileMB, 1, 100_000)
	within("feed-max-unpacked-mb", c.FeedMaxUnpackedMB, 1, 100_000)
	within("feed-guard-percent", c.FeedGuardPercent, 0, 100)
	within("feed-guard-least", c.FeedGuardLeast, 1, 1_000_000_000)
	within("feed-workers", int64(c.FeedWorkers), 1, 1000)
	within("feed-uploads", c.FeedUploads, 1, 10_000)
	within("feed-queued", c.FeedQueued, 1, 1_000_000)
	within("feed-kept-files", c.FeedKeptFiles, 1, 10_000)
	within("feed-max-problems", c.FeedMaxProblems, 0, 1_000_000)
	within("feed-log-days", c.FeedLogDays, 1, 10_000)
	return errors.Join(all...)
}

// servesSFTP tells whether there is an SFTP server.
func (c *Config) servesSFTP() bool { return c.SFTPListen != "off" && c.SFTPListen != "" }

// issuer is what tokens name as issuer and audience.
func (c *Config) issuer() string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	return "carfluence"
}

// sftpAddress is what integrations are told: --sftp-public, else the host of the public URL or of --sftp-listen, and its
// port.
func (c *Config) sftpAddress() feed.SFTPAddress {
	var a feed.SFTPAddress
	if host, port, err := net.SplitHostPort(c.SFTPPublic); err == nil {
		a.Host = host
		a.Port, _ = strconv.Atoi(port)
		return a
	}
	host, port, err := net.SplitHostPort(c.SFTPListen)
	if err == nil {
		a.Port, _ = strconv.Atoi(port)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
		a.Host = host
	}
	if u, err := url.Parse(c.PublicURL); err == nil && u.Hostname() != "" {
		a.Host = u.Hostname()
	}
	return a
}

// SecretFrom reads a secret setting from the environment: NAME, or the file that NAME_FILE names (its last
// line end is dropped). "" when neither is set.
func SecretFrom(name string) (string, error) {
	value, file := os.Getenv(name), os.Getenv(name+"_FILE")
	if value != "" && file != "" {
		return "", fmt.Errorf("%s and %s_FILE: set one of them", name, name)
	}
	if file == "" {
		return value, nil
	}
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
