package inventory

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
)

type mergeConfigBody struct {
	ID                   string            `json:"id" doc:"UUID of the merge config." example:"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"`
	Name                 string            `json:"name" example:"DMS before website"`
	SourceIntegrationIDs []string          `json:"sourceIntegrationIds" doc:"Integrations whose vehicles are merged."`
	PriorityOrder        []string          `json:"priorityOrder" doc:"All of them, the one to believe first first."`
	FieldPriority        map[string]string `json:"fieldPriority" doc:"Field to the integration to believe first about it." example:"{\"price\":\"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00\"}"`
	IsDefault            bool              `json:"isDefault" doc:"Whether the inventory shows vehicles by it."`
	MileageTolerance     int64             `json:"mileageTolerance" doc:"By how much mileages may differ without being a conflict, in the odometer's unit." example:"100"`
	Status               string            `json:"status" enum:"ready,building" doc:"building: vehicles are being merged anew; until that is done they are shown as they were merged before."`
	CreatedAt            time.Time         `json:"createdAt"`
	UpdatedAt            time.Time         `json:"updatedAt"`
}

// What a merge config's status says.
const (
	mergeReady    = "ready"
	mergeBuilding = "building"
)

func mergeConfigBodyOf(c *MergeConfig) mergeConfigBody {
	b := mergeConfigBody{
		ID: c.ID, Name: c.Name, SourceIntegrationIDs: c.Settings.Sources, PriorityOrder: c.Settings.order(), FieldPriority: c.Settings.Fields,
		IsDefault: c.Default, MileageTolerance: c.Settings.MileageTolerance, Status: mergeReady,
		CreatedAt: rest.Seconds(c.CreatedAt), UpdatedAt: rest.Seconds(c.UpdatedAt),
	}
	if c.Building() {
		b.Status = mergeBuilding
	}
	return b
}

type (
	mergeConfigIDInput struct {
		ID string `path:"id" doc:"Id of the merge config."`
	}
	createMergeConfigInput struct{ Body MergeConfigInput }
	patchMergeConfigInput  struct {
		ID   string `path:"id" doc:"Id of the merge config."`
		Body MergeConfigPatch
	}
	mergeConfigOutput struct {
		Location string `header:"Location"`
		Body     struct {
			MergeConfig mergeConfigBody `json:"mergeConfig"`
		}
	}
	listMergeConfigsOutput struct {
		Body struct {
			MergeConfigs []mergeConfigBody `json:"mergeConfigs"`
			Pagination   rest.Pagination   `json:"pagination"`
		}
	}
)

const mergeTag = "Merge configs"

