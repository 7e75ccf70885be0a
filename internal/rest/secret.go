package rest

import (
	"net/url"
	"regexp"
	"strings"

	"carfluence/internal/errs"
)

// secretPattern finds our own secrets, or parts of them: API key, refresh token, JWT.
var secretPattern = regexp.MustCompile(`cf_live_|cfr_[0-9A-Za-z_-]{8}|eyJ[0-9A-Za-z_-]{8}`)

// credentialNames are query parameters that are credentials whatever their value.
var credentialNames = map[string]bool{
	"api_key": true, "apikey": true, "api-key": true, "x-api-key": true, "access_token": true, "accesstoken": true, "token": true,
	"refresh_token": true, "refreshtoken": true, "authorization": true, "bearer": true, "jwt": true, "password": true,
}

func looksSecret(s string) bool {
	if !strings.Contains(s, "cf") && !strings.Contains(s, "eyJ") { // most texts, at a twentieth of the cost
		return false
	}
	return secretPattern.MatchString(s)
}

// withoutSecrets is text from a request, fit for an answer.
func withoutSecrets(s string) string {
	if looksSecret(s) {
		return "(hidden: held a credential)"
	}
	return s
}

// checkURL refuses a query that can't be read, and credentials in the address: they stay in logs, histories and proxies (RFC 6750 §5.3).
func checkURL(u *url.URL) error {
	found, broken := u.User != nil || looksSecret(u.Path), false
	if u.RawQuery != "" && !found {
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			name, value, _ := strings.Cut(pair, "=")
			name, badName := unescape(name)
			value, badValue := unescape(value)
			found = found || credentialNames[strings.ToLower(name)] || looksSecret(name) || looksSecret(value)
			broken = broken || badName || badValue
		}
	}
	switch {
	case found:
		return errs.New(errs.KindMalformed, "credential_in_url", "A credential stood in the URL. Send it as a header (X-API-Key or Authorization), and replace this one: addresses are kept by logs and proxies.")
	case broken: // the library would take the parameter for absent
		return errs.New(errs.KindMalformed, "malformed", "The query is not percent-encoded (RFC 3986 section 2.1): a percent sign of its own is written %25.")
	}
	return nil
}

func unescape(s string) (text string, broken bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, false
	}
	if t, err := url.QueryUnescape(s); err == nil {
		return t, false
	}
	return s, true
}

// safePath is a path fit for logs and answers.
func safePath(path string) string {
	return clip(strings.ToValidUTF8(withoutSecrets(path), "?"), 500)
}
