package rule

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/rest/resttest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

const (
	ours   = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"
	theirs = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02"
)

var tester = audit.Actor{Type: "person", ID: "p1", Name: "Jo"}

// house is the rules and the inventory behind their real handler, with callers named by a header.
type house struct {
	testing.TB
	*Rules
	api     *rest.API
	dealers *dealer.Dealers
	log     bytes.Buffer
	now     time.Time
}

func newHouse(t testing.TB, o Options) *house {
	t.Helper()
	h := &house{TB: t, now: now}
	clock := func() time.Time { return h.now }
	db := sqldbtest.Open(t, sqldb.Stock)
	stock := inventory.NewStock(db, inventory.Options{Now: clock})
	o.Now, o.Log = clock, slog.New(slog.NewTextHandler(&h.log, nil))
	h.Rules = New(db, stock, o)
	stock.Rules = h.InForce
	h.dealers = &dealer.Dealers{DB: db, Now: clock, Held: stock.Count, Changed: stock.Bump}
	h.api = rest.New(rest.Config{Version: "test", Log: o.Log, Observe: func(*rest.Exchange) {}, Gate: rest.Gate{Admit: admit, Allow: allow}})
	h.Register(h.api)
	stock.Register(h.api)
	return h
}

func admit(x *rest.Exchange) error {
	p := &auth.Principal{Kind: auth.KeyKind, Group: ours, ID: "key-1", Name: "Test key", Scopes: auth.Admin}
	switch x.Request().Header.Get("X-Caller") {
	case "manager":
		p.Scopes = auth.RoleManager.Scopes()
	case "reader":
		p.Scopes = auth.RulesRead
	case "writer":
		p.Scopes = auth.RulesWrite
	case "tester":
		p.Scopes = auth.RulesRead | auth.InventoryRead
	case "other":
		p.Scopes = auth.InventoryRead | auth.InventoryWrite
	case "foreign":
		p.Group = theirs
	}
	x.Caller = p
	return nil
}

func allow(x *rest.Exchange, s rest.Security) error {
	need, _ := auth.ParseScope(s.Needs())
	if !x.Caller.(*auth.Principal).Scopes.Has(need) {
		return errs.New(errs.KindForbidden, "insufficient_scope", "no")
	}
	return nil
}

func (h *house) tenant() *sqldb.Tenant { return h.db.Tenant(ours) }

// call answers status, body and header. as is "" for an administrator.
func (h *house) call(as, method, path, body string) (int, string, http.Header) {
	h.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Caller", as)
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	return w.Code, w.Body.String(), resttest.Header(w.Header())
}

// answer is a decoded body.
type answer map[string]any

// at is what a body holds at a dotted path; numbers step into lists.
func (a answer) at(path string) any {
	var v any = map[string]any(a)
	for step := range strings.SplitSeq(path, ".") {
		switch list := v.(type) {
		case map[string]any:
			v = list[step]
		case []any:
			i := int(step[0] - '0')
			if i >= len(list) {
				return nil
			}
			v = list[i]
		default:
			return nil
		}
	}
	return v
}

// text is the JSON of what a body holds at a path.
func (a answer) text(path string) string {
	b, _ := json.Marshal(a.at(path))
	return string(b)
}

// must is call for a status that is expected; it returns the body decoded.
func (h *house) must(status int, as, method, path, body string) answer {
	h.Helper()
	code, text, _ := h.call(as, method, path, body)
	if code != status {
		h.Fatalf("%s %s %s: %d %s, want %d", method, path, body, code, text, status)
	}
	var out answer
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		h.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return out
}

// rule makes one over HTTP: its path.
func (h *house) rule(name, conditions, actions string) (path string) {
	h.Helper()
	out := h.must(201, "", "POST", "/rules", `{"name":"`+name+`","conditions":[`+conditions+`],"actions":[`+actions+`]}`)
	return "/rules/" + out.at("rule.id").(string)
}

// set is the JSON of an action.
func set(field, value string) string {
	return `{"type":"set_field","field":"` + field + `","value":"` + value + `"}`
}

// faults are the pointers of a refusal, each with its reason.
func (a answer) faults() (out []string) {
	list, _ := a["errors"].([]any)
	for _, f := range list {
		m := f.(map[string]any)
		pointer, _ := m["pointer"].(string)
		out = append(out, pointer+" "+m["detail"].(string))
	}
	return out
}

// vehicle is a stored vehicle.
func (h *house) vehicle(vin string) answer {
	h.Helper()
	return answer(h.must(200, "", "GET", "/inventory/"+vin, "")["vehicle"].(map[string]any))
}

// history are the entries of a vehicle as "type fields by".
func (h *house) history(vin string) (out []string) {
	h.Helper()
	for _, e := range h.must(200, "", "GET", "/inventory/"+vin+"/history", "").at("history").([]any) {
		m := answer(e.(map[string]any))
		by, _ := m["actor_name"].(string)
		if m["change_type"] == "created" {
			out = append(out, "created by "+by)
			continue
		}
		out = append(out, m.text("changed_fields")+" by "+m["source"].(string)+" "+by)
	}
	return out
}

// file brings rows of an integration into the inventory, as a sync does.
func (h *house) file(changes ...vehicle.Change) {
	h.Helper()
	err := h.tenant().Transact(h.Context(), func(tx *sqldb.Tenant) error {
		from := inventory.Source{Name: "vauto", IntegrationID: ours, ActorType: "integration", ActorID: ours, ActorName: "Nightly", File: "f.csv"}
		return h.stock.Write(h.Context(), tx, from, func(w *inventory.Writer) error {
			if _, err := w.Apply(h.Context(), changes); err != nil {
				return err
			}
			return w.RefreshAll(h.Context())
		})
	})
	h.stock.Committed(ours)
	if err != nil {
		h.Fatal(err)
	}
}

// row is a change of fields, in pairs of name and canonical text.
func row(vin string, pairs ...string) vehicle.Change {
	c := vehicle.Change{VIN: vin, Line: 2}
	for i := 0; i < len(pairs); i += 2 {
		f, _ := vehicle.FieldNamed(pairs[i])
		c.Put(f, pairs[i+1])
	}
	return c
}

// events are the audit rows of rules, oldest first.
func (h *house) events() (out []audit.Row) {
	h.Helper()
	rows, err := audit.List(h.Context(), h.tenant(), 1000)
	if err != nil {
		h.Fatal(err)
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if strings.HasPrefix(rows[i].Name, "rule") {
			out = append(out, rows[i])
		}
	}
	return out
}
