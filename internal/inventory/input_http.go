package inventory

import (
	"bytes"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/vehicle"
)

// VehicleInput is a vehicle as a client sends it.
type VehicleInput struct{ raw []byte }

// VehiclePatch is a change to a vehicle as a client sends it.
type VehiclePatch struct{ raw []byte }

// UnmarshalJSON implements json.Unmarshaler. It only keeps the text: judging years needs a clock.
func (in *VehicleInput) UnmarshalJSON(b []byte) error {
	in.raw = bytes.Clone(b)
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (in *VehiclePatch) UnmarshalJSON(b []byte) error {
	in.raw = bytes.Clone(b)
	return nil
}

// Change reads the vehicle.
func (in VehicleInput) Change(now time.Time) (vehicle.Change, error) {
	return vehicle.Read(in.raw, now)
}

// Change reads what is to be changed of the vehicle with the given VIN.
func (in VehiclePatch) Change(vin string, now time.Time) (vehicle.Change, error) {
	return vehicle.ReadPatch(in.raw, vin, now)
}

// Schema implements huma.SchemaProvider.
func (VehicleInput) Schema(r huma.Registry) *huma.Schema {
	return component(r, "VehicleInput", vehicle.Schema())
}

// Schema implements huma.SchemaProvider.
func (VehiclePatch) Schema(r huma.Registry) *huma.Schema {
	return component(r, "VehiclePatch", vehicle.PatchSchema())
}

// component registers a schema under a name. Its keywords stand among the extensions, where the library
// documents them but leaves the judging to us: amounts have to be read exactly, and each fault is to be named
// once.
func component(r huma.Registry, name string, keywords map[string]any) *huma.Schema {
	r.Map()[name] = &huma.Schema{Extensions: keywords}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}
