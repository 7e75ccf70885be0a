package auth

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/audit"
)

func (o *office) users(l loggedIn, method, path, body string) answer {
	return o.do(method, "/api/v1/users"+path, body, l.bearer())
}

func TestCreateUser(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	a := o.users(jane, "POST", "", `{"email":" Joe@Cars.Example","name":" Joe Roe ","role":"manager"}`)
	if a.StatusCode != 201 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatal(a.StatusCode, a.body)
	}
	var got struct {
		User     struct{ ID, Email, Name, Role, Status, CreatedAt, UpdatedAt string }
		Password string
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	u := got.User
	if u.Email != "joe@cars.example" || u.Name != "Joe Roe" || u.Role != "manager" || u.Status != "active" || u.CreatedAt != "2025-11-23T12:00:00Z" ||
		a.Header.Get("Location") != "/api/v1/users/"+u.ID || !regexp.MustCompile(`^([a-z2-9]{5}-){3}[a-z2-9]{5}$`).MatchString(got.Password) {
		t.Errorf("%+v %s", got, a.Header.Get("Location"))
	}
	joe := o.login("joe@cars.example", got.Password)
	o.do("GET", "/api/v1/write", "", joe.bearer()).want(t, "manager writes", 200, "")
	if a := o.users(jane, "GET", "/"+u.ID, ""); a.StatusCode != 200 || strings.Contains(a.body, got.Password) || strings.Contains(a.body, "argon2") {
		t.Error(a.StatusCode, a.body)
	}
	b := o.users(jane, "POST", "", `{"email":"ann@cars.example","name":"Ann","role":"viewer","status":"disabled","password":"`+goodPassword+`"}`)
	if b.StatusCode != 201 || !strings.Contains(b.body, `"password":null`) || !strings.Contains(b.body, `"status":"disabled"`) {
		t.Error(b.StatusCode, b.body)
	}
	o.users(jane, "POST", "", `{"email":"sue@cars.example","name":"Sue","role":"viewer","status":null,"password":null}`).want(t, "defaults by null", 201, "")
	if n := count(o.events(o.group.ID), "user.created"); n != 4 {
		t.Errorf("%d audit rows", n)
	}
}

func TestUserInputs(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	joe := o.person("joe@cars.example", RoleViewer)
	post := func(members string) answer { return o.users(jane, "POST", "", "{"+members+"}") }
	const rest = `,"name":"X","role":"viewer"`
	for body, pointer := range map[string]string{
		``:                                      "#/email",
		`"email":"x@y.example","role":"viewer"`: "#/name",
		`"email":"x@y.example","name":"X"`:      "#/role",
		`"email":"xyz"` + rest:                  "#/email",
		`"email":"a b@c.example"` + rest:        "#/email",
		`"email":"J <j@c.example>"` + rest:      "#/email",
		`"email":"@c.example"` + rest:           "#/email",
		`"email":"` + strings.Repeat("x", 250) + `@c.example"` + rest:                   "#/email",
		`"email":"x@y.example","name":" ","role":"viewer"`:                              "#/name",
		`"email":"x@y.example","name":"a\u0007b","role":"viewer"`:                       "#/name",
		`"email":"x@y.example","name":"X","role":"owner"`:                               "#/role",
		`"email":"x@y.example","name":"X","role":"viewer","status":"gone"`:              "#/status",
		`"email":"x@y.example","name":"X","role":"viewer","password":"short"`:           "#/password",
		`"email":"x@y.example","name":"X","role":"viewer","dealerGroupId":"y"`:          "#/dealerGroupId",
		`"email":"x@y.example","name":"X","role":"viewer","password":"carfluence12345"`: "#/password",
	} {
		a := post(body)
		if a.StatusCode != 422 || !strings.Contains(a.body, `"pointer":"`+pointer+`"`) {
			t.Errorf("%.80s: %d %s", body, a.StatusCode, a.body)
		}
	}
	all := post(`"email":"nope","name":" ","role":"viewer","password":"short"`)
	for _, pointer := range []string{"#/email", "#/name", "#/password"} {
		if !strings.Contains(all.body, pointer) {
			t.Errorf("not all faults at once: %s", all.body)
		}
	}
	post(`"email":"JOE@cars.example"`+rest).want(t, "address in use", 409, "email_taken")
	o.users(jane, "PATCH", "/"+joe.ID, `{"email":"jane@cars.example"}`).want(t, "address in use", 409, "email_taken")
	o.users(jane, "PATCH", "/"+joe.ID, `{"role":"owner"}`).want(t, "role", 422, "invalid")
	o.users(jane, "PATCH", "/"+joe.ID, `{"role":null,"name":null}`).want(t, "null", 422, "invalid")
	o.users(jane, "PATCH", "/"+joe.ID, `{"id":"x"}`).want(t, "unknown member", 422, "invalid")
	o.users(jane, "PATCH", "/"+joe.ID, `{"password":"short"}`).want(t, "password", 422, "invalid")
	if n := count(o.events(o.group.ID), "user.changed"); n != 0 {
		t.Errorf("%d changes recorded", n)
	}
}

