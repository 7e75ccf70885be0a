package rest

import (
	"reflect"

	"carfluence/internal/errs"
)

// Paging of lists.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// PageInput are the parameters every list takes; embed it in the input type.
type PageInput struct {
	Limit  int64 `query:"limit" default:"50" minimum:"1" doc:"How many records, 1 to 200; more is cut to 200."`
	Offset int64 `query:"offset" default:"0" minimum:"0" doc:"How many records to leave out from the start."`
}

// Page is the page asked for, clamped.
func (p PageInput) Page() Page {
	return Page{Limit: min(p.Limit, MaxLimit), Offset: p.Offset}
}

// Page is a part of a list.
type Page struct{ Limit, Offset int64 }

// Pagination goes beside every list.
type Pagination struct {
	Total  int64 `json:"total" doc:"Records in the whole list."`
	Limit  int64 `json:"limit" doc:"Page size in force."`
	Offset int64 `json:"offset"`
}

// With adds the total to a page.
func (p Page) With(total int64) Pagination {
	return Pagination{Total: total, Limit: p.Limit, Offset: p.Offset}
}

// NotFound is the one answer for records that don't exist and records of others.
func NotFound(noun string) *errs.Error {
	return errs.NotFound("not_found", "There is no such "+noun+".")
}

func typeFor[T any]() reflect.Type { return reflect.TypeFor[T]() }
