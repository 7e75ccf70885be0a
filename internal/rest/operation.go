package rest

import (
	"context"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"carfluence/internal/errs"
)

// Security is what an operation asks of its caller. The same declaration is enforced and documented.
type Security struct {
	kind  securityKind
	scope string
}

type securityKind uint8

const (
	undeclared securityKind = iota
	open
	anyone
	people
	scoped
)

// Open is for operations that need no credential.
func Open() Security { return Security{kind: open} }

// Anyone is for operations that any key or session may call.
func Anyone() Security { return Security{kind: anyone} }

// People is for operations on the caller's own account: a session, whatever its role.
func People() Security { return Security{kind: people} }

// Scope is for operations that need a scope, held by a key or through a role.
func Scope(scope string) Security { return Security{kind: scoped, scope: scope} }

// IsOpen tells that no credential is needed.
func (s Security) IsOpen() bool { return s.kind == open }

// PeopleOnly tells that only sessions may call.
func (s Security) PeopleOnly() bool { return s.kind == people }

// Needs is the scope asked for, "" for none.
func (s Security) Needs() string { return s.scope }

func (s Security) String() string {
	switch s.kind {
	case open:
		return "open"
	case anyone:
		return "any credential"
	case people:
		return "session"
	case scoped:
		return s.scope
	}
	return "undeclared"
}

// Names of the security schemes in the OpenAPI document.
const (
	schemeKey     = "apiKey"
	schemeSession = "session"
)

func (s Security) document() []map[string][]string {
	switch s.kind {
	case anyone:
		return []map[string][]string{{schemeKey: {}}, {schemeSession: {}}}
	case people:
		return []map[string][]string{{schemeSession: {}}}
	case scoped:
		return []map[string][]string{{schemeKey: {s.scope}}, {schemeSession: {s.scope}}}
	}
	return []map[string][]string{}
}

// Operation declares one route.
type Operation struct {
	ID          string // operationId, "list-inventory"
	Method      string
	Path        string // below /api/v1, "/inventory/{vin}"
	Root        bool   // the path counts from the host's root instead
	Summary     string
	Description string
	Tag         string
	Security    Security
	Status      int      // of success; 200 when 0
	Also        int      // another status of success with the same body, 0 for none
	Codes       []string // of refusals, beyond those every operation of its shape has
	Credentials bool     // the answer holds secrets: no-store
	Fresh       bool     // the answer is worth nothing a moment later: no ETag, not to be stored
	Confirms    bool     // the answer says how the change came into force (ConfirmedHeader)
	Upload      *Upload  // the body is a stream of any type; nil for JSON
	// Answer documents the body of success by its type, for a handler that writes it as bytes.
	Answer any
	// Files documents the body of a Streamed answer by its media types.
	Files map[string]string
}

// Register adds an operation. It panics on a declaration without security: such a program does not start.
func Register[I, O any](a *API, op Operation, handle func(context.Context, *I) (*O, error)) {
	if op.Security.kind == undeclared {
		panic("rest: operation " + op.ID + " declares no security")
	}
	path := Prefix + op.Path
	if op.Root {
		path = op.Path
	}
	a.routes = append(a.routes, Route{op.Method, path, op.Security})
	a.codes[op.ID] = codesOf[I](op)
	a.confirming[op.ID], a.fresh[op.ID] = op.Confirms, op.Fresh
	_, takesBody := reflect.TypeFor[I]().FieldByName("Body")
	params := queryParams(reflect.TypeFor[I]())
	known := newInputs[I]()
	if answer := quickly(a, op, known, handle); answer != nil {
		a.quick[op.ID] = answer
		if !strings.Contains(path, "{") {
			a.exact[path] = route{op.Method + " " + path, answer}
		}
	}
	gate := func(ctx huma.Context, next func(huma.Context)) {
		_, w := humago.Unwrap(ctx)
		x := w.(*Exchange)
		x.credentials, x.fresh, x.gate, x.security = op.Credentials, op.Fresh, &a.Gate, op.Security
		err := a.Gate.Allow(x, op.Security)
		if err == nil && takesBody {
			err = checkBody(x.r)
		}
		if err != nil {
			x.fail(err)
			return
		}
		if raw := x.r.URL.RawQuery; raw != "" && len(params) > 0 {
			ctx, x.faults = readQuery(ctx, params, raw)
		}
		next(ctx)
	}
	huma.Register(a.huma, huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: path, Summary: op.Summary, Description: op.description(),
		Tags: []string{op.Tag}, Security: op.Security.document(), DefaultStatus: op.Status,
		Errors: statusesOf(a.codes[op.ID]), MaxBodyBytes: MaxBodyBytes + 1, BodyReadTimeout: BodyReadTimeout,
		Middlewares: huma.Middlewares{gate}, Responses: a.answers(op), RequestBody: op.Upload.document(),
	}, func(ctx context.Context, in *I) (*O, error) {
		x := From(ctx)
		if len(x.faults) > 0 {
			x.fail(errs.Invalid("invalid", invalidDetail(len(x.faults)), x.faults...))
			return nil, nil
		}
		if a.quick[op.ID] != nil {
			known.keep(x.r.URL.RawQuery, *in)
		}
		out, err := handle(ctx, in)
		if err != nil {
			x.fail(err)
			return nil, nil
		}
		if e, ok := any(out).(*Encoded); ok {
			x.answer(e, op.Status)
			return nil, nil
		}
		if s, ok := any(out).(*Streamed); ok {
			x.stream(s, a.Log)
			return nil, nil
		}
		return out, nil
	})
}

