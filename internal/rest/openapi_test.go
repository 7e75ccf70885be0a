package rest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Description string
		Security    *[]map[string][]string
		Responses   map[string]struct {
			Headers map[string]any
			Content map[string]struct {
				Examples map[string]struct {
					Ref string `json:"$ref"`
				}
			}
		}
	}
	Components struct {
		SecuritySchemes map[string]any
		Schemas         map[string]json.RawMessage
		Headers         map[string]any
		Examples        map[string]struct{ Value Problem }
	}
}

func TestDocument(t *testing.T) {
	s := newStand(t)
	a := s.send("GET", "/api/v1/openapi.json", "")
	var d document
	if err := json.Unmarshal(a.body, &d); err != nil {
		t.Fatal(err)
	}
	if a.Header.Get("Content-Type") != "application/vnd.oai.openapi+json" || !strings.HasPrefix(d.OpenAPI, "3.1") || len(d.Components.SecuritySchemes) != 2 {
		t.Errorf("%v %s %v", a.Header, d.OpenAPI, d.Components.SecuritySchemes)
	}
	operations := 0
	for path, item := range d.Paths {
		for method, op := range item {
			operations++
			name := method + " " + path
			if op.Security == nil {
				t.Errorf("%s declares no security", name)
			}
			refusals, headers := []string{"400", "429", "431", "500", "503"}, []string{"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
			if !strings.HasPrefix(path, Prefix) { // no limits there
				refusals, headers = []string{"431", "500"}, headers[:1]
			}
			for _, status := range refusals {
				if len(op.Responses[status].Content["application/problem+json"].Examples) == 0 {
					t.Errorf("%s: no example of %s", name, status)
				}
			}
			for status, res := range op.Responses {
				for code, e := range res.Content["application/problem+json"].Examples {
					if shown := d.Components.Examples[code]; e.Ref != "#/components/examples/"+code || strconv.Itoa(shown.Value.Status) != status {
						t.Errorf("%s %s: example %s is %q %+v", name, status, code, e.Ref, shown)
					}
				}
				for _, h := range headers {
					if res.Headers[h] == nil || d.Components.Headers[h] == nil {
						t.Errorf("%s %s: no %s", name, status, h)
					}
				}
			}
		}
	}
	if operations < 9 {
		t.Errorf("%d operations", operations)
	}
	add := d.Paths["/api/v1/things"]["post"]
	if !strings.Contains(add.Description, "Needs scope `inventory:write`: Create/update inventory records.") {
		t.Errorf("description %q", add.Description)
	}
	for _, status := range []string{"201", "401", "403", "408", "413", "415", "422"} {
		if _, ok := add.Responses[status]; !ok {
			t.Errorf("no answer %s", status)
		}
	}
	if add.Responses["401"].Headers["WWW-Authenticate"] == nil || add.Responses["429"].Headers["Retry-After"] == nil {
		t.Error("the headers of refusals are left out")
	}
	if got := slices.Sorted(maps.Keys(add.Responses["403"].Content["application/problem+json"].Examples)); !slices.Equal(got, []string{"insufficient_scope"}) {
		t.Errorf("403 is exemplified by %v", got)
	}
	if e := d.Components.Examples["rate_limited"].Value; e.Type != quotaExceeded || e.Status != 429 {
		t.Errorf("example %+v", e)
	}
	list := d.Paths["/api/v1/things"]["get"]
	if list.Responses["200"].Headers["ETag"] == nil || list.Responses["304"].Headers["ETag"] == nil || !strings.Contains(string(a.body), `"#/components/parameters/If-None-Match"`) {
		t.Error("conditional requests are not documented")
	}
	if strings.Contains(string(a.body), `"$schema"`) {
		t.Error("the document speaks of $schema members that answers don't have")
	}
}

func TestYAMLHoldsTheSameOperations(t *testing.T) {
	s := newStand(t)
	a := s.send("GET", "/api/v1/openapi.yaml", "")
	var d document
	if err := json.Unmarshal(s.api.JSON(), &d); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.Paths {
		if !strings.Contains(string(a.body), path+":") && !strings.Contains(string(a.body), path+`":`) {
			t.Errorf("no %s", path)
		}
		for _, op := range item {
			if !strings.Contains(string(a.body), "operationId: "+op.OperationID) {
				t.Errorf("no %s", op.OperationID)
			}
		}
	}
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestAnOperationWithoutSecurityDoesNotStart(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was registered")
		}
	}()
	Register(newStand(t).api, Operation{ID: "bare", Method: "GET", Path: "/bare"}, func(context.Context, *struct{}) (*textOutput, error) { return nil, nil })
}

func TestProblemTypesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range ProblemTypes {
		if seen[p.Code] || p.Title == "" || p.Meaning == "" || p.Status < 400 {
			t.Errorf("%+v", p)
		}
		seen[p.Code] = true
	}
}
