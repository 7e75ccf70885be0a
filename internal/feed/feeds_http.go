package feed

import (
	"time"

	"carfluence/internal/rest"
)

const (
	tag        = "Integrations"
	readScope  = "integrations:read"
	writeScope = "integrations:write"
)

// Register adds the routes of integrations.
func (f *Feeds) Register(api *rest.API) {
	f.registerIntegrations(api)
	f.registerCredentials(api)
	f.registerUploads(api)
	f.registerLogs(api)
	f.registerUnmatched(api)
	f.registerMappings(api)
}

// seconds is a time as the wire shows it: UTC, whole seconds.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
