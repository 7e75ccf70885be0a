// Package rule owns the rules that set fields of vehicles: conditions, actions and the fenced language of their
// expressions, and the rules of dealer groups with their routes (Rules). Compile turns a rule into something that runs
// on canonical values by what they say alone, with no clock, no store and no bound but the rule's own size. When rules
// run, and on which vehicles, is the business of package inventory.
package rule

import (
	"time"

	"carfluence/internal/vehicle"
)

// Rule sets fields of the vehicles for which all its conditions hold; without conditions, of every vehicle.
type Rule struct {
	ID         string
	Name       string
	Enabled    bool
	Conditions []Condition
	Actions    []Action // in the order they are carried out
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Condition compares a field with a value.
type Condition struct {
	Field    string   `json:"field"` // a field's name, vin, days_on_lot, or custom.<name>
	Operator Operator `json:"operator"`
	Value    *string  `json:"value,omitempty"` // nil when there is none
}

// Action sets a field to a value or to what an expression yields; exactly one of the two is given.
type Action struct {
	Type      string  `json:"type"`  // SetField
	Field     string  `json:"field"` // a field's name or custom.<name>
	Value     *string `json:"value,omitempty"`
	ValueExpr *string `json:"value_expr,omitempty"`
}

// SetField is the type of every action.
const SetField = "set_field"

// Operator says how a condition compares.
type Operator string

// The operators, as published.
const (
	Equals      Operator = "equals"
	NotEquals   Operator = "not_equals"
	Contains    Operator = "contains"
	In          Operator = "in"
	GreaterThan Operator = "greater_than"
	LessThan    Operator = "less_than"
	IsEmpty     Operator = "is_empty"
	IsNotEmpty  Operator = "is_not_empty"
)

// Limits of a rule. They bound what a vehicle costs: every rule of a group runs on every vehicle of every file.
const (
	MaxName       = 200    // characters
	MaxConditions = 20     // of a rule
	MaxActions    = 20     // of a rule
	MaxValue      = 2000   // characters of a value
	MaxLongValue  = 20_000 // characters of a list that is set or that in compares with, and of a description that is set
	MaxItems      = 500    // values that in compares with
	MaxExpression = 1000   // bytes
	MaxNodes      = 100    // parts of an expression: fields, numbers, operators
)

// Names that rules know beside those of fields.
const (
	vinName    = "vin"
	daysName   = "days_on_lot"
	customName = "custom"
)

// Use is a sensitive field that a rule reads or sets; only administrators may have it do so.
type Use struct {
	Field   vehicle.Field
	Pointer string // where in the rule, as in "#/conditions/0/field"
}
