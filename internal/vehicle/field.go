package vehicle

import (
	"slices"
	"strings"
)

// Field is one canonical property of a vehicle.
type Field uint8

// The fields, in the order records show them. Where a name is published elsewhere, it is that name.
const (
	StockNumber Field = iota
	Year
	Make
	Model
	Trim
	SeriesDetail
	ModelCode
	BodyStyle
	Doors
	Cylinders
	Passengers
	Engine
	EngineDisplacement
	Aspiration
	EngineBlock
	Transmission
	TransmissionType
	Gears
	Drivetrain
	FuelType
	CityMPG
	HighwayMPG
	ExteriorColor
	ExteriorColorGeneric
	ExteriorColorCode
	ExteriorColorHex
	InteriorColor
	InteriorColorGeneric
	InteriorColorCode
	InteriorColorHex
	Upholstery
	Condition
	Certified
	CertifiedProgram
	Disposition
	Status
	Mileage
	MileageUnit
	Price
	InternetPrice
	SalePrice
	MSRP
	OtherPrice
	MiscPrice1
	MiscPrice2
	MiscPrice3
	RebatesTotal
	DocFee
	WholesalePrice
	Invoice
	Cost
	BookValue
	DateInStock
	Description
	OptionList
	Features
	Photos
	PhotoCount
	PhotosUpdatedAt
	VDPURL
	VideoURL
	HistoryReportURL
	DealershipID
	SourceDealerCode
	SourceDealerName
	Tags
	Custom

	NumFields
)

// Kind says what a field's canonical text looks like.
type Kind uint8

// The kinds.
const (
	Text    Kind = iota // one line, blanks collapsed (Description keeps its line breaks)
	Int                 // "2021"
	Money               // "32999.00"
	Decimal             // "2.5"
	Bool                // "true", "false"
	Enum                // a word of the field's list
	List                // JSON array of texts
	Date                // "2021-08-28"
	Time                // RFC 3339, UTC, whole seconds
	URL                 // http or https
	ID                  // UUID, lower case
	Map                 // JSON object of texts, keys sorted
)

// spec is what is known about a field.
type spec struct {
	name string
	kind Kind
	max  int   // characters of a text or of an item, 0 for the kind's default
	low  int64 // least number (Int) or cents (Money)
	high int64
	// items bounds a list or map.
	items int
	words []string // of an Enum
	// needed fields can't be null.
	needed bool
	// sensitive fields are shown to administrators only.
	sensitive bool
	// bulky fields are written by each source in its own way and at length.
	bulky   bool
	doc     string
	example string // JSON
}

// Limits of the kinds.
const (
	maxText     = 200
	maxURL      = 2000
	maxCents    = 99_999_999_999
	maxPhotos   = 500
	maxOptions  = 1000
	maxOption   = 1000
	maxTags     = 50
	maxCustom   = 200
	maxSentence = 20_000
)

// Words of fields that others need by name.
const (
	StatusActive  = "active"
	StatusSold    = "sold"
	ConditionNew  = "new"
	ConditionUsed = "used"
	True          = "true"
	False         = "false"
)

