package rest

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// openAnswers lets the schemas that only answers use grow: requests refuse unknown members, but a client made
// from this document must not break when an answer gains one.
func openAnswers(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	asked := map[string]bool{}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Put, item.Delete} {
			if op == nil || op.RequestBody == nil {
				continue
			}
			for _, media := range op.RequestBody.Content {
				reach(media.Schema, schemas, asked)
			}
		}
	}
	for name, s := range schemas {
		if asked[name] {
			continue
		}
		walk(s, func(s *huma.Schema) {
			if s.AdditionalProperties == false {
				s.AdditionalProperties = nil
			}
		})
	}
}

// namedNulls puts null among the words of what takes null: by JSON Schema a type alone does not allow it.
func namedNulls(schemas map[string]*huma.Schema) {
	for _, s := range schemas {
		walk(s, func(s *huma.Schema) {
			if s.Nullable && len(s.Enum) > 0 && !slices.Contains(s.Enum, nil) {
				s.Enum = append(s.Enum, nil)
			}
		})
	}
}

// reach notes the named schemas a schema leads to.
func reach(s *huma.Schema, schemas map[string]*huma.Schema, found map[string]bool) {
	walk(s, func(s *huma.Schema) {
		name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/")
		if ok && !found[name] {
			found[name] = true
			reach(schemas[name], schemas, found)
		}
	})
}

// walk visits a schema and those written inside it, without following references.
func walk(s *huma.Schema, visit func(*huma.Schema)) {
	if s == nil {
		return
	}
	visit(s)
	for _, p := range s.Properties {
		walk(p, visit)
	}
	walk(s.Items, visit)
	if inner, ok := s.AdditionalProperties.(*huma.Schema); ok {
		walk(inner, visit)
	}
	for _, list := range [][]*huma.Schema{s.OneOf, s.AnyOf, s.AllOf} {
		for _, inner := range list {
			walk(inner, visit)
		}
	}
}
