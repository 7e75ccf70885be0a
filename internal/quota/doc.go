// Package quota owns how often a subject (an API key or a person) may call: exact credits per fixed
// window, handed out by the store to this replica and spent in memory, and the bounded, in-memory limits
// of addresses without a valid credential. Its rows are the usage statistics too. Who the subject is and
// what its limit is lives in package auth.
//
// The store's row (lim, used, spent) is the truth: used credits left the store in a committed, synced
// transaction before the first call was let in on them, so a crash can lose credits and never make any.
package quota
