package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"carfluence/internal/app"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/feed"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/rule"
	"carfluence/internal/sqldb"
)

type feedCommands struct {
	List    feedListCommand    `cmd:"" help:"List the integrations, with the latest file of each."`
	Add     feedAddCommand     `cmd:"" help:"Make an integration; its SFTP password is printed once."`
	Passwd  feedPasswdCommand  `cmd:"" help:"Give an integration a new SFTP password; the old one ends at once."`
	Push    feedPushCommand    `cmd:"" help:"Hand a file to an integration as if it had been uploaded, and tell what becomes of it."`
	Logs    feedLogsCommand    `cmd:"" help:"List an integration's files, or show what became of one."`
	Confirm feedConfirmCommand `cmd:"" help:"Let a held file go on: it sells what it would sell."`
	Discard feedDiscardCommand `cmd:"" help:"Give a held file up: it changes nothing."`
}

// feedPlace is where a command on feeds works.
type feedPlace struct {
	app.Store `embed:""`
	groupFlag `embed:""`
}

// desk is what commands on feeds work with.
type desk struct {
	*accounts
	feeds *feed.Feeds
	t     *sqldb.Tenant
	place feedPlace
}

// openDesk opens the feeds of one dealer group; limits matter to commands that take or process files.
func openDesk(c *console, place feedPlace, limits app.Feeds) (*desk, error) {
	a, g, err := openGroup(c, place.Store, place.Group)
	if err != nil {
		return nil, err
	}
	stock, _ := a.NewStock(inventory.Options{Now: time.Now}, rule.Options{})
	f := &feed.Feeds{
		Stock: stock, Dealers: &dealer.Dealers{DB: a.Stock, Now: time.Now, Held: stock.Count, Changed: stock.Bump},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := a.NewFeeds(f, limits); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return &desk{accounts: a, feeds: f, t: a.Stock.Tenant(g.ID), place: place}, nil
}

// find is the integration of a name or id.
func (d *desk) find(ctx context.Context, nameOrID string) (feed.Integration, error) {
	in, err := d.feeds.FindIntegration(ctx, d.t, nameOrID)
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return in, fmt.Errorf("%s\ncarfluence feed list shows all, feed add makes one", e.Detail)
	}
	return in, err
}

// line is a further command on the same group of the same installation.
func (d *desk) line(args ...string) string {
	line := "carfluence " + strings.Join(args, " ")
	if usual := absolute(cmp.Or(os.Getenv("CARFLUENCE_DATA"), "carfluence-data")); d.place.Data != usual {
		line += " --data " + shellQuoted(d.place.Data)
	}
	if d.place.OnServer() && os.Getenv("CARFLUENCE_DATABASE") == "" && os.Getenv("CARFLUENCE_DATABASE_FILE") == "" {
		line += " --database " + shellQuoted(d.place.Where()) // without its password
	}
	if given := d.place.Group; given != os.Getenv("CARFLUENCE_GROUP") {
		line += " --group " + shellQuoted(given)
	}
	return line
}

// absolute is a path as the parser makes it of a flag.
func absolute(path string) string {
	whole, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return whole
}

// shellQuoted is a word as a shell takes it.
func shellQuoted(word string) string {
	plain := func(r rune) bool {
		return r == '/' || r == '.' || r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// visible is the console for what senders of files have written: it shows control characters instead of obeying them.
func (c *console) visible() *console {
	shown := *c
	shown.out = visible{c.out}
	return &shown
}

type visible struct{ io.Writer }

// Write implements io.Writer. Texts come whole, never cut inside a character.
func (v visible) Write(b []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, string(b))
	_, err := v.Writer.Write([]byte(text))
	return len(b), err
}

type feedListCommand struct {
	feedPlace `embed:""`
	JSON      bool `name:"json" help:"Print the list as JSON."`
}

// listedFeed is an integration as feed list --json prints it.
type listedFeed struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Status       string          `json:"status"`
	StatusReason string          `json:"status_reason"`
	DealershipID string          `json:"dealership_id"`
	Dealership   string          `json:"dealership"`
	SFTPUsername string          `json:"sftp_username"`
	LastFile     *feed.LogDetail `json:"last_file"`
}

// Run lists the integrations.
func (cmd *feedListCommand) Run(c *console) error {
	d, err := openDesk(c, cmd.feedPlace, app.Feeds{})
	if err != nil {
		return err
	}
	defer d.Close()
	list, err := d.list(c)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return c.json(map[string]any{"integrations": list})
	}
	t := c.visible().table("ID\tNAME\tTYPE\tDEALERSHIP\tSFTP USERNAME\tLAST FILE\tRECEIVED\tSTATUS")
	for _, i := range list {
		file, received := "-", "never"
		if i.LastFile != nil {
			file, received = i.LastFile.Filename, day(i.LastFile.ReceivedAt)
		}
		t.row(i.ID, i.Name, i.Type, i.Dealership, i.SFTPUsername, file, received, withReason(i.Status, i.StatusReason))
	}
	return t.Flush()
}

func withReason(status, reason string) string {
	if reason == "" {
		return status
	}
	return status + ": " + reason
}