func (a *API) answers(op Operation) map[string]*huma.Response {
	if op.Files != nil {
		return map[string]*huma.Response{"200": files(op.Files)}
	}
	if op.Answer == nil {
		return nil
	}
	status := op.Status
	if status == 0 {
		status = http.StatusOK
	}
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(op.Answer), true, op.ID+"Response")
	answer := func(status int) *huma.Response {
		return &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	out := map[string]*huma.Response{strconv.Itoa(status): answer(status)}
	if op.Also != 0 {
		out[strconv.Itoa(op.Also)] = answer(op.Also)
	}
	return out
}

func files(of map[string]string) *huma.Response {
	r := &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{}}
	for kind, text := range of {
		r.Content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Description: text}}
	}
	return r
}

// checkBody refuses a body that is too large or no JSON by its header, before it is read.
func checkBody(r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	if r.ContentLength > MaxBodyBytes {
		return errTooLarge
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	suffixed := strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json") && kind != "application/+json"
	if err != nil || kind != "application/json" && !suffixed {
		return errMediaType
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") {
		return errMediaType
	}
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return errMediaType
	}
	r.Header["Content-Type"] = []string{"application/json"} // the library compares the text
	return nil
}

func (op Operation) description() string {
	text := strings.TrimSpace(op.Description)
	if scope := op.Security.Needs(); scope != "" {
		text = strings.TrimSpace(text + "\n\nNeeds scope `" + scope + "`: " + scopeText(scope) + ".")
	}
	return text
}

// codesOf lists the codes an operation refuses with: those of its shape and its own.
func codesOf[I any](op Operation) []string {
	list := append([]string{"header_too_large", "internal"}, op.Codes...)
	if op.Root { // outside the limits, and no place for credentials
		return list
	}
	list = append(list, "malformed", "multiple_credentials", "credential_in_url", "rate_limited", "unavailable")
	if !op.Security.IsOpen() {
		list = append(list, "credentials_missing", "credentials_invalid", "token_expired", "token_revoked", "key_revoked", "key_expired")
	}
	if op.Security.Needs() != "" {
		list = append(list, "insufficient_scope")
	}
	if op.Security.PeopleOnly() {
		list = append(list, "session_required")
	}
	if strings.Contains(op.Path, "{") {
		list = append(list, "not_found")
	}
	if op.Upload != nil {
		list = append(list, "request_timeout", "file_too_large", "invalid")
	}
	if _, has := reflect.TypeFor[I]().FieldByName("Body"); has {
		list = append(list, "request_timeout", "too_large", "unsupported_media_type", "invalid")
	}
	return list
}

// statusesOf are the statuses of codes. An unknown code is a mistake in a declaration: such a program does not
// start.
func statusesOf(codes []string) []int {
	var out []int
	for _, code := range codes {
		out = append(out, problemType(code).Status)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
