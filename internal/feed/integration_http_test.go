package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

func TestIntegrationIsCreatedWithItsLogin(t *testing.T) {
	h := newHouse(t)
	code, text, header := h.call("writer", "POST", "/integrations", `{"dealershipId":"`+h.dealer+`","type":"vauto","name":" vAuto nightly "}`)
	if code != 201 || !strings.Contains(header.Get("Cache-Control"), "no-store") {
		t.Fatalf("%d %s %v", code, text, header)
	}
	path := strings.TrimPrefix(header.Get("Location"), "/api/v1")
	got := h.must(200, "reader", "GET", path, "")["integration"].(map[string]any)
	username := got["sftp"].(map[string]any)["username"].(string)
	want := map[string]any{
		"id": strings.TrimPrefix(path, "/integrations/"), "dealershipId": h.dealer, "type": "vauto", "name": "vAuto nightly", "status": "pending", "statusReason": nil,
		"syncSettings": map[string]any{"strategy": "merge", "sold_grace_syncs": 2.0, "sold_grace_hours": 24.0, "track_history": true},
		"dateOrder":    "month_first", "decimalSeparator": "point", "mappings": map[string]any{}, "drift": nil,
		"createdAt": "2026-11-23T12:00:00Z", "updatedAt": "2026-11-23T12:00:00Z",
		"sftp": map[string]any{"host": "sftp.example.com", "port": 2022.0, "username": username, "hostKeyFingerprint": "SHA256:host", "publicKeys": []any{}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(username) != len("vauto-")+10 || !strings.HasPrefix(username, "vauto-") {
		t.Errorf("username %s", username)
	}
}

func TestIntegrationTakesEverySetting(t *testing.T) {
	h := newHouse(t)
	h.SFTP = SFTPAddress{}
	out := h.must(201, "", "POST", "/integrations", `{"dealershipId":"`+h.dealer+`","type":"custom","name":"x","syncSettings":{"strategy":"overwrite","sold_grace_syncs":100,"sold_grace_hours":0,"track_history":false},
		"dateOrder":"day_first","decimalSeparator":"comma","mappings":{"Preis (€)":"price","FIN":"vin","Notiz":""}}`)
	i := out["integration"].(map[string]any)
	if d := cmp.Diff(map[string]any{"strategy": "overwrite", "sold_grace_syncs": 100.0, "sold_grace_hours": 0.0, "track_history": false}, i["syncSettings"]); d != "" {
		t.Error(d)
	}
	if i["dateOrder"] != "day_first" || i["decimalSeparator"] != "comma" || !cmp.Equal(i["mappings"], map[string]any{"Preis (€)": "price", "FIN": "vin", "Notiz": ""}) {
		t.Errorf("%v", i)
	}
	sftp := out["sftp"].(map[string]any)
	if sftp["host"] != "localhost" || sftp["port"] != 2222.0 || sftp["hostKeyFingerprint"] != nil || len(sftp["password"].(string)) != 32 {
		t.Errorf("%v", sftp)
	}
	h.must(201, "", "POST", "/integrations", `{"dealershipId":"`+h.dealer+`","type":"elead","name":"y","syncSettings":null,"dateOrder":null,"decimalSeparator":null,"mappings":null}`)
}

func TestIntegrationsListNewestFirst(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c"} {
		h.integration(name)
		h.wait(time.Second)
	}
	out := h.must(200, "reader", "GET", "/integrations?limit=2&offset=1", "")
	var got []string
	for _, i := range out["integrations"].([]any) {
		got = append(got, i.(map[string]any)["name"].(string))
	}
	if strings.Join(got, " ") != "b a" || !cmp.Equal(out["pagination"], any(map[string]any{"total": 3.0, "limit": 2.0, "offset": 1.0})) {
		t.Errorf("%v %v", got, out["pagination"])
	}
	if out := h.must(200, "foreign", "GET", "/integrations", ""); len(out["integrations"].([]any)) != 0 {
		t.Errorf("foreign: %v", out)
	}
	h.must(422, "", "GET", "/integrations?offset=-1", "")
}

func TestIntegrationIsPatchedMemberByMember(t *testing.T) {
	h := newHouse(t)
	path, _, _ := h.integration("a")
	other := h.dealership(ours, "Other")
	patch := func(body string) map[string]any {
		t.Helper()
		h.wait(time.Second)
		return h.must(200, "writer", "PATCH", path, body)["integration"].(map[string]any)
	}
	i := patch(`{"name":" b ","dealershipId":"` + other + `","syncSettings":{"strategy":"update_only","sold_grace_hours":48},"dateOrder":"day_first"}`)
	if i["name"] != "b" || i["dealershipId"] != other || i["dateOrder"] != "day_first" || i["status"] != "pending" || i["updatedAt"] != "2026-11-23T12:00:01Z" {
		t.Errorf("%v", i)
	}
	i = patch(`{"syncSettings":{"sold_grace_syncs":3,"sold_grace_hours":null},"decimalSeparator":"comma"}`)
	if d := cmp.Diff(map[string]any{"strategy": "update_only", "sold_grace_syncs": 3.0, "sold_grace_hours": 24.0, "track_history": true}, i["syncSettings"]); d != "" {
		t.Error(d)
	}
	i = patch(`{"syncSettings":null,"dateOrder":null,"decimalSeparator":null}`)
	if i["syncSettings"].(map[string]any)["strategy"] != "merge" || i["dateOrder"] != "month_first" || i["decimalSeparator"] != "point" || i["name"] != "b" {
		t.Errorf("%v", i)
	}
	before := len(h.events())
	if i = patch(`{"name":"b","syncSettings":{}}`); i["updatedAt"] != "2026-11-23T12:00:03Z" || len(h.events()) != before {
		t.Errorf("nothing changed: %v", i)
	}
	rows := h.events()
	if got := names(rows); got != "created changed changed changed" {
		t.Fatal(got)
	}
	if got := rows[2]; got.Actor.ID != "key-1" || got.SubjectID != i["id"] || got.RequestID == "" ||
		got.DetailJSON != `{"decimalSeparator":["point","comma"],"name":"b","sold_grace_hours":[48,24],"sold_grace_syncs":[2,3]}` {
		t.Errorf("%+v", got)
	}
}

func TestPauseAndResume(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	var resumed []string
	h.Limits, h.Enqueue = DefaultLimits, func(context.Context, *sqldb.Tenant, string) error { return nil }
	if _, err := h.Receive(t.Context(), h.tenant(), strings.TrimPrefix(path, "/integrations/"), Upload{Name: "waits.csv", File: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	h.Enqueue = func(_ context.Context, tx *sqldb.Tenant, id string) error {
		resumed = append(resumed, id)
		i, err := selectIntegration(t.Context(), tx, id)
		if err != nil || i.Status != StatusActive {
			t.Errorf("told before the change: %v %v", i.Status, err)
		}
		return nil
	}
	login, err := h.Login(t.Context(), username, password)
	if err != nil {
		t.Fatal(err)
	}
	status := func(set, want string) {
		t.Helper()
		if got := h.must(200, "", "PATCH", path, `{"status":"`+set+`"}`)["integration"].(map[string]any)["status"]; got != want {
			t.Errorf("%s: %v", set, got)
		}
	}
	status("active", "active") // from pending
	if ok, err := h.StillValid(t.Context(), login); !ok || err != nil || len(resumed) != 0 {
		t.Errorf("activated: %v %v %v", ok, err, resumed)
	}
	status("paused", "paused")
	if _, err := h.Login(t.Context(), username, password); errs.KindOf(err) != errs.KindUnauthenticated {
		t.Errorf("paused: %v", err)
	}
	status("paused", "paused")
	status("active", "active")
	if len(resumed) != 1 || "/integrations/"+resumed[0] != path {
		t.Errorf("resumed %v", resumed)
	}
	if ok, err := h.StillValid(t.Context(), login); ok || err != nil {
		t.Errorf("a connection of before the pause: %v %v", ok, err)
	}
	if _, err := h.Login(t.Context(), username, password); err != nil {
		t.Errorf("resumed: %v", err)
	}

	// active ends an error; a failing hook takes the change back.
	h.exec(`UPDATE integration SET status = 'error', status_reason = 'no VINs' WHERE dealer_group_id = $1`)
	if i := h.must(200, "", "GET", path, "")["integration"].(map[string]any); i["statusReason"] != "no VINs" {
		t.Errorf("%v", i)
	}
	h.must(200, "", "PATCH", path, `{"name":"renamed"}`)
	if i := h.must(200, "", "GET", path, "")["integration"].(map[string]any); i["status"] != "error" || i["statusReason"] != "no VINs" {
		t.Errorf("renamed: %v", i)
	}
	if i := h.must(200, "", "PATCH", path, `{"status":"active"}`)["integration"].(map[string]any); i["statusReason"] != nil {
		t.Errorf("%v", i)
	}
	status("paused", "paused")
	h.Enqueue = func(context.Context, *sqldb.Tenant, string) error { return errs.UnavailableFor(time.Second, "no", nil) }
	h.must(503, "", "PATCH", path, `{"status":"active"}`)
	if i := h.must(200, "", "GET", path, "")["integration"].(map[string]any); i["status"] != "paused" {
		t.Errorf("%v", i)
	}
}

func (h *house) exec(statement string, args ...any) {
	h.Helper()
	err := h.tenant().Transact(h.Context(), func(tx *sqldb.Tenant) error {
		_, err := tx.Exec(h.Context(), statement, args...)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) count(table string) (n int) {
	h.Helper()
	if err := h.tenant().QueryRow(h.Context(), `SELECT count(*) FROM `+table+` WHERE dealer_group_id = $1`).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

func TestDeletedIntegrationLeavesNothing(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	kept, keptName, keptPassword := h.integration("b")
	login, err := h.Login(t.Context(), username, password)
	if err != nil {
		t.Fatal(err)
	}
	h.must(201, "", "POST", path+"/ssh-keys", `{"publicKey":"`+edKey(1)+`"}`)
	for n, p := range []string{path, kept} {
		id, run := strings.TrimPrefix(p, "/integrations/"), fmt.Sprint("run-", n)
		h.exec(`INSERT INTO feed_run (dealer_group_id, id, integration_id, filename, path, size, sha256, time_of, received_at, received_by, status, reprocess, attempt, confirmed,
			applied_as, duration_ms, total, created, updated, errors, skipped, warnings, missing, sold, code, detail, report)
			VALUES ($1, $2, $3, 'f', '', 1, '', '', 1, '{}', 'queued', FALSE, 0, FALSE, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '{}')`, run, id)
		h.exec(`INSERT INTO feed_file (dealer_group_id, run_id, n, data, created_at) VALUES ($1, $2, 0, 'x', 1)`, run)
		h.exec(`INSERT INTO feed_problem (dealer_group_id, run_id, n, line, source_column, value, reason, refused) VALUES ($1, $2, 1, 1, '', '', '', TRUE)`, run)
		h.exec(`INSERT INTO unmatched_dealer (dealer_group_id, integration_id, code, name, vehicles, last_run_id, first_seen_at, last_seen_at) VALUES ($1, $2, '', 'n', 1, $3, 1, 1)`, id, run)
	}
	h.must(204, "writer", "DELETE", path, "")
	for table, want := range map[string]int{"integration": 1, "sftp_login": 1, "sftp_key": 0, "feed_run": 1, "feed_file": 1, "feed_problem": 1, "unmatched_dealer": 1} {
		if got := h.count(table); got != want {
			t.Errorf("%s: %d rows, want %d", table, got, want)
		}
	}
	h.must(404, "", "GET", path, "")
	h.must(404, "", "DELETE", path, "")
	if _, err := h.Login(t.Context(), username, password); errs.KindOf(err) != errs.KindUnauthenticated {
		t.Errorf("deleted: %v", err)
	}
	if ok, err := h.StillValid(t.Context(), login); ok || err != nil {
		t.Errorf("deleted: %v %v", ok, err)
	}
	if _, err := h.Login(t.Context(), keptName, keptPassword); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if got := names(h.events()); got != "created created ssh_key_added deleted" {
		t.Error(got)
	}
}

func TestIntegrationRefusals(t *testing.T) {
	h := newHouse(t)
	path, _, _ := h.integration("a")
	foreign := h.dealership(theirs, "Theirs")
	least := func(more string) string {
		return `{"dealershipId":"` + h.dealer + `","type":"vauto","name":"x"` + more + `}`
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		pointers           string
	}{
		{"POST", "/integrations", `{}`, 422, "#/dealershipId #/name #/type"},
		{"POST", "/integrations", `{"dealershipId":"","type":"dms","name":" ","syncSettings":{"strategy":"sell","sold_grace_syncs":0,"sold_grace_hours":2161,"track_history":1,"x":1},"dateOrder":"x","decimalSeparator":7,"mappings":{"a/b":"colour"},"status":"active"}`,
			422, "#/dateOrder #/dealershipId #/decimalSeparator #/mappings/a~1b #/name #/status #/syncSettings/sold_grace_hours #/syncSettings/sold_grace_syncs #/syncSettings/strategy #/syncSettings/track_history #/syncSettings/x #/type"},
		{"POST", "/integrations", least(`,"syncSettings":{"sold_grace_syncs":101,"sold_grace_hours":-1}`), 422, "#/syncSettings/sold_grace_hours #/syncSettings/sold_grace_syncs"},
		{"POST", "/integrations", least(`,"syncSettings":{"sold_grace_hours":24.0}`), 422, "#/syncSettings/sold_grace_hours"},
		{"POST", "/integrations", least(`,"syncSettings":{"sold_grace_hours":1.5}`), 422, "#/syncSettings/sold_grace_hours"},
		{"POST", "/integrations", least(`,"syncSettings":7`), 422, "#/syncSettings"},
		{"POST", "/integrations", least(`,"mappings":{"":"price","b":7,"c":"dealership_id"}`), 422, "#/mappings/ #/mappings/b #/mappings/c"},
		{"POST", "/integrations", `{"dealershipId":"` + foreign + `","type":"vauto","name":"x"}`, 422, "#/dealershipId"},
		{"POST", "/integrations", `{"dealershipId":"x","type":"vauto","name":"a\u202eb"}`, 422, "#/name"},
		{"POST", "/integrations", `{"dealershipId":"x","type":"vauto","name":"` + strings.Repeat("é", 101) + `"}`, 422, "#/name"},
		{"POST", "/integrations", `{"dealershipId":`, 400, ""},
		{"PATCH", path, `{"name":null,"dealershipId":null,"status":null}`, 422, "#/dealershipId #/name #/status"},
		{"PATCH", path, `{"status":"pending"}`, 422, "#/status"},
		{"PATCH", path, `{"status":"error"}`, 422, "#/status"},
		{"PATCH", path, `{"type":"homenet","mappings":{}}`, 422, "#/mappings #/type"},
		{"PATCH", path, `{"dealershipId":"` + foreign + `"}`, 422, "#/dealershipId"},
		{"PATCH", path, `{"syncSettings":{"sold_grace_hours":9e9}}`, 422, "#/syncSettings/sold_grace_hours"},
		{"PATCH", "/integrations/unknown", `{"name":"x"}`, 404, ""},
	} {
		code, text, _ := h.call("", c.method, c.path, c.body)
		if code != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.body, code, text, c.status)
			continue
		}
		if c.pointers == "" {
			continue
		}
		var got []string
		for _, e := range h.must(c.status, "", c.method, c.path, c.body)["errors"].([]any) {
			got = append(got, e.(map[string]any)["pointer"].(string))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.pointers {
			t.Errorf("%s %s: %s\nwant %s", c.method, c.body, strings.Join(got, " "), c.pointers)
		}
	}
	if h.count("integration") != 1 || names(h.events()) != "created" {
		t.Error("a refusal left something")
	}
}

// every call of a path with an id.
var callsOfOne = []struct{ method, path, body, scope string }{
	{"GET", "%s", "", "read"}, {"PATCH", "%s", `{"name":"stolen"}`, "write"}, {"POST", "%s/credentials", "", "write"}, {"GET", "%s/ssh-keys", "", "read"},
	{"POST", "%s/ssh-keys", `{"publicKey":"` + edKey(9) + `"}`, "write"}, {"DELETE", "%s/ssh-keys/KEY", "", "write"}, {"DELETE", "%s", "", "write"},
}

func TestForeignIntegrationsAreNotFound(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	key := h.must(201, "", "POST", path+"/ssh-keys", `{"publicKey":"`+edKey(1)+`"}`)["sshKey"].(map[string]any)["id"].(string)
	unknown := "/integrations/0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1cff"
	for _, c := range callsOfOne {
		of := strings.ReplaceAll(c.path, "KEY", key)
		known, knownBody, _ := h.call("foreign", c.method, fmt.Sprintf(of, path), c.body)
		other, otherBody, _ := h.call("foreign", c.method, fmt.Sprintf(of, unknown), c.body)
		if known != 404 || other != 404 || detail(knownBody) != detail(otherBody) {
			t.Errorf("%s %s: %d %s, unknown %d %s", c.method, c.path, known, knownBody, other, otherBody)
		}
	}
	if _, err := h.Login(t.Context(), username, password); err != nil || h.count("sftp_key") != 1 {
		t.Errorf("a foreign call did something: %v", err)
	}
	for _, c := range callsOfOne {
		as := map[string]string{"read": "writer", "write": "reader"}[c.scope]
		h.must(403, as, c.method, strings.ReplaceAll(fmt.Sprintf(c.path, path), "KEY", key), c.body)
	}
	h.must(403, "writer", "GET", "/integrations", "")
	h.must(403, "reader", "POST", "/integrations", `{"dealershipId":"`+h.dealer+`","type":"vauto","name":"x"}`)
}

// detail is what a problem says.
func detail(problem string) string {
	_, text, _ := strings.Cut(problem, `"detail":`)
	text, _, _ = strings.Cut(text, `"instance"`)
	return text
}

func TestDealershipWithIntegrationsStays(t *testing.T) {
	h := newHouse(t)
	path, _, _ := h.integration("vAuto nightly")
	out := h.must(409, "", "DELETE", "/dealers/"+h.dealer, "")
	if want := `Lakeside Motors has the integration "vAuto nightly" (` + strings.TrimPrefix(path, "/integrations/") + `).`; out["code"] != "dealer_has_integrations" || !strings.HasPrefix(out["detail"].(string), want) {
		t.Errorf("%v", out)
	}
	for range 6 {
		h.integration("b")
	}
	if out := h.must(409, "", "DELETE", "/dealers/"+h.dealer, ""); !strings.Contains(out["detail"].(string), "has 7 integrations: ") || !strings.Contains(out["detail"].(string), ", …") {
		t.Errorf("%v", out)
	}
	h.Dealers.Fed = nil // not wired: the foreign key speaks
	if out := h.must(409, "", "DELETE", "/dealers/"+h.dealer, ""); out["code"] != "conflict" {
		t.Errorf("%v", out)
	}
	h.Dealers.Fed = h.OfDealership
	list, _, err := h.Integrations(t.Context(), h.tenant(), rest.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		h.must(204, "", "DELETE", "/integrations/"+i.ID, "")
	}
	h.must(204, "", "DELETE", "/dealers/"+h.dealer, "")
}

// A password is in the answer that makes it, and nowhere else.
func TestPasswordsAreShownOnce(t *testing.T) {
	h := newHouse(t)
	path, username, password := h.integration("a")
	code, text, header := h.call("writer", "POST", path+"/credentials", "")
	if code != 200 || !strings.Contains(header.Get("Cache-Control"), "no-store") || !strings.Contains(text, `"username":"`+username+`"`) {
		t.Fatalf("%d %s %v", code, text, header)
	}
	rotated := h.must(200, "", "POST", path+"/credentials", "")["sftp"].(map[string]any)
	if !cmp.Equal(rotated, map[string]any{"host": "sftp.example.com", "port": 2022.0, "username": username, "hostKeyFingerprint": "SHA256:host", "password": rotated["password"]}) {
		t.Errorf("%v", rotated)
	}
	if _, err := h.Login(t.Context(), username, password); err == nil {
		t.Error("the old password works")
	}
	h.Settle()
	secrets := []string{password, rotated["password"].(string)}
	seen := h.log.String()
	for _, p := range []string{"/integrations", path, path + "/ssh-keys"} {
		_, body, _ := h.call("", "GET", p, "")
		seen += body
	}
	_, body, _ := h.call("", "PATCH", path, `{"name":"b"}`)
	seen += body
	for _, r := range h.events() {
		seen += r.DetailJSON
	}
	held := sqldbtest.Contents(t, h.DB, h.tenant().Group())
	if !strings.Contains(held, username) {
		t.Fatal("the store does not hold the logins")
	}
	for _, s := range secrets {
		if len(s) != 32 || strings.Contains(seen+held, s) {
			t.Errorf("a password is to be read somewhere")
		}
	}
	if got := names(h.events()); got != "created credentials_rotated credentials_rotated login_failed changed" {
		t.Error(got)
	}
}
