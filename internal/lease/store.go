package lease

import (
	"context"
	"time"
)

// Store is what replicas share. A statement is sent once; after an error it may have been carried out or not.
//
// Register connects, and what comes after it goes over its connection and fails once that is lost: the database behind
// another one may lack what this replica has seen. Number asks any connection.
type Store interface {
	// Number is the number of the last change.
	Number(ctx context.Context) (int64, error)
	// Register adds a replica that holds nothing, in place of earlier ones, and returns the number it begins at.
	Register(ctx context.Context, id string, earlier []string, at time.Time) (int64, error)
	// Beat reports what a replica has seen. sqldb.ErrNoRows when it is not registered.
	Beat(ctx context.Context, id string, seen int64) (Pulse, error)
	// Changes are those after one number up to another, in order.
	Changes(ctx context.Context, after, upTo int64) ([]Change, error)
	// Roster is every registered replica.
	Roster(ctx context.Context) ([]Row, error)
	// Remove takes a replica out. With beats it does so only if it has not beaten since.
	Remove(ctx context.Context, id string, beats *int64) error
	// Close ends the connection.
	Close() error
}

// Pulse is the answer to a beat.
type Pulse struct {
	N      int64     // of the last change
	At     time.Time // by the store's clock
	Roster []Row     // the replica's own row may be as it was before
}

// Row is a registered replica.
type Row struct {
	ID          string
	Seen, Beats int64
}
