package auth

import (
	"context"
	"crypto/rand"
	"math/big"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Status says whether a person may log in.
type Status string

// The states.
const (
	StatusActive   Status = "active"
	StatusDisabled Status = "disabled"
)

// Limits on what is kept of a person.
const (
	maxEmail      = 254 // RFC 5321 section 4.5.3.1.3
	maxPersonName = 100 // characters
)

// Person is somebody with an account in a dealer group.
type Person struct {
	ID        string
	Group     string
	Email     string // lower case; unique in the installation
	Name      string
	Role      Role
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (p Person) actor() audit.Actor {
	return audit.Actor{Type: string(PersonKind), ID: p.ID, Name: p.Name}
}

// account is a person with what a login needs.
type account struct {
	Person
	hash string // of the password
}

// People are the accounts of all dealer groups.
type People struct {
	authority *Authority
	passwords *Passwords
	blocklist *Blocklist
}

// NewPeople makes the collection on the authority's store.
func NewPeople(a *Authority, p *Passwords, b *Blocklist) *People { return &People{a, p, b} }

// PersonDraft is what a new account is made of. Without a password one is generated.
type PersonDraft struct {
	Email    string
	Name     string
	Role     Role
	Status   Status // active when empty
	Password *string
}

// PersonChange is a PATCH of an account; nil leaves a member as it is.
type PersonChange struct {
	Email    *string
	Name     *string
	Role     *Role
	Status   *Status
	Password *string
}

// Create adds a person to a group. generated is the password when the draft had none; it is kept nowhere.
func (ps *People) Create(ctx context.Context, group string, by audit.Actor, d PersonDraft) (p Person, generated string, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Person{}, "", err
	}
	now := ps.authority.now()
	p = Person{ID: id.String(), Group: group, Email: d.Email, Name: d.Name, Role: d.Role, Status: d.Status, CreatedAt: now, UpdatedAt: now}
	if p.Status == "" {
		p.Status = StatusActive
	}
	if d.Password == nil {
		generated = GeneratePassword()
		d.Password = &generated
	}
	hash, err := ps.check(ctx, &p, d.Password, generated != "")
	if err != nil {
		return Person{}, "", err
	}
	err = ps.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		if err := insertPerson(ctx, tx, p, hash); err != nil {
			return nil, taken(err, p.Email)
		}
		return []Ref{{PersonRef, p.ID}}, audit.Record(ctx, tx.DB(), group, now, audit.Event{
			Name: "user.created", Actor: by, SubjectType: "person", SubjectID: p.ID,
			Detail: map[string]any{"email": p.Email, "name": p.Name, "role": p.Role, "status": p.Status},
		})
	})
	if err != nil {
		return Person{}, "", err
	}
	return p, generated, nil
}

// check puts a person into the form that is kept and hashes the password, if there is one. Its error lists
// every fault.
func (ps *People) check(ctx context.Context, p *Person, password *string, generated bool) (hash string, err error) {
	p.normalise()
	faults := p.faults()
	if password != nil && !generated {
		group, err := getGroup(ctx, ps.authority.db, p.Group)
		if err != nil {
			return "", err
		}
		faults = append(faults, ps.blocklist.Check("#/password", *password, Personal{p.Email, p.Name, group.Name})...)
	}
	if len(faults) > 0 {
		return "", errs.Invalid("invalid", "The user can't be stored as asked; errors lists every fault.", faults...)
	}
	if password == nil {
		return "", nil
	}
	return ps.passwords.Hash(ctx, *password)
}

func (p *Person) normalise() { p.Email, p.Name = normalEmail(p.Email), strings.TrimSpace(p.Name) }

func (p *Person) faults() (faults []errs.Fault) {
	if !validEmail(p.Email) {
		faults = append(faults, errs.At("#/email", "must be an e-mail address"))
	}
	if n := utf8.RuneCountInString(p.Name); n == 0 || n > maxPersonName || !validText(p.Name) {
		faults = append(faults, errs.At("#/name", "must be 1 to 100 characters"))
	}
	if !slices.Contains([]Role{RoleAdmin, RoleManager, RoleViewer}, p.Role) {
		faults = append(faults, errs.At("#/role", "must be admin, manager or viewer"))
	}
	if p.Status != StatusActive && p.Status != StatusDisabled {
		faults = append(faults, errs.At("#/status", "must be active or disabled"))
	}
	return faults
}

// normalEmail is the form in which addresses are kept and compared.
func normalEmail(s string) string { return strings.ToLower(strings.TrimSpace(nfkc(s))) }

