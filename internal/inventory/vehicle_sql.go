package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"carfluence/internal/sqldb"
)

// rowsPerStatement of multi-row inserts and reads; more gains nothing.
const rowsPerStatement = 25

const vehicleColumns = `vin, dealership_id, stock_number, year, make, model, trim, price_cents, mileage, condition, body_style, status,
	source_integration_id, lot_since, sold_at, created_at, updated_at, entries, overrides, search, document, record`

const numVehicleColumns = 22

// insertVehicles is the statement for a number of rows.
func insertVehicles(rows int) string {
	return `INSERT INTO vehicle (dealer_group_id, ` + vehicleColumns + `) VALUES ` + placeholdersFor(rows, numVehicleColumns) + `
		ON CONFLICT (dealer_group_id, vin) DO UPDATE SET dealership_id = excluded.dealership_id, stock_number = excluded.stock_number,
		year = excluded.year, make = excluded.make, model = excluded.model, trim = excluded.trim, price_cents = excluded.price_cents,
		mileage = excluded.mileage, condition = excluded.condition, body_style = excluded.body_style, status = excluded.status,
		source_integration_id = excluded.source_integration_id, lot_since = excluded.lot_since, sold_at = excluded.sold_at,
		updated_at = excluded.updated_at, entries = excluded.entries, overrides = excluded.overrides, search = excluded.search,
		document = excluded.document, record = excluded.record`
}

const historyColumns = `vin, n, change_type, changed_fields, source, actor_type, actor_id, actor_name, file, line, created_at`

const numHistoryColumns = 11

func insertHistory(rows int) string {
	return `INSERT INTO vehicle_history (dealer_group_id, ` + historyColumns + `) VALUES ` + placeholdersFor(rows, numHistoryColumns)
}

