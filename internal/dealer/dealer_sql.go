package dealer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const columns = `id, name, codes, address, city, region, postal_code, country, phone, website, time_zone, currency, latitude, longitude, created_at, updated_at`

func scanDealer(scan func(dest ...any) error) (Dealer, error) {
	d := Dealer{Aliases: []Alias{}}
	var codes sqldb.Strings
	var lat, long sql.NullFloat64
	var created, updated sqldb.Time
	err := scan(&d.ID, &d.Name, &codes, &d.Address, &d.City, &d.Region, &d.PostalCode, &d.Country, &d.Phone, &d.Website,
		&d.TimeZone, &d.Currency, &lat, &long, &created, &updated)
	d.Codes, d.CreatedAt, d.UpdatedAt = codes, created.Time, updated.Time
	if lat.Valid {
		d.Latitude = &lat.Float64
	}
	if long.Valid {
		d.Longitude = &long.Float64
	}
	return d, err
}

func countDealers(ctx context.Context, t *sqldb.Tenant) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM dealership WHERE dealer_group_id = $1`).Scan(&n)
	return n, err
}

func selectPage(ctx context.Context, t *sqldb.Tenant, p rest.Page) ([]Dealer, error) {
	const page = `FROM dealership WHERE dealer_group_id = $1 ORDER BY created_at DESC, id LIMIT $2 OFFSET $3`
	rows, err := t.Query(ctx, `SELECT `+columns+` `+page, p.Limit, p.Offset)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (Dealer, error) { return scanDealer(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("list dealerships: %w", err)
	}
	place := make(map[string]*Dealer, len(list))
	for i := range list {
		place[list[i].ID] = &list[i]
	}
	rows, err = t.Query(ctx, `SELECT dealership_id, id, alias, created_at FROM dealership_alias
		WHERE dealer_group_id = $1 AND dealership_id IN (SELECT id `+page+`) ORDER BY id`, p.Limit, p.Offset)
	return list, addAliases(rows, err, func(id string) *Dealer { return place[id] })
}

func selectDealer(ctx context.Context, t *sqldb.Tenant, id string) (Dealer, error) {
	row := t.QueryRow(ctx, `SELECT `+columns+` FROM dealership WHERE dealer_group_id = $1 AND id = $2`, id)
	d, err := scanDealer(row.Scan)
	if err != nil {
		return Dealer{}, sqldb.Found(err, rest.NotFound("dealership"))
	}
	rows, err := t.Query(ctx, `SELECT dealership_id, id, alias, created_at FROM dealership_alias
		WHERE dealer_group_id = $1 AND dealership_id = $2 ORDER BY id`, id)
	return d, addAliases(rows, err, func(string) *Dealer { return &d })
}

func selectTimeZones(ctx context.Context, t *sqldb.Tenant) (map[string]string, error) {
	zones := map[string]string{}
	rows, err := t.Query(ctx, `SELECT id, time_zone FROM dealership WHERE dealer_group_id = $1`)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (id string, err error) {
		var zone string
		err = r.Scan(&id, &zone)
		zones[id] = zone
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("read time zones: %w", err)
	}
	return zones, nil
}

func addAliases(rows *sqldb.Rows, err error, of func(dealershipID string) *Dealer) error {
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (Alias, error) {
		var a Alias
		var dealershipID string
		var created sqldb.Time
		if err := r.Scan(&dealershipID, &a.ID, &a.Alias, &created); err != nil {
			return a, err
		}
		a.CreatedAt = created.Time
		if d := of(dealershipID); d != nil {
			d.Aliases = append(d.Aliases, a)
		}
		return a, nil
	})
	if err != nil {
		return fmt.Errorf("read aliases: %w", err)
	}
	return nil
}

func insertDealer(ctx context.Context, t *sqldb.Tenant, d Dealer) error {
	_, err := t.Exec(ctx, `INSERT INTO dealership (dealer_group_id, `+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		d.ID, d.Name, sqldb.Strings(d.Codes), d.Address, d.City, d.Region, d.PostalCode, d.Country, d.Phone, d.Website,
		d.TimeZone, d.Currency, d.Latitude, d.Longitude, sqldb.At(d.CreatedAt), sqldb.At(d.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store dealership: %w", err)
	}
	return nil
}

func updateDealer(ctx context.Context, t *sqldb.Tenant, d Dealer) error {
	_, err := t.Exec(ctx, `UPDATE dealership SET name = $3, codes = $4, address = $5, city = $6, region = $7, postal_code = $8,
		country = $9, phone = $10, website = $11, time_zone = $12, currency = $13, latitude = $14, longitude = $15, updated_at = $16
		WHERE dealer_group_id = $1 AND id = $2`,
		d.ID, d.Name, sqldb.Strings(d.Codes), d.Address, d.City, d.Region, d.PostalCode, d.Country, d.Phone, d.Website,
		d.TimeZone, d.Currency, d.Latitude, d.Longitude, sqldb.At(d.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store dealership: %w", err)
	}
	return nil
}

func deleteDealer(ctx context.Context, t *sqldb.Tenant, id string) error {
	_, err := t.Exec(ctx, `DELETE FROM dealership WHERE dealer_group_id = $1 AND id = $2`, id)
	if sqldb.IsForeignKey(err) { // come since the check, or of a kind that was not asked for
		return errs.Conflict("conflict", "Vehicles or integrations belong to the dealership. Move or remove them first.")
	}
	if err != nil {
		return fmt.Errorf("delete dealership: %w", err)
	}
	return nil
}

func insertAlias(ctx context.Context, t *sqldb.Tenant, dealershipID string, a Alias) error {
	_, err := t.Exec(ctx, `INSERT INTO dealership_alias (dealer_group_id, id, dealership_id, alias, created_at)
		VALUES ($1, $2, $3, $4, $5)`, a.ID, dealershipID, a.Alias, sqldb.At(a.CreatedAt))
	if err != nil {
		return fmt.Errorf("store alias: %w", err)
	}
	return nil
}

func deleteAlias(ctx context.Context, t *sqldb.Tenant, id string) error {
	if _, err := t.Exec(ctx, `DELETE FROM dealership_alias WHERE dealer_group_id = $1 AND id = $2`, id); err != nil {
		return fmt.Errorf("delete alias: %w", err)
	}
	return nil
}

func selectOwner(ctx context.Context, t *sqldb.Tenant, folded string) (id string, err error) {
	err = t.QueryRow(ctx, `SELECT dealership_id FROM dealership_spelling WHERE dealer_group_id = $1 AND folded = $2`, folded).Scan(&id)
	return id, sqldb.Found(err, errs.NotFound("dealer_unknown", "No dealership goes by this code or name."))
}

// claimed refuses a dealership one of whose spellings belongs to another, and names both.
func claimed(ctx context.Context, t *sqldb.Tenant, d Dealer) error {
	for _, folded := range d.spellings() {
		var holder, name string
		err := t.QueryRow(ctx, `SELECT s.dealership_id, d.name FROM dealership_spelling s
			JOIN dealership d ON d.dealer_group_id = s.dealer_group_id AND d.id = s.dealership_id
			WHERE s.dealer_group_id = $1 AND s.folded = $2 AND s.dealership_id <> $3`, folded, d.ID).Scan(&holder, &name)
		if errors.Is(err, sqldb.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for the holder of a spelling: %w", err)
		}
		return taken(d, folded, fmt.Sprintf("the dealership %s (%s)", name, holder))
	}
	return nil
}

// taken says of a dealership's name, or else of a code or alias, who has it.
func taken(d Dealer, folded, holder string) error {
	code := "alias_taken"
	if folded == Fold(d.Name) {
		code = "dealer_name_taken"
	}
	return errs.Conflict(code, fmt.Sprintf("%q already names %s.", folded, holder))
}

// replaceSpellings writes all texts a dealership goes by; the caller has checked them with claimed.
func replaceSpellings(ctx context.Context, t *sqldb.Tenant, d Dealer) error {
	if _, err := t.Exec(ctx, `DELETE FROM dealership_spelling WHERE dealer_group_id = $1 AND dealership_id = $2`, d.ID); err != nil {
		return fmt.Errorf("replace spellings: %w", err)
	}
	for _, folded := range d.spellings() {
		_, err := t.Exec(ctx, `INSERT INTO dealership_spelling (dealer_group_id, folded, dealership_id) VALUES ($1, $2, $3)`, folded, d.ID)
		if sqldb.IsUnique(err) { // taken since the check
			return taken(d, folded, "another dealership")
		}
		if err != nil {
			return fmt.Errorf("store spelling: %w", err)
		}
	}
	return nil
}

// eachSpelling calls f for every text that leads to a dealership, in order.
func eachSpelling(ctx context.Context, t *sqldb.Tenant, f func(folded, dealershipID string)) error {
	rows, err := t.Query(ctx, `SELECT folded, dealership_id FROM dealership_spelling WHERE dealer_group_id = $1 ORDER BY folded`)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var folded, id string
		err := r.Scan(&folded, &id)
		f(folded, id)
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("read spellings: %w", err)
	}
	return nil
}
