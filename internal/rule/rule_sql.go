package rule

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const columns = `id, name, enabled, conditions, actions, created_at, updated_at`

func scanRule(scan func(dest ...any) error) (Rule, error) {
	var r Rule
	var conditions, actions string
	var created, updated sqldb.Time
	if err := scan(&r.ID, &r.Name, &r.Enabled, &conditions, &actions, &created, &updated); err != nil {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = created.Time, updated.Time
	if err := json.Unmarshal([]byte(conditions), &r.Conditions); err != nil {
		return r, fmt.Errorf("conditions of rule %s are damaged: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(actions), &r.Actions); err != nil {
		return r, fmt.Errorf("actions of rule %s are damaged: %w", r.ID, err)
	}
	return r, nil
}

// parts are a rule's conditions and actions as they are stored.
func parts(r *Rule) (conditions, actions string, err error) {
	c, err := json.Marshal(orEmpty(r.Conditions))
	if err != nil {
		return "", "", err
	}
	a, err := json.Marshal(orEmpty(r.Actions))
	return string(c), string(a), err
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// countRules also tells when the newest rule was created; zero when there is none.
func countRules(ctx context.Context, t *sqldb.Tenant) (n int64, newest time.Time, err error) {
	var at sqldb.Time
	err = t.QueryRow(ctx, `SELECT count(*), max(created_at) FROM rule WHERE dealer_group_id = $1`).Scan(&n, &at)
	return n, at.Time, err
}

func selectPage(ctx context.Context, t *sqldb.Tenant, p rest.Page) ([]Rule, error) {
	rows, err := t.Query(ctx, `SELECT `+columns+` FROM rule WHERE dealer_group_id = $1 ORDER BY created_at DESC, id LIMIT $2 OFFSET $3`, p.Limit, p.Offset)
	return collect(rows, err)
}

// selectInOrder reads all rules of a group in the order they run.
func selectInOrder(ctx context.Context, t *sqldb.Tenant) ([]Rule, error) {
	rows, err := t.Query(ctx, `SELECT `+columns+` FROM rule WHERE dealer_group_id = $1 ORDER BY created_at, id`)
	return collect(rows, err)
}

func collect(rows *sqldb.Rows, err error) ([]Rule, error) {
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (Rule, error) { return scanRule(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return list, nil
}

func selectRule(ctx context.Context, t *sqldb.Tenant, id string) (Rule, error) {
	r, err := scanRule(t.QueryRow(ctx, `SELECT `+columns+` FROM rule WHERE dealer_group_id = $1 AND id = $2`, id).Scan)
	return r, sqldb.Found(err, errNoRule)
}

func insertRule(ctx context.Context, tx *sqldb.Tenant, r *Rule) error {
	conditions, actions, err := parts(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO rule (dealer_group_id, `+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.ID, r.Name, r.Enabled, conditions, actions, sqldb.At(r.CreatedAt), sqldb.At(r.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store rule: %w", err)
	}
	return nil
}

func updateRule(ctx context.Context, tx *sqldb.Tenant, r *Rule) error {
	conditions, actions, err := parts(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE rule SET name = $3, enabled = $4, conditions = $5, actions = $6, updated_at = $7 WHERE dealer_group_id = $1 AND id = $2`,
		r.ID, r.Name, r.Enabled, conditions, actions, sqldb.At(r.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store rule: %w", err)
	}
	return nil
}

func deleteRule(ctx context.Context, tx *sqldb.Tenant, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM rule WHERE dealer_group_id = $1 AND id = $2`, id); err != nil {
		return fmt.Errorf("delete rule: %w", err)
	}
	return nil
}

// selectSet reads what is known of a group's rules together; all is "" where there never were any.
func selectSet(ctx context.Context, t *sqldb.Tenant) (stamp, days string, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(stamp), ''), coalesce(max(days), '') FROM rule_set WHERE dealer_group_id = $1`).Scan(&stamp, &days)
	if err != nil {
		err = fmt.Errorf("read the state of rules: %w", err)
	}
	return stamp, days, err
}

func storeStamp(ctx context.Context, tx *sqldb.Tenant, stamp string) error {
	_, err := tx.Exec(ctx, `INSERT INTO rule_set (dealer_group_id, stamp, days) VALUES ($1, $2, '') ON CONFLICT (dealer_group_id) DO UPDATE SET stamp = excluded.stamp`, stamp)
	if err != nil {
		return fmt.Errorf("store the state of rules: %w", err)
	}
	return nil
}

func storeDays(ctx context.Context, tx *sqldb.Tenant, days string) error {
	if _, err := tx.Exec(ctx, `UPDATE rule_set SET days = $2 WHERE dealer_group_id = $1`, days); err != nil {
		return fmt.Errorf("store the state of rules: %w", err)
	}
	return nil
}