var fields = [NumFields]spec{
	StockNumber:          {name: "stock_number", max: 40, doc: "The dealership's own number of the vehicle.", example: `"FA85881"`},
	Year:                 {name: "year", kind: Int, low: 1900, high: 2100, doc: "Model year, at most two years ahead.", example: `2017`},
	Make:                 {name: "make", max: 100, example: `"Ford"`},
	Model:                {name: "model", max: 100, example: `"F-150"`},
	Trim:                 {name: "trim", example: `"Platinum"`},
	SeriesDetail:         {name: "series_detail", doc: "Option package of the series."},
	ModelCode:            {name: "model_code", max: 100, doc: "The maker's code of the model."},
	BodyStyle:            {name: "body_style", kind: Enum, words: []string{"Sedan", "Coupe", "Convertible", "Hatchback", "Wagon", "SUV", "Crossover", "Truck", "Van", "Minivan", "Other"}, example: `"Truck"`},
	Doors:                {name: "doors", kind: Int, high: 12},
	Cylinders:            {name: "cylinders", kind: Int, high: 16},
	Passengers:           {name: "passengers", kind: Int, high: 100},
	Engine:               {name: "engine", doc: "The engine as its source describes it.", example: `"3.5L V6 EcoBoost"`},
	EngineDisplacement:   {name: "engine_displacement_l", kind: Decimal, low: 30, high: 990, doc: "Litres, 0.3 to 9.9."},
	Aspiration:           {name: "aspiration", max: 100},
	EngineBlock:          {name: "engine_block", max: 100},
	Transmission:         {name: "transmission", doc: "The transmission as its source describes it.", example: `"6-Speed Automatic Electronic"`},
	TransmissionType:     {name: "transmission_type", kind: Enum, words: []string{"automatic", "manual", "cvt", "dual_clutch", "single_speed"}, doc: "Read from transmission unless given."},
	Gears:                {name: "gears", kind: Int, low: 1, high: 18, doc: "Read from transmission unless given."},
	Drivetrain:           {name: "drivetrain", kind: Enum, words: []string{"fwd", "rwd", "awd", "4wd", "2wd"}, doc: "2wd where the source does not say which axle."},
	FuelType:             {name: "fuel_type", kind: Enum, words: []string{"gasoline", "diesel", "hybrid", "plugin_hybrid", "electric", "flex", "hydrogen", "cng", "other"}},
	CityMPG:              {name: "city_mpg", kind: Int, low: 1, high: 999},
	HighwayMPG:           {name: "highway_mpg", kind: Int, low: 1, high: 999},
	ExteriorColor:        {name: "exterior_color", example: `"Ruby Red"`},
	ExteriorColorGeneric: {name: "exterior_color_generic", max: 100},
	ExteriorColorCode:    {name: "exterior_color_code", max: 100},
	ExteriorColorHex:     {name: "exterior_color_hex", max: 20},
	InteriorColor:        {name: "interior_color", example: `"Brunello"`},
	InteriorColorGeneric: {name: "interior_color_generic", max: 100},
	InteriorColorCode:    {name: "interior_color_code", max: 100},
	InteriorColorHex:     {name: "interior_color_hex", max: 20},
	Upholstery:           {name: "upholstery"},
	Condition:            {name: "condition", kind: Enum, words: []string{ConditionNew, ConditionUsed}, doc: "Certified vehicles are used ones with certified true.", example: `"used"`},
	Certified:            {name: "certified", kind: Bool},
	CertifiedProgram:     {name: "certified_program"},
	Disposition:          {name: "disposition", kind: Enum, words: []string{"retail", "wholesale", "fleet", "company", "loaner"}},
	Status:               {name: "status", kind: Enum, words: []string{StatusActive, StatusSold}, needed: true, doc: "active unless given.", example: `"active"`},
	Mileage:              {name: "mileage", kind: Int, high: 999_999, doc: "Odometer reading in mileage_unit.", example: `107031`},
	MileageUnit:          {name: "mileage_unit", kind: Enum, words: []string{"mi", "km"}, doc: "Null means miles."},
	Price:                {name: "price", kind: Money, low: 1, doc: "Asking price in the dealership's currency.", example: `"35997.00"`},
	InternetPrice:        {name: "internet_price", kind: Money, low: 1, example: `"35497.00"`},
	SalePrice:            {name: "sale_price", kind: Money, low: 1},
	MSRP:                 {name: "msrp", kind: Money, low: 1, doc: "The maker's suggested retail price."},
	OtherPrice:           {name: "other_price", kind: Money},
	MiscPrice1:           {name: "misc_price_1", kind: Money},
	MiscPrice2:           {name: "misc_price_2", kind: Money},
	MiscPrice3:           {name: "misc_price_3", kind: Money},
	RebatesTotal:         {name: "rebates_total", kind: Money},
	DocFee:               {name: "doc_fee", kind: Money},
	WholesalePrice:       {name: "wholesale_price", kind: Money, sensitive: true},
	Invoice:              {name: "invoice", kind: Money, sensitive: true, doc: "What the maker charged."},
	Cost:                 {name: "cost", kind: Money, sensitive: true, doc: "What the vehicle cost the dealership."},
	BookValue:            {name: "book_value", kind: Money, sensitive: true},
	DateInStock:          {name: "date_in_stock", kind: Date, doc: "Days on lot count from here, else from the day the vehicle was first seen.", example: `"2021-07-04"`},
	Description:          {name: "description", max: maxSentence, bulky: true},
	OptionList:           {name: "options", kind: List, items: maxOptions, max: maxOption, bulky: true},
	Features:             {name: "features", kind: List, items: maxOptions, max: maxOption, bulky: true},
	Photos:               {name: "photos", kind: List, items: maxPhotos, max: maxURL, bulky: true, doc: "Addresses of the photos in order, http or https."},
	PhotoCount:           {name: "photo_count", kind: Int, high: 10_000, doc: "Counted from photos unless given."},
	PhotosUpdatedAt:      {name: "photos_updated_at", kind: Time},
	VDPURL:               {name: "vdp_url", kind: URL, doc: "The vehicle's own page on the dealership's site."},
	VideoURL:             {name: "video_url", kind: URL},
	HistoryReportURL:     {name: "history_report_url", kind: URL},
	DealershipID:         {name: "dealership_id", kind: ID, doc: "The dealership that holds the vehicle; the group's only one unless given."},
	SourceDealerCode:     {name: "source_dealer_code", doc: "The dealership's code as the source writes it, leading zeros kept."},
	SourceDealerName:     {name: "source_dealer_name"},
	Tags:                 {name: "tags", kind: List, items: maxTags, max: 100},
	Custom:               {name: "custom", kind: Map, items: maxCustom, max: 2000, bulky: true, doc: "Further properties, texts by name."},
}