// The schema's faults, nulls and our own checks are told together.
func TestAllFaultsOfUsersAtOnce(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	joe := o.person("joe@cars.example", RoleViewer)
	for _, c := range []struct{ method, path, body, pointers string }{
		{"POST", "/users", `{"email":"nope","name":"x","role":"boss","password":"short"}`, "#/email #/password #/role"},
		{"POST", "/users", `{"email":"a b@c.example","name":"a\u0007b","role":"viewer","status":5,"x":1}`, "#/email #/name #/status #/x"},
		{"POST", "/users", `{"email":5,"name":" ","role":"viewer","password":"a\u0007bbbbbbbbbbbbbbbbb"}`, "#/email #/name #/password"},
		{"POST", "/users", `{"email":"nope","name":" ","role":"viewer","password":"carfluence12345"}`, "#/email #/name #/password"},
		{"POST", "/users", `{}`, "#/email #/name #/role"},
		{"POST", "/users", `[]`, "#"},
		{"PATCH", "/users/" + joe.ID, `{"email":"nope","name":null,"role":"boss","password":"short","status":null}`, "#/email #/name #/password #/role #/status"},
		{"PATCH", "/users/" + joe.ID, `{"email":null,"x":1,"name":"a\u0007b"}`, "#/email #/name #/x"},
		{"PATCH", "/users/" + joe.ID, `{"password":null,"email":"nope"}`, "#/email #/password"},
		{"PATCH", "/users/" + joe.ID, `null`, "#"},
		{"POST", "/auth/password", `{"newPassword":"short","x":1}`, "#/currentPassword #/newPassword #/x"},
		{"POST", "/auth/password", `{"currentPassword":5,"newPassword":"short"}`, "#/currentPassword #/newPassword"},
		{"POST", "/auth/password", `{"currentPassword":"wrong","newPassword":"short"}`, "#/currentPassword #/newPassword"},
	} {
		a := o.do(c.method, "/api/v1"+c.path, c.body, jane.bearer())
		a.want(t, c.body, 422, "invalid")
		if got := strings.Join(a.places(), " "); got != c.pointers {
			t.Errorf("%s %s: %s, want %s\n%s", c.method, c.body, got, c.pointers, a.body)
		}
	}
}

