package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/errs"
)

// Kinds that only the routes know. They extend errs' closed set at the edge, where the router speaks.
const (
	kindMethod errs.Kind = 100 + iota
	kindMediaType
	kindTimeout
	kindHeaders
	kindGone // nobody reads the answer; the log shows 499, as it is no failure of ours
)

// statusGone is what logs and metrics show for a client that left.
const statusGone = 499

// Realm is the protection space named in WWW-Authenticate.
const Realm = "carfluence"

// quotaExceeded is the registered problem type of a used-up limit.
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// Problem is the body of every 4xx and 5xx (RFC 9457).
type Problem struct {
	Type      string       `json:"type" doc:"Address of a page that explains this kind of problem." example:"/problems/not_found"`
	Title     string       `json:"title" doc:"The kind of problem, constant per code." example:"Not found"`
	Status    int          `json:"status" doc:"HTTP status." example:"404"`
	Detail    string       `json:"detail" doc:"What is wrong with this request and what to do." example:"There is no vehicle with this VIN."`
	Instance  string       `json:"instance" doc:"Path of the request." example:"/api/v1/inventory/1FTEW1EF8HFA85881"`
	Code      string       `json:"code" doc:"Stable, machine-readable code." example:"not_found"`
	RequestID string       `json:"requestId" doc:"Id of the request, also in X-Request-Id and in the server's log."`
	Errors    []errs.Fault `json:"errors,omitempty" doc:"Everything wrong with the request, all at once."`

	RequiredScopes []string `json:"requiredScopes,omitzero" required:"false" doc:"403 only: what the call needs; empty where no scope would help."`
	GrantedScopes  []string `json:"grantedScopes,omitzero" required:"false" doc:"403 only: what the caller has."`

	retryAfter time.Duration
}

// Error and GetStatus make a Problem an error huma can answer with.
func (p *Problem) Error() string  { return p.Code + ": " + p.Detail }
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func statusOf(k errs.Kind) int {
	switch k {
	case errs.KindMalformed:
		return http.StatusBadRequest
	case errs.KindInvalid:
		return http.StatusUnprocessableEntity
	case errs.KindUnauthenticated:
		return http.StatusUnauthorized
	case errs.KindForbidden:
		return http.StatusForbidden
	case errs.KindNotFound:
		return http.StatusNotFound
	case errs.KindConflict:
		return http.StatusConflict
	case errs.KindExpired:
		return http.StatusGone
	case errs.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case errs.KindRateLimited:
		return http.StatusTooManyRequests
	case errs.KindUnavailable:
		return http.StatusServiceUnavailable
	case kindMethod:
		return http.StatusMethodNotAllowed
	case kindMediaType:
		return http.StatusUnsupportedMediaType
	case kindTimeout:
		return http.StatusRequestTimeout
	case kindHeaders:
		return http.StatusRequestHeaderFieldsTooLarge
	case kindGone:
		return statusGone
	}
	return http.StatusInternalServerError
}

func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind == errs.KindInternal {
		e = errs.New(errs.KindInternal, "internal", "The server made a mistake. It is logged under this request id.")
	}
	detail := e.Detail
	if len(e.Faults) > maxFaults {
		detail = invalidDetail(len(e.Faults))
	}
	return &Problem{
		Status: statusOf(e.Kind), Code: e.Code, Detail: detail, Errors: presentable(e.Faults),
		RequiredScopes: e.RequiredScopes, GrantedScopes: e.GrantedScopes, retryAfter: e.RetryAfter,
	}
}

// Limits of a fault's texts in characters: the names in it may be the sender's.
const (
	maxPointer = 300
	maxReason  = 500
)

// presentable bounds the faults and hides secrets that stood in the request.
func presentable(faults []errs.Fault) []errs.Fault {
	var out []errs.Fault
	for _, f := range faults[:min(len(faults), maxFaults)] {
		if looksSecret(f.Pointer) {
			f.Pointer = "#"
		}
		f.Pointer = clip(f.Pointer, maxPointer)
		f.Detail = withoutSecrets(clip(f.Detail, maxReason))
		out = append(out, f)
	}
	return out
}

