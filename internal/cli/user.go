package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"carfluence/internal/app"
	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

func (a *accounts) people() *auth.People {
	return auth.NewPeople(a.authority, auth.NewPasswords(1, 1), auth.NewBlocklist())
}

type userCommands struct {
	Add     userAddCommand     `cmd:"" help:"Add a person; without --password-stdin a password is generated and printed once."`
	List    userListCommand    `cmd:"" help:"List the people of a dealer group."`
	Passwd  userPasswdCommand  `cmd:"" help:"Set a person's password, and end all their sessions."`
	Disable userDisableCommand `cmd:"" help:"Keep a person out. When the command ends, all their sessions are over."`
}

// passwordFlag reads a password from standard input, never from the command line.
type passwordFlag struct {
	PasswordStdin bool `help:"Read the password from standard input."`
}

// read returns nil when a password is to be generated.
func (f passwordFlag) read(c *console) (*string, error) {
	if !f.PasswordStdin {
		return nil, nil
	}
	if file, ok := c.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		c.hint("Password: ")
		b, err := term.ReadPassword(int(file.Fd()))
		c.hint("\n")
		text := string(b)
		return &text, err
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	text := strings.TrimRight(line, "\r\n")
	if text == "" {
		return nil, usageError{errors.Join(errors.New("--password-stdin: there was no password on standard input"), err)}
	}
	return &text, nil
}

type userAddCommand struct {
	app.Store    `embed:""`
	groupFlag    `embed:""`
	passwordFlag `embed:""`
	Email        string `arg:"" help:"E-mail address, with which they log in."`
	Name         string `help:"Name of the person." required:""`
	Role         string `help:"admin, manager or viewer." enum:"admin,manager,viewer" default:"viewer"`
}

// Run adds a person.
func (cmd *userAddCommand) Run(c *console) error {
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	password, err := cmd.read(c)
	if err != nil {
		return err
	}
	p, generated, err := a.people().Create(c, g.ID, c.actor(), auth.PersonDraft{Email: cmd.Email, Name: cmd.Name, Role: auth.Role(cmd.Role), Password: password})
	if err != nil {
		return err
	}
	c.printf("Added %s (%s) to %s.\n", p.Email, p.Role, g.Name)
	if generated != "" {
		c.printf("Password (shown once): %s\n", generated)
	}
	return nil
}

type userListCommand struct {
	app.Store `embed:""`
	groupFlag `embed:""`
}

// Run lists people.
func (cmd *userListCommand) Run(c *console) error {
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	t := c.table("ID\tE-MAIL\tNAME\tROLE\tSTATUS\tCREATED")
	for page := (rest.Page{Limit: rest.MaxLimit}); ; page.Offset += page.Limit {
		list, total, err := a.people().List(c, g.ID, page)
		if err != nil {
			return err
		}
		for _, p := range list {
			t.row(p.ID, p.Email, p.Name, p.Role, p.Status, day(p.CreatedAt))
		}
		if page.Offset+page.Limit >= total {
			return t.Flush()
		}
	}
}

type userPasswdCommand struct {
	app.Store    `embed:""`
	passwordFlag `embed:""`
	Email        string `arg:"" help:"E-mail address of the person."`
}

// Run sets a password.
func (cmd *userPasswdCommand) Run(c *console) error {
	password, err := cmd.read(c)
	if err != nil {
		return err
	}
	generated := ""
	if password == nil {
		generated = auth.GeneratePassword()
		password = &generated
	}
	p, err := changePerson(c, cmd.Store, cmd.Email, auth.PersonChange{Password: password})
	if err != nil {
		return err
	}
	c.printf("Changed the password of %s; all their sessions are over.\n", p.Email)
	if generated != "" {
		c.printf("Password (shown once): %s\n", generated)
	}
	return nil
}

type userDisableCommand struct {
	app.Store `embed:""`
	Email     string `arg:"" help:"E-mail address of the person."`
}

// Run disables a person.
func (cmd *userDisableCommand) Run(c *console) error {
	off := auth.StatusDisabled
	p, err := changePerson(c, cmd.Store, cmd.Email, auth.PersonChange{Status: &off})
	if err != nil {
		return err
	}
	c.printf("Disabled %s; all their sessions are over.\n", p.Email)
	return nil
}

func changePerson(c *console, store app.Store, email string, change auth.PersonChange) (auth.Person, error) {
	a, err := openAccounts(c, store)
	if err != nil {
		return auth.Person{}, err
	}
	defer a.Close()
	p, err := a.people().Find(c, email)
	if err != nil {
		return p, err
	}
	if p, err = a.people().Update(c, p.Group, c.actor(), p.ID, change); err != nil {
		return p, fmt.Errorf("change %s: %w", email, err)
	}
	a.settleServer(c)
	return p, nil
}
