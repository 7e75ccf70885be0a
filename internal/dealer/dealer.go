// Package dealer owns dealerships: their master data, the codes and aliases by which feeds name them, and
// finding the one a feed means. The vehicles they hold live in package inventory.
package dealer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/currency"
	"golang.org/x/text/unicode/norm"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Defaults of a dealership that names none.
const (
	DefaultTimeZone = "UTC"
	DefaultCurrency = "USD"
)

// Limits on what a dealership may hold.
const (
	maxName    = 200
	maxText    = 200
	maxWebsite = 2000
	maxCodes   = 50
	maxAliases = 200
)

// Dealer is a dealership (rooftop) of a dealer group. Empty texts are unknown.
type Dealer struct {
	ID      string // UUIDv7
	Name    string // unique in the group, by fold
	Codes   []string
	Aliases []Alias

	Address, City, Region, PostalCode, Country string
	Phone, Website                             string

	TimeZone            string   // IANA; days on lot are counted in it
	Currency            string   // ISO 4217; the currency of its vehicles' prices
	Latitude, Longitude *float64 // degrees, WGS 84

	CreatedAt, UpdatedAt time.Time
}

// Alias is a source's spelling of a dealership's name or code.
type Alias struct {
	ID        string
	Alias     string
	CreatedAt time.Time
}

// Dealers is the collective of a group's dealerships.
type Dealers struct {
	DB  *sqldb.DB // the stock store; used by the routes
	Now func() time.Time

	// Held counts the vehicles a dealership holds; one that holds any can't be deleted.
	Held func(ctx context.Context, t *sqldb.Tenant, dealershipID string) (int64, error)
	// Fed lists, in words for people, the integrations that belong to a dealership; one that has any can't be deleted.
	Fed func(ctx context.Context, t *sqldb.Tenant, dealershipID string) ([]string, error)
	// Changed is told, in the same transaction, that what the group's inventory shows may have changed.
	Changed func(ctx context.Context, t *sqldb.Tenant) error
}

// List returns a page of the group's dealerships, newest first, and how many there are.
func (d *Dealers) List(ctx context.Context, t *sqldb.Tenant, page rest.Page) ([]Dealer, int64, error) {
	total, err := countDealers(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	list, err := selectPage(ctx, t, page)
	return list, total, err
}

// Get returns one dealership; not found for unknown and foreign ids.
func (d *Dealers) Get(ctx context.Context, t *sqldb.Tenant, id string) (Dealer, error) {
	return selectDealer(ctx, t, id)
}

// Create stores a new dealership; in has at least a name. A name, code or alias that another dealership of
// the group goes by is a conflict.
func (d *Dealers) Create(ctx context.Context, t *sqldb.Tenant, by audit.Actor, in Dealer) (Dealer, error) {
	if err := in.complete(); err != nil {
		return Dealer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Dealer{}, fmt.Errorf("make dealership id: %w", err)
	}
	in.ID, in.Aliases = id.String(), []Alias{}
	in.CreatedAt = d.Now().UTC()
	in.UpdatedAt = in.CreatedAt
	err = d.write(ctx, t, func(tx *sqldb.Tenant) error {
		if err := claimed(ctx, tx, in); err != nil {
			return err
		}
		if err := insertDealer(ctx, tx, in); err != nil {
			return err
		}
		if err := replaceSpellings(ctx, tx, in); err != nil {
			return err
		}
		return d.changed(ctx, tx, by, "dealer.created", in)
	})
	return in, err
}

// write runs f in a transaction that no other write to the group's inventory runs beside.
func (d *Dealers) write(ctx context.Context, t *sqldb.Tenant, f func(tx *sqldb.Tenant) error) error {
	return t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		return f(tx)
	})
}

// Update changes a dealership by edit, which sees the stored one.
func (d *Dealers) Update(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string, edit func(*Dealer)) (Dealer, error) {
	var out Dealer
	err := d.write(ctx, t, func(tx *sqldb.Tenant) error {
		stored, err := selectDealer(ctx, tx, id)
		if err != nil {
			return err
		}
		edit(&stored)
		if err := stored.complete(); err != nil {
			return err
		}
		err = d.store(ctx, tx, by, "dealer.updated", &stored)
		out = stored
		return err
	})
	return out, err
}

// store writes an edited dealership, joining the caller's transaction.
func (d *Dealers) store(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, event string, in *Dealer) error {
	in.UpdatedAt = d.Now().UTC()
	if err := claimed(ctx, tx, *in); err != nil {
		return err
	}
	if err := updateDealer(ctx, tx, *in); err != nil {
		return err
	}
	if err := replaceSpellings(ctx, tx, *in); err != nil {
		return err
	}
	return d.changed(ctx, tx, by, event, *in)
}

