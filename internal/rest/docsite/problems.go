package docsite

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// ProblemType describes one stable error code for the person who met it.
type ProblemType struct {
	Code    string // as in the problem document's code member, snake_case
	Title   string // the problem document's title
	Status  int    // HTTP status; 0 when the code comes with several
	Meaning string // what happened, a sentence
	Remedy  string // what the reader can do, a sentence
}

// StatusText is the status's name, "" when there is none.
func (p ProblemType) StatusText() string { return http.StatusText(p.Status) }

type problemPage struct {
	Title   string
	Style   template.CSS
	Type    *ProblemType
	All     []ProblemType
	Missing string
}

// Problems serves /problems, the list of all types, and /problems/{code}, a page for each, so that the type
// of every problem document resolves. An unknown code is a 404 page.
func Problems(types []ProblemType) http.Handler {
	types = slices.Clone(types)
	slices.SortFunc(types, func(a, b ProblemType) int { return strings.Compare(a.Code, b.Code) })
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
		a := render(page, problemPage{Title: "Unknown problem type", Style: style, Missing: code})
		w.Header().Set("Content-Type", a.contentType)
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(a.body) // net/http drops it for HEAD
	})
}
