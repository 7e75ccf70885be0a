package rest

import (
	"net/url"
	"strings"

	"carfluence/internal/errs"
)

// Marks of our own secrets: API key, refresh token, JWT.
var secretMarks = []string{"cf_live_", "cfr_", "eyJ"}

// credentialNames are query parameters that are credentials whatever their value.
var credentialNames = map[string]bool{
	"api_key": true, "apikey": true, "api-key": true, "x-api-key": true, "access_token": true, "accesstoken": true, "token": true,
	"refresh_token": true, "refreshtoken": true, "authorization": true, "bearer": true, "jwt": true, "password": true,
}

func looksSecret(s string) bool {
	for _, mark := range secretMarks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// checkURL refuses credentials in the address: they stay in logs, histories and proxies (RFC 6750 §5.3).
func checkURL(u *url.URL) error {
	found := looksSecret(u.Path)
	if u.RawQuery != "" && !found {
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			name, value, _ := strings.Cut(pair, "=")
			name, value = unescape(name), unescape(value)
			if credentialNames[strings.ToLower(name)] || looksSecret(name) || strings.Contains(value, "cf_live_") || strings.HasPrefix(value, "cfr_") || strings.HasPrefix(value, "eyJ") {
				found = true
			}
		}
	}
	if !found {
		return nil
	}
	return errs.New(errs.KindMalformed, "credential_in_url", "A credential stood in the URL. Send it as a header (X-API-Key or Authorization), and replace this one: addresses are kept by logs and proxies.")
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// safePath is a path fit for logs and answers.
func safePath(path string) string {
	if looksSecret(path) {
		return "(hidden: held a credential)"
	}
	return clip(strings.ToValidUTF8(path, "?"), 500)
}
