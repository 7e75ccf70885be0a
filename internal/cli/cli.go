// Package cli owns the commands: their flags, help, output and exit codes. What they do lives in package
// app and the features.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"carfluence/internal/app"
	"carfluence/internal/audit"
	"carfluence/internal/errs"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1 // the command could not do what it was asked
	exitUsage   = 2 // the command line or the configuration is wrong
)

// usageError is a mistake on the command line or in the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// console is where a command reads and writes.
type console struct {
	context.Context
	in       io.Reader
	out, err io.Writer
}

func (c *console) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// json prints a value for programs.
func (c *console) json(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// actor is how the audit log names what is done on the command line.
func (c *console) actor() audit.Actor { return audit.System("command line") }

type commands struct {
	Config kong.ConfigFlag `help:"JSON file with settings by flag name; flags and environment win over it." env:"CARFLUENCE_CONFIG" placeholder:"FILE"`

	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Import  importCommand  `cmd:"" help:"Load a feed file (CSV, tab, pipe or semicolon) into the inventory."`
	Feed    feedCommands   `cmd:"" help:"Integrations, and the files they send."`
	User    userCommands   `cmd:"" help:"People and their passwords."`
	Group   groupCommands  `cmd:"" help:"Dealer groups."`
	Key     keyCommands    `cmd:"" help:"API keys."`
	Migrate migrateCommand `cmd:"" help:"Bring the databases to this version's schema for good: after an upgrade, when no server of the version before is left. serve does what it needs by itself."`
	Backup  backupCommand  `cmd:"" help:"Copy the databases while the server runs."`
	Move    moveCommand    `cmd:"" help:"Move the installation from its embedded databases to PostgreSQL."`
	Show    configCommand  `cmd:"" name:"config" help:"Print the configuration in force; secrets are masked."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

const description = `The vehicle inventory of auto dealer groups, for people and programs.

Settings come from flags, then the environment (CARFLUENCE_…), then --config, then defaults. Secrets come from the
environment or a file only: CARFLUENCE_SECRET, CARFLUENCE_ADMIN_PASSWORD, or the same with _FILE.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 done but for refused rows, 4 the file is held.`

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) (code int) {
	var cmds commands
	exited := false
	parser, err := kong.New(&cmds, kong.Name("carfluence"), kong.Description(description), kong.UsageOnError(),
		kong.Configuration(settingsFile), kong.Writers(out, errOut), kong.Exit(func(c int) { code, exited = c, true; panic(stop{}) }))
	if err != nil {
		fmt.Fprintln(errOut, "carfluence:", err)
		return exitFailure
	}
	defer func() {
		if p := recover(); p != nil {
			if _, help := p.(stop); !help || !exited {
				panic(p)
			}
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "carfluence: %v\nSee carfluence --help.\n", err)
		return exitUsage
	}
	return exitCode(errOut, parsed.Run(&console{Context: ctx, in: in, out: out, err: errOut}, parsed))
}

// stop unwinds out of the parser once it has printed help.
type stop struct{}

// partial is a command that did its work but for some parts.
type partial struct {
	error
	code int
}

func exitCode(errOut io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var p partial
	if errors.As(err, &p) {
		fmt.Fprintln(errOut, "carfluence:", p.error)
		return p.code
	}
	fmt.Fprintln(errOut, "carfluence:", message(err))
	if _, wrong := errors.AsType[usageError](err); wrong {
		return exitUsage
	}
	return exitFailure
}

// message is an error in the words of who typed the command.
func message(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind == errs.KindInternal {
		return err.Error()
	}
	lines := []string{e.Detail}
	for _, f := range e.Faults {
		lines = append(lines, "  "+strings.TrimPrefix(f.Pointer+f.Parameter, "#/")+": "+f.Detail)
	}
	if e.Err != nil {
		lines = append(lines, "  cause: "+e.Err.Error())
	}
	return strings.Join(lines, "\n")
}

// settingsFile reads --config: a flat JSON object of settings by flag name.
func settingsFile(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := json.NewDecoder(r).Decode(&values); err != nil {
		return nil, fmt.Errorf("--config is not a JSON object: %w", err)
	}
	return settings(values), nil
}

// settings resolves flags; the environment wins over the file.
type settings map[string]any

// Validate implements kong.Resolver: a name that is no setting is a mistake.
func (s settings) Validate(a *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(a.Node)
	for name := range s {
		if !known[name] {
			return fmt.Errorf("--config: there is no setting %q", name)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return s[flag.Name], nil
}

// version of this build, set by the linker for releases.
var version = ""

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(c *console) error {
	c.printf("carfluence %s\n", buildVersion())
	return nil
}

type migrateCommand struct {
	app.Store `embed:""`
}

// Run migrates.
func (m *migrateCommand) Run(c *console) error {
	s, err := openExisting(c, m.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Contract(c); err != nil {
		return err
	}
	c.printf("The databases in %s are up to date.\n", m.Where())
	return nil
}

type backupCommand struct {
	app.Store `embed:""`
	Dir       string `arg:"" help:"Folder for the copies; made if it does not exist." type:"path"`
}

// Run copies the databases.
func (b *backupCommand) Run(c *console) error {
	if err := b.Validate(); err != nil {
		return usageError{err}
	}
	if b.OnServer() {
		return usageError{fmt.Errorf("backup copies embedded databases; copy those on PostgreSQL with scripts/backup-postgres.sh (pg_dump as a role that row-level security does not bind), and keep CARFLUENCE_SECRET in another safe place")}
	}
	s, err := openExisting(c, b.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Backup(c, b.Dir); err != nil {
		return err
	}
	c.printf(`Backed up to %s. The secret is left out: keep %s/secret (or CARFLUENCE_SECRET) in another safe place.
To restore: copy the .db files into an empty folder, put the secret file beside them, and serve with --data FOLDER.
`, b.Dir, b.Data)
	return nil
}

// openStores opens what a command works on. An old schema is brought up to date on the way.
func openStores(c *console, store app.Store) (*app.Stores, error) {
	if err := store.Validate(); err != nil {
		return nil, usageError{err}
	}
	return app.OpenStores(c, store)
}

// openExisting is openStores for commands that work on what is there: a mistyped --data must not make a new,
// empty installation.
func openExisting(c *console, store app.Store) (*app.Stores, error) {
	if err := store.Validate(); err != nil {
		return nil, usageError{err}
	}
	exists, err := store.Exists(c)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, usageError{fmt.Errorf("there is no installation in %s; name its folder with --data or its database with --database, or make one with carfluence serve", store.Where())}
	}
	return openStores(c, store)
}

type configCommand struct {
	app.Config `embed:""`
}

// Run prints the settings of serve.
func (cmd *configCommand) Run(c *console, parsed *kong.Context) error {
	for _, f := range parsed.Flags() {
		if f.Name == "help" || f.Name == "config" {
			continue
		}
		value := f.Target.Interface()
		switch f.Name {
		case "database":
			value = app.MaskedURL(cmd.Database.Database)
		case "stock-database":
			value = app.MaskedURL(cmd.StockDatabase)
		}
		c.printf("%-24s %v\n", f.Name, value)
	}
	for _, name := range []string{"CARFLUENCE_SECRET", "CARFLUENCE_ADMIN_PASSWORD"} {
		value, err := app.SecretFrom(name)
		state := "not set"
		if err != nil {
			state = err.Error()
		} else if value != "" {
			state = "set (hidden)"
		}
		c.printf("%-24s %s\n", name, state)
	}
	if err := cmd.Config.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}
