package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

// yielded is what a field becomes by an expression, "! " and the reason when it is left alone, "? " and the fault
// when the expression is refused.
func yielded(field, expr string, v vehicle.Values) string {
	c, faults := Compile(rule(by(field, expr)), now)
	if len(faults) > 0 {
		return "? " + strings.Join(told(faults), "; ")
	}
	r := vehicle.Ruling{VIN: truckVIN, DaysOnLot: 120}
	InOrder([]*Compiled{c}).Run(&v, &r)
	if len(r.Faults) > 0 {
		return "! " + r.Faults[0].Reason
	}
	if s, _ := subjectNamed(field); s.origin == ofCustom {
		return vehicle.CustomText(v[vehicle.Custom], s.name)
	} else {
		return v[s.field]
	}
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ field, expr, want string }{
		// arithmetic and its order
		{"price", "price * 0.95", "34197.15"},
		{"price", "1 + 2 * 3", "7.00"},
		{"price", "(1 + 2) * 3", "9.00"},
		{"price", "10 - 4 - 3", "3.00"},
		{"price", "100 / 10 / 2", "5.00"},
		{"price", "7 % 4 * 2", "6.00"},
		{"price", "10 - -4", "14.00"},
		{"price", "-(-5)", "5.00"},
		{"price", "- -5", "5.00"},
		{"price", "-2 * -3", "6.00"},
		{"misc_price_1", "-7 % 4 + 3", "0.00"},
		{"misc_price_1", "-7 % -4 + 3", "0.00"},
		{"price", "7.5 % 2", "1.50"},
		{"price", "1 / 3 * 3", "1.00"},
		{"price", "2 / 3", "0.67"},
		{"price", "10 + 6 / -4", "8.50"},
		{"price", "1_000.5 + .5", "1001.00"},
		{"price", "0.1 + 0.2", "0.30"},
		{"price", "12345678901234567.89 - 12345678901234567", "0.89"},
		{"price", "999999999999999999 - 999999999999999990", "9.00"},
		{"price", "0.0000000000000000001 * 999999999999999999 * 10", "1.00"},
		{"price", "1000000000000 * 1000000000000 / 1000000000000000000000000.0", "? #/actions/0/value_expr line 1, column 33: \"1000000000000000000000000.0\" has too many digits; 18 are enough for any amount"},
		{"price", "1000000000000 * 1000000000000 / 100000000000000000", "10000000.00"},
		{"price", "price\n  * 0.95 ", "34197.15"},
		// halves go away from zero, and only at the end
		{"price", "0.005 + 1", "1.01"}, {"price", "1.014999999", "1.01"}, {"price", "1.015", "1.02"}, {"price", "1.025", "1.03"},
		{"price", "0.01 / 3 * 1.5", "0.01"},
		{"year", "2016.5", "2017"}, {"year", "2017.4999", "2017"},
		{"engine_displacement_l", "1.125", "1.13"}, {"engine_displacement_l", "2.5 + 0", "2.5"},
		// functions
		{"price", "min(3, 1, 2)", "1.00"}, {"price", "max(3, 1, price)", "35997.00"}, {"price", "abs(3 - 5)", "2.00"}, {"price", "abs(5 - 3)", "2.00"},
		{"price", "round(2.5) + round(0.4)", "3.00"}, {"price", "10 + round(-2.5)", "7.00"}, {"price", "round(2.345, 2) * 100", "235.00"}, {"price", "round(1234.5, 0)", "1235.00"},
		{"price", "floor(2.9)", "2.00"}, {"price", "10 + floor(-2.1)", "7.00"}, {"price", "ceil(2.1)", "3.00"}, {"price", "ceil(4.0)", "4.00"}, {"price", "10 + floor(-4.0)", "6.00"}, {"price", "10 + ceil(-2.9)", "8.00"},
		{"price", "floor(10 / 3)", "3.00"}, {"price", "ceil(10 / 3)", "4.00"}, {"price", "round(10 / 3, 1)", "3.30"}, {"price", "10 + floor(-10 / 3)", "6.00"}, {"price", "10 + round(-5 / 3)", "8.00"},
		{"price", "round(1/3, 10) * 10000000000 % 10", "3.00"}, {"price", "10 + ceil(-10 / 3)", "7.00"}, {"price", "round(price / 1000) * 1000 - 1", "35999.00"},
		{"price", "round(2.5 / 1.000000000000000001 * 1.000000000000000001)", "3.00"},
		// comparisons and choices
		{"price", "1 < 2 ? 5 : 6", "5.00"}, {"price", "2 <= 1 ? 5 : 6", "6.00"}, {"price", "2 > 1 ? 5 : 6", "5.00"}, {"price", "1 >= 1.0 ? 5 : 6", "5.00"}, {"price", "1 == 1.00 ? 5 : 6", "5.00"},
		{"price", "1 != 1 ? 5 : 6", "6.00"}, {"price", "1/3 == 2/6 ? 5 : 6", "5.00"}, {"price", "1/3 > 0.3333333333333333333 ? 5 : 6", "5.00"},
		{"price", `make == "Ford" && model != 'F-250' ? 5 : 6`, "5.00"}, {"price", `make < "G" ? 5 : 6`, "5.00"}, {"price", `date_in_stock < "2022-01-01" ? 5 : 6`, "5.00"},
		{"price", `condition == "new" || status == "active" ? 5 : 6`, "5.00"}, {"price", "!(1 > 2) ? 5 : 6", "5.00"}, {"price", "certified ? 5 : 6", "6.00"}, {"price", "!certified ? 5 : 6", "5.00"},
		{"price", "certified == false ? 5 : 6", "5.00"}, {"price", "certified != false ? 5 : 6", "6.00"}, {"price", "true ? 5 : 6", "5.00"},
		{"price", "1 > 2 ? 1 : 2 > 3 ? 2 : 3", "3.00"}, {"price", "1 > 2 || 2 > 1 && 3 > 4 ? 5 : 6", "6.00"},
		{"certified", "year >= 2017", "true"}, {"certified", "year > 2017 || mileage < 5", "false"}, {"certified", "true", "true"},
		{"price", "days_on_lot > 90 ? price - 500 : price", "35497.00"},
		// only what is looked at can be missing
		{"price", "1 > 2 && sale_price > 5 ? 5 : 6", "6.00"}, {"price", "1 < 2 || sale_price > 5 ? 5 : 6", "5.00"}, {"price", "1 < 2 ? 5 : sale_price", "5.00"}, {"price", "price ?? 1 / (year - 2017)", "? #/actions/0/value_expr line 1, column 12: put brackets around what belongs to ??, as in (sale_price ?? price) * 0.95"},
		{"price", "price ?? (1 / (year - 2017))", "35997.00"}, {"price", "1 < 2 && sale_price > 5 ? 5 : 6", "! sale_price is empty"}, {"price", "1 > 2 || sale_price > 5 ? 5 : 6", "! sale_price is empty"},
		{"price", "1 > 2 ? 5 : sale_price", "! sale_price is empty"}, {"price", "sale_price ?? price", "35997.00"}, {"price", "sale_price ?? other_price ?? 7", "7.00"}, {"price", "sale_price ?? price ?? 7", "35997.00"}, {"price", "price ?? sale_price ?? 7", "35997.00"}, {"price", "(sale_price ?? price) * 0.5", "17998.50"},
		{"price", "2 * sale_price ?? 7", "14.00"}, {"price", "internet_price ?? 7", "35497.00"}, {"price", "-(sale_price ?? 7) + 8", "1.00"}, {"price", "(sale_price ?? (other_price ?? 7))", "7.00"},
		// texts
		{"trim", `"Lariat"`, "Lariat"}, {"trim", "'Lariat'", "Lariat"}, {"trim", "`Lariat`", "Lariat"}, {"trim", `" La  riat "`, "La riat"}, {"stock_number", "vin", truckVIN}, {"trim", `"é\u00e9\""`, `éé"`},
		{"trim", `upholstery ?? "none"`, "none"}, {"status", `days_on_lot > 100 ? "sold" : status`, "sold"}, {"trim", `""`, ""}, {"condition", `"new"`, "new"}, {"trim", "upholstery", "! upholstery is empty"},
		{"exterior_color_generic", "exterior_color", "Tuxedo Black Metallic"}, {"trim", "condition", "used"}, {"vdp_url", `"https://a.example/" `, "https://a.example/"}, {"trim", "date_in_stock", "2021-07-04"},
		// custom properties
		{"price", "custom.floor + 1", "29001.00"}, {"price", `custom["floor"]`, "29000.00"}, {"trim", `custom["paint code"]`, "RR"}, {"trim", "custom.floor", "29000"}, {"price", `custom["paint code"] ?? 5`, "! custom.paint code is no number"},
		{"price", "custom.x ?? custom.floor", "29000.00"}, {"price", "custom.x ?? 5", "5.00"}, {"trim", `custom.x ?? "y"`, "y"}, {"price", `custom["paint code"] == "RR" ? 5 : 6`, "5.00"}, {"price", "custom.floor == 29000.0 ? 5 : 6", "5.00"},
		{"price", "custom.floor < 100000 ? 5 : 6", "5.00"}, {"price", "custom.floor < custom.floor ? 5 : 6", "6.00"}, {"price", "custom.floor == custom.floor ? 5 : 6", "5.00"}, {"price", `custom["paint code"] < custom.floor ? 5 : 6`, "! custom.paint code is no number"},
		{"price", "min(custom.floor, price)", "29000.00"}, {"price", "1 > 2 ? 5 : custom.floor", "29000.00"}, {"price", "custom.vin == 5 ? 5 : 6", "! custom.vin is no number"},
		{"custom.y", "price - 0.5", "35996.5"}, {"custom.y", "1/3", "0.33"}, {"custom.y", "1000", "1000"}, {"custom.y", "0 - 2.50", "-2.5"}, {"custom.y", `"a  b"`, "a b"}, {"custom.y", "make", "Ford"}, {"custom.y", "custom.floor", "29000"},
		{"custom.y", "price * 1000000000000000", "! the result, 35997000000000000000, has too many digits"}, {"custom.in", `"x"`, "x"}, {"price", "custom.in ?? custom.not ?? custom.if ?? custom.let ?? 5", "5.00"},
	} {
		if got := yielded(c.field, c.expr, truck()); got != c.want {
			t.Errorf("%s by %s: %q; want %q", c.field, c.expr, got, c.want)
		}
	}
}

