package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// table holds what the filter is about: all vehicles, one source's records of them, or merged ones.
func (f Filter) table() string {
	switch {
	case f.view != "":
		return "merged_vehicle"
	case f.IntegrationID != "":
		return "vehicle_source"
	}
	return "vehicle"
}

// where is what a filter adds to the condition on the group; its parameters count from $2, the view's first.
func (f Filter) where() (condition string, args []any) {
	add := func(text string, arg any) {
		args = append(args, arg)
		condition += ` AND ` + strings.ReplaceAll(text, "$", "$"+strconv.Itoa(len(args)+1))
	}
	if f.view != "" {
		add(`view_id = $`, f.view)
	}
	if f.IntegrationID != "" {
		add(`source_id = $`, f.IntegrationID)
	}
	if f.Disputed != "" {
		condition += ` AND disputed <> ''` // as the index has it
	}
	if f.Disputed != "" && f.Disputed != AnyField {
		add(`disputed LIKE $ ESCAPE '\'`, "%,"+wildcards.Replace(f.Disputed)+",%")
	}
	if f.Status != "" {
		add(`status = $`, f.Status)
	}
	if f.Search != "" {
		add(`search LIKE $ ESCAPE '\'`, "%"+wildcards.Replace(f.Search)+"%")
	}
	return condition, args
}

var wildcards = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func countListed(ctx context.Context, t *sqldb.Tenant, f Filter) (n int64, err error) {
	where, args := f.where()
	if err = t.QueryRow(ctx, `SELECT count(*) FROM `+f.table()+` WHERE dealer_group_id = $1`+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count vehicles: %w", err)
	}
	return n, nil
}

// rows is the statement that reads columns of the rows v of a page. The inner query finds its place in an index alone; only the
// rows shown are read.
func (f Filter) rows(columns string, at rest.Page) (statement string, args []any) {
	where, args := f.where()
	n := len(args) + 2
	key := ""
	if f.view != "" {
		key = ` AND v.view_id = $2`
	}
	return `SELECT ` + columns + ` FROM (
		SELECT vin, created_at FROM ` + f.table() + ` WHERE dealer_group_id = $1` + where + ` ORDER BY created_at DESC, vin LIMIT $` + strconv.Itoa(n) + ` OFFSET $` + strconv.Itoa(n+1) + `) p
		JOIN ` + f.table() + ` v ON v.dealer_group_id = $1` + key + ` AND v.vin = p.vin ORDER BY p.created_at DESC, p.vin`, append(args, at.Limit, at.Offset)
}

// appendPage appends the documents of a page.
func appendPage(ctx context.Context, t *sqldb.Tenant, b []byte, f Filter, at rest.Page, days calendar, now time.Time) ([]byte, error) {
	statement, args := f.rows(`v.document, v.lot_since, v.dealership_id`, at)
	rows, err := t.Query(ctx, statement, args...)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var document string
		var since Day
		var dealership sql.NullString
		if err := r.Scan(&document, &since, &dealership); err != nil {
			return struct{}{}, err
		}
		b = appendListDocument(separated(b), document, int64(days.today(dealership.String, now)-since))
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list vehicles: %w", err)
	}
	return b, nil
}

// appendConflicts appends a page of what sources disagree about.
func appendConflicts(ctx context.Context, t *sqldb.Tenant, b []byte, f Filter, at rest.Page) ([]byte, error) {
	statement, args := f.rows(`v.vin, v.conflicts`, at)
	rows, err := t.Query(ctx, statement, args...)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var vin, conflicts string
		if err := r.Scan(&vin, &conflicts); err != nil {
			return struct{}{}, err
		}
		b = vehicle.AppendString(append(separated(b), `{"vin":`...), vin)
		b = append(b, `,"fields":`...)
		b = append(append(b, f.conflicts(conflicts)...), '}')
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list conflicts: %w", err)
	}
	return b, nil
}

// appendSourcePage appends a page of what one source says.
func appendSourcePage(ctx context.Context, t *sqldb.Tenant, b []byte, f Filter, at rest.Page, days calendar, now time.Time) ([]byte, error) {
	where, args := f.where()
	n := len(args) + 2
	rows, err := t.Query(ctx, `SELECT `+recordColumns+` FROM vehicle_source WHERE dealer_group_id = $1`+where+`
		ORDER BY created_at DESC, vin LIMIT $`+strconv.Itoa(n)+` OFFSET $`+strconv.Itoa(n+1), append(args, at.Limit, at.Offset)...)
	records, err := sqldb.Collect(rows, err, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("list vehicles of a source: %w", err)
	}
	for _, r := range records {
		v := days.ownView(r)
		b = append(appendListed(separated(b), v, strconv.FormatInt(days.daysOnLot(v, now), 10)), '}')
	}
	return b, nil
}

// separated appends a comma unless an array has just begun.
func separated(b []byte) []byte {
	if b[len(b)-1] == '[' {
		return b
	}
	return append(b, ',')
}
