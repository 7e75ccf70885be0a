package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

// Compiled is a rule ready to run. It is never changed, and safe for use by several goroutines.
type Compiled struct {
	rule     Rule
	tests    []test
	effects  []effect
	uses     []Use
	readDays bool
}

// Compile makes a rule ready to run and finds every fault in it; pointers are relative to the rule's body. Years
// are judged by now. With faults, the compiled rule is good for Sensitive only.
func Compile(r Rule, now time.Time) (*Compiled, []errs.Fault) {
	c := compiler{now: now, stated: statedBy(r.Actions)}
	out := &Compiled{rule: r}
	if n := utf8.RuneCountInString(r.Name); n > MaxName || strings.TrimSpace(r.Name) == "" {
		c.fault("#/name", fmt.Sprintf("must have 1 to %d characters", MaxName))
	}
	if len(r.Conditions) > MaxConditions {
		c.fault("#/conditions", fmt.Sprintf("must not have more than %d conditions", MaxConditions))
	}
	for i, condition := range r.Conditions[:min(len(r.Conditions), MaxConditions)] {
		out.tests = append(out.tests, c.condition(fmt.Sprintf("#/conditions/%d", i), condition))
	}
	switch n := len(r.Actions); {
	case n == 0:
		c.fault("#/actions", "must have at least one action")
	case n > MaxActions:
		c.fault("#/actions", fmt.Sprintf("must not have more than %d actions", MaxActions))
	}
	for i, action := range r.Actions[:min(len(r.Actions), MaxActions)] {
		out.effects = append(out.effects, c.action(fmt.Sprintf("#/actions/%d", i), action))
	}
	out.uses, out.readDays = c.uses, c.readDays
	return out, c.faults
}

// Rule is what the rule was compiled from.
func (c *Compiled) Rule() Rule { return c.rule }

// Sensitive lists the sensitive fields the rule reads or sets, in the rule's order. Who may have it do so is for
// the caller to decide.
func (c *Compiled) Sensitive() []Use { return slices.Clone(c.uses) }

// compiler gathers what is wrong with a rule.
type compiler struct {
	now      time.Time
	faults   []errs.Fault
	uses     []Use
	readDays bool
	stated   vehicle.Fields // fields that the rule's actions name
}

func (c *compiler) fault(pointer, detail string) {
	c.faults = append(c.faults, errs.At(pointer, detail))
}

// use notes what a rule reads or sets.
func (c *compiler) use(s subject, pointer string) {
	switch s.origin {
	case ofDays:
		c.readDays = true
	case ofField:
		c.useField(s.field, pointer)
	}
}

func (c *compiler) useField(f vehicle.Field, pointer string) {
	if u := (Use{f, pointer}); f.Sensitive() && !slices.Contains(c.uses, u) {
		c.uses = append(c.uses, u)
	}
}

func statedBy(actions []Action) (stated vehicle.Fields) {
	for _, a := range actions {
		if f, ok := vehicle.FieldNamed(a.Field); ok {
			stated.Add(f)
		}
	}
	return stated
}