func TestExpressionsAreRefused(t *testing.T) {
	deep := strings.Repeat("(", 31) + "1" + strings.Repeat(")", 31)
	compiled(t, rule(by("price", strings.Repeat("(", 30)+"1"+strings.Repeat(")", 30))))
	compiled(t, rule(by("price", strings.Repeat("1+", 49)+"1"))) // 99 parts
	const ops = "the operators are + - * / % == != < <= > >= && || ! ? : ?? . , ( ) [ ]"
	for _, c := range []struct{ expr, want string }{
		// what is no expression
		{"price *", "1:8 the expression ends too early"}, {"", "must not be empty; write an expression as in price * 0.95"}, {"(price", "1:7 the expression ends too early"},
		{"* price", `1:1 "*" is not expected here`}, {"price price", `1:7 "price" is not expected here`}, {"price)", `1:6 ")" is not expected here`}, {"price * * 2", `1:9 "*" is not expected here`},
		{"\n\n  price + ", "3:11 the expression ends too early"}, {`make == "Ford`, "1:14 a text has no closing quotation mark"}, {`"\q"`, "1:3 a text has an unknown escape; write a backslash twice"},
		{"5x", `1:2 "x" does not belong to a number`}, {"min(1,", "1:7 the expression ends too early"}, {"price ? 1", "1:10 the expression ends too early"}, {"€5", `1:1 "€" is not expected here`}, {"price @ 5", `1:7 "@" is not expected here`},
		{"min(1 2)", `1:7 "2" is not expected here`}, {"min(,)", `1:5 "," is not expected here`}, {"[1", "1:3 the expression ends too early"},
		{"price * 0,95", `1:10 "," is not expected here; decimals have a point, as in 0.95`}, {"price, 5", `1:6 "," is not expected here`}, {"price * 95 %", "1:13 the expression ends too early; % is the remainder of a division: write 0.95 for 95 percent"},
		{"price × 0.95", `1:7 "×" is not expected here; write *`}, {"price ÷ 2", `1:7 "÷" is not expected here; write /`}, {"price − 2", `1:7 "−" is not expected here; write -`}, {"make == “Ford”", `1:9 "“" is not expected here; write plain quotation marks`},
		// numbers in other notations
		{"1e3", `1:1 "1e3" must be written as a plain number, as in 1000 or 0.95`}, {"0x10", `1:1 "0x10" must be written as a plain number, as in 1000 or 0.95`}, {"0b1", `1:1 "0b1" must be written as a plain number, as in 1000 or 0.95`},
		{"0o7", `1:1 "0o7" must be written as a plain number, as in 1000 or 0.95`}, {"1.", `1:1 "1." must have digits after its point`}, {"1E400", `1:1 "1E400" must be written as a plain number, as in 1000 or 0.95`},
		{"99999999999999999999", `1:1 "99999999999999999999" has too many digits; 18 are enough for any amount`}, {"9999999999999999999", `1:1 "9999999999999999999" has too many digits; 18 are enough for any amount`},
		{"1 + 0." + strings.Repeat("0", 20), `1:5 "0.00000000000000000000" has too many digits; 18 are enough for any amount`}, {strings.Repeat("9", 900), `1:1 "` + strings.Repeat("9", 40) + `…" has too many digits; 18 are enough for any amount`},
		// names
		{"pric", `1:1 "pric" is not a field of vehicles; did you mean price?`}, {"1 + colour", `1:5 "colour" is not a field of vehicles`}, {"$env", `1:1 "$env" is not a field of vehicles`}, {"preis_für_händler", `1:1 "preis_für_händler" is not a field of vehicles`},
		{"internet-price", `1:1 "internet" is not a field of vehicles; did you mean internet_price?`}, {"created_at", `1:1 "created_at" is computed, and rules can't read it`}, {"null", "1:1 null can't be used; write ?? to say what stands for an empty field"},
		{"source_integration_id", `1:1 "source_integration_id" is computed, and rules can't read it`},
		{"$env.price", "1:6 only custom has properties, as in custom.colour"}, {`$env["price"]`, "1:5 only custom has properties, as in custom.colour"}, {"custom", `1:1 custom is no value; name one of its properties, as in custom.colour or custom["paint code"]`},
		{"tags", "1:1 tags is a list, which expressions can't read"}, {"tags[0]", "1:5 only custom has properties, as in custom.colour"}, {"photos == 1", "1:1 photos is a list, which expressions can't read"}, {"custom[0]", `1:7 a property is named by a text, as in custom["paint code"]`},
		{"custom[make]", `1:7 a property is named by a text, as in custom["paint code"]`}, {`custom[" "]`, `1:7 a property is named by a text, as in custom["paint code"]`}, {"custom.a.b", "1:10 only custom has properties, as in custom.colour"}, {"price.x", "1:7 only custom has properties, as in custom.colour"},
		{"custom[1:2]", `1:7 "[" can't be used in an expression`}, {"nil", "1:1 nil can't be used; write ?? to say what stands for an empty field"}, {"price == nil", "1:10 nil can't be used; write ?? to say what stands for an empty field"},
		// types
		{"make * 2", `1:1 "make" is a text where a number is needed`}, {"2 * 'x'", `1:5 "'x'" is a text where a number is needed`}, {"price + (1 > 2)", `1:12 ">" is true or false where a number is needed`}, {"make + model", "1:6 texts can't be joined"}, {`make + " "`, "1:6 texts can't be joined"},
		{"-make", `1:2 "make" is a text where a number is needed`}, {"!price", `1:2 "price" is a number where true or false is needed`}, {"price && true", `1:1 "price" is a number where true or false is needed`}, {"custom.x ? 1 : 2", `1:8 "x" is a text where true or false is needed`},
		{"price ? 1 : 2", `1:1 "price" is a number where true or false is needed`}, {"1 < 2 ? 1 : 'x'", "1:3 the choice is between a number and a text"}, {"make == 5", `1:6 "==" compares a text with a number`}, {"certified < true", `1:11 "<" can't compare true or false`}, {"certified == custom.x", `1:11 "==" compares true or false with a text`},
		{"sale_price ?? 'x'", "1:12 ?? stands between a number and a text"}, {"(price * 2) ?? 1", "1:13 before ?? stands a field that may be empty, and nothing else"}, {"5 ?? 1", "1:3 before ?? stands a field that may be empty, and nothing else"}, {"vin ?? make", "1:5 before ?? stands a field that may be empty, and nothing else"},
		{"sale_price ?? 1 ?? 2", "1:17 before ?? stands a field that may be empty, and nothing else"}, {"sale_price ?? price * 2", "1:21 put brackets around what belongs to ??, as in (sale_price ?? price) * 0.95"},
		{"1 < year < 3", "1:10 compare two values at a time, and join comparisons by &&"}, {`status == "Sold" ? 1 : 2`, `1:8 status is never "Sold"; it must be one of active, sold`}, {`"old" != condition ? 1 : 2`, `1:7 condition is never "old"; it must be one of new, used`}, {`condition == (price > 5 ? "Used" : "new") ? 1 : 2`, `1:11 condition is never "Used"; it must be one of new, used`},
		// functions
		{"min(1)", "1:1 min takes two values or more"}, {"max()", "1:1 max takes two values or more"}, {"floor(1, 2)", "1:1 floor takes one value"}, {"abs()", "1:1 abs takes one value"}, {"round()", "1:1 round takes a value, and the places to round to if not 0"}, {"round(1, 2, 3)", "1:1 round takes a value, and the places to round to if not 0"},
		{"round(1, 11)", "1:10 the places to round to are a number from 0 to 10"}, {"round(1, -1)", "1:10 the places to round to are a number from 0 to 10"}, {"round(1, year)", "1:10 the places to round to are a number from 0 to 10"}, {"round(1, 1.5)", "1:10 the places to round to are a number from 0 to 10"},
		{"floor(make)", `1:7 "make" is a text where a number is needed`}, {"min(1, 'x')", `1:8 "'x'" is a text where a number is needed`}, {"custom.x(1)", "1:8 fields have no functions"}, {"vin.Foo()", "1:5 fields have no functions"}, {"make(5)", `1:1 "make" is no function; there are min, max, round, floor, ceil and abs`},
		// the rest of the parser's language
		{"price | min(3)", `1:7 "|" can't be used in an expression; functions are written as in min(price, msrp)`}, {"let x = 5; x * 2", `1:1 "let" can't be used in an expression; a rule has one expression per action`},
		{"1; 2", `1:2 ";" can't be used in an expression; a rule has one expression per action`}, {"1..9", `1:2 ".." can't be used in an expression; there are no lists and loops`}, {"price ** 2", `1:7 "**" can't be used in an expression; powers are not among the operators`}, {"price ^ 2", `1:7 "^" can't be used in an expression; powers are not among the operators`},
		{"vin?.Foo", `1:4 "?." can't be used in an expression; write ?? to say what stands for an empty field`}, {"if 1 > 2 {1} else {2}", `1:1 "if" can't be used in an expression; write condition ? value : other value`}, {"price > 5 and year > 6", `1:11 "and" can't be used in an expression; write &&`},
		{"not certified", `1:1 "not" can't be used in an expression; write !`}, {"price in 5", `1:7 "in" can't be used in an expression; join comparisons by ||`}, {"make matches 'F.*'", `1:6 "matches" can't be used in an expression; ` + ops}, {"price = 5", `1:7 "=" can't be used in an expression; compare with ==`}, {"certified & true", `1:11 "&" can't be used in an expression; write &&`},
		{"price // all", "1:7 comments can't stand in an expression"}, {"/* x */ price", "1:1 comments can't stand in an expression"}, {"price # all", `1:7 "#" can't be used in an expression; there are no loops and no comments`}, {"::min(1, 2)", `1:1 "::" can't be used in an expression; ` + ops}, {"b'x'", `1:1 "b'x'" is no text; leave out the letter before it`},
		{"[1, 2]", `1:1 "[" can't be used in an expression`}, {"+5", `1:1 "+" can't stand before a value`}, {"year ?: 5", `1:1 write condition ? value : other value`}, {"{}", `1:1 "{" can't be used in an expression; ` + ops},
		{"map([1], # * 2)", `1:10 "#" can't be used in an expression; there are no loops and no comments`}, {"filter(tags, true)", `1:1 "filter" is no function; there are min, max, round, floor, ceil and abs`}, {"reduce(tags, 1)", `1:1 "reduce" is no function; there are min, max, round, floor, ceil and abs`}, {"repeat('x', 9)", `1:1 "repeat" is no function; there are min, max, round, floor, ceil and abs`},
		{"now()", `1:1 "now" is no function; there are min, max, round, floor, ceil and abs`}, {"get($env, 'x')", `1:1 "get" is no function; there are min, max, round, floor, ceil and abs`}, {"len(make)", `1:1 "len" is no function; there are min, max, round, floor, ceil and abs`}, {"all(tags, .x)", `1:1 "all" is no function; there are min, max, round, floor, ceil and abs`},
		// what is large
		{deep, "1:31 brackets are nested more than 30 deep"}, {strings.Repeat("(", 1000), "1:31 brackets are nested more than 30 deep"}, {strings.Repeat("-", 999) + "1", "1:1000 the expression has more than 100 parts"}, {strings.Repeat("!", 999) + "1", "1:1000 the expression has more than 100 parts"},
		{strings.Repeat("1+", 499) + "1", "1:102 the expression has more than 100 parts"}, {strings.Repeat("1", 1001), "must not be longer than 1000 bytes"}, {strings.Repeat("max(", 200), "1:124 brackets are nested more than 30 deep"}, {strings.Repeat("1>2?", 200), "1:136 the expression has more than 100 parts"},
		// what is no text
		{"price\x00", "1:6 the character U+0000 can't stand in an expression"}, {"'\xff'", "1:2 the character U+FFFD can't stand in an expression"}, {"price\x1b", "1:6 the character U+001B can't stand in an expression"}, {"'\u0085'", "1:2 the character U+0085 can't stand in an expression"},
	} {
		var faults []errs.Fault
		took := time.Hour
		for range 5 { // of which one, at least, is not held up by other work
			start := time.Now()
			_, faults = Compile(rule(by("price", c.expr)), now)
			took = min(took, time.Since(start))
		}
		if took > 100*time.Millisecond {
			t.Errorf("%.40q took %v", c.expr, took)
		}
		var got []string
		for _, f := range faults {
			detail := f.Detail
			var line, column int
			if _, err := fmt.Sscanf(detail, "line %d, column %d:", &line, &column); err == nil {
				_, rest, _ := strings.Cut(detail, ": ")
				detail = fmt.Sprintf("%d:%d %s", line, column, rest)
			}
			got = append(got, detail)
		}
		if joined := strings.Join(got, "; "); joined != c.want {
			t.Errorf("%.60q:\n got %s\nwant %s", c.expr, joined, c.want)
		}
	}
}