// Delete removes a dealership that holds no vehicles and has no integrations, with its aliases.
func (d *Dealers) Delete(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string) error {
	return d.write(ctx, t, func(tx *sqldb.Tenant) error {
		stored, err := selectDealer(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := d.unheld(ctx, tx, stored); err != nil {
			return err
		}
		if err := deleteDealer(ctx, tx, id); err != nil {
			return err
		}
		return d.changed(ctx, tx, by, "dealer.deleted", stored)
	})
}

// unheld refuses a dealership that something belongs to, and says what.
func (d *Dealers) unheld(ctx context.Context, tx *sqldb.Tenant, stored Dealer) error {
	if d.Held != nil {
		n, err := d.Held(ctx, tx, stored.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return errs.Conflict("dealer_has_vehicles", fmt.Sprintf("%s holds %s. Move or remove them first.", stored.Name, vehicles(n)))
		}
	}
	if d.Fed == nil {
		return nil
	}
	names, err := d.Fed(ctx, tx, stored.ID)
	if err != nil || len(names) == 0 {
		return err
	}
	return errs.Conflict("dealer_has_integrations", fmt.Sprintf("%s has %s. Give them another dealership or delete them first.", stored.Name, integrations(names)))
}

// integrations counts them and shows the first few.
func integrations(list []string) string {
	const shown = 5
	if len(list) == 1 {
		return "the integration " + list[0]
	}
	text := strconv.Itoa(len(list)) + " integrations: " + strings.Join(list[:min(len(list), shown)], ", ")
	if len(list) > shown {
		text += ", …"
	}
	return text
}

func vehicles(n int64) string {
	if n == 1 {
		return "1 vehicle"
	}
	return strconv.FormatInt(n, 10) + " vehicles"
}

// AddAlias gives a dealership one more spelling. The same spelling again, by fold, changes nothing.
func (d *Dealers) AddAlias(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id, alias string) (Dealer, error) {
	var out Dealer
	alias = strings.TrimSpace(alias)
	if alias == "" || tooLong(alias, maxName) || !printable(alias) {
		return out, errs.Invalid("invalid", "The alias can't be used.", errs.At("#/alias", "must be 1 to 200 printable characters"))
	}
	err := d.write(ctx, t, func(tx *sqldb.Tenant) (err error) {
		if out, err = selectDealer(ctx, tx, id); err != nil {
			return err
		}
		for _, a := range out.Aliases {
			if Fold(a.Alias) == Fold(alias) {
				return nil
			}
		}
		if len(out.Aliases) >= maxAliases {
			return errs.Conflict("too_many_aliases", fmt.Sprintf("%s has %d aliases, the most there may be.", out.Name, maxAliases))
		}
		aliasID, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make alias id: %w", err)
		}
		a := Alias{ID: aliasID.String(), Alias: alias, CreatedAt: d.Now().UTC()}
		out.Aliases = append(out.Aliases, a)
		if err := insertAlias(ctx, tx, id, a); err != nil {
			return err
		}
		return d.store(ctx, tx, by, "dealer.alias_added", &out)
	})
	return out, err
}

// RemoveAlias takes a spelling away, named by its id or, folded, by its text.
func (d *Dealers) RemoveAlias(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id, aliasIDOrText string) error {
	return d.write(ctx, t, func(tx *sqldb.Tenant) error {
		stored, err := selectDealer(ctx, tx, id)
		if err != nil {
			return err
		}
		kept := []Alias{}
		for _, a := range stored.Aliases {
			if a.ID != aliasIDOrText && Fold(a.Alias) != Fold(aliasIDOrText) {
				kept = append(kept, a)
				continue
			}
			if err := deleteAlias(ctx, tx, a.ID); err != nil {
				return err
			}
		}
		if len(kept) == len(stored.Aliases) {
			return rest.NotFound("alias of this dealership")
		}
		stored.Aliases = kept
		return d.store(ctx, tx, by, "dealer.alias_removed", &stored)
	})
}

// Resolve finds the dealership a feed means: by code, else by name, each compared with all names, codes and
// aliases of the group. Not found when neither is known.
func (d *Dealers) Resolve(ctx context.Context, t *sqldb.Tenant, code, name string) (string, error) {
	for _, text := range []string{code, name} {
		if folded := Fold(text); folded != "" {
			id, err := selectOwner(ctx, t, folded)
			if errs.KindOf(err) != errs.KindNotFound {
				return id, err
			}
		}
	}
	return "", errs.NotFound("dealer_unknown", "No dealership goes by this code or name.")
}

// Fingerprint is equal as long as every text a feed may use leads to the same dealership of the group.
func (d *Dealers) Fingerprint(ctx context.Context, t *sqldb.Tenant) (string, error) {
	sum := sha256.New()
	if err := eachSpelling(ctx, t, func(folded, dealershipID string) { fmt.Fprintf(sum, "%s\x1f%s\x1e", folded, dealershipID) }); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Only returns the group's dealership if it has exactly one; not found otherwise.
func (d *Dealers) Only(ctx context.Context, t *sqldb.Tenant) (string, error) {
	list, err := selectPage(ctx, t, rest.Page{Limit: 2})
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", errs.NotFound("dealer_unknown", "The group does not have exactly one dealership.")
	}
	return list[0].ID, nil
}