// String is the field's name on the wire.
func (f Field) String() string { return fields[f].name }

// Kind says what the field's canonical text looks like.
func (f Field) Kind() Kind { return fields[f].kind }

// Sensitive fields are shown to administrators only.
func (f Field) Sensitive() bool { return fields[f].sensitive }

// Bulky fields are written by each source in its own way and at length, so that comparing them tells nothing.
func (f Field) Bulky() bool { return fields[f].bulky }

// FieldNamed finds a field by its name on the wire.
func FieldNamed(name string) (Field, bool) {
	f, ok := byName[name]
	return f, ok
}

var byName = func() map[string]Field {
	m := make(map[string]Field, NumFields)
	for f := range NumFields {
		m[fields[f].name] = f
	}
	return m
}()

// limit is the most characters of a text, or of an item of a list.
func (f Field) limit() int {
	switch s := &fields[f]; {
	case s.max > 0:
		return s.max
	case s.kind == URL:
		return maxURL
	}
	return maxText
}

// top is the largest number of an Int or the largest amount in cents of a Money.
func (f Field) top() int64 {
	if fields[f].kind == Money {
		return maxCents
	}
	return fields[f].high
}

func (f Field) hasWord(word string) bool { return slices.Contains(fields[f].words, word) }

// Fields is a set of fields.
type Fields [2]uint64

// FieldsOf makes a set.
func FieldsOf(list ...Field) Fields {
	var s Fields
	for _, f := range list {
		s.Add(f)
	}
	return s
}

// Add adds a field.
func (s *Fields) Add(f Field) { s[f/64] |= 1 << (f % 64) }

// Remove takes a field away.
func (s *Fields) Remove(f Field) { s[f/64] &^= 1 << (f % 64) }

// Has tells whether a field is in the set.
func (s Fields) Has(f Field) bool { return s[f/64]&(1<<(f%64)) != 0 }

// Empty tells whether no field is.
func (s Fields) Empty() bool { return s == Fields{} }

// Names lists the set in the fields' order.
func (s Fields) Names() []string {
	names := []string{}
	for f := range NumFields {
		if s.Has(f) {
			names = append(names, fields[f].name)
		}
	}
	return names
}

// FieldsNamed is the reverse of Names joined by commas; names no longer known are dropped.
func FieldsNamed(names string) Fields {
	var s Fields
	for name := range strings.SplitSeq(names, ",") {
		if f, ok := byName[name]; ok {
			s.Add(f)
		}
	}
	return s
}
