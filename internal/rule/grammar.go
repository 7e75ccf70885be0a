package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"carfluence/internal/vehicle"
)

// grammar turns what the parser has read into nodes of our own, typed. Every kind of node it does not know is
// refused, so that what the parser may learn later stays outside.
type grammar struct {
	source
	now  time.Time
	used func(f vehicle.Field) // told of every field that is read
	days bool                  // days_on_lot is read
}

// compile reads an expression; the node is broken when there are faults.
func (g *grammar) compile(text string) *node {
	tree := g.parse(text)
	if tree == nil {
		return &node{}
	}
	n := g.node(tree)
	if len(g.faults) > 0 {
		return &node{}
	}
	return n
}

// refuse adds a fault at a node and returns a node that says so.
func (g *grammar) refuse(at file.Location, format string, args ...any) *node {
	g.fault(at, format, args...)
	return &node{}
}

func (g *grammar) node(tree ast.Node) *node {
	at := tree.Location()
	switch t := tree.(type) {
	case *ast.IntegerNode, *ast.FloatNode: // its text: the parser has made a float of it
		d, ok := readNumber(plain(string(g.runes[at.From:at.To])))
		if !ok {
			return g.refuse(at, "%s is no number", g.word(at))
		}
		return &node{kind: numeric, value: number{d: d}, fixed: true}
	case *ast.StringNode:
		return &node{kind: textual, label: t.Value, fixed: true}
	case *ast.BoolNode:
		return &node{kind: truth, yes: t.Value, fixed: true}
	case *ast.IdentifierNode:
		return g.reference(t.Value, at)
	case *ast.MemberNode:
		return g.property(t)
	case *ast.UnaryNode:
		return g.unary(t)
	case *ast.BinaryNode:
		return g.binary(t)
	case *ast.ConditionalNode:
		return g.choice(t)
	case *ast.BuiltinNode:
		return g.call(t.Name, t.Arguments, at)
	case *ast.CallNode:
		if callee, ok := t.Callee.(*ast.IdentifierNode); ok {
			return g.call(callee.Value, t.Arguments, at)
		}
		return g.refuse(at, "fields have no functions")
	case *ast.NilNode:
		return g.refuse(at, nothing, "nil")
	}
	return g.refuse(at, "%s can't be used in an expression", g.word(at))
}

const nothing = "%s can't be used; write ?? to say what stands for an empty field"

func (g *grammar) reference(name string, at file.Location) *node {
	switch name {
	case vinName:
		return &node{op: vinRef, kind: textual}
	case daysName:
		g.days = true
		return &node{op: daysRef, kind: numeric}
	case customName:
		return g.refuse(at, `custom is no value; name one of its properties, as in custom.colour or custom["paint code"]`)
	case "null":
		return g.refuse(at, nothing, name)
	}
	f, ok := vehicle.FieldNamed(name)
	switch {
	case !ok:
		return g.refuse(at, "%s %s", g.word(at), noField(name))
	case fieldKind(f) == broken:
		return g.refuse(at, "%s is a list, which expressions can't read", name)
	}
	g.used(f)
	return &node{op: fieldRef, kind: fieldKind(f), field: f, reason: name + " is empty"}
}

// property reads custom.name and custom["any name"].
func (g *grammar) property(t *ast.MemberNode) *node {
	of, isName := t.Node.(*ast.IdentifierNode)
	name, isText := t.Property.(*ast.StringNode)
	switch {
	case !isName || of.Value != customName:
		return g.refuse(t.Location(), "only custom has properties, as in custom.colour")
	case !isText || strings.TrimSpace(name.Value) == "":
		return g.refuse(t.Location(), `a property is named by a text, as in custom["paint code"]`)
	}
	g.used(vehicle.Custom)
	return &node{op: customRef, kind: loose, name: name.Value, reason: customField(name.Value) + " is empty"}
}

