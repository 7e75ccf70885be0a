package inventory

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"carfluence/internal/sqldb"
)

const countersPerStatement = 25

func insertDays(rows int) string {
	return insertRows("inventory_day AS k", "dealership_id, day, added, sold, relisted, price_changes", 6, rows) + `
		ON CONFLICT (dealer_group_id, day, dealership_id) DO UPDATE SET added = k.added + excluded.added, sold = k.sold + excluded.sold,
		relisted = k.relisted + excluded.relisted, price_changes = k.price_changes + excluded.price_changes`
}

func insertAges(rows int) string {
	return insertRows("inventory_age AS k", "dealership_id, lot_since, active", 3, rows) + `
		ON CONFLICT (dealer_group_id, lot_since, dealership_id) DO UPDATE SET active = k.active + excluded.active`
}

var (
	insertDaysFull, insertDay = insertDays(countersPerStatement), insertDays(1)
	insertAgesFull, insertAge = insertAges(countersPerStatement), insertAges(1)
)

// storeTally adds what the writer has counted.
func (w *Writer) storeTally(ctx context.Context) error {
	var days []dayKey
	for key := range w.tally.days {
		days = append(days, key)
	}
	err := chunks{size: countersPerStatement, full: insertDaysFull, single: insertDay}.insert(ctx, w.tx, len(days), func(args []any, row int) []any {
		key := days[row]
		n := w.tally.days[key]
		return append(args, key.dealership, int64(key.day), n.added, n.sold, n.relisted, n.priceChanges)
	})
	if err != nil {
		return fmt.Errorf("store counters of days: %w", err)
	}
	var ages []ageKey
	for key, active := range w.tally.ages {
		if active != 0 {
			ages = append(ages, key)
		}
	}
	err = chunks{size: countersPerStatement, full: insertAgesFull, single: insertAge}.insert(ctx, w.tx, len(ages), func(args []any, row int) []any {
		return append(args, ages[row].dealership, int64(ages[row].lotSince), w.tally.ages[ages[row]])
	})
	if err != nil {
		return fmt.Errorf("store counters of ages: %w", err)
	}
	return nil
}

// ofDealership restricts counters to a dealership, whose parameter comes after n others; "" is all.
func ofDealership(id string, n string, args ...any) (condition string, all []any) {
	if id == "" {
		return "", args
	}
	return ` AND dealership_id = $` + n, append(args, id)
}

func daysBetween(dealershipID string, first, last Day) (statement string, args []any) {
	of, args := ofDealership(dealershipID, "4", int64(first), int64(last))
	return `SELECT day, CAST(sum(added) AS BIGINT), CAST(sum(sold) AS BIGINT), CAST(sum(relisted) AS BIGINT), CAST(sum(price_changes) AS BIGINT)
		FROM inventory_day WHERE dealer_group_id = $1 AND day >= $2 AND day <= $3` + of + ` GROUP BY day`, args
}

func selectDays(ctx context.Context, t *sqldb.Tenant, dealershipID string, first, last Day) (map[Day]dayCount, error) {
	out := map[Day]dayCount{}
	statement, args := daysBetween(dealershipID, first, last)
	rows, err := t.Query(ctx, statement, args...)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (n dayCount, err error) {
		var day Day
		err = r.Scan(&day, &n.added, &n.sold, &n.relisted, &n.priceChanges)
		out[day] = n
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read counters of days: %w", err)
	}
	return out, nil
}

func agesFrom(dealershipID string, oldest Day) (statement string, args []any) {
	of, args := ofDealership(dealershipID, "3", int64(oldest))
	return `SELECT dealership_id, lot_since, active FROM inventory_age WHERE dealer_group_id = $1 AND lot_since >= $2` + of, args
}

// selectAges reads how many active vehicles there are, and how many of each recent day.
func selectAges(ctx context.Context, t *sqldb.Tenant, dealershipID string, oldest Day) (all int64, recent map[ageKey]int64, err error) {
	kept, err := selectCounts(ctx, t)
	if err != nil {
		return 0, nil, err
	}
	for id, n := range kept {
		if dealershipID == "" || id == dealershipID {
			all += n.active
		}
	}
	recent = map[ageKey]int64{}
	statement, args := agesFrom(dealershipID, oldest)
	rows, err := t.Query(ctx, statement, args...)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (active int64, err error) {
		var key ageKey
		err = r.Scan(&key.dealership, &key.lotSince, &active)
		recent[key] = active
		return active, err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read counters of ages: %w", err)
	}
	return all, recent, nil
}

// counting says what the counters of days and ages know.
type counting struct {
	strays int64
	since  Day // 0 for always
}

func selectCounting(ctx context.Context, t *sqldb.Tenant) (c counting, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(strays), 0), coalesce(max(since), 0) FROM inventory_counting WHERE dealer_group_id = $1`).Scan(&c.strays, &c.since)
	return c, err
}

// selectFirstDay is the first that was counted, another one when none was.
func selectFirstDay(ctx context.Context, t *sqldb.Tenant, otherwise Day) (first Day, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(min(day), $2) FROM inventory_day WHERE dealer_group_id = $1`, int64(otherwise)).Scan(&first)
	return first, err
}

// recountAges counts the group's vehicles, and notes what that knows of.
func recountAges(ctx context.Context, tx *sqldb.Tenant, is counting) error {
	if _, err := tx.Exec(ctx, `DELETE FROM inventory_age WHERE dealer_group_id = $1`); err != nil {
		return fmt.Errorf("recount ages: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO inventory_age (dealer_group_id, dealership_id, lot_since, active)
		SELECT dealer_group_id, coalesce(dealership_id, ''), lot_since, count(*) FROM vehicle WHERE dealer_group_id = $1 AND status = 'active'
		GROUP BY dealer_group_id, coalesce(dealership_id, ''), lot_since`); err != nil {
		return fmt.Errorf("recount ages: %w", err)
	}
	_, err := tx.Exec(ctx, `INSERT INTO inventory_counting (dealer_group_id, strays, since) VALUES ($1, $2, $3)
		ON CONFLICT (dealer_group_id) DO UPDATE SET strays = excluded.strays, since = excluded.since`, is.strays, int64(is.since))
	if err != nil {
		return fmt.Errorf("recount ages: %w", err)
	}
	return nil
}

// insertRows is a multi-row insert of a tenant's table; of every row the group is $1.
func insertRows(table, columns string, numColumns, rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO ` + table + ` (dealer_group_id, ` + columns + `) VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($1")
		for j := range numColumns {
			b.WriteString(", $" + strconv.Itoa(2+numColumns*i+j))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// chunks are multi-row inserts of one size, and of single rows for the rest.
type chunks struct {
	size         int
	full, single string
}

func (c chunks) insert(ctx context.Context, tx *sqldb.Tenant, rows int, bind func(args []any, row int) []any) error {
	var args []any
	for i := 0; i < rows; {
		n, statement := 1, c.single
		if rows-i >= c.size {
			n, statement = c.size, c.full
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