// list is all integrations, newest first.
func (d *desk) list(ctx context.Context) ([]listedFeed, error) {
	out := []listedFeed{}
	stores := map[string]string{}
	for page := (rest.Page{Limit: rest.MaxLimit}); ; page.Offset += page.Limit {
		list, total, err := d.feeds.Integrations(ctx, d.t, page)
		if err != nil {
			return nil, err
		}
		for _, in := range list {
			listed, err := d.listed(ctx, in, stores)
			if err != nil {
				return nil, err
			}
			out = append(out, listed)
		}
		if page.Offset+page.Limit >= total {
			return out, nil
		}
	}
}

// listed adds to an integration its latest file and the name of its dealership; stores are the names known so far.
func (d *desk) listed(ctx context.Context, in feed.Integration, stores map[string]string) (listedFeed, error) {
	if _, known := stores[in.DealershipID]; !known {
		store, err := d.feeds.Dealers.Get(ctx, d.t, in.DealershipID)
		if err != nil {
			return listedFeed{}, err
		}
		stores[in.DealershipID] = store.Name
	}
	l := listedFeed{
		ID: in.ID, Name: in.Name, Type: in.Type, Status: in.Status, StatusReason: in.StatusReason,
		DealershipID: in.DealershipID, Dealership: stores[in.DealershipID], SFTPUsername: in.Username,
	}
	runs, _, err := d.feeds.Logs(ctx, d.t, in.ID, rest.Page{Limit: 1})
	if err == nil && len(runs) > 0 {
		last := feed.LogDetailOf(runs[0])
		l.LastFile = &last
	}
	return l, err
}

type feedAddCommand struct {
	feedPlace `embed:""`
	Name      string `arg:"" help:"Name of the integration."`
	Type      string `help:"Whose files come: vauto, homenet, elead or custom." enum:"vauto,homenet,elead,custom" required:"" placeholder:"TYPE"`
	Dealer    string `help:"Dealership, by name, code, alias or id, that holds the rows which name none or an unknown one. Made if it does not exist; may be left out when there is only one." placeholder:"NAME"`
	Strategy  string `help:"What becomes of vehicles that a file does not list: merge sells them when two files in a row and 24 hours have passed, overwrite at once; update_only sells and creates nothing." enum:"merge,overwrite,update_only" default:"merge"`
}

// Help explains what comes next.
func (feedAddCommand) Help() string {
	return `Prints the SFTP login of whoever sends the files. They drop them at the address of serve --sftp-listen, or you hand them over
with carfluence feed push. Further settings (grace, date order, mappings) are changed over the API: PATCH /integrations/{id}.`
}

// Run makes an integration.
func (cmd *feedAddCommand) Run(c *console) error {
	d, err := openDesk(c, cmd.feedPlace, app.Feeds{})
	if err != nil {
		return err
	}
	defer d.Close()
	in := feed.Integration{Name: cmd.Name, Type: cmd.Type, Sync: feed.DefaultSync}
	in.Sync.Strategy = cmd.Strategy
	var credentials feed.Credentials
	made := false
	err = d.t.Transact(c, func(tx *sqldb.Tenant) (err error) {
		if in.DealershipID, made, err = d.dealership(c, tx, cmd.Dealer); err != nil {
			return err
		}
		in, credentials, err = d.feeds.CreateIntegration(c, tx, c.actor(), in)
		return err
	})
	if err != nil {
		return err
	}
	if made {
		c.printf("Made dealership %s.\n", strings.TrimSpace(cmd.Dealer))
	}
	c.printf("Made integration %s: %s (%s).\n", in.ID, in.Name, in.Type)
	c.credentials(credentials)
	return nil
}

func (c *console) credentials(login feed.Credentials) {
	c.printf("SFTP username: %s\nSFTP password (shown once): %s\n", login.Username, login.Password)
}

// dealership is the one that a command names, made when there is none.
func (d *desk) dealership(c *console, tx *sqldb.Tenant, named string) (id string, made bool, err error) {
	dealers := d.feeds.Dealers
	if strings.TrimSpace(named) == "" {
		if id, err = dealers.Only(c, tx); errs.KindOf(err) == errs.KindNotFound {
			err = errors.New("name the dealership with --dealer; it can be left out only when the group has exactly one")
		}
		return id, false, err
	}
	if store, err := dealers.Get(c, tx, strings.TrimSpace(named)); errs.KindOf(err) != errs.KindNotFound {
		return store.ID, false, err
	}
	if id, err = dealers.Resolve(c, tx, "", named); errs.KindOf(err) != errs.KindNotFound {
		return id, false, err
	}
	store, err := dealers.Create(c, tx, c.actor(), dealer.Dealer{Name: named})
	return store.ID, err == nil, err
}

type feedPasswdCommand struct {
	feedPlace   `embed:""`
	Integration string `arg:"" help:"Integration, by id or name."`
}

// Run rotates a password.
func (cmd *feedPasswdCommand) Run(c *console) error {
	d, err := openDesk(c, cmd.feedPlace, app.Feeds{})
	if err != nil {
		return err
	}
	defer d.Close()
	in, err := d.find(c, cmd.Integration)
	if err != nil {
		return err
	}
	login, err := d.feeds.Rotate(c, d.t, c.actor(), in.ID)
	if err != nil {
		return err
	}
	c.printf("Changed the SFTP password of %s; logins with the old one fail from now on, connections end within seconds.\n", in.Name)
	c.credentials(login)
	return nil
}
