package feed

import "carfluence/internal/rest"

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
