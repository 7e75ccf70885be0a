package vehicle

import (
	"strconv"
	"strings"
)

// The words sources use for conditions, bodies and the rest, and what they mean here. Texts come in lower
// case with single blanks.

// contains tells whether any of the words, separated by "|", stands in a text.
func contains(text, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// is tells whether a text is one of the words, separated by "|".
func is(text, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if text == w {
			return true
		}
	}
	return false
}

// conditionOf reads New/Used columns. certified and loaner go with some of their words.
func conditionOf(text string) (condition string, certified, loaner bool) {
	text = strings.ReplaceAll(text, "-", " ")
	switch {
	case is(text, "n|new|1|true|brand new|new vehicle|new car"):
		return ConditionNew, false, false
	case is(text, "cpo|c|certified") || strings.HasPrefix(text, "certified"):
		return ConditionUsed, true, false
	case is(text, "u|used|p|0|false|pre owned|preowned|used vehicle|used car|trade"):
		return ConditionUsed, false, false
	case is(text, "demo|demonstrator|loaner|courtesy|service loaner"):
		return ConditionUsed, false, true
	}
	return "", false, false
}

// certifiedOf reads certified flags: any text that is not a plain no names a programme.
func certifiedOf(text string) bool {
	return !is(text, "|n|no|false|0|f|not certified|none|non certified|-|-1|n/a|na|null|nan|#n/a|unknown|tbd")
}

const loanerWord = "loaner"

func dispositionOf(text string) string {
	switch {
	case is(text, "r|retail"):
		return "retail"
	case is(text, "w|wholesale"):
		return "wholesale"
	case is(text, "f|fleet"):
		return "fleet"
	case is(text, "co veh|company|company vehicle|company car"):
		return "company"
	case is(text, "loaner|demo|courtesy"):
		return loanerWord
	}
	return ""
}

// statusOf reads a vehicle's status. What is neither gone nor announced as sold is in stock for us.
func statusOf(text string) string {
	text = strings.NewReplacer("-", " ", "_", " ").Replace(text)
	switch {
	case is(text, "sold|s|delivered|removed|withdrawn|deleted|inactive"):
		return StatusSold
	case is(text, "active|a|available|in stock|instock|stock|for sale|live|retail|ready|on hold|hold|pending|in transit|intransit|transit|on order|incomplete"):
		return StatusActive
	}
	return ""
}

// bodies in the order in which they are tried: what decides stands before what is common.
var bodies = []struct{ words, body string }{
	{"minivan|mini-van|mini van", "Minivan"},
	{"crossover|cuv", "Crossover"},
	{"suv|sport utility|sport-utility|utility|activity vehicle", "SUV"},
	{"convertible|cabrio|roadster|spyder|spider", "Convertible"},
	{"hatch|liftback|sportback", "Hatchback"},
	{"wagon|estate|avant|touring car", "Wagon"},
	{"sedan|saloon", "Sedan"},
	{"coupe|coupé", "Coupe"},
	{"pickup|pick-up|truck|cab|supercrew|crewmax|chassis", "Truck"},
	{"van", "Van"},
}

func bodyOf(text string) string {
	for _, b := range bodies {
		if contains(text, b.words) {
			return b.body
		}
	}
	switch {
	case is(text, "2dr car|2 door car|2d car"):
		return "Coupe"
	case is(text, "4dr car|4 door car|4d car"):
		return "Sedan"
	}
	return "Other"
}

// carBodies are those of cars in the narrow sense, whose 4x2 is driven by its front wheels.
const carBodies = "Sedan|Coupe|Hatchback|Wagon|Convertible"

// isMinivan tells whether a model comes as a minivan only, so that its passenger van is one.
func isMinivan(model string) bool {
	model = strings.ToLower(model) + " "
	for name := range strings.SplitSeq("sienna|odyssey|caravan|grand caravan|pacifica|voyager|grand voyager|town & country|town and country|carnival|sedona|"+
		"quest|entourage|freestar|windstar|routan|uplander|mazda5|mpv|previa", "|") {
		if strings.HasPrefix(model, name+" ") {
			return true
		}
	}
	return false
}

func drivetrainOf(text string) string {
	switch {
	case contains(text, "awd|all wheel|all-wheel|xdrive|quattro|4matic|4motion|sh-awd"):
		return "awd"
	case contains(text, "4wd|4x4|four|4 wheel|4-wheel"):
		return "4wd"
	case contains(text, "fwd|front"):
		return "fwd"
	case contains(text, "rwd|rear"):
		return "rwd"
	case contains(text, "2wd|4x2|two|2 wheel|2-wheel"):
		return "2wd"
	}
	return ""
}