func validEmail(s string) bool {
	if len(s) > maxEmail {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsFunc(s, unicode.IsSpace)
}

func taken(err error, email string) error {
	if sqldb.IsUnique(err) {
		return errs.Conflict("email_taken", "An account with the address "+email+" exists already.")
	}
	return err
}

// List returns a page of a group's people, newest first.
func (ps *People) List(ctx context.Context, group string, page rest.Page) ([]Person, int64, error) {
	return listPeople(ctx, ps.authority.db.Tenant(group), page)
}

// Get returns one person of a group.
func (ps *People) Get(ctx context.Context, group, id string) (Person, error) {
	a, err := accountByID(ctx, ps.authority.db.Tenant(group), id)
	return a.Person, sqldb.Found(err, rest.NotFound("user"))
}

// Find returns the person with an address, in whichever group.
func (ps *People) Find(ctx context.Context, email string) (Person, error) {
	a, err := accountByEmail(ctx, ps.authority.db, normalEmail(email))
	return a.Person, sqldb.Found(err, rest.NotFound("user"))
}

// Update changes a person. A new password and disabling end the person's sessions. When it returns the
// change is in force on every replica.
func (ps *People) Update(ctx context.Context, group string, by audit.Actor, id string, c PersonChange) (Person, error) {
	old, err := ps.Get(ctx, group, id)
	if err != nil {
		return Person{}, err
	}
	next := old
	c.apply(&next)
	hash, err := ps.check(ctx, &next, c.Password, false) // before the transaction: it takes a while
	if err != nil {
		return Person{}, err
	}
	err = ps.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		if err := lockPerson(ctx, tx, id); err != nil {
			return nil, err
		}
		stored, err := accountByID(ctx, tx, id)
		if err != nil {
			return nil, sqldb.Found(err, rest.NotFound("user"))
		}
		old, next = stored.Person, stored.Person
		c.apply(&next)
		next.normalise()
		next.UpdatedAt = ps.authority.now()
		if err := keepAdmin(ctx, tx, old, next.Role == RoleAdmin && next.Status == StatusActive); err != nil {
			return nil, err
		}
		if err := updatePerson(ctx, tx, next); err != nil {
			return nil, taken(err, next.Email)
		}
		if hash != "" {
			if err := updatePasswordHash(ctx, tx.DB(), id, hash); err != nil {
				return nil, err
			}
		}
		refs := []Ref{{PersonRef, id}}
		if hash != "" || next.Status != StatusActive {
			if refs, err = ps.endAll(ctx, tx, next, refs); err != nil {
				return nil, err
			}
		}
		return refs, audit.Record(ctx, tx.DB(), group, next.UpdatedAt, audit.Event{
			Name: "user.changed", Actor: by, SubjectType: "person", SubjectID: id, Detail: personDifferences(old, next, hash != ""),
		})
	})
	return next, err
}

func (c PersonChange) apply(p *Person) {
	setIf(&p.Email, c.Email)
	setIf(&p.Name, c.Name)
	setIf(&p.Role, c.Role)
	setIf(&p.Status, c.Status)
}

func (ps *People) endAll(ctx context.Context, tx *sqldb.Tenant, p Person, refs []Ref) ([]Ref, error) {
	reason := endedByPassword
	if p.Status != StatusActive {
		reason = endedByAdmin
	}
	ended, err := endSessions(ctx, tx, p.ID, "", reason, ps.authority.now())
	return append(refs, ended...), err
}

func personDifferences(old, next Person, password bool) map[string]any {
	d := map[string]any{"email": next.Email}
	for _, m := range []struct{ name, old, next string }{
		{"email", old.Email, next.Email}, {"name", old.Name, next.Name},
		{"role", string(old.Role), string(next.Role)}, {"status", string(old.Status), string(next.Status)},
	} {
		if m.old != m.next {
			d[m.name] = []string{m.old, m.next}
		}
	}
	if password {
		d["password"] = "reset"
	}
	return d
}

// Delete removes a person and ends the person's sessions. What the person did stays in audit and history.
func (ps *People) Delete(ctx context.Context, group string, by audit.Actor, id string) error {
	return ps.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		if err := lockPerson(ctx, tx, id); err != nil {
			return nil, err
		}
		stored, err := accountByID(ctx, tx, id)
		if err != nil {
			return nil, sqldb.Found(err, rest.NotFound("user"))
		}
		if err := keepAdmin(ctx, tx, stored.Person, false); err != nil {
			return nil, err
		}
		refs, err := ps.endAll(ctx, tx, stored.Person, []Ref{{PersonRef, id}})
		if err != nil {
			return nil, err
		}
		if err := deletePerson(ctx, tx, id); err != nil {
			return nil, err
		}
		return refs, audit.Record(ctx, tx.DB(), group, ps.authority.now(), audit.Event{
			Name: "user.deleted", Actor: by, SubjectType: "person", SubjectID: id, Detail: map[string]any{"email": stored.Email, "name": stored.Name},
		})
	})
}

// keepAdmin refuses a change after which a group would have no active administrator. Two administrators can't remove
// each other at once.
func keepAdmin(ctx context.Context, tx *sqldb.Tenant, p Person, staysAdmin bool) error {
	if staysAdmin || p.Role != RoleAdmin || p.Status != StatusActive {
		return nil
	}
	if err := tx.Lock(ctx, "administrators"); err != nil {
		return err
	}
	others, err := countOtherAdmins(ctx, tx, p.ID)
	if err == nil && others == 0 {
		err = errs.Conflict("last_admin", "A dealer group keeps at least one active administrator. Make somebody else one first.")
	}
	return err
}

// passwordAlphabet leaves out characters that are mistaken for one another.
const passwordAlphabet = "abcdefghjkmnpqrstuvwxyz23456789"

// GeneratePassword makes a password of 99 bits that can be read out: xxxxx-xxxxx-xxxxx-xxxxx.
func GeneratePassword() string {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(passwordAlphabet))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b.WriteByte(passwordAlphabet[n.Int64()])
	}
	return b.String()
}

// clipText bounds a text in bytes, at a character's end.
func clipText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