func (s *Stock) registerMergeConfigs(api *rest.API) {
	read, write := rest.Scope("integrations:read"), rest.Scope("integrations:write")
	auth.Handle(api, rest.Operation{
		ID: "list-merge-configs", Method: http.MethodGet, Path: "/merge-configs", Summary: "List merge configs", Tag: mergeTag, Security: read, Codes: []string{"invalid"},
		Description: "Newest first.",
	}, func(ctx context.Context, p auth.Principal, in *rest.PageInput) (*listMergeConfigsOutput, error) {
		list, total, err := s.MergeConfigs(ctx, s.db.Tenant(p.Group), in.Page())
		out := &listMergeConfigsOutput{}
		out.Body.MergeConfigs = make([]mergeConfigBody, 0, len(list))
		for i := range list {
			out.Body.MergeConfigs = append(out.Body.MergeConfigs, mergeConfigBodyOf(&list[i]))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "create-merge-config", Method: http.MethodPost, Path: "/merge-configs", Summary: "Create a merge config", Tag: mergeTag, Security: write,
		Status: http.StatusCreated, Codes: []string{"merge_config_name_taken", "too_many_merge_configs"},
		Description: "Makes one vehicle per VIN of what several integrations tell. A field's value comes from the integration that fieldPriority names for it, else from the first of " +
			"priorityOrder that has a value: an empty value falls through. Fields that mean something only together, such as mileage and its unit, come from one integration unless chosen " +
			"one by one; what an integration has given up comes after what others list. Overrides and rules come on top. The vehicles of a large group are merged in the background; " +
			"status tells when they are ready.",
	}, func(ctx context.Context, p auth.Principal, in *createMergeConfigInput) (*mergeConfigOutput, error) {
		c, err := s.CreateMergeConfig(ctx, s.db.Tenant(p.Group), p.Actor(), in.Body.Change())
		out, err := mergeConfigAnswer(c, err)
		out.Location = rest.Prefix + "/merge-configs/" + c.ID
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-merge-config", Method: http.MethodGet, Path: "/merge-configs/{id}", Summary: "Show a merge config", Tag: mergeTag, Security: read,
	}, func(ctx context.Context, p auth.Principal, in *mergeConfigIDInput) (*mergeConfigOutput, error) {
		return mergeConfigAnswer(s.MergeConfig(ctx, s.db.Tenant(p.Group), in.ID))
	})
	auth.Handle(api, rest.Operation{
		ID: "update-merge-config", Method: http.MethodPatch, Path: "/merge-configs/{id}", Summary: "Change a merge config", Tag: mergeTag, Security: write,
		Codes: []string{"merge_config_name_taken"},
		Description: "Members that are not sent stay as they are; null gives a setting its default (RFC 7396). fieldPriority is merged member by member, null takes one out. What an integration " +
			"is preferred for goes when it is taken from sourceIntegrationIds. isDefault true takes it from the config that was the default, and the inventory shows the vehicles anew.",
	}, func(ctx context.Context, p auth.Principal, in *patchMergeConfigInput) (*mergeConfigOutput, error) {
		return mergeConfigAnswer(s.UpdateMergeConfig(ctx, s.db.Tenant(p.Group), p.Actor(), in.ID, in.Body.Change()))
	})
	auth.Handle(api, rest.Operation{
		ID: "delete-merge-config", Method: http.MethodDelete, Path: "/merge-configs/{id}", Summary: "Delete a merge config", Tag: mergeTag, Security: write,
		Status: http.StatusNoContent, Description: "What its integrations brought stays. Without a default config the inventory believes whoever changed a vehicle last.",
	}, func(ctx context.Context, p auth.Principal, in *mergeConfigIDInput) (*struct{}, error) {
		return nil, s.DeleteMergeConfig(ctx, s.db.Tenant(p.Group), p.Actor(), in.ID)
	})
}

func mergeConfigAnswer(c MergeConfig, err error) (*mergeConfigOutput, error) {
	out := &mergeConfigOutput{}
	out.Body.MergeConfig = mergeConfigBodyOf(&c)
	return out, err
}

// Schema implements huma.SchemaProvider.
func (MergeConfigInput) Schema(r huma.Registry) *huma.Schema {
	s := mergeConfigSchema("Which integrations to merge, and whose values to believe.", false)
	s["required"] = []string{"name", "sourceIntegrationIds"}
	return component(r, "MergeConfigInput", s)
}

// Schema implements huma.SchemaProvider.
func (MergeConfigPatch) Schema(r huma.Registry) *huma.Schema {
	return component(r, "MergeConfigPatch", mergeConfigSchema("What to change of a merge config (RFC 7396): null gives a setting its default, absent leaves alone.", true))
}

func mergeConfigSchema(text string, patch bool) map[string]any {
	ids := map[string]any{"type": "string", "format": "uuid"}
	fieldID := map[string]any{"type": "string", "format": "uuid"}
	if patch {
		fieldID["type"] = []string{"string", "null"}
	}
	chosen := allFields
	chosen.Remove(vehicle.Custom)
	return map[string]any{"type": "object", "description": text, "additionalProperties": false, "properties": map[string]any{
		"name": map[string]any{"type": "string", "minLength": 1, "maxLength": maxMergeName, "description": "Unique in the dealer group.", "example": "DMS before website"},
		"sourceIntegrationIds": map[string]any{"type": "array", "items": ids, "minItems": 1, "maxItems": maxMergeSources, "uniqueItems": true,
			"description": "Integrations whose vehicles are merged."},
		"priorityOrder": map[string]any{"type": []string{"array", "null"}, "items": ids, "uniqueItems": true,
			"description": "Of these, the ones to believe first, best first; the others follow. The order of sourceIntegrationIds unless given."},
		"fieldPriority": map[string]any{"type": []string{"object", "null"}, "propertyNames": map[string]any{"enum": chosen.Names()}, "additionalProperties": fieldID,
			"description": "Field to the integration to believe first about it."},
		"isDefault": map[string]any{"type": []string{"boolean", "null"}, "description": "Whether the inventory shows vehicles by it; false unless given. One config of the group is the default at most."},
		"mileageTolerance": map[string]any{"type": []string{"integer", "null"}, "minimum": 0, "maximum": maxMileageTolerance,
			"description": "By how much mileages may differ without being a conflict, in the odometer's unit; in miles where that differs. 100 unless given."},
	}}
}