func fuelOf(text string) string {
	switch {
	case contains(text, "plug-in|plug in|plugin|phev"):
		return "plugin_hybrid"
	case contains(text, "hybrid|hev"):
		return "hybrid"
	case contains(text, "hydrogen|fuel cell"):
		return "hydrogen"
	case contains(text, "electric|bev|battery") || text == "ev":
		return "electric"
	case contains(text, "diesel"):
		return "diesel"
	case contains(text, "flex|e85|ethanol"):
		return "flex"
	case contains(text, "cng|natural gas"):
		return "cng"
	case contains(text, "lpg|propane|petroleum gas"):
		return "other"
	case contains(text, "gas|unleaded|regular|premium|petrol"):
		return "gasoline"
	case contains(text, "other"):
		return "other"
	}
	return ""
}

// transmissionOf reads the type and, where the text tells, the number of gears. Automatics with a manual mode
// are automatics, so manual is asked for late.
func transmissionOf(text string) (kind, gears string) {
	switch {
	case contains(text, "cvt|ivt|variable|xtronic"):
		kind = "cvt"
	case contains(text, "dct|dsg|dual clutch|dual-clutch|powershift|pdk"):
		kind = "dual_clutch"
	case contains(text, "single speed|single-speed|1-speed|1 speed|direct drive"):
		kind = "single_speed"
	case contains(text, "auto|tiptronic|shiftronic|a/t") || text == "a":
		kind = "automatic"
	case contains(text, "manual|m/t|stick") || text == "m":
		kind = "manual"
	}
	return kind, gearsOf(text)
}

// gearsOf finds `8-Speed`, `6 spd` and `Auto(A8)`.
func gearsOf(text string) string {
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' || i > 0 && (isWordByte(text[i-1]) && !gearPrefix(text[:i])) {
			continue
		}
		end := i
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(text[i:end])
		after := strings.TrimLeft(text[end:], " -")
		if err == nil && n >= 1 && n <= 18 && (strings.HasPrefix(after, "sp") || gearPrefix(text[:i]) && strings.HasPrefix(after, ")")) {
			return strconv.Itoa(n)
		}
		i = end
	}
	return ""
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.'
}

func gearPrefix(before string) bool {
	return strings.HasSuffix(before, "(a") || strings.HasSuffix(before, "(am") || strings.HasSuffix(before, "(m") || strings.HasSuffix(before, "(s") || strings.HasSuffix(before, "(av")
}

// KnownMake finds the make that a text names, in its fixed spelling.
func KnownMake(text string) (string, bool) {
	known, ok := makes[strings.ToLower(Tidy(text))]
	return known, ok
}

// makes by their folded spellings.
var makes = func() map[string]string {
	m := map[string]string{
		"chevy": "Chevrolet", "vw": "Volkswagen", "mercedes": "Mercedes-Benz", "mercedes benz": "Mercedes-Benz", "mb": "Mercedes-Benz",
		"land": "Land Rover", "landrover": "Land Rover", "land-rover": "Land Rover", "alfa": "Alfa Romeo", "rolls royce": "Rolls-Royce", "aston": "Aston Martin",
		"dodge ram": "RAM", "ram trucks": "RAM", "general motors": "GMC",
	}
	const known = "Acura,Alfa Romeo,Aston Martin,Audi,Bentley,BMW,Buick,Cadillac,Chevrolet,Chrysler,Dodge,Ferrari,FIAT,Fisker,Ford,Freightliner,Genesis," +
		"GMC,Honda,Hummer,Hyundai,INFINITI,Jaguar,Jeep,Kia,Lamborghini,Land Rover,Lexus,Lincoln,Lotus,Lucid,Maserati,Mazda,McLaren,Mercedes-Benz,Mercury," +
		"MINI,Mitsubishi,Nissan,Oldsmobile,Polestar,Pontiac,Porsche,RAM,Rivian,Rolls-Royce,Saab,Saturn,Scion,smart,Subaru,Suzuki,Tesla,Toyota,Volkswagen,Volvo"
	for name := range strings.SplitSeq(known, ",") {
		m[strings.ToLower(name)] = name
	}
	return m
}()
