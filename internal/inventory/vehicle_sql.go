package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Statements that write vehicles and their history. Writing to an index costs as much for the value that stands there already
// as for a new one, so that most changes leave the indexed columns alone.
const changingColumns = `source_integration_id, lot_since, sold_at, relisted_at, updated_at, entries, overrides, made, document, version`

var (
	newVehicles       = sqldb.InsertInto("vehicle", "vin, "+changingColumns+", dealership_id, status, search, origin, created_at")
	changedVehicles   = sqldb.UpdateOf("vehicle", "vin", changingColumns)
	reindexedVehicles = sqldb.UpdateOf("vehicle", "vin", changingColumns+", dealership_id, status, search, origin")
	newEntries        = sqldb.InsertInto("vehicle_history", `vin, n, change_type, changed_fields, source, actor_type, actor_id, actor_name, file, line, created_at`)
)

func (w *Writer) storeVehicles(ctx context.Context) error {
	err := w.tx.Load(ctx, changedVehicles, len(w.updates), func(i int, row []any) []any { return w.changing(row, w.updates[i]) })
	if err == nil {
		err = w.tx.Load(ctx, reindexedVehicles, len(w.reindexed), func(i int, row []any) []any { return w.indexed(row, w.reindexed[i]) })
	}
	if err == nil {
		err = w.tx.Load(ctx, newVehicles, len(w.inserts), func(i int, row []any) []any {
			return append(w.indexed(row, w.inserts[i]), sqldb.At(w.inserts[i].CreatedAt))
		})
	}
	if sqldb.IsForeignKey(err) {
		return errNoDealership
	}
	if err != nil {
		return fmt.Errorf("store vehicles: %w", err)
	}
	for _, list := range [][]*Vehicle{w.inserts, w.updates, w.reindexed} {
		for _, v := range list {
			w.written = append(w.written, v.VIN)
		}
	}
	return nil
}

// changing are a vehicle's VIN and the changingColumns.
func (w *Writer) changing(row []any, v *Vehicle) []any {
	return append(row, v.VIN, text(v.SourceIntegrationID), int64(v.LotSince), sqldb.At(v.SoldAt), sqldb.At(v.RelistedAt), sqldb.At(v.UpdatedAt),
		v.entries, strings.Join(v.Overrides.Names(), ","), v.made, w.document(v), w.version)
}

// indexed are those, and what stands in indexes.
func (w *Writer) indexed(row []any, v *Vehicle) []any {
	return append(w.changing(row, v), text(v.Values[vehicle.DealershipID]), v.Values[vehicle.Status], v.search(), v.origin)
}

// storeVersions notes the version in vehicles of which nothing is stored but what sources say.
func (w *Writer) storeVersions(ctx context.Context) error {
	noted := make(map[string]bool, len(w.records))
	for _, vin := range w.written {
		noted[vin] = true
	}
	var vins sqldb.Strings
	for _, r := range w.records {
		if !noted[r.vin] {
			noted[r.vin] = true
			vins = append(vins, r.vin)
		}
	}
	if len(vins) == 0 {
		return nil
	}
	return w.storeVersion(ctx, vins)
}

func (w *Writer) storeVersion(ctx context.Context, vins sqldb.Strings) error {
	w.wrote = true
	w.written = append(w.written, vins...)
	_, err := w.tx.Exec(ctx, `UPDATE vehicle SET version = $2 WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($3))`, w.version, vins)
	if err != nil {
		return fmt.Errorf("store version: %w", err)
	}
	return nil
}

func (w *Writer) document(v *Vehicle) string {
	w.scratch = w.days.document(w.scratch[:0], v)
	return string(w.scratch)
}

func (w *Writer) storeHistory(ctx context.Context) error {
	err := w.tx.Load(ctx, newEntries, len(w.history), func(i int, row []any) []any {
		e := &w.history[i]
		a := e.by
		return append(row, e.vin, e.n, string(e.kind), e.changes, a.source, a.actorType, a.actorID, a.actorName, a.file, a.line(e.line), sqldb.At(w.now))
	})
	if err != nil {
		return fmt.Errorf("store history: %w", err)
	}
	return nil
}

// line is that of the author's file, 0 without one.
func (a *author) line(line int) int {
	if a.file == "" {
		return 0
	}
	return line
}

// text and its like turn a canonical value into a column, NULL for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

const storedColumns = `vin, dealership_id, source_integration_id, overrides, lot_since, sold_at, relisted_at, created_at, updated_at, entries, origin, made`

// vehicleRow is a row of storedColumns. The values of a vehicle are not among them: they follow from its records.
type vehicleRow struct {
	v                                Vehicle
	overrides                        string
	dealership, integration          sql.NullString
	sold, relisted, created, updated sqldb.Time
}

