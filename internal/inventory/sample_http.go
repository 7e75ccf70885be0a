package inventory

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/vehicle"
)

// Schema implements huma.SchemaProvider.
func (SampleInput) Schema(r huma.Registry) *huma.Schema {
	return component(r, "SampleInput", vehicle.SampleSchema())
}

// Schema implements huma.SchemaProvider.
func (Sample) Schema(r huma.Registry) *huma.Schema {
	names, properties := []string{"vin", "days_on_lot", "vin_status"}, map[string]any{
		"vin":         map[string]any{"type": []string{"string", "null"}, "description": "Null when none was given."},
		"days_on_lot": map[string]any{"type": "integer", "minimum": 0},
		"vin_status":  map[string]any{"type": []string{"string", "null"}, "description": "The verdict on the VIN's check digit; null without a VIN."},
	}
	for f := range vehicle.NumFields {
		properties[f.String()] = f.Schema()
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
