package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/yaml"

	"carfluence/internal/errs"
)

// Scopes with their published texts.
var Scopes = []struct{ Name, Text string }{
	{"inventory:read", "Read vehicle inventory"},
	{"inventory:write", "Create/update inventory records"},
	{"dealers:read", "Read dealer information"},
	{"dealers:write", "Create/update dealers"},
	{"integrations:read", "View integration configs"},
	{"integrations:write", "Manage integrations"},
	{"rules:read", "View transformation rules"},
	{"rules:write", "Create/update rules"},
	{"admin", "Full administrative access"},
}

func scopeText(name string) string {
	for _, s := range Scopes {
		if s.Name == name {
			return s.Text
		}
	}
	return name
}

const documentText = `The inventory of a dealer group for people and programs.

**Sessions.** People log in at ` + "`POST /api/v1/auth/login`" + ` and send the token as ` + "`Authorization: Bearer …`" + `.

**API keys.** Programs send ` + "`X-API-Key: cf_live_…`" + `. A credential in the URL is refused.

**Limits.** Every answer carries ` + "`X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`" + ` (Unix seconds). Over the limit the
answer is 429 with ` + "`Retry-After`" + `.

**Errors** are RFC 9457 problems with a stable ` + "`code`" + `; everything wrong with a request is reported at once.`

func (a *API) document() huma.Config {
	c := huma.DefaultConfig("Carfluence API", a.Version)
	c.CreateHooks, c.DocsPath, c.OpenAPIPath, c.SchemasPath = nil, "", "", ""
	c.Transformers = nil
	c.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	c.DefaultFormat = "application/json"
	c.Info.Description = documentText
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	server := a.PublicURL
	if server == "" {
		server = "/"
	}
	c.Servers = []*huma.Server{{URL: server}}
	list := ""
	for _, s := range Scopes {
		list += "\n- `" + s.Name + "`: " + s.Text
	}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		schemeKey:     {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "A program's key, `cf_live_…`. Scopes:" + list},
		schemeSession: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A person's session token (RS256), or an API key. Roles hold scopes: admin all, manager read and write of the four resources, viewer `inventory:read` and `dealers:read`."},
	}
	return c
}

// ServeDocument registers /openapi.json and /openapi.yaml; call it after the last Register.
func (a *API) ServeDocument() {
	namedNulls(a.huma.OpenAPI().Components.Schemas.Map())
	serve := func(contentType string, body func() []byte) http.HandlerFunc {
		var zip Zip
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "public, max-age=300")
			w.(*Exchange).zip = &zip
			_, _ = w.Write(body())
		}
	}
	a.mux.Handle("GET "+Prefix+"/openapi.json", serve("application/vnd.oai.openapi+json", a.JSON))
	a.mux.Handle("GET "+Prefix+"/openapi.yaml", serve("application/yaml", a.YAML))
	a.routes = append(a.routes, Route{"GET", Prefix + "/openapi.json", Open()}, Route{"GET", Prefix + "/openapi.yaml", Open()})
}

// JSON is the OpenAPI 3.1 document.
func (a *API) JSON() []byte { a.spec.Do(a.render); return a.json }

// YAML is the same document.
func (a *API) YAML() []byte { a.spec.Do(a.render); return a.yaml }

func (a *API) render() {
	doc := a.huma.OpenAPI()
	doc.Components.Headers = map[string]*huma.Header{
		"X-Request-Id":          header("Id of the request; send your own or get one.", "string"),
		"X-RateLimit-Limit":     header("Requests allowed in a window.", "integer"),
		"X-RateLimit-Remaining": header("Requests left in this window.", "integer"),
		"X-RateLimit-Reset":     header("Unix seconds when the window ends.", "integer"),
		ConfirmedHeader:         confirmedHeader(),
		"ETag":                  header("Tag of the answer, for If-None-Match.", "string"),
		"Retry-After":           header("Seconds to wait.", "integer"),
		"WWW-Authenticate":      header("The challenge (RFC 6750 §3).", "string"),
	}
	doc.Components.Parameters = map[string]*huma.Param{ifNoneMatch: {
		Name: ifNoneMatch, In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "The ETag of the answer you have. If it is the same still, the answer is 304 without a body, and does not count against the limit.",
	}}
	doc.Components.Examples = map[string]*huma.Example{}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Put, item.Delete} {
			if op != nil {
				a.documentResponses(op, strings.HasPrefix(path, Prefix))
			}
		}
	}
	openAnswers(doc)
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err) // built from our own types
	}
	var pretty bytes.Buffer
	_ = json.Indent(&pretty, raw, "", "  ")
	a.json = pretty.Bytes()
	var y bytes.Buffer
	if err := yaml.Convert(&y, bytes.NewReader(raw)); err != nil {
		panic(err)
	}
	a.yaml = y.Bytes()
}

