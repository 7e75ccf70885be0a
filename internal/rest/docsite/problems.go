package docsite

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"carfluence/internal/rest"
)

// problemPage fills problem.html; exactly one of Type and All is set.
type problemPage struct {
	Title string
	Style template.CSS
	Type  *rest.ProblemType
	All   []rest.ProblemType
}

// Problems serves /problems, the list of all types, and /problems/{code}, a page for each, so that the type
// of every problem document resolves.
func Problems(types []rest.ProblemType) http.Handler {
	types = slices.Clone(types)
	slices.SortFunc(types, func(a, b rest.ProblemType) int { return strings.Compare(a.Code, b.Code) })
	page := parse("problem.html")
	style := template.CSS(load("docs.css", "").body)
	pages := map[string]asset{
		"": render(page, problemPage{Title: "Problem types", Style: style, All: types}),
	}
	for i, p := range types {
		pages[p.Code] = render(page, problemPage{Title: p.Title, Style: style, Type: &types[i]})
	}
	return readOnly(func(w http.ResponseWriter, r *http.Request) {
		code := strings.Trim(strings.TrimPrefix(r.URL.Path, "/problems"), "/")
		if a, ok := pages[code]; ok {
			a.serve(w, r, "no-cache")
			return
		}
		http.Error(w, "There is no such problem type; /problems/ lists all.", http.StatusNotFound)
	})
}
