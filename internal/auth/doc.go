// Package auth owns who calls: dealer groups, people with their passwords and sessions, API keys, signing
// keys, scopes, the principal, the guard in front of every operation, and the authority that keeps cached
// records fresh. How often a caller may call lives in package quota, what was done in package audit.
package auth