// placeholdersFor writes ($1, $2, …), ($1, …): the group, then each row's own columns.
func placeholdersFor(rows, columns int) string {
	var b strings.Builder
	n := 1
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($1")
		for range columns {
			n++
			b.WriteString(", $" + strconv.Itoa(n))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// Statements of the two sizes used, so that they are prepared once.
var (
	insertVehiclesFull, insertVehicle = insertVehicles(rowsPerStatement), insertVehicles(1)
	insertHistoryFull, insertEntry    = insertHistory(rowsPerStatement), insertHistory(1)
)

// inChunks runs the statement for full chunks of rows, and the one for a single row for the rest.
func inChunks(ctx context.Context, tx *sqldb.Tenant, rows int, full, single string, bind func(args []any, row int) []any) error {
	args := make([]any, 0, rowsPerStatement*numVehicleColumns)
	for i := 0; i < rows; {
		n, statement := 1, single
		if rows-i >= rowsPerStatement {
			n, statement = rowsPerStatement, full
		}
		args = args[:0]
		for range n {
			args = bind(args, i)
			i++
		}
		if _, err := tx.Exec(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) storeVehicles(ctx context.Context, tx *sqldb.Tenant) error {
	var scratch []byte
	err := inChunks(ctx, tx, len(w.writes), insertVehiclesFull, insertVehicle, func(args []any, row int) []any {
		v := w.writes[row]
		scratch = w.days.document(scratch[:0], v)
		document := string(scratch)
		scratch = appendRecord(scratch[:0], &v.Values)
		record := string(scratch)
		price, priced := cents(v.Values[Price])
		return append(args, v.VIN, text(v.Values[DealershipID]), text(v.Values[StockNumber]), integer(v.Values[Year]), text(v.Values[Make]),
			text(v.Values[Model]), text(v.Values[Trim]), known(price, priced), integer(v.Values[Mileage]), text(v.Values[Condition]),
			text(v.Values[BodyStyle]), v.Values[Status], text(v.SourceIntegrationID), int64(v.LotSince), sqldb.At(v.SoldAt), sqldb.At(v.CreatedAt),
			sqldb.At(v.UpdatedAt), v.entries, strings.Join(v.Overrides.Names(), ","), v.search(), document, record)
	})
	if sqldb.IsForeignKey(err) {
		return errNoDealership
	}
	if err != nil {
		return fmt.Errorf("store vehicles: %w", err)
	}
	return nil
}

func (w *work) storeHistory(ctx context.Context, tx *sqldb.Tenant) error {
	err := inChunks(ctx, tx, len(w.history), insertHistoryFull, insertEntry, func(args []any, row int) []any {
		e := &w.history[row]
		return append(args, e.vin, e.n, string(e.kind), e.changes, w.from.Name, w.from.ActorType, w.from.ActorID, w.from.ActorName, w.from.File, e.line, sqldb.At(w.now))
	})
	if err != nil {
		return fmt.Errorf("store history: %w", err)
	}
	return nil
}

// text and its like turn a canonical value into a column, NULL for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func integer(canonical string) any { return known(number(canonical)) }

func known(n int64, ok bool) any {
	if !ok {
		return nil
	}
	return n
}

const storedColumns = `vin, record, source_integration_id, overrides, lot_since, sold_at, created_at, updated_at, entries`

func scanVehicle(scan func(dest ...any) error) (*Vehicle, error) {
	v := &Vehicle{}
	var record, overrides string
	var integration sql.NullString
	var sold, created, updated sqldb.Time
	if err := scan(&v.VIN, &record, &integration, &overrides, &v.LotSince, &sold, &created, &updated, &v.entries); err != nil {
		return nil, err
	}
	v.SourceIntegrationID, v.SoldAt, v.CreatedAt, v.UpdatedAt = integration.String, sold.Time, created.Time, updated.Time
	v.Overrides = setNamed(overrides)
	return v, readRecord(record, &v.Values)
}

func selectVehicle(ctx context.Context, t *sqldb.Tenant, vin string) (*Vehicle, error) {
	row := t.QueryRow(ctx, `SELECT `+storedColumns+` FROM vehicle WHERE dealer_group_id = $1 AND vin = $2`, vin)
	v, err := scanVehicle(row.Scan)
	if err != nil {
		return nil, sqldb.Found(err, errNoVehicle)
	}
	return v, nil
}

// selectBatch reads the stored vehicles of a batch by VIN.
func selectBatch(ctx context.Context, t *sqldb.Tenant, changes []Change) (map[string]*Vehicle, error) {
	stored := make(map[string]*Vehicle, len(changes))
	args := make([]any, rowsPerStatement)
	for i := 0; i < len(changes); i += rowsPerStatement {
		for j := range args { // a last, short chunk repeats its last VIN
			args[j] = changes[min(i+j, len(changes)-1)].VIN
		}
		rows, err := t.Query(ctx, selectChunk, args...)
		list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (*Vehicle, error) { return scanVehicle(r.Scan) })
		if err != nil {
			return nil, fmt.Errorf("read vehicles: %w", err)
		}
		for _, v := range list {
			stored[v.VIN] = v
		}
	}
	return stored, nil
}

var selectChunk = `SELECT ` + storedColumns + ` FROM vehicle WHERE dealer_group_id = $1 AND vin IN (` +
	strings.TrimPrefix(strings.Trim(placeholdersFor(1, rowsPerStatement), "()"), "$1, ") + `)`

func countHeld(ctx context.Context, t *sqldb.Tenant, dealershipID string) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM vehicle WHERE dealer_group_id = $1 AND dealership_id = $2`, dealershipID).Scan(&n)
	return n, err
}

func storeCounts(ctx context.Context, tx *sqldb.Tenant, c counts) error {
	for id, n := range c {
		_, err := tx.Exec(ctx, `INSERT INTO inventory_count AS k (dealer_group_id, dealership_id, total, active, active_new, active_used, price_count, price_cents,
			mileage_count, mileage_sum, lot_since_sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (dealer_group_id, dealership_id) DO UPDATE SET total = k.total + excluded.total, active = k.active + excluded.active,
			active_new = k.active_new + excluded.active_new, active_used = k.active_used + excluded.active_used,
			price_count = k.price_count + excluded.price_count, price_cents = k.price_cents + excluded.price_cents,
			mileage_count = k.mileage_count + excluded.mileage_count, mileage_sum = k.mileage_sum + excluded.mileage_sum,
			lot_since_sum = k.lot_since_sum + excluded.lot_since_sum`,
			id, n.total, n.active, n.activeNew, n.activeUsed, n.priceCount, n.priceCents, n.mileageCount, n.mileageSum, n.lotSinceDaySum)
		if err != nil {
			return fmt.Errorf("store counters: %w", err)
		}
	}
	return nil
}

func selectCounts(ctx context.Context, t *sqldb.Tenant) (counts, error) {
	rows, err := t.Query(ctx, `SELECT dealership_id, total, active, active_new, active_used, price_count, price_cents, mileage_count, mileage_sum, lot_since_sum
		FROM inventory_count WHERE dealer_group_id = $1`)
	out := counts{}
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (n count, err error) {
		var id string
		err = r.Scan(&id, &n.total, &n.active, &n.activeNew, &n.activeUsed, &n.priceCount, &n.priceCents, &n.mileageCount, &n.mileageSum, &n.lotSinceDaySum)
		out[id] = &n
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return out, nil
}

func bumpVersion(ctx context.Context, tx *sqldb.Tenant) error {
	_, err := tx.Exec(ctx, `INSERT INTO inventory_version AS v (dealer_group_id, n) VALUES ($1, 1)
		ON CONFLICT (dealer_group_id) DO UPDATE SET n = v.n + 1`)
	if err != nil {
		return fmt.Errorf("raise version: %w", err)
	}
	return nil
}

// selectVersion is 0 for a group whose inventory nothing was ever written to.
func selectVersion(ctx context.Context, t *sqldb.Tenant) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM inventory_version WHERE dealer_group_id = $1`).Scan(&n)
	return n, err
}