func TestUsersAreForAdmins(t *testing.T) {
	o := newOffice(t)
	for _, role := range []Role{RoleManager, RoleViewer} {
		p := o.person(string(role)+"@cars.example", role)
		l := o.login(p.Email, goodPassword)
		for _, call := range [][3]string{{"GET", "", ""}, {"POST", "", `{"email":"x@y.example","name":"X","role":"admin"}`}, {"GET", "/" + p.ID, ""},
			{"PATCH", "/" + p.ID, `{"role":"admin"}`}, {"DELETE", "/" + p.ID, ""}} {
			a := o.users(l, call[0], call[1], call[2])
			a.want(t, string(role)+" "+call[0]+call[1], 403, "insufficient_scope")
			if !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="admin"`) {
				t.Error(a.Header)
			}
		}
	}
	o.do("GET", "/api/v1/users", "").want(t, "nobody", 401, "credentials_missing")
	if n := count(o.events(o.group.ID), "admin.refused"); n != 10 {
		t.Errorf("%d refusals recorded", n)
	}
}

func TestUsersOfOtherGroupsAreUnknown(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	other, err := NewGroups(o.db, o.now).Add(t.Context(), audit.System("test"), "Other Group")
	if err != nil {
		t.Fatal(err)
	}
	foreign := o.personIn(other.ID, "spy@other.example", RoleAdmin)
	for _, call := range [][2]string{{"GET", ""}, {"PATCH", `{"name":"Mine"}`}, {"DELETE", ""}} {
		a := o.users(jane, call[0], "/"+foreign.ID, call[1])
		b := o.users(jane, call[0], "/0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", call[1])
		a.want(t, call[0], 404, "not_found")
		if strings.ReplaceAll(sameRefusal(a), foreign.ID, "") != strings.ReplaceAll(sameRefusal(b), "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", "") {
			t.Errorf("%s: foreign and unknown can be told apart", call[0])
		}
	}
	a := o.users(jane, "GET", "", "")
	if strings.Contains(a.body, "spy@other.example") || !strings.Contains(a.body, `"total":1`) {
		t.Error(a.body)
	}
	o.login("spy@other.example", goodPassword)
}

func TestListUsers(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	for i := range 3 {
		o.advance(time.Second)
		o.person(fmt.Sprintf("p%d@cars.example", i), RoleViewer)
	}
	a := o.users(jane, "GET", "?limit=2&offset=1", "")
	var got struct {
		Users      []struct{ Email string }
		Pagination struct{ Total, Limit, Offset int }
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || fmt.Sprint(got) != "{[{p1@cars.example} {p0@cars.example}] {4 2 1}}" {
		t.Error(got, err)
	}
	o.users(jane, "GET", "?offset=-1", "").want(t, "offset", 422, "invalid")
}

func TestChangesOfPeopleAreInForceAtOnce(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	joe := o.person("joe@cars.example", RoleManager)
	session := o.login("joe@cars.example", goodPassword)
	patch := func(body string, status int) answer {
		t.Helper()
		a := o.users(jane, "PATCH", "/"+joe.ID, body)
		if a.StatusCode != status {
			t.Fatalf("%s: %d %s", body, a.StatusCode, a.body)
		}
		return a
	}
	o.do("GET", "/api/v1/write", "", session.bearer()).want(t, "manager", 200, "")
	patch(`{"role":"viewer"}`, 200)
	o.do("GET", "/api/v1/write", "", session.bearer()).want(t, "viewer", 403, "insufficient_scope")
	o.do("GET", "/api/v1/read", "", session.bearer()).want(t, "viewer", 200, "")
	patch(`{"role":"admin"}`, 200)
	o.do("GET", "/api/v1/users", "", session.bearer()).want(t, "admin", 200, "")
	if a := patch(`{"email":"Joseph@cars.example","name":"Joseph"}`, 200); !strings.Contains(a.body, `"email":"joseph@cars.example"`) || !strings.Contains(a.body, `"role":"admin"`) {
		t.Error(a.body)
	}
	if a := o.do("GET", "/api/v1/auth/me", "", session.bearer()); !strings.Contains(a.body, `"name":"Joseph"`) {
		t.Error(a.body)
	}

	patch(`{"password":"`+nextPassword+`"}`, 200)
	o.do("GET", "/api/v1/read", "", session.bearer()).want(t, "after the reset", 401, "token_revoked")
	o.refresh(session.RefreshToken).want(t, "after the reset", 401, "refresh_invalid")
	o.do("POST", "/api/v1/auth/login", credentials("joseph@cars.example", goodPassword)).want(t, "old password", 401, "credentials_invalid")
	session = o.login("joseph@cars.example", nextPassword)

	patch(`{"status":"disabled"}`, 200)
	o.do("GET", "/api/v1/read", "", session.bearer()).want(t, "disabled", 401, "token_revoked")
	o.refresh(session.RefreshToken).want(t, "disabled", 401, "refresh_invalid")
	o.do("POST", "/api/v1/auth/login", credentials("joseph@cars.example", nextPassword)).want(t, "disabled", 401, "credentials_invalid")
	patch(`{"status":"active"}`, 200)
	o.do("GET", "/api/v1/read", "", session.bearer()).want(t, "enabled again: the session stays ended", 401, "token_revoked")
	session = o.login("joseph@cars.example", nextPassword)

	o.users(jane, "DELETE", "/"+joe.ID, "").want(t, "delete", 204, "")
	o.do("GET", "/api/v1/read", "", session.bearer()).want(t, "deleted", 401, "token_revoked")
	o.refresh(session.RefreshToken).want(t, "deleted", 401, "refresh_invalid")
	o.do("POST", "/api/v1/auth/login", credentials("joseph@cars.example", nextPassword)).want(t, "deleted", 401, "credentials_invalid")
	o.users(jane, "DELETE", "/"+joe.ID, "").want(t, "delete again", 404, "not_found")
	events := o.events(o.group.ID)
	if count(events, "user.changed") != 6 || count(events, "user.deleted") != 1 {
		t.Error(events)
	}
	o.person("joseph@cars.example", RoleViewer) // the address is free again
}

func TestLastAdminStays(t *testing.T) {
	o := newOffice(t)
	jane := o.login("jane@cars.example", goodPassword)
	joe := o.person("joe@cars.example", RoleManager)
	off := o.person("off@cars.example", RoleAdmin)
	if _, err := o.people.Update(t.Context(), o.group.ID, audit.System("test"), off.ID, PersonChange{Status: new(StatusDisabled)}); err != nil {
		t.Fatal(err)
	}
	self := "/" + o.admin.ID
	for _, role := range []string{"manager", "viewer"} {
		o.users(jane, "PATCH", self, `{"role":"`+role+`"}`).want(t, "demote to "+role, 409, "last_admin")
	}
	o.users(jane, "PATCH", self, `{"status":"disabled"}`).want(t, "disable", 409, "last_admin")
	o.users(jane, "DELETE", self, "").want(t, "delete", 409, "last_admin")
	o.users(jane, "PATCH", self, `{"name":"Jane II"}`).want(t, "rename", 200, "")
	o.users(jane, "PATCH", "/"+off.ID, `{"role":"viewer"}`).want(t, "a disabled admin", 200, "")
	o.users(jane, "PATCH", "/"+joe.ID, `{"role":"admin"}`).want(t, "promote another", 200, "")
	o.users(jane, "DELETE", self, "").want(t, "then go", 204, "")
	o.do("GET", "/api/v1/read", "", jane.bearer()).want(t, "gone", 401, "token_revoked")
}

func TestTwoAdminsCantRemoveEachOtherAtOnce(t *testing.T) {
	o := newOffice(t)
	joe := o.person("joe@cars.example", RoleAdmin)
	for range 10 {
		var wg sync.WaitGroup
		for _, id := range []string{o.admin.ID, joe.ID} {
			wg.Go(func() {
				_, _ = o.people.Update(t.Context(), o.group.ID, audit.System("test"), id, PersonChange{Role: new(RoleViewer)})
			})
		}
		wg.Wait()
		admins, err := countOtherAdmins(t.Context(), o.db.Tenant(o.group.ID), "")
		if err != nil || admins != 1 {
			t.Fatalf("%d admins left, %v", admins, err)
		}
		for _, id := range []string{o.admin.ID, joe.ID} {
			if _, err := o.people.Update(t.Context(), o.group.ID, audit.System("test"), id, PersonChange{Role: new(RoleAdmin)}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A login whose password was right before it was changed must not begin a session afterwards.
func TestLoginRacingWithDisabling(t *testing.T) {
	o := newOffice(t)
	joe := o.person("joe@cars.example", RoleViewer)
	compute := o.passwords.compute
	o.passwords.compute = func(p, salt []byte, time, memory uint32, threads uint8, n uint32) []byte {
		if _, err := o.people.Update(t.Context(), o.group.ID, audit.System("test"), joe.ID, PersonChange{Status: new(StatusDisabled)}); err != nil {
			t.Error(err)
		}
		return compute(p, salt, time, memory, threads, n)
	}
	o.do("POST", "/api/v1/auth/login", credentials("joe@cars.example", goodPassword)).want(t, "login", 401, "credentials_invalid")
	if n := count(o.events(o.group.ID), "login.succeeded"); n != 0 {
		t.Error("recorded as a success")
	}
}

func TestGeneratedPasswords(t *testing.T) {
	seen, b := map[string]bool{}, NewBlocklist()
	for range 1000 {
		p := GeneratePassword()
		if seen[p] || b.Check("#/password", p, Personal{}) != nil {
			t.Fatalf("%q: seen %v, %v", p, seen[p], b.Check("#/password", p, Personal{}))
		}
		seen[p] = true
	}
}
