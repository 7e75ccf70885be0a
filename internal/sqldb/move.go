package sqldb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Move takes an embedded store to a PostgreSQL server. Its methods are called in their order here, and all of them
// again after a kill at any point: what is done is recorded in the target, in the transaction that does it, so a table
// goes on after the last row that was committed. While the record exists the target is Unfinished.
//
// Row-level security is off in between (COPY would be refused), and put on again by Finish.
type Move struct {
	ID       string           // the same when it is called again
	Store    Store            // which of the two
	From, To *DB              // From within a transaction, so that nobody writes to it meanwhile
	Progress func(rows int64) // told of rows that were read, copied or compared

	tables []movedTable
	sums   map[string]Sum // of the source
}

// moveRecord is the table in the target's schema, with a row for each table to be moved and each step of Once.
const moveRecord = "unfinished_move"

// States in the record.
const (
	moveCopied = "copied"
	moveSealed = "sealed" // all of the move, in both stores, was compared
)

// ErrOccupied says that a move would mix two installations.
var ErrOccupied = errors.New("the target is not empty")

// Unfinished tells that a store on a PostgreSQL server is half of a move, which must not be worked with.
func (db *DB) Unfinished(ctx context.Context, store Store) (unfinished bool, err error) {
	err = db.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, string(store)+"."+moveRecord).Scan(&unfinished)
	return unfinished, err
}

// Survey reads the source to its end and finds what the target can't hold, before anything is done. It returns how
// many rows are to be moved.
func (m *Move) Survey(ctx context.Context) (rows int64, err error) {
	if m.tables, err = m.From.movedTables(ctx); err != nil {
		return 0, fmt.Errorf("read the schema of %s: %w", m.Store, err)
	}
	m.sums = map[string]Sum{}
	for _, t := range m.tables {
		sum, err := m.sum(ctx, m.From, t, t.check)
		if err != nil {
			return 0, err
		}
		m.sums[t.name] = sum
		rows += sum.Rows
	}
	return rows, nil
}

// Check refuses a target that holds anything but this very move: ErrOccupied. It changes nothing.
func (m *Move) Check(ctx context.Context) error {
	if made, err := m.To.Made(ctx, m.Store); err != nil || !made {
		return err
	}
	undo := errors.New("looked")
	err := m.To.Transact(ctx, func(tx *DB) error {
		if _, err := m.check(ctx, tx); err != nil {
			return err
		}
		return undo
	})
	if errors.Is(err, undo) {
		return nil
	}
	return err
}

// check tells whether this move has begun. It leaves row-level security off in tx.
func (m *Move) check(ctx context.Context, tx *DB) (begun bool, err error) {
	if begun, err = tx.Unfinished(ctx, m.Store); err != nil {
		return false, err
	}
	if begun {
		return true, m.own(ctx, tx)
	}
	if err := tx.unguard(ctx); err != nil {
		return false, err
	}
	rows, err := tx.Query(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = $1`, string(m.Store))
	tables, err := Collect(rows, err, func(r *Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		return false, err
	}
	for _, name := range tables {
		if NotMoved[name] != "" || name == filledByMigration {
			continue
		}
		var filled bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+quoted(name)+`)`).Scan(&filled); err != nil {
			return false, err
		}
		if filled {
			return false, fmt.Errorf("%w: %s holds an installation already; name an empty database", ErrOccupied, m.To.pool.name)
		}
	}
	return false, nil
}

// mark is what the record says of whose move it is. Another version of the program may have other tables.
func (m *Move) mark() string { return m.ID + " " + Fingerprint() }

func (m *Move) own(ctx context.Context, tx *DB) error {
	var others int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM unfinished_move WHERE move <> $1`, m.mark()).Scan(&others)
	if err == nil && others > 0 {
		err = fmt.Errorf("%w: %s holds an unfinished move of another installation, or by another version of this program; finish that one, or empty the database: DROP SCHEMA accounts CASCADE; DROP SCHEMA stock CASCADE",
			ErrOccupied, m.To.pool.name)
	}
	return err
}

// Prepare makes the target's tables.
func (m *Move) Prepare(ctx context.Context) error {
	_, err := m.To.Migrate(ctx, m.Store)
	return err
}

// Claim makes the record, and takes row-level security off.
func (m *Move) Claim(ctx context.Context) error {
	return m.To.Transact(ctx, func(tx *DB) error {
		begun, err := m.check(ctx, tx)
		if err != nil {
			return err
		}
		if begun {
			return tx.unguard(ctx)
		}
		return m.begin(ctx, tx)
	})
}

