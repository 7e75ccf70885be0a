package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"carfluence/internal/sqldb"
)

// Rows per multi-row insert. The driver looks each parameter's name up by walking through all of them, so that
// many columns want few rows.
const (
	vehiclesPerStatement = 8
	entriesPerStatement  = 25
)

const vehicleColumns = `vin, stock_number, year, make, model, trim, price_cents, mileage, condition, body_style, lot_since, sold_at, updated_at,
	entries, overrides, document, record, dealership_id, status, source_integration_id, created_at, search, origin`

const numVehicleColumns = 23

// insertHistory shares what all entries of a batch have in common; each row has five of its own.
func insertHistory(rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO vehicle_history (dealer_group_id, source, actor_type, actor_id, actor_name, file, created_at,
		vin, n, change_type, changed_fields, line) VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($1, $2, $3, $4, $5, $6, $7")
		for j := range 5 {
			b.WriteString(", $" + strconv.Itoa(8+5*i+j))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// insertVehicles is the statement for a number of rows.
func insertVehicles(rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO vehicle (dealer_group_id, ` + vehicleColumns + `) VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($1")
		for j := range numVehicleColumns {
			b.WriteString(", $" + strconv.Itoa(2+numVehicleColumns*i+j))
		}
		b.WriteByte(')')
	}
	b.WriteString(` ON CONFLICT (dealer_group_id, vin) DO UPDATE SET dealership_id = excluded.dealership_id, stock_number = excluded.stock_number,
		year = excluded.year, make = excluded.make, model = excluded.model, trim = excluded.trim, price_cents = excluded.price_cents,
		mileage = excluded.mileage, condition = excluded.condition, body_style = excluded.body_style, status = excluded.status,
		source_integration_id = excluded.source_integration_id, lot_since = excluded.lot_since, sold_at = excluded.sold_at,
		updated_at = excluded.updated_at, entries = excluded.entries, overrides = excluded.overrides, search = excluded.search,
		document = excluded.document, record = excluded.record`)
	return b.String()
}

// Statements of the two sizes used, so that they are prepared once.
var (
	insertVehiclesFull, insertVehicle = insertVehicles(vehiclesPerStatement), insertVehicles(1)
	insertHistoryFull, insertEntry    = insertHistory(entriesPerStatement), insertHistory(1)
)

// chunks are multi-row inserts of one size, and of single rows for the rest.
type chunks struct {
	size         int
	full, single string
	shared       []any // first parameters of every statement
}

func (c chunks) insert(ctx context.Context, tx *sqldb.Tenant, rows int, bind func(args []any, row int) []any) error {
	var args []any
	for i := 0; i < rows; {
		n, statement := 1, c.single
		if rows-i >= c.size {
			n, statement = c.size, c.full
		}
		args = append(args[:0], c.shared...)
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
	err := w.updateVehicles(ctx, tx)
	if err == nil {
		err = w.insertVehicles(ctx, tx)
	}
	if sqldb.IsForeignKey(err) {
		return errNoDealership
	}
	if err != nil {
		return fmt.Errorf("store vehicles: %w", err)
	}
	return nil
}

func (w *work) insertVehicles(ctx context.Context, tx *sqldb.Tenant) error {
	statements := chunks{size: vehiclesPerStatement, full: insertVehiclesFull, single: insertVehicle}
	return statements.insert(ctx, tx, len(w.inserts), func(args []any, row int) []any {
		v := w.inserts[row]
		args = append(w.plainColumns(args, v), text(v.Values[DealershipID]), v.Values[Status], text(v.SourceIntegrationID))
		return append(args, sqldb.At(v.CreatedAt), v.search(), v.origin)
	})
}

// updateVehicle leaves alone what stands in indexes: writing the same value there costs as much as a new one.
const updateVehicle = `UPDATE vehicle SET stock_number = $3, year = $4, make = $5, model = $6, trim = $7, price_cents = $8, mileage = $9,
	condition = $10, body_style = $11, lot_since = $12, sold_at = $13, updated_at = $14, entries = $15, overrides = $16, document = $17, record = $18
	WHERE dealer_group_id = $1 AND vin = $2`

func (w *work) updateVehicles(ctx context.Context, tx *sqldb.Tenant) error {
	var args []any
	for _, v := range w.updates {
		args = w.plainColumns(args[:0], v)
		if _, err := tx.Exec(ctx, updateVehicle, args...); err != nil {
			return err
		}
	}
	return nil
}

// plainColumns are the VIN and the columns that stand in no index.
func (w *work) plainColumns(args []any, v *Vehicle) []any {
	w.scratch = w.days.document(w.scratch[:0], v)
	document := string(w.scratch)
	w.scratch = appendRecord(w.scratch[:0], &v.Values)
	record := string(w.scratch)
	price, priced := cents(v.Values[Price])
	return append(args, v.VIN, text(v.Values[StockNumber]), integer(v.Values[Year]), text(v.Values[Make]), text(v.Values[Model]), text(v.Values[Trim]),
		known(price, priced), integer(v.Values[Mileage]), text(v.Values[Condition]), text(v.Values[BodyStyle]), int64(v.LotSince), sqldb.At(v.SoldAt),
		sqldb.At(v.UpdatedAt), v.entries, strings.Join(v.Overrides.Names(), ","), document, record)
}

func (w *work) storeHistory(ctx context.Context, tx *sqldb.Tenant) error {
	statements := chunks{
		size: entriesPerStatement, full: insertHistoryFull, single: insertEntry,
		shared: []any{w.from.Name, w.from.ActorType, w.from.ActorID, w.from.ActorName, w.from.File, sqldb.At(w.now)},
	}
	err := statements.insert(ctx, tx, len(w.history), func(args []any, row int) []any {
		e := &w.history[row]
		return append(args, e.vin, e.n, string(e.kind), e.changes, e.line)
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

const storedColumns = `vin, record, source_integration_id, overrides, lot_since, sold_at, created_at, updated_at, entries, origin`

func scanVehicle(scan func(dest ...any) error) (*Vehicle, error) {
	v := &Vehicle{}
	var record, overrides string
	var integration sql.NullString
	var sold, created, updated sqldb.Time
	if err := scan(&v.VIN, &record, &integration, &overrides, &v.LotSince, &sold, &created, &updated, &v.entries, &v.origin); err != nil {
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
	vins := make(sqldb.Strings, len(changes))
	for i := range changes {
		vins[i] = changes[i].VIN
	}
	rows, err := t.Query(ctx, `SELECT `+storedColumns+` FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (*Vehicle, error) { return scanVehicle(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("read vehicles: %w", err)
	}
	stored := make(map[string]*Vehicle, len(changes))
	for _, v := range list {
		stored[v.VIN] = v
	}
	return stored, nil
}

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
