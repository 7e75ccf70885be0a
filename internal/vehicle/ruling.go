package vehicle

// Rules are a group's enabled rules, ready to run on the values of vehicles. The zero value has none.
type Rules struct {
	Names    []RuleName // in the order they run
	ReadDays bool       // some outcome depends on days_on_lot, and so on the calendar

	// Run changes the values in place, by what they and the ruling say alone.
	Run func(v *Values, r *Ruling)
}

// RuleName is how history and logs call a rule.
type RuleName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Ruling is one vehicle on its way through the rules.
type Ruling struct {
	VIN       string
	DaysOnLot int64
	Keep      Fields // fields people have overridden, which no rule sets

	// Recount counts the days on lot of values of which rules have set what they depend on; nil when DaysOnLot stands whatever
	// rules set.
	Recount func(v *Values) int64

	// What the rules did.
	Set    Fields           // fields they have set, be it to what they were before
	By     [NumFields]int32 // of these, the index of the rule that set it last
	Faults []RuleFault
}

// RuleFault is an action that could not be carried out; it has left its field alone.
type RuleFault struct {
	Rule   int // index
	Field  Field
	Reason string // for people, as in "msrp is empty"
	Hidden bool   // the reason is for administrators only
}

// HiddenReason stands in for a reason that may tell of sensitive fields.
const HiddenReason = "for a reason that administrators are shown"
