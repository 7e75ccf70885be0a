package feed

import (
	"time"
)

// The statuses of integrations.
const (
	StatusPending = "pending" // no file has come yet
	StatusActive  = "active"
	StatusPaused  = "paused" // takes no files; what is queued waits
	StatusError   = "error"  // the latest file failed, StatusReason says why
)

// The strategies: what becomes of vehicles that a file does not list.
const (
	StrategyOverwrite  = "overwrite"   // sold at once
	StrategyMerge      = "merge"       // sold after SoldGraceSyncs files and SoldGraceHours
	StrategyUpdateOnly = "update_only" // nothing; and a file creates nothing
)

// Sync says how an integration's files act on the inventory.
type Sync struct {
	Strategy       string
	SoldGraceSyncs int64 // files in a row that do not list a vehicle before it is sold
	SoldGraceHours int64 // hours since the first of them before it is sold
	TrackHistory   bool
}

// DefaultSync is the sync of an integration that says nothing else.
var DefaultSync = Sync{Strategy: StrategyMerge, SoldGraceSyncs: 2, SoldGraceHours: 24, TrackHistory: true}

// Integration is a source system that drops files.
type Integration struct {
	ID           string // UUIDv7
	DealershipID string // holds the rows that name no dealership, or an unknown one
	Type         string
	Name         string
	Status       string
	StatusReason string
	Sync         Sync
	DayFirst     bool              // dates are written D/M/Y
	DecimalComma bool              // numbers are written 12.345,00
	Mappings     map[string]string // source column to canonical field, "" for none
	Header       []string          // columns of the latest file that was read
	Drift        string            // how they differ from the file before, "" when they don't
	Username     string            // its SFTP login
	CreatedAt    time.Time
	UpdatedAt    time.Time
}