func (g *grammar) unary(t *ast.UnaryNode) *node {
	arg := g.node(t.Node)
	switch t.Operator {
	case "-":
		return g.make(negate, numeric, numeric, []ast.Node{t.Node}, arg)
	case "!":
		return g.make(opposite, truth, truth, []ast.Node{t.Node}, arg)
	}
	return g.refuse(t.Location(), "%s can't stand before a value", g.word(t.Location()))
}

// make makes a node whose arguments have to be of a kind.
func (g *grammar) make(o op, yields, takes kind, trees []ast.Node, args ...*node) *node {
	n := &node{op: o, kind: yields, args: args, fixed: true}
	for i, arg := range args {
		n.fixed = n.fixed && arg.fixed
		switch {
		case arg.kind == broken:
			n.kind = broken
		case arg.kind != takes && !(arg.kind == loose && takes != truth):
			at := trees[i].Location()
			n = g.refuse(at, "%s is %s where %s is needed", g.word(at), arg.kind, takes)
		}
	}
	return n
}

// arithmetic and comparisons by their signs.
var (
	arithmetic  = map[string]op{"+": plus, "-": minus, "*": times, "/": over, "%": modulo}
	comparisons = map[string]op{"==": equal, "!=": unequal, "<": less, "<=": lessEqual, ">": greater, ">=": greaterEqual}
	junctions   = map[string]op{"&&": both, "||": either}
)

func (g *grammar) binary(t *ast.BinaryNode) *node {
	at := t.Location()
	if t.Operator == "&&" && g.word(at) != `"&&"` { // how the parser reads 1 < a < 2
		return g.refuse(at, "compare two values at a time, and join comparisons by &&")
	}
	trees := []ast.Node{t.Left, t.Right}
	args := []*node{g.node(t.Left), g.node(t.Right)}
	if o, ok := arithmetic[t.Operator]; ok {
		if o == plus && args[0].kind == textual && args[1].kind != broken {
			return g.refuse(at, "texts can't be joined")
		}
		return g.make(o, numeric, numeric, trees, args...)
	}
	if o, ok := junctions[t.Operator]; ok {
		return g.make(o, truth, truth, trees, args...)
	}
	if o, ok := comparisons[t.Operator]; ok {
		return g.comparison(o, t, args)
	}
	if t.Operator == "??" {
		return g.coalesce(t, args)
	}
	return g.refuse(at, "%s can't be used in an expression", g.word(at))
}

func (g *grammar) comparison(o op, t *ast.BinaryNode, args []*node) *node {
	n := &node{op: o, kind: truth, args: args, fixed: args[0].fixed && args[1].fixed}
	n.as = common(args[0].kind, args[1].kind)
	ordering := o != equal && o != unequal
	if n.as == loose {
		if n.as = textual; ordering {
			n.as = numeric
		}
	}
	at := t.Location()
	switch {
	case args[0].kind == broken || args[1].kind == broken:
		return &node{}
	case n.as == broken:
		return g.refuse(at, "%s compares %s with %s", g.word(at), args[0].kind, args[1].kind)
	case n.as == truth && ordering:
		return g.refuse(at, "%s can't compare %s", g.word(at), n.as)
	}
	for i, arg := range args {
		if arg.op == fieldRef && arg.field.Kind() == vehicle.Enum && !ordering {
			g.words(arg.field, args[1-i], at)
		}
	}
	return n
}

// words refuses to compare a field with a word that it can't have.
func (g *grammar) words(f vehicle.Field, n *node, at file.Location) {
	for _, text := range n.literals() {
		if _, detail := vehicle.ReadText(f, text, g.now); detail != "" {
			g.fault(at, "%s is never %q; it %s", f, text, detail)
		}
	}
}

// literals are the texts a node yields whatever the vehicle, or may.
func (n *node) literals() []string {
	switch {
	case n.op == literal && n.kind == textual:
		return []string{n.label}
	case n.op == choice:
		return append(n.args[1].literals(), n.args[2].literals()...)
	case n.op == coalesce:
		return append(n.args[0].literals(), n.args[1].literals()...)
	}
	return nil
}