func (m *Move) begin(ctx context.Context, tx *DB) error {
	_, err := tx.Exec(ctx, `CREATE TABLE unfinished_move (
		name  TEXT PRIMARY KEY,
		move  TEXT NOT NULL,
		state TEXT NOT NULL,
		rows  BIGINT NOT NULL, -- copied so far
		after TEXT NOT NULL)   -- the last of them, by the primary key`)
	for _, t := range m.tables {
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO unfinished_move (name, move, state, rows, after) VALUES ($1, $2, '', 0, '')`, t.name, m.mark())
		if err == nil && t.name == filledByMigration {
			_, err = tx.Exec(ctx, `DELETE FROM `+quoted(t.name))
		}
	}
	return err
}

// Copy copies what is not there yet.
func (m *Move) Copy(ctx context.Context) error {
	for _, t := range m.tables {
		if err := m.copyTable(ctx, t); err != nil {
			return fmt.Errorf("copy %s.%s: %w", m.Store, t.name, err)
		}
	}
	return nil
}

func (m *Move) copyTable(ctx context.Context, t movedTable) error {
	var state, after string
	var done int64
	err := m.To.QueryRow(ctx, `SELECT state, rows, after FROM unfinished_move WHERE name = $1`, t.name).Scan(&state, &done, &after)
	if err != nil {
		return err
	}
	m.Progress(done)
	if state != "" {
		return nil
	}
	from, err := m.From.read(ctx, t, after)
	if err != nil {
		return err
	}
	defer from.Close()
	for !from.ended {
		if err := m.copyBatch(ctx, t, from); err != nil {
			return err
		}
	}
	return nil
}

// copyBatch copies some rows and records it.
func (m *Move) copyBatch(ctx context.Context, t movedTable, from *reader) error {
	tx, err := m.To.pool.pg.pool.Begin(m.To.in(ctx, scope{}))
	if err != nil {
		return classify("begin", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	n, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.names(), &batch{reader: from})
	if err != nil {
		return classify("copy", err)
	}
	state := ""
	if from.ended {
		state = moveCopied
	}
	_, err = tx.Exec(ctx, `UPDATE unfinished_move SET state = $2, rows = rows + $3, after = $4 WHERE name = $1`, t.name, state, n, t.position(from.values))
	if err != nil {
		return classify("record", err)
	}
	m.Progress(n)
	return classify("commit", tx.Commit(ctx))
}

// Once does a step that is not the copy of a table, in one transaction on the target with the record of it.
func (m *Move) Once(ctx context.Context, name string, f func(tx *DB) error) error {
	return m.To.Transact(ctx, func(tx *DB) error {
		var done bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM unfinished_move WHERE name = $1)`, name).Scan(&done)
		if err != nil || done {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO unfinished_move (name, move, state, rows, after) VALUES ($1, $2, $3, 0, '')`, name, m.mark(), moveCopied)
		return err
	})
}

// Compared is a table on both sides, each read to its end.
type Compared struct {
	Table    string
	From, To Sum
}

// Same tells that both sides hold the same.
func (c Compared) Same() bool { return c.From == c.To }

// Compare reads the target and compares it with what Survey has read.
func (m *Move) Compare(ctx context.Context) ([]Compared, error) {
	list := make([]Compared, 0, len(m.tables))
	for _, t := range m.tables {
		sum, err := m.sum(ctx, m.To, t, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, Compared{string(m.Store) + "." + t.name, m.sums[t.name], sum})
	}
	return list, nil
}

const progressEvery = 1000

// sum reads a table to its end.
func (m *Move) sum(ctx context.Context, db *DB, t movedTable, check func(values []any) error) (Sum, error) {
	var sum summer
	from, err := db.read(ctx, t, "")
	if err != nil {
		return sum.Sum, fmt.Errorf("read %s.%s: %w", m.Store, t.name, err)
	}
	defer from.Close()
	for from.Next() {
		if check != nil {
			if err := check(from.values); err != nil {
				return sum.Sum, fmt.Errorf("%s.%s: %w", m.Store, t.name, err)
			}
		}
		sum.add(from.values)
		if sum.Rows%progressEvery == 0 {
			m.Progress(progressEvery)
		}
	}
	m.Progress(sum.Rows % progressEvery)
	if from.err != nil {
		return sum.Sum, fmt.Errorf("read %s.%s: %w", m.Store, t.name, from.err)
	}
	return sum.Sum, nil
}

// Seal records that all was compared. From then on only Finish remains to be done.
func (m *Move) Seal(ctx context.Context) error {
	_, err := m.To.Exec(ctx, `UPDATE unfinished_move SET state = $1`, moveSealed)
	return err
}

// Sealed tells whether this very move was.
func (m *Move) Sealed(ctx context.Context) (sealed bool, err error) {
	if begun, err := m.To.Unfinished(ctx, m.Store); err != nil || !begun {
		return false, err
	}
	err = m.To.QueryRow(ctx, `SELECT count(*) > 0 FROM unfinished_move WHERE move = $1 AND state = $2`, m.mark(), moveSealed).Scan(&sealed)
	return sealed, err
}

// Finish puts row-level security on, has the server look at what it holds, so that it plans well from the first
// request, and takes the record away.
func (m *Move) Finish(ctx context.Context) error {
	if _, err := m.To.Migrate(ctx, m.Store); err != nil {
		return err
	}
	tables, err := m.From.movedTables(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := m.To.Exec(ctx, `ANALYZE `+quoted(t.name)); err != nil {
			return err
		}
	}
	_, err = m.To.Exec(ctx, `DROP TABLE IF EXISTS unfinished_move`)
	return err
}
