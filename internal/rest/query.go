package rest

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/errs"
)

// queryParam is a query parameter an operation declares.
type queryParam struct {
	name   string
	whole  bool // a whole number
	filled bool // an empty value is none: a number, a word of a list, or of a format
}

// queryParams are those of an input type.
func queryParams(t reflect.Type) (list []queryParam) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, declared := f.Tag.Lookup("query")
		switch {
		case f.Anonymous:
			list = append(list, queryParams(f.Type)...)
		case declared:
			p := queryParam{name: name, whole: f.Type.Kind() == reflect.Int64}
			p.filled = f.Type.Kind() != reflect.String || f.Tag.Get("enum") != "" || f.Tag.Get("format") != ""
			list = append(list, p)
		}
	}
	return list
}

type humaContext huma.Context // a name of its own: the interface has a method Context

// query is a request's query as its operation reads it. The library would take an empty parameter for absent, look
// at the first of several, and refuse a number beyond 64 bits.
type query struct {
	humaContext
	params []queryParam
	values []string
}

// readQuery reads the declared parameters; others are ignored.
func readQuery(ctx huma.Context, params []queryParam, raw string) (query, []errs.Fault) {
	q := query{ctx, params, make([]string, len(params))}
	counts := make([]int, len(params))
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if i := q.index(name); i >= 0 {
			if counts[i]++; counts[i] == 1 {
				q.values[i], _ = unescape(value)
			}
		}
	}
	var faults []errs.Fault
	for i, p := range params {
		switch {
		case counts[i] > 1:
			faults = append(faults, errs.In(p.name, "stands here more than once"))
		case counts[i] == 1 && q.values[i] == "" && p.filled:
			faults = append(faults, errs.In(p.name, "is empty; leave it out instead"))
		case p.whole:
			q.values[i] = saturated(q.values[i])
		}
	}
	return q, faults
}

func (q query) index(name string) int {
	name, _ = unescape(name)
	for i := range q.params {
		if q.params[i].name == name {
			return i
		}
	}
	return -1
}

// Query implements huma.Context.
func (q query) Query(name string) string {
	if i := q.index(name); i >= 0 {
		return q.values[i]
	}
	return ""
}

// Unwrap is how the library finds the request.
func (q query) Unwrap() huma.Context { return q.humaContext }

// saturated is a whole number with the nearest of 64 bits in place of one beyond.
func saturated(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) && strings.Trim(text[1:], "0123456789") == "" { // it stops at the overflow
		return strconv.FormatInt(n, 10)
	}
	return text
}