// common is the kind that values of two kinds have in common, broken if none. A custom property is what the
// other one is.
func common(a, b kind) kind {
	switch {
	case a == b:
		return a
	case a == loose && (b == numeric || b == textual):
		return b
	case b == loose && (a == numeric || a == textual):
		return a
	}
	return broken
}

func (g *grammar) coalesce(t *ast.BinaryNode, args []*node) *node {
	n := &node{op: coalesce, kind: common(args[0].kind, args[1].kind), args: args}
	switch {
	case args[0].kind == broken || args[1].kind == broken:
		return &node{}
	case !args[0].mayBeEmpty():
		return g.refuse(t.Location(), "before ?? stands a field that may be empty, and nothing else")
	case n.kind == broken:
		return g.refuse(t.Location(), "?? stands between %s and %s", args[0].kind, args[1].kind)
	}
	return n
}

func (n *node) mayBeEmpty() bool {
	return n.op == fieldRef || n.op == customRef || n.op == coalesce && n.args[1].mayBeEmpty()
}

func (g *grammar) choice(t *ast.ConditionalNode) *node {
	at := t.Cond.Location()
	if !t.Ternary || t.Exp1 == t.Cond {
		return g.refuse(at, "write condition ? value : other value")
	}
	args := []*node{g.node(t.Cond), g.node(t.Exp1), g.node(t.Exp2)}
	n := &node{op: choice, kind: common(args[1].kind, args[2].kind), args: args, fixed: args[0].fixed && args[1].fixed && args[2].fixed}
	switch {
	case args[0].kind == broken || args[1].kind == broken || args[2].kind == broken:
		return &node{}
	case args[0].kind != truth:
		return g.refuse(at, "%s is %s where %s is needed", g.word(at), args[0].kind, truth)
	case n.kind == broken:
		return g.refuse(at, "the choice is between %s and %s", args[1].kind, args[2].kind)
	}
	return n
}

// maxPlaces is the most decimals to round to.
const maxPlaces = 10

// functions by their names.
var functions = map[string]op{"min": least, "max": most, "round": rounded, "floor": rounded, "ceil": rounded, "abs": absolute}

func (g *grammar) call(name string, trees []ast.Node, at file.Location) *node {
	o, ok := functions[name]
	if !ok {
		return g.refuse(at, "%s is no function; there are min, max, round, floor, ceil and abs", g.word(at))
	}
	places, count := 0, len(trees)
	if name == "round" && count == 2 {
		digits, ok := trees[1].(*ast.IntegerNode)
		if !ok || digits.Value < 0 || digits.Value > maxPlaces {
			return g.refuse(trees[1].Location(), "the places to round to are a number from 0 to %d", maxPlaces)
		}
		places, trees = digits.Value, trees[:1]
	}
	switch {
	case (o == least || o == most) && count < 2:
		return g.refuse(at, "%s takes two values or more", name)
	case name == "round" && count != 1 && count != 2:
		return g.refuse(at, "round takes a value, and the places to round to if not 0")
	case o != least && o != most && name != "round" && count != 1:
		return g.refuse(at, "%s takes one value", name)
	}
	args := make([]*node, len(trees))
	for i, tree := range trees {
		args[i] = g.node(tree)
	}
	n := g.make(o, numeric, numeric, trees, args...)
	n.places = places
	n.way = map[string]rounding{"floor": down, "ceil": up}[name]
	return n
}

// noField says of a name that it names no field rules can look at.
func noField(name string) string {
	if vehicle.Computed(name) {
		return "is computed, and rules can't read it"
	}
	return "is not a field of vehicles" + suggestion(name)
}

// suggestion is a phrase that names the nearest field, "" when there is none.
func suggestion(name string) string {
	near := vehicle.Nearest(name, vinName, daysName)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near)
}