func (r *vehicleRow) columns() []any {
	v := &r.v
	return []any{&v.VIN, &r.dealership, &r.integration, &r.overrides, &v.LotSince, &r.sold, &r.relisted, &r.created, &r.updated, &v.entries, &v.origin, &v.made}
}

func (r *vehicleRow) vehicle() *Vehicle {
	v := &r.v
	v.SourceIntegrationID, v.SoldAt, v.RelistedAt, v.CreatedAt, v.UpdatedAt = r.integration.String, r.sold.Time, r.relisted.Time, r.created.Time, r.updated.Time
	v.Overrides = vehicle.FieldsNamed(r.overrides)
	v.Values[vehicle.DealershipID] = r.dealership.String
	return v
}

func scanVehicle(scan func(dest ...any) error) (*Vehicle, error) {
	row := &vehicleRow{}
	if err := scan(row.columns()...); err != nil {
		return nil, err
	}
	return row.vehicle(), nil
}

func selectVehicleAlone(ctx context.Context, t *sqldb.Tenant, vin string) (*Vehicle, error) {
	v, err := scanVehicle(t.QueryRow(ctx, `SELECT `+storedColumns+` FROM vehicle WHERE dealer_group_id = $1 AND vin = $2`, vin).Scan)
	if err != nil {
		return nil, sqldb.Found(err, errNoVehicle)
	}
	return v, nil
}

// selectVehicle reads a vehicle and its records.
func selectVehicle(ctx context.Context, t *sqldb.Tenant, vin string, days calendar) (*Vehicle, error) {
	v, err := selectWith(ctx, t, wholeVehicle, vin, func(v *vehicleRow, of *recordRow) []any { return slices.Concat(v.columns(), of.columns()) })
	if err != nil {
		return nil, err
	}
	return v, v.restore(days)
}

// Statements that have a row for each of a vehicle's records. What is shown is read without the columns that only writers need:
// each costs.
var (
	wholeVehicle = vehicleWith(of("v", storedColumns), of("r", recordColumns))
	shownVehicle = vehicleWith(of("v", `version, dealership_id, source_integration_id, overrides, lot_since, sold_at, relisted_at, created_at, updated_at, made`),
		of("r", `source_id, standing, record, created_at, changed_at, gone_at`))
)

func vehicleWith(columns, ofRecords string) string {
	return `SELECT ` + columns + `, ` + ofRecords + `
	FROM vehicle v
	JOIN vehicle_source r ON r.dealer_group_id = v.dealer_group_id AND r.vin = v.vin
	WHERE v.dealer_group_id = $1 AND v.vin = $2`
}

