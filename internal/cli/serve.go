package cli

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"carfluence/internal/app"
)

// collectPercent is how much the heap of a server may grow between two collections (GOGC). What lives is a few
// megabytes and nearly all that a request allocates is gone with it, so at Go's default of 100 the collector
// takes a sixth of the processor time.
const collectPercent = 300

// collectHarder is how many bytes Go may hold, besides what the settings set aside, before the collector no longer waits for that
// growth (GOMEMLIMIT). A file of a million rows keeps some 40 MiB alive. With 224 MiB such a file was read no faster, and
// the server held 200 MiB more meanwhile. SQLite's own memory, up to 150 MiB then, comes on top.
const collectHarder = 96 << 20

type serveCommand struct {
	app.Config `embed:""`
	Demo       bool `help:"On an empty data folder: make a dealer group with three dealerships and a few hundred sample vehicles, and print commands to try."`
}

// Help explains what the first start does.
func (serveCommand) Help() string {
	return `On an empty data folder this makes the databases, the secret, the signing key, one dealer group and its first
administrator. A generated password is printed once on standard output and never logged. Logs are JSON lines on standard
error. When connections are accepted, one line with the address is printed: "carfluence listening on http://…" (port 0
picks a free one). SIGINT and SIGTERM end it in order: requests under way are answered first.`
}

// Run serves until it is told to stop.
func (cmd *serveCommand) Run(c *console) error {
	if err := cmd.Config.Validate(); err != nil {
		return usageError{err}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectPercent)
	}
	limit := collectHarder + cmd.MemoryBytes()
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(cmd.LogLevel)) // one of an enumeration
	log, flush := app.NewLog(c.err, level)
	defer flush()
	stores, err := openStores(c, cmd.Store)
	if err != nil {
		return err
	}
	defer stores.Close()
	s, err := app.NewServer(c, cmd.Config, stores, buildVersion(), log)
	if err != nil {
		return err
	}
	defer s.Close()
	if os.Getenv("GOMEMLIMIT") == "" {
		s.Stock.OnReserve(func(bytes int64) { debug.SetMemoryLimit(limit + bytes) })
	}
	l, err := s.Listen(c) // before anything is made: a port in use must not cost the first password
	if err != nil {
		return err
	}
	group := cmd.GroupName
	if cmd.Demo {
		group = app.DemoGroup
	}
	first, err := s.Bootstrap(c, group)
	if err != nil {
		return err
	}
	c.welcome(first, cmd)
	var demo *app.Demo
	if cmd.Demo && first != nil {
		if demo, err = s.LoadDemo(c, first); err != nil {
			return err
		}
	}
	return s.Run(c, l, func() {
		c.demoLines(s.URL(l), first, demo)
		if cmd.Demo && first == nil {
			c.hint("--demo: %s holds data already; it is served as it is.\n", cmd.Where())
		}
		if l.SFTP != nil {
			c.printf("SFTP at %s, host key %s\n", l.SFTP.Addr(), s.Feeds.SFTP.Fingerprint)
		}
		c.printf("carfluence listening on %s\n", s.URL(l))
	})
}

func (c *console) welcome(first *app.FirstStart, cmd *serveCommand) {
	if first == nil {
		return
	}
	c.printf("Made dealer group %q with administrator %s in %s.\n", first.Group.Name, first.Admin.Email, cmd.Where())
	if first.Password != "" {
		c.printf("Password (shown once): %s\n", first.Password)
	}
	secret := "CARFLUENCE_SECRET"
	if !cmd.OnServer() {
		secret = cmd.Data + "/secret"
	}
	c.printf("Keep %s safe: without it no key or session works, and a backup leaves it out.\n\n", secret)
}

// demoLines prints commands that work as they stand.
func (c *console) demoLines(url string, first *app.FirstStart, demo *app.Demo) {
	if demo == nil {
		return
	}
	password := first.Password
	switch {
	case password != "":
	case os.Getenv("CARFLUENCE_ADMIN_PASSWORD_FILE") != "":
		password = `$(cat "$CARFLUENCE_ADMIN_PASSWORD_FILE")`
	default:
		password = "$CARFLUENCE_ADMIN_PASSWORD"
	}
	c.printf("Loaded %d sample vehicles of %d dealerships. Try:\n\n", demo.Vehicles, demo.Dealerships)
	c.printf("# read with the demo's API key\ncurl -s -H 'X-API-Key: %s' '%s/api/v1/inventory?limit=2'\n\n", demo.Key, url)
	c.printf("# log in\nTOKEN=$(curl -s %s/api/v1/auth/login -H 'Content-Type: application/json' \\\n  -d %s | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n\n",
		url, quoteBody(first.Admin.Email, password))
	c.printf("# make an API key of your own\ncurl -s %s/api/v1/api-keys -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n  -d '{\"name\":\"My first key\",\"scopes\":[\"inventory:read\",\"dealers:read\"],\"rateLimitPerHour\":1000}'\n\n", url)
	c.printf("# the reference of every call\n%s/docs\n\n", url)
}

// quoteBody is a login body for a shell; a password that came from the environment stays there.
func quoteBody(email, password string) string {
	if strings.HasPrefix(password, "$") {
		return fmt.Sprintf(`"{\"email\":\"%s\",\"password\":\"%s\"}"`, email, password)
	}
	return fmt.Sprintf(`'{"email":"%s","password":"%s"}'`, email, password)
}