func header(text, kind string) *huma.Header {
	return &huma.Header{Description: text, Schema: &huma.Schema{Type: kind}}
}

// ConfirmedHeader says how a change of who may do what came into force.
const ConfirmedHeader = "Carfluence-Confirmed"

func confirmedHeader() *huma.Header {
	h := header("How the change came into force: the replicas that confirmed it, of how many (`of`), in how many milliseconds (`ms`); an item of "+
		"RFC 9651. It is in force on all replicas either way: one that did not confirm within 2.1 s lets nobody in before it has applied the change.", "string")
	h.Example = "3;of=3;ms=41"
	return h
}

const ifNoneMatch = "If-None-Match"

// documentResponses adds what the exchange does to every answer, and leaves out what the library only supposes.
func (a *API) documentResponses(op *huma.Operation, limited bool) {
	statuses := statusesOf(a.codes[op.OperationID])
	tagged := op.Method == http.MethodGet && limited && !a.fresh[op.OperationID]
	if tagged {
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/" + ifNoneMatch})
		op.Responses["304"] = &huma.Response{Description: "Not Modified: the client has this answer."}
	}
	for code, res := range op.Responses {
		status, _ := strconv.Atoi(code)
		if status >= 400 && !slices.Contains(statuses, status) {
			delete(op.Responses, code)
			continue
		}
		documentHeaders(tagged, status, limited, res)
		if a.confirming[op.OperationID] && status < 300 {
			res.Headers[ConfirmedHeader] = &huma.Header{Ref: "#/components/headers/" + ConfirmedHeader}
		}
		if status >= 400 {
			a.documentErrors(op, status, res)
		}
	}
}

func documentHeaders(tagged bool, status int, limited bool, res *huma.Response) {
	kept := map[string]*huma.Header{}
	names := []string{"X-Request-Id"}
	if limited {
		names = append(names, "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
	}
	switch status {
	case http.StatusCreated:
		kept["Location"] = header("Path of the new record.", "string")
	case http.StatusOK, http.StatusNotModified:
		if tagged {
			names = append(names, "ETag")
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		names = append(names, "WWW-Authenticate")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		names = append(names, "Retry-After")
	}
	if cookie := res.Headers["Set-Cookie"]; cookie != nil {
		kept["Set-Cookie"] = cookie
	}
	for _, name := range names {
		kept[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	res.Headers = kept
}

// documentErrors shows each refusal of the operation by an example all operations share.
func (a *API) documentErrors(op *huma.Operation, status int, res *huma.Response) {
	media := res.Content["application/problem+json"]
	media.Examples = map[string]*huma.Example{}
	for _, code := range a.codes[op.OperationID] {
		t := problemType(code)
		if t.Status != status {
			continue
		}
		media.Examples[code] = &huma.Example{Ref: "#/components/examples/" + code}
		a.huma.OpenAPI().Components.Examples[code] = &huma.Example{Summary: t.Title, Value: exampleOf(t)}
	}
}

func exampleOf(t ProblemType) Problem {
	p := Problem{Type: typeOf(t.Code), Title: t.Title, Status: t.Status, Code: t.Code, Detail: t.Meaning, Instance: Prefix + "/…", RequestID: "5f0c…"}
	switch t.Code {
	case "invalid":
		p.Errors = []errs.Fault{errs.At("#/scopes/0", "unknown scope"), errs.In("limit", "must be at least 1")}
	case "insufficient_scope":
		p.RequiredScopes, p.GrantedScopes = []string{"dealers:write"}, []string{"dealers:read"}
	case "session_required":
		p.RequiredScopes, p.GrantedScopes = []string{}, []string{"dealers:read"}
	case "cross_origin":
		p.RequiredScopes, p.GrantedScopes = []string{}, []string{}
	}
	return p
}