// of are a table's columns, which a statement calls by another name.
func of(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

// selectWith reads a vehicle and its records into the columns of rows.
func selectWith(ctx context.Context, t *sqldb.Tenant, statement, vin string, columns func(*vehicleRow, *recordRow) []any) (v *Vehicle, err error) {
	rows, err := t.QueryFew(ctx, statement, vin)
	records, err := sqldb.Collect(rows, err, func(rows *sqldb.Rows) (*record, error) {
		row, said := vehicleRow{}, recordRow{}
		if err := rows.Scan(columns(&row, &said)...); err != nil {
			return nil, err
		}
		if v == nil {
			v = row.vehicle()
		}
		return said.record()
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", vin, err)
	case v == nil:
		return nil, errNoVehicle
	}
	v.VIN, v.records = vin, records
	return v, nil
}

// reading is a vehicle as it is shown, and what else its full record needs.
type reading struct {
	v          *Vehicle
	version    int64 // that wrote it last
	days       calendar
	provenance Provenance
}

// selectReading leaves the values to be restored.
func selectReading(ctx context.Context, t *sqldb.Tenant, vin string) (r reading, err error) {
	r.v, err = selectWith(ctx, t, shownVehicle, vin, func(row *vehicleRow, of *recordRow) []any {
		of.r.vin = vin
		return []any{
			&r.version, &row.dealership, &row.integration, &row.overrides, &row.v.LotSince, &row.sold, &row.relisted, &row.created, &row.updated, &row.v.made,
			&of.r.source, &of.r.standing, &of.text, &of.created, &of.changed, &of.gone,
		}
	})
	return r, err
}

// selectChangedVINs reads the VINs of vehicles that were written after a version, up to a number of them, and the version that
// this tells the changes up to.
func selectChangedVINs(ctx context.Context, t *sqldb.Tenant, after int64, limit int) (now version, vins []string, err error) {
	rows, err := t.Query(ctx, `SELECT i.n, i.changes, i.bumps, coalesce(v.vin, '') FROM inventory_version i
		LEFT JOIN (SELECT dealer_group_id, vin FROM vehicle WHERE dealer_group_id = $1 AND version > $2 ORDER BY version LIMIT $3) v ON v.dealer_group_id = i.dealer_group_id
		WHERE i.dealer_group_id = $1`, after, limit)
	vins, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (vin string, err error) {
		err = r.Scan(&now.n, &now.changes, &now.bumps, &vin)
		return vin, err
	})
	if err != nil {
		return now, nil, fmt.Errorf("read changed vehicles: %w", err)
	}
	return now, vins, nil
}

// restore makes a vehicle read from the store show what it showed when it was written.
func (v *Vehicle) restore(days calendar) error {
	v.Values, _ = (&Merge{}).shown(v.records, v.Overrides, days.has)
	return remake(&v.Values, v.made)
}

// selectBatch reads the stored vehicles of a batch, and their records, by VIN.
func selectBatch(ctx context.Context, t *sqldb.Tenant, vins sqldb.Strings, days calendar) (map[string]*Vehicle, error) {
	rows, err := t.Query(ctx, `SELECT `+storedColumns+` FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (*Vehicle, error) { return scanVehicle(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("read vehicles: %w", err)
	}
	stored := make(map[string]*Vehicle, len(list))
	if len(list) == 0 {
		return stored, nil
	}
	for _, v := range list {
		stored[v.VIN] = v
	}
	rows, err = t.Query(ctx, `SELECT `+recordColumns+` FROM vehicle_source WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins)
	records, err := sqldb.Collect(rows, err, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	for _, r := range records {
		if v, ok := stored[r.vin]; ok {
			v.records = append(v.records, r)
		}
	}
	for _, v := range list {
		if err := v.restore(days); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

func countHeld(ctx context.Context, t *sqldb.Tenant, dealershipID string) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM vehicle WHERE dealer_group_id = $1 AND dealership_id = $2`, dealershipID).Scan(&n)
	return n, err
}

func (w *Writer) storeCounts(ctx context.Context) error {
	for id, n := range w.counts {
		if *n == (count{}) {
			continue
		}
		_, err := w.tx.Exec(ctx, `INSERT INTO inventory_count AS k (dealer_group_id, dealership_id, total, active, active_new, active_used, price_count, price_cents,
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
	rows, err := t.QueryFew(ctx, `SELECT dealership_id, total, active, active_new, active_used, price_count, price_cents, mileage_count, mileage_sum, lot_since_sum
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

// version of a group's inventory.
type version struct {
	n       int64 // rises with everything that changes what it shows
	changes int64 // of these, with what was written to vehicles, which carry it
	bumps   int64 // of these, with what changes how vehicles are shown
	mark    int64 // of who has written changes last, at random
}

// strays are changes by a program that does not note versions in vehicles, as the one before this.
func (v version) strays() int64 { return v.n - v.changes - v.bumps }

// alike tells that between two versions nothing has changed but vehicles that carry it.
func (v version) alike(other version) bool {
	return v.bumps == other.bumps && v.strays() == other.strays()
}

// raiseChanges makes known what a Writer has written, whose number is only its own while it has the inventory's lock.
func raiseChanges(ctx context.Context, tx *sqldb.Tenant, changes, mark int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO inventory_version AS v (dealer_group_id, n, changes, mark) VALUES ($1, 1, $2, $3)
		ON CONFLICT (dealer_group_id) DO UPDATE SET n = v.n + 1, changes = excluded.changes, mark = excluded.mark`, changes, mark)
	if err != nil {
		return fmt.Errorf("raise version: %w", err)
	}
	return nil
}

func raiseBumps(ctx context.Context, tx *sqldb.Tenant) error {
	_, err := tx.Exec(ctx, `INSERT INTO inventory_version AS v (dealer_group_id, n, bumps) VALUES ($1, 1, 1)
		ON CONFLICT (dealer_group_id) DO UPDATE SET n = v.n + 1, bumps = v.bumps + 1`)
	if err != nil {
		return fmt.Errorf("raise version: %w", err)
	}
	return nil
}

// selectVersion is 0 for a group whose inventory nothing was ever written to.
func selectVersion(ctx context.Context, t *sqldb.Tenant) (v version, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(n), 0), coalesce(max(changes), 0), coalesce(max(bumps), 0), coalesce(max(mark), 0) FROM inventory_version
		WHERE dealer_group_id = $1`).Scan(&v.n, &v.changes, &v.bumps, &v.mark)
	return v, err
}

func raiseEdition(ctx context.Context, tx *sqldb.Tenant) error {
	_, err := tx.Exec(ctx, `INSERT INTO inventory_edition AS e (dealer_group_id, n) VALUES ($1, 1)
		ON CONFLICT (dealer_group_id) DO UPDATE SET n = e.n + 1`)
	if err != nil {
		return fmt.Errorf("raise edition: %w", err)
	}
	return nil
}

// selectEdition is 0 for a group without rules and merge configs.
func selectEdition(ctx context.Context, t *sqldb.Tenant) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(n), 0) FROM inventory_edition WHERE dealer_group_id = $1`).Scan(&n)
	return n, err
}