// TimeZones are the IANA names of the zones of a group's dealerships, by id.
func (d *Dealers) TimeZones(ctx context.Context, t *sqldb.Tenant) (map[string]string, error) {
	return selectTimeZones(ctx, t)
}

// changed ends every write: the audit row, and word to the inventory.
func (d *Dealers) changed(ctx context.Context, t *sqldb.Tenant, by audit.Actor, event string, now Dealer) error {
	err := audit.Record(ctx, t.DB(), t.Group(), d.Now(), audit.Event{
		Name: event, Actor: by, SubjectType: "dealership", SubjectID: now.ID,
		Detail: map[string]any{"name": now.Name, "codes": now.Codes, "aliases": now.aliasTexts()},
	})
	if err != nil || d.Changed == nil {
		return err
	}
	return d.Changed(ctx, t)
}

func (d Dealer) aliasTexts() []string {
	out := make([]string, 0, len(d.Aliases))
	for _, a := range d.Aliases {
		out = append(out, a.Alias)
	}
	return out
}

// Fold is the form names, codes and aliases are compared in: composed Unicode, lower case, single blanks.
// Punctuation counts: two rooftops may differ in nothing else.
func Fold(text string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFC.String(text))), " ")
}

// spellings are all folded texts a dealership goes by, once each.
func (d Dealer) spellings() []string {
	texts := append([]string{d.Name}, d.Codes...)
	texts = append(texts, d.aliasTexts()...)
	seen := map[string]bool{}
	out := []string{}
	for _, text := range texts {
		if f := Fold(text); f != "" && !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// complete trims, fills defaults and checks the rules, reporting every fault at once.
func (d *Dealer) complete() error {
	var faults []errs.Fault
	text := func(pointer string, s *string, limit int) {
		*s = strings.TrimSpace(*s)
		switch {
		case tooLong(*s, limit):
			faults = append(faults, errs.At(pointer, fmt.Sprintf("must not be longer than %d characters", limit)))
		case !printable(*s):
			faults = append(faults, errs.At(pointer, "must be one line of text"))
		}
	}
	text("#/name", &d.Name, maxName)
	if d.Name == "" {
		faults = append(faults, errs.At("#/name", "must not be empty"))
	}
	text("#/address", &d.Address, maxText)
	text("#/city", &d.City, maxText)
	text("#/region", &d.Region, maxText)
	text("#/postal_code", &d.PostalCode, maxText)
	text("#/country", &d.Country, maxText)
	text("#/phone", &d.Phone, maxText)
	text("#/website", &d.Website, maxWebsite)
	if d.Website != "" && !webAddress(d.Website) {
		faults = append(faults, errs.At("#/website", "must be an http or https address"))
	}
	faults = append(faults, d.completeCodes()...)
	faults = append(faults, d.completePlace()...)
	if len(faults) > 0 {
		return errs.Invalid("invalid", "The dealership can't be stored as given; errors lists every fault.", faults...)
	}
	return nil
}

func (d *Dealer) completeCodes() (faults []errs.Fault) {
	seen := map[string]bool{}
	codes := []string{}
	for i, code := range d.Codes {
		code = strings.TrimSpace(code)
		if code == "" || tooLong(code, maxName) || !printable(code) {
			faults = append(faults, errs.At(fmt.Sprintf("#/codes/%d", i), "must be 1 to 200 printable characters"))
		}
		if !seen[Fold(code)] {
			codes = append(codes, code)
		}
		seen[Fold(code)] = true
	}
	if len(codes) > maxCodes {
		faults = append(faults, errs.At("#/codes", fmt.Sprintf("must not have more than %d codes", maxCodes)))
	}
	d.Codes = codes
	return faults
}

func (d *Dealer) completePlace() (faults []errs.Fault) {
	if d.TimeZone == "" {
		d.TimeZone = DefaultTimeZone
	}
	// "Local" would mean another zone on each machine.
	if _, err := time.LoadLocation(d.TimeZone); err != nil || d.TimeZone == "Local" {
		faults = append(faults, errs.At("#/time_zone", "must be a name of the IANA time zone database, as in America/Chicago"))
	}
	if d.Currency == "" {
		d.Currency = DefaultCurrency
	}
	if unit, err := currency.ParseISO(d.Currency); err != nil || unit.String() != d.Currency {
		faults = append(faults, errs.At("#/currency", "must be a currency code of ISO 4217, as in USD"))
	}
	if d.Latitude != nil && (*d.Latitude < -90 || *d.Latitude > 90) {
		faults = append(faults, errs.At("#/latitude", "must be between -90 and 90"))
	}
	if d.Longitude != nil && (*d.Longitude < -180 || *d.Longitude > 180) {
		faults = append(faults, errs.At("#/longitude", "must be between -180 and 180"))
	}
	return faults
}

func tooLong(s string, limit int) bool { return utf8.RuneCountInString(s) > limit }

func printable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
