package cli

import (
	"context"
	"errors"
	"log/slog"
	"text/tabwriter"
	"time"

	"carfluence/internal/app"
	"carfluence/internal/auth"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// accounts is what commands on people, groups and keys work with.
type accounts struct {
	*app.Stores
	authority *auth.Authority
	groups    *auth.Groups
	keys      *auth.Keys
}

func openAccounts(c *console, store app.Store) (*accounts, error) {
	s, err := openExisting(c, store)
	if err != nil {
		return nil, err
	}
	return accountsIn(s), nil
}

// openGroup opens the accounts for a command on one dealer group.
func openGroup(c *console, store app.Store, nameOrID string) (*accounts, auth.Group, error) {
	a, err := openAccounts(c, store)
	if err != nil {
		return nil, auth.Group{}, err
	}
	g, err := a.groups.Find(c, nameOrID)
	if err != nil {
		return nil, g, errors.Join(err, a.Close())
	}
	return a, g, nil
}

func accountsIn(s *app.Stores) *accounts {
	a := auth.NewAuthority(s.Accounts, nil, slog.New(slog.DiscardHandler), time.Now)
	return &accounts{Stores: s, authority: a, groups: auth.NewGroups(s.Accounts, time.Now), keys: auth.NewKeys(a, s.Secret)}
}

// settleServer waits until a server beside this command can't be using what the command has changed.
func (a *accounts) settleServer(ctx context.Context) {
	if a.Accounts.Engine() == sqldb.PostgreSQL || a.Served() { // there one that has lost its lock may go on
		a.authority.Outwait(ctx)
	}
}

type groupFlag struct {
	Group string `help:"Dealer group, by name or id; may be left out when there is only one." env:"CARFLUENCE_GROUP" placeholder:"NAME"`
}

type groupCommands struct {
	Add  groupAddCommand  `cmd:"" help:"Add a dealer group."`
	List groupListCommand `cmd:"" help:"List the dealer groups."`
}

type groupAddCommand struct {
	app.Store `embed:""`
	Name      string `arg:"" help:"Name of the group."`
}

// Run adds a group.
func (cmd *groupAddCommand) Run(c *console) error {
	s, err := openStores(c, cmd.Store) // a group may be the first thing there is
	if err != nil {
		return err
	}
	a := accountsIn(s)
	defer a.Close()
	g, err := a.groups.Add(c, c.actor(), cmd.Name)
	if err != nil {
		return err
	}
	c.printf("%s\t%s\n", g.ID, g.Name)
	return nil
}

type groupListCommand struct {
	app.Store `embed:""`
}

// Run lists the groups.
func (cmd *groupListCommand) Run(c *console) error {
	a, err := openAccounts(c, cmd.Store)
	if err != nil {
		return err
	}
	defer a.Close()
	list, err := a.groups.List(c)
	if err != nil {
		return err
	}
	t := c.table("ID\tNAME\tCREATED")
	for _, g := range list {
		t.row(g.ID, g.Name, day(g.CreatedAt))
	}
	return t.Flush()
}

type keyCommands struct {
	Create keyCreateCommand `cmd:"" help:"Create an API key; its text is printed once."`
	List   keyListCommand   `cmd:"" help:"List the API keys."`
	Revoke keyRevokeCommand `cmd:"" help:"Revoke an API key. When the command ends, no server accepts it."`
}

type keyCreateCommand struct {
	app.Store `embed:""`
	groupFlag `embed:""`
	Name      string   `arg:"" help:"What the key is for."`
	Scopes    []string `help:"Scopes, e.g. inventory:read,dealers:read." required:"" placeholder:"SCOPE,…"`
	Rate      int64    `name:"rate-limit-per-hour" help:"Requests per hour." default:"1000"`
}

// Run creates a key.
func (cmd *keyCreateCommand) Run(c *console) error {
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	k, text, err := a.keys.Create(c, g.ID, c.actor(), auth.RoleAdmin.Scopes(), auth.KeyDraft{Name: cmd.Name, Scopes: cmd.Scopes, RateLimitPerHour: cmd.Rate})
	if err != nil {
		return err
	}
	c.printf("%s\n", text)
	c.hint("Key %s of %s. This is the only time it is shown.\n", k.ID, g.Name)
	return nil
}

type keyListCommand struct {
	app.Store `embed:""`
	groupFlag `embed:""`
}

// Run lists the keys of a group.
func (cmd *keyListCommand) Run(c *console) error {
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	t := c.table("ID\tKEY\tNAME\tSCOPES\tPER HOUR\tCREATED\tLAST USED")
	for page := (rest.Page{Limit: rest.MaxLimit}); ; page.Offset += page.Limit {
		list, total, err := a.keys.List(c, g.ID, page)
		if err != nil {
			return err
		}
		for _, k := range list {
			t.row(k.ID, k.Masked(), k.Name, k.Scopes.Names(), k.RateLimitPerHour, day(k.CreatedAt), day(k.LastUsedAt))
		}
		if page.Offset+page.Limit >= total {
			return t.Flush()
		}
	}
}

type keyRevokeCommand struct {
	app.Store `embed:""`
	groupFlag `embed:""`
	ID        string `arg:"" help:"Id of the key."`
}

// Run revokes a key.
func (cmd *keyRevokeCommand) Run(c *console) error {
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.keys.Revoke(c, g.ID, c.actor(), cmd.ID); err != nil {
		return err
	}
	a.settleServer(c)
	c.printf("Revoked %s.\n", cmd.ID)
	return nil
}

// hint goes to the error stream, so that the output stays fit for scripts.
func (c *console) hint(format string, args ...any) {
	(&console{out: c.err}).printf(format, args...)
}

type table struct {
	*tabwriter.Writer
}

func (c *console) table(head string) table {
	t := table{tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)}
	_, _ = t.Write([]byte(head + "\n"))
	return t
}

func (t table) row(cells ...any) {
	out := &console{out: t.Writer}
	for i, cell := range cells {
		if i > 0 {
			out.printf("\t")
		}
		out.printf("%v", cell)
	}
	out.printf("\n")
}

func day(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format("2006-01-02 15:04Z")
}
