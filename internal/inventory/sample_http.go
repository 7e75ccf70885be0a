package inventory

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Schema implements huma.SchemaProvider.
func (SampleInput) Schema(r huma.Registry) *huma.Schema {
	s := inputSchema("A vehicle to try something out with. Null and absent are the same.", false)
	properties := s["properties"].(map[string]any)
	properties[daysName] = map[string]any{"type": []string{"integer", "null"}, "minimum": 0, "maximum": maxDays, "description": "0 unless given, whatever date_in_stock says.", "example": 91}
	return component(r, "SampleInput", s)
}

// Schema implements huma.SchemaProvider.
func (Sample) Schema(r huma.Registry) *huma.Schema {
	names, properties := []string{"vin", "days_on_lot", "vin_status"}, map[string]any{
		"vin":         map[string]any{"type": []string{"string", "null"}, "description": "Null when none was given."},
		"days_on_lot": map[string]any{"type": "integer", "minimum": 0},
		"vin_status":  map[string]any{"type": []string{"string", "null"}, "description": "The verdict on the VIN's check digit; null without a VIN."},
	}
	for f := range NumFields {
		properties[f.String()] = fieldSchema(f, false)
		if !f.Sensitive() {
			names = append(names, f.String())
		}
	}
	return component(r, "Sample", answerSchema("A vehicle's values.", names, properties))
}

// Schema implements huma.SchemaProvider.
func (Changes) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[map[string]historyValue](), true, "Changes")
}
