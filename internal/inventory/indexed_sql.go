package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"carfluence/internal/index"
	"carfluence/internal/sqldb"
)

const indexedColumns = `vin, version, lot_since, dealership_id, document`

// writtenVehicles finds its place in the index alone. Vehicles that are written while it is walked through come again, later.
const writtenVehicles = `SELECT ` + indexedColumns + ` FROM vehicle WHERE dealer_group_id = $1 AND (version, vin) > ($2, $3) ORDER BY version, vin LIMIT $4`

func scanIndexed(r *sqldb.Rows) (row index.Row, err error) {
	var dealership sql.NullString
	err = r.Scan(&row.VIN, &row.Version, &row.LotSince, &dealership, &row.Document)
	row.DealershipID = dealership.String
	return row, err
}

// selectWritten reads vehicles by version and VIN, those behind the ones given.
func selectWritten(ctx context.Context, t *sqldb.Tenant, version int64, vin string, limit int) ([]index.Row, error) {
	rows, err := t.Query(ctx, writtenVehicles, version, vin, limit)
	list, err := sqldb.Collect(rows, err, scanIndexed)
	if err != nil {
		return nil, fmt.Errorf("read vehicles by version: %w", err)
	}
	return list, nil
}

// selectIndexed reads vehicles by VIN.
func selectIndexed(ctx context.Context, t *sqldb.Tenant, vins sqldb.Strings) ([]index.Row, error) {
	rows, err := t.QueryFew(ctx, `SELECT `+indexedColumns+` FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins)
	list, err := sqldb.Collect(rows, err, scanIndexed)
	if err != nil {
		return nil, fmt.Errorf("read vehicles: %w", err)
	}
	return list, nil
}

// selectDocuments reads of vehicles by VIN what an index that is of their versions does not keep, so that a page is read at
// two columns each: version and document, and the VIN, with which a document begins.
func selectDocuments(ctx context.Context, t *sqldb.Tenant, vins sqldb.Strings) ([]index.Row, error) {
	rows, err := t.QueryFew(ctx, `SELECT version, document FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (row index.Row, err error) {
		err = r.Scan(&row.Version, &row.Document)
		row.VIN, _, _ = strings.Cut(strings.TrimPrefix(row.Document, documentStart), `"`)
		return row, err
	})
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	return list, nil
}

// selectExported reads the vehicles that follow a VIN. Those a filter leaves out have no document: so a piece takes no longer
// however few pass.
func selectExported(ctx context.Context, t *sqldb.Tenant, f Filter, after string, limit int) ([]index.Row, error) {
	where, args := f.where()
	n := len(args) + 2
	rows, err := t.Query(ctx, `SELECT vin, version, lot_since, dealership_id, CASE WHEN TRUE`+where+` THEN document ELSE '' END FROM vehicle
		WHERE dealer_group_id = $1 AND vin > $`+strconv.Itoa(n)+` ORDER BY vin LIMIT $`+strconv.Itoa(n+1), append(args, after, limit)...)
	list, err := sqldb.Collect(rows, err, scanIndexed)
	if err != nil {
		return nil, fmt.Errorf("read vehicles by VIN: %w", err)
	}
	return list, nil
}
