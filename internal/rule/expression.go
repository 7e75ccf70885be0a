package rule

import (
	"strings"

	"carfluence/internal/vehicle"
)

// kind is what an expression yields.
type kind uint8

const (
	broken  kind = iota // it has a fault
	numeric             // a number
	textual             // a text
	truth               // true or false
	loose               // a custom property: a text, or a number where one is needed
)

func (k kind) String() string {
	return [...]string{"nothing", "a number", "a text", "true or false", "a text"}[k]
}

// op is what a node does.
type op uint8

const (
	literal op = iota
	fieldRef
	customRef
	vinRef
	daysRef
	negate
	plus
	minus
	times
	over
	modulo
	least
	most
	rounded
	absolute
	equal
	unequal
	less
	lessEqual
	greater
	greaterEqual
	both
	either
	opposite
	choice
	coalesce
)

// node is a part of a compiled expression. Its kind decides which of number, text and truth may be called.
type node struct {
	op   op
	kind kind
	args []*node

	field  vehicle.Field // fieldRef
	name   string        // customRef
	reason string        // of a reference: why it yields nothing

	value  number // literal
	label  string // literal text
	yes    bool   // literal truth
	places int    // rounded
	way    rounding

	as kind // how a comparison compares: as numbers, texts or truths

	fixed bool // it depends on no vehicle
}

// scene is one vehicle while a rule looks at it.
type scene struct {
	values *vehicle.Values
	ruling *vehicle.Ruling
	reason string // why a node has yielded nothing
	index  vehicle.CustomIndex
}

// property is the text of a custom property, "" when it is empty.
func (s *scene) property(name string) string {
	return s.index.Text(s.values[vehicle.Custom], name)
}

// Reasons why an expression yields nothing, beside empty fields.
const (
	divisionByZero = "division by zero"
	tooLarge       = "the calculation has too many digits"
)

func (s *scene) fail(reason string) { s.reason = reason }

// number works out a number; ok is false when there is none, and the scene has the reason.
func (n *node) number(s *scene) (result number, ok bool) {
	switch n.op {
	case literal:
		return n.value, true
	case fieldRef:
		d, ok := readNumber(s.values[n.field])
		if !ok {
			s.fail(n.reason)
		}
		return number{d: d}, ok
	case customRef:
		return n.customNumber(s)
	case daysRef:
		return whole(s.ruling.DaysOnLot), true
	case choice, coalesce:
		if branch := n.branch(s); branch != nil {
			return branch.number(s)
		}
		return number{}, false
	}
	a, ok := n.args[0].number(s)
	if !ok {
		return number{}, false
	}
	switch n.op {
	case negate:
		return a.negated(), true
	case absolute:
		if a.sign() < 0 {
			a = a.negated()
		}
		return a, true
	case rounded:
		return a.round(n.places, n.way), true
	}
	for _, arg := range n.args[1:] {
		b, ok := arg.number(s)
		if !ok {
			return number{}, false
		}
		if a, ok = n.calculate(a, b, s); !ok {
			return number{}, false
		}
	}
	return a, true
}

func (n *node) calculate(a, b number, s *scene) (result number, ok bool) {
	switch n.op {
	case plus:
		result, ok = add(a, b)
	case minus:
		result, ok = subtract(a, b)
	case times:
		result, ok = multiply(a, b)
	case over, modulo:
		if b.sign() == 0 {
			s.fail(divisionByZero)
			return number{}, false
		}
		if n.op == over {
			result, ok = divide(a, b)
		} else {
			result, ok = remainder(a, b)
		}
	case least, most:
		if c := compare(b, a); c < 0 && n.op == least || c > 0 && n.op == most {
			a = b
		}
		return a, true
	}
	if !ok {
		s.fail(tooLarge)
	}
	return result, ok
}

// customNumber reads a custom property as a number.
func (n *node) customNumber(s *scene) (number, bool) {
	text := s.property(n.name)
	d, ok := readNumber(text)
	switch {
	case text == "":
		s.fail(n.reason)
	case !ok:
		s.fail(customField(n.name) + " is no number")
	}
	return number{d: d}, ok
}

func customField(name string) string { return customName + "." + name }

// branch is the one of a node's arguments that counts, nil when a condition yields nothing.
func (n *node) branch(s *scene) *node {
	if n.op == coalesce {
		if n.args[0].empty(s) {
			return n.args[1]
		}
		return n.args[0]
	}
	switch yes, ok := n.args[0].truth(s); {
	case !ok:
		return nil
	case yes:
		return n.args[1]
	}
	return n.args[2]
}

// empty tells whether a reference, or every reference of a coalesce, is to an empty field.
func (n *node) empty(s *scene) bool {
	switch n.op {
	case fieldRef:
		return s.values[n.field] == ""
	case customRef:
		return s.property(n.name) == ""
	case coalesce:
		return n.args[0].empty(s) && n.args[1].empty(s)
	}
	return false
}

// text works out a text.
func (n *node) text(s *scene) (text string, ok bool) {
	switch n.op {
	case literal:
		return n.label, true
	case vinRef:
		return s.ruling.VIN, true
	case fieldRef:
		text = s.values[n.field]
	case customRef:
		text = s.property(n.name)
	case choice, coalesce:
		if branch := n.branch(s); branch != nil {
			return branch.text(s)
		}
		return "", false
	}
	if text == "" {
		s.fail(n.reason)
	}
	return text, text != ""
}

// truth works out whether something is so. What the first operand of && and || settles alone leaves the second
// unseen.
func (n *node) truth(s *scene) (yes, ok bool) {
	switch n.op {
	case literal:
		return n.yes, true
	case fieldRef:
		text := s.values[n.field]
		if text == "" {
			s.fail(n.reason)
		}
		return text == vehicle.True, text != ""
	case opposite:
		yes, ok = n.args[0].truth(s)
		return !yes, ok
	case both, either:
		if yes, ok = n.args[0].truth(s); !ok || yes == (n.op == either) {
			return yes, ok
		}
		return n.args[1].truth(s)
	case choice, coalesce:
		if branch := n.branch(s); branch != nil {
			return branch.truth(s)
		}
		return false, false
	}
	order, ok := n.order(s)
	if !ok {
		return false, false
	}
	switch n.op {
	case equal:
		return order == 0, true
	case unequal:
		return order != 0, true
	case less:
		return order < 0, true
	case lessEqual:
		return order <= 0, true
	case greater:
		return order > 0, true
	}
	return order >= 0, true
}

// order compares the operands of a comparison.
func (n *node) order(s *scene) (order int, ok bool) {
	switch a, b := n.args[0], n.args[1]; n.as {
	case numeric:
		x, ok := a.number(s)
		if !ok {
			return 0, false
		}
		y, ok := b.number(s)
		return compare(x, y), ok
	case truth:
		x, ok := a.truth(s)
		if !ok {
			return 0, false
		}
		y, ok := b.truth(s)
		if x == y {
			return 0, ok
		}
		return 1, ok
	default:
		x, ok := a.text(s)
		if !ok {
			return 0, false
		}
		y, ok := b.text(s)
		return strings.Compare(x, y), ok
	}
}