// decorate fills in what only the exchange knows.
func (p *Problem) decorate(x *Exchange) {
	p.RequestID = x.RequestID
	p.Instance = safePath(x.r.URL.Path)
	p.Title = titleOf(p.Code, p.Status)
	p.Type = typeOf(p.Code)
	if p.Status == http.StatusForbidden {
		p.RequiredScopes, p.GrantedScopes = orEmpty(p.RequiredScopes), orEmpty(p.GrantedScopes)
	}
	if p.Status == http.StatusServiceUnavailable && p.retryAfter == 0 {
		p.retryAfter = time.Second
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (p *Problem) headers(h http.Header, credentialSent bool) {
	if p.retryAfter > 0 {
		seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if c := p.challenge(credentialSent); c != "" {
		h[headerChallenge] = []string{c}
	}
}

// challenge is the WWW-Authenticate value (RFC 9110 §11.6.1). An error is named only when a token came with the
// request (RFC 6750 §3.1): in its header, or a refresh token; a password is none.
func (p *Problem) challenge(credentialSent bool) string {
	base := `Bearer realm="` + Realm + `"`
	switch {
	case p.Status == http.StatusUnauthorized && !credentialSent && !strings.HasPrefix(p.Code, "refresh_"):
		return base
	case p.Status == http.StatusUnauthorized && p.Code == "token_expired":
		return base + `, error="invalid_token", error_description="token expired"`
	case p.Status == http.StatusUnauthorized:
		return base + `, error="invalid_token"`
	case p.Status == http.StatusForbidden && p.Code == "insufficient_scope":
		return base + `, error="insufficient_scope", scope="` + strings.Join(p.RequiredScopes, " ") + `"`
	case p.Status == http.StatusBadRequest && p.Code == "multiple_credentials":
		return base + `, error="invalid_request"`
	}
	return ""
}

func (p *Problem) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)              // a detail may say ">= 0"
	if err := e.Encode(p); err != nil { // texts and numbers always encode
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ProblemType is one stable code, for the pages under /problems.
type ProblemType struct {
	Code, Title string
	Status      int
	Meaning     string // what happened and what to do
}

func typeOf(code string) string {
	if code == "rate_limited" {
		return quotaExceeded
	}
	return "/problems/" + code
}

// problemType is what is said of a code. It panics on an unknown one.
func problemType(code string) ProblemType {
	for _, t := range ProblemTypes {
		if t.Code == code {
			return t
		}
	}
	panic("rest: code " + code + " is not explained in ProblemTypes")
}

func titleOf(code string, status int) string {
	for i := range ProblemTypes {
		if ProblemTypes[i].Code == code {
			return ProblemTypes[i].Title
		}
	}
	return http.StatusText(status)
}

// ProblemTypes lists every code the API answers with; a test holds it against the code.
var ProblemTypes = []ProblemType{
	{"malformed", "Malformed request", 400, "The request can't be read: broken JSON, text after it, a member twice, invalid UTF-8, nesting over 32, or a query that is not percent-encoded. Nothing was changed."},
	{"multiple_credentials", "More than one credential", 400, "Two different credentials came with one request. Send one, in X-API-Key or Authorization."},
	{"credential_in_url", "Credential in the address", 400, "A secret stood in the URL, where logs and proxies keep it. Send it as a header, and replace it: consider it exposed."},
	{"credentials_missing", "No credential", 401, "This call needs an API key (X-API-Key) or a session token (Authorization: Bearer)."},
	{"credentials_invalid", "Credential not accepted", 401, "The key, token, or e-mail and password are not valid here. Check for a typing mistake or ask your administrator for a new one."},
	{"token_expired", "Session token expired", 401, "The token was valid but its time is over. Exchange the refresh token at /api/v1/auth/refresh."},
	{"token_revoked", "Session ended", 401, "The session of this token was ended. Log in again."},
	{"key_revoked", "API key revoked", 401, "The key was revoked by an administrator. Ask for a new one."},
	{"key_expired", "API key expired", 401, "The key's time is over. Ask for a new one."},
	{"refresh_invalid", "Refresh token not accepted", 401, "The refresh token is unknown, expired, or its session has ended. Log in again."},
	{"refresh_reused", "Refresh token used twice", 401, "The token had been exchanged before. As it may have been stolen, the whole session was ended. Log in again."},
	{"insufficient_scope", "Not allowed", 403, "The caller is known but lacks the scope or role this call needs; the body names both."},
	{"session_required", "For people only", 403, "The call works on a person's own account or session; an API key can't make it."},
	{"cross_origin", "Cross-origin request refused", 403, "Cookie-based refresh is answered only to pages of the same origin."},
	{"not_found", "Not found", 404, "There is no such record, or it is not yours to see."},
	{"route_not_found", "No such address", 404, "There is nothing at this address. See /docs."},
	{"method_not_allowed", "Method not allowed", 405, "The address exists but does not answer to this method; the Allow header lists those it answers to."},
	{"request_timeout", "Request too slow", 408, "The body did not arrive in time."},
	{"conflict", "Conflict", 409, "The request is at odds with what is stored; the detail says with what."},
	{"email_taken", "E-mail address in use", 409, "An account with this e-mail address exists already."},
	{"last_admin", "Last administrator", 409, "A dealer group keeps at least one active administrator."},
	{"dealer_name_taken", "Dealership name in use", 409, "Another dealership of this group goes by this name; the detail says which."},
	{"dealer_unknown", "Unknown dealership", 404, "No dealership of this group has this name, code or alias."},
	{"too_many_aliases", "Too many aliases", 409, "The dealership has as many aliases as it may have."},
	{"file_empty", "Empty file", 422, "The file holds nothing; nothing was changed."},
	{"file_not_text", "Not a text file", 422, "The file is not delimited text in UTF-8, UTF-16 or Windows-1252; nothing was changed."},
	{"file_is_spreadsheet", "A spreadsheet", 422, "The file is a spreadsheet or an office document; save it as CSV. Nothing was changed."},
	{"unpacked_too_large", "File too large once unpacked", 422, "The file is larger than it may be once unpacked; nothing was changed."},
	{"archive_empty", "Nothing in the archive", 422, "The ZIP archive holds no file, or only what operating systems add; nothing was changed."},
	{"archive_several_files", "Several files in one archive", 422, "A ZIP archive must hold one feed file; nothing was changed."},
	{"archive_too_many_files", "Too many files in the archive", 422, "The ZIP archive lists more files than it may; pack only the feed file. Nothing was changed."},
	{"archive_nested", "Archive in an archive", 422, "What was unpacked is an archive or a spreadsheet again; pack the feed file once. Nothing was changed."},
	{"archive_encrypted", "Encrypted archive", 422, "The file in the ZIP archive is encrypted; send it without a password. Nothing was changed."},
	{"archive_unsupported", "Unknown kind of archive", 422, "Only gzip and ZIP (deflate) are unpacked; nothing was changed."},
	{"archive_truncated", "Archive cut off", 422, "The archive ends too early, as after an upload that broke off; send it again. Nothing was changed."},
	{"archive_damaged", "Archive damaged", 422, "The archive can't be unpacked, or its checksum is wrong; pack the file again and send it in binary mode. Nothing was changed."},
	{"archive_suspicious", "Archive expands too far", 422, "The archive unpacks to many times more than a feed does; send the file unpacked. Nothing was changed."},
	{"file_without_rows", "No rows", 422, "The file has a header but no rows; nothing was changed."},
	{"file_without_vins", "No usable VINs", 422, "None of the file's rows has a VIN that can be used; nothing was changed."},
	{"header_missing", "No header", 422, "The first line is no header and the layout is not a known one; nothing was changed."},
	{"header_unreadable", "Unreadable header", 422, "The header can't be read; nothing was changed."},
	{"vin_column_missing", "No VIN column", 422, "No column of the file is known to hold VINs; nothing was changed."},
	{"name_taken", "Name in use", 409, "Another record of this dealer group has this name."},
	{"merge_config_name_taken", "Merge config name in use", 409, "Another merge config of this group goes by this name; the detail says which."},
	{"too_many_merge_configs", "Too many merge configs", 409, "The group has as many merge configs as it may have."},
	{"inventory_too_large", "Inventory too large for filters", 503, "Filters, sorts, fields and facets need the inventory in the server's memory, and its setting index-mb has no room for it. Lists with status and search alone work on."},
	{"merge_config_building", "Merge config is being built", 503, "The vehicles of this merge config are being merged for the first time. Retry-After says when to look again."},
	{"alias_taken", "Alias in use", 409, "Another dealership of this group goes by this alias or code; the detail says which."},
	{"dealer_has_vehicles", "Dealership has vehicles", 409, "A dealership with vehicles can't be deleted; the detail says how many there are."},
	{"dealer_has_integrations", "Dealership has integrations", 409, "A dealership that integrations belong to can't be deleted; the detail says which they are."},
	{"too_many_rules", "Too many rules", 409, "The dealer group has as many rules as it may have."},
	{"ssh_key_exists", "SSH key known", 409, "The integration has this SSH public key already; the detail says which one it is."},
	{"too_many_ssh_keys", "Too many SSH keys", 409, "The integration has as many SSH public keys as it may have."},
	{"cursor_expired", "Cursor expired", 410, "Changes since this cursor are not known any more: a backup was restored, or an older version of the server was at work. Start again without since."},
	{"too_large", "Body too large", 413, "The body is larger than this call accepts (1 MiB for JSON)."},
	{"unsupported_media_type", "Unsupported media type", 415, "Send the body as JSON with Content-Type: application/json."},
	{"invalid", "Invalid content", 422, "The request was read but its content can't be accepted; errors lists every fault."},
	{"rate_limited", "Limit used up", 429, "The limit of this key, person or address is used up for the current window; Retry-After says when the next begins."},
	{"login_throttled", "Too many failed logins", 429, "Too many failed attempts for this account or from this source. Retry-After says when to try again."},
	{"file_too_large", "File too large", 413, "The file is larger than this server takes; the detail says how much. Split it, or ask the operator to raise the limit."},
	{"file_older", "Older file", 422, "Only in logs: the file is older than one that has been processed; nothing was changed."},
	{"file_gone", "File no longer kept", 409, "The file is not kept any more; send it again."},
	{"run_not_held", "File is not held", 409, "The file does not wait for a confirmation; its status says what became of it."},
	{"run_superseded", "A newer file has come", 409, "A newer file of the integration takes this one's place; it can't be confirmed any more."},
	{"integration_paused", "Integration is paused", 409, "The integration takes no files while it is paused. Set its status to active first."},
	{"header_too_large", "Header too large", 431, "The request's header is larger than 64 KiB."},
	{"client_gone", "Client left", 499, "Only in the log: the client closed the connection before the answer."},
	{"internal", "Internal error", 500, "The server made a mistake. It is logged under the request id."},
	{"unavailable", "Temporarily unavailable", 503, "The server can't answer now; nothing was changed. Retry-After says when to try again."},
}
