package auth

import (
	"context"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const accountColumns = `membership.dealer_group_id, person.id, person.email, person.name, person.password_hash, membership.role, membership.status,
	person.created_at, person.updated_at`

const accountTables = ` FROM membership JOIN person ON person.id = membership.person_id`

func scanAccount(row scanner) (a account, err error) {
	var created, updated sqldb.Time
	err = row.Scan(&a.Group, &a.ID, &a.Email, &a.Name, &a.hash, &a.Role, &a.Status, &created, &updated)
	a.CreatedAt, a.UpdatedAt = created.Time, updated.Time
	return a, err
}

// accountByEmail finds an account before its group is known.
func accountByEmail(ctx context.Context, db *sqldb.DB, email string) (account, error) {
	return scanAccount(db.QueryRow(ctx, `SELECT `+accountColumns+accountTables+` WHERE person.email = $1`, email))
}

func accountByID(ctx context.Context, t *sqldb.Tenant, id string) (account, error) {
	return scanAccount(t.QueryRow(ctx, `SELECT `+accountColumns+accountTables+` WHERE membership.dealer_group_id = $1 AND membership.person_id = $2`, id))
}

func listPeople(ctx context.Context, t *sqldb.Tenant, p rest.Page) (list []Person, total int64, err error) {
	if err := t.QueryRow(ctx, `SELECT count(*) FROM membership WHERE dealer_group_id = $1`).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := t.Query(ctx, `SELECT `+accountColumns+accountTables+` WHERE membership.dealer_group_id = $1
		ORDER BY person.created_at DESC, person.id DESC LIMIT $2 OFFSET $3`, p.Limit, p.Offset)
	list, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (Person, error) {
		a, err := scanAccount(r)
		return a.Person, err
	})
	return list, total, err
}

func insertPerson(ctx context.Context, tx *sqldb.Tenant, p Person, hash string) error {
	_, err := tx.DB().Exec(ctx, `INSERT INTO person (id, email, name, password_hash, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
		p.ID, p.Email, p.Name, hash, sqldb.At(p.CreatedAt))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO membership (dealer_group_id, person_id, role, status, created_at) VALUES ($1, $2, $3, $4, $5)`,
		p.ID, string(p.Role), string(p.Status), sqldb.At(p.CreatedAt))
	return err
}

func updatePerson(ctx context.Context, tx *sqldb.Tenant, p Person) error {
	if _, err := tx.Exec(ctx, `UPDATE membership SET role = $3, status = $4 WHERE dealer_group_id = $1 AND person_id = $2`,
		p.ID, string(p.Role), string(p.Status)); err != nil {
		return err
	}
	_, err := tx.DB().Exec(ctx, `UPDATE person SET email = $2, name = $3, updated_at = $4 WHERE id = $1`, p.ID, p.Email, p.Name, sqldb.At(p.UpdatedAt))
	return err
}

func updatePasswordHash(ctx context.Context, tx *sqldb.DB, id, hash string) error {
	_, err := tx.Exec(ctx, `UPDATE person SET password_hash = $2 WHERE id = $1`, id, hash)
	return err
}

// deletePerson removes a person of the group with membership, sessions and their refresh tokens.
func deletePerson(ctx context.Context, tx *sqldb.Tenant, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM credential WHERE dealer_group_id = $1 AND kind = 'refresh'
		AND subject_id IN (SELECT id FROM session WHERE dealer_group_id = $1 AND person_id = $2)`, id); err != nil {
		return err
	}
	_, err := tx.DB().Exec(ctx, `DELETE FROM person WHERE id = $1`, id)
	return err
}

func countOtherAdmins(ctx context.Context, tx *sqldb.Tenant, id string) (n int64, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) FROM membership WHERE dealer_group_id = $1 AND person_id <> $2 AND role = 'admin' AND status = 'active'`, id).Scan(&n)
	return n, err
}

// lockPerson comes before an account is read in order to be changed, or a session begun: a login must not slip past
// the password's change that ends all sessions.
func lockPerson(ctx context.Context, tx *sqldb.Tenant, id string) error {
	return tx.Lock(ctx, "person "+id)
}
