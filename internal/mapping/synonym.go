package mapping

import (
	"slices"
	"strings"

	"carfluence/internal/inventory"
)

// synonym lists the columns that feed one field, best first, as header keys. The first that holds a value in
// a row wins.
type synonym struct {
	field   inventory.Field
	columns string // separated by ", "
}

// synonyms is the union of what vAuto, HomeNet and Elead call their columns and of names met in files made
// by hand, in the order in which the fields are read.
//
// Left out on purpose: wishes of a customer (maxmileage, pricefrom, priceto), vehicle type as a condition (it
// is a class of vehicle), and lead or shipping statuses.
var synonyms = []synonym{
	{inventory.StockNumber, "stock number, stocknumber, stock, stk num, stk, stock no, stockno, stocknum, unit, inventory id, lot"},
	{inventory.SourceDealerCode, "dealerid, provider id, dealer id, subscription id, account, rooftop, store code, feed id, dealer code, dealercode"},
	{inventory.SourceDealerName, "dealer name, dealername, dealer, dealership, dealership name, store, location"},
	{inventory.Year, "year, yearfrom, yr, model year, modelyear, vehicle year"},
	{inventory.Make, "make, manufacturer, brand, make name, makename"},
	{inventory.Model, "model, model name, modelname"},
	{inventory.Trim, "trim, trim level, series, badge, variant, sub model, style"},
	{inventory.SeriesDetail, "series detail, style description, package"},
	{inventory.ModelCode, "model code, model number, modelnumber, model no"},
	{inventory.BodyStyle, "body, body style, vehicle type, body type, bodystyle, bodytype, segment, class"},
	{inventory.Doors, "door count, body door ct, doors, door ct"},
	{inventory.Passengers, "passengercapacity, passenger capacity, passengers"},
	{inventory.ExteriorColor, "colour, color, exterior color, ext color, exterior colour, exteriorcolor, exteriorcolordescription, color ext, outside color, paint, exterior, exterior base color"},
	{inventory.ExteriorColorGeneric, "exterior base color, ext color generic, exteriorgenericcolor, base ext color"},
	{inventory.ExteriorColorCode, "exterior color code, ext color code"},
	{inventory.ExteriorColorHex, "extcolorhexcode, exteriorcolorhexcode"},
	{inventory.InteriorColor, "interior color, interiorcolor, color int, int color, interior colour, interior"},
	{inventory.InteriorColorGeneric, "int color generic"},
	{inventory.InteriorColorCode, "interior color code, int color code"},
	{inventory.InteriorColorHex, "intcolorhexcode"},
	{inventory.Upholstery, "int upholstery, upholstery"},
	{inventory.Drivetrain, "drivetrain desc, driveline, drivetrain, drivetype, drive type, drive, wheel drive"},
	{inventory.Engine, "engine, engine description, motor"},
	{inventory.EngineDisplacement, "engine displacement, disp, engine size, enginedisplacement, litres, liters"},
	{inventory.Aspiration, "engine aspiration type, engineaspirationtype"},
	{inventory.EngineBlock, "engine block type, engineblocktype"},
	{inventory.Cylinders, "engine cylinder ct, enginecylinders, enginecylindercount, cyl, cylinders"},
	{inventory.FuelType, "fuel, fuel type, fueltype"},
	{inventory.CityMPG, "city mpg, citympg, epacitympg, mpg city"},
	{inventory.HighwayMPG, "highway mpg, highwaympg, epahighwaympg, hw mpg, hwy mpg, mpg highway"},
	{inventory.MileageUnit, "mileage unit, mileageunit"},
	{inventory.Price, "list price, price, price mkt, asking price, retail value, sellingprice, askingprice, selling price, price current, retail price, sale price, final price, dealer price"},
	{inventory.InternetPrice, "internet price, internetprice, web price, special price, eprice"},
	{inventory.SalePrice, "sale price, promo price"},
	{inventory.MSRP, "msrp, sticker, list new, sticker price, base msrp"},
	{inventory.Invoice, "invoice, invoice price, invoiceamount"},
	{inventory.Cost, "salescost, cost, unit cost, price cost, dealer cost"},
	{inventory.BookValue, "book value, bookvalue, defaultbookvalue, book, acv"},
	{inventory.WholesalePrice, "wholesale price, price wholesale"},
	{inventory.OtherPrice, "other price"},
	{inventory.MiscPrice1, "misc price1, customprice1, dealer discounted"},
	{inventory.MiscPrice2, "misc price2, customprice2"},
	{inventory.MiscPrice3, "misc price3, customprice3"},
	{inventory.RebatesTotal, "total rebates, total customer incentives"},
	{inventory.Certified, "certified, dealercertified, cpo, is certified, certified pre owned, certified preowned"},
	{inventory.CertifiedProgram, "certification, certified program"},
	{inventory.DateInStock, "inventory date, dateinstock, date in inventory, in stock date, on lot since, date first on lot, entry date, date in stock"},
	{inventory.Description, "description, autowriter description, comments, free text, comment1, dealer comments"},
	{inventory.OptionList, "categorized options, options, option codes, options codes, equipment, packages, installedoptions"},
	{inventory.Features, "features"},
	{inventory.PhotoCount, "photo count, photos"},
	{inventory.PhotosUpdatedAt, "photos last modified date, datelasttouched"},
	{inventory.VDPURL, "vehicle detail link, url, link, final url, vdp, listing url, website link"},
	{inventory.VideoURL, "video url, video link"},
	{inventory.Disposition, "disposition"},
	{inventory.Status, "status, dms status, inventory status"},

	// Last: other fields follow from their texts, unless a column of their own says more.
	{inventory.Condition, "newused, type, isnew, new used, nu, condition, state of vehicle, inventory type, title, listing type"},
	{inventory.Transmission, "transmission description, transmission, trans, gearbox"},
	{inventory.Mileage, "odometer, mileage, miles, odometer reading, kms, km, kilometers, kilometres, mileage value, mileagevalue, mileage km, odometer km, mileage mi, odometer mi, odometer miles"},
	{inventory.Photos, "photos, photo url list, imagelist, photo urls, images, image urls, picturerefs, media, image, image url, photo url, image link"},
}

// leadSynonyms are all that an Elead file says of a vehicle. Its prices and mileages are wishes, its status is the
// lead's.
var leadSynonyms = []synonym{
	{inventory.StockNumber, "stocknumber, stock number"},
	{inventory.SourceDealerCode, "subscription id, subscriptionid"},
	{inventory.SourceDealerName, "dealer, dealership"},
	{inventory.Year, "yearfrom"},
	{inventory.Make, "make"},
	{inventory.Model, "model"},
	{inventory.Trim, "trim"},
	{inventory.Condition, "isnew"},
}

// preferred are the columns that stand first in files of one type; the common ones follow.
var preferred = map[string][]synonym{
	TypeVAuto: {
		{inventory.Transmission, "transmission"},
		{inventory.OptionList, "option codes, options"},
	},
	TypeHomeNet: {
		{inventory.StockNumber, "stock, stocknumber"},
		{inventory.SourceDealerName, "dealername"},
		{inventory.Condition, "type"},
		{inventory.SeriesDetail, "style description"},
		{inventory.ModelCode, "modelnumber"},
		{inventory.ExteriorColor, "exteriorcolor, exteriorcolordescription"},
		{inventory.ExteriorColorGeneric, "ext color generic, exteriorgenericcolor"},
		{inventory.InteriorColor, "interiorcolor"},
		{inventory.Drivetrain, "drivetrain, drivetype"},
		{inventory.Engine, "engine description"},
		{inventory.EngineDisplacement, "enginedisplacement"},
		{inventory.Cylinders, "enginecylinders, enginecylindercount"},
		{inventory.FuelType, "fuel type, fueltype"},
		{inventory.CityMPG, "citympg, epacitympg"},
		{inventory.HighwayMPG, "highwaympg, epahighwaympg"},
		{inventory.Price, "sellingprice, askingprice"},
		{inventory.MiscPrice1, "misc price1, customprice1"},
		{inventory.Mileage, "miles"},
		{inventory.DateInStock, "dateinstock"},
		{inventory.PhotosUpdatedAt, "datelasttouched"},
		{inventory.VideoURL, "video link"},
		{inventory.Photos, "imagelist"},
	},
}

// candidates are the fields in the order in which they are read, each with the columns that feed it in files of
// the type.
func candidates(kind string) []synonym {
	common := synonyms
	if kind == TypeElead {
		common = leadSynonyms
	}
	out := fieldsWithout(common)
	for _, s := range common {
		for _, p := range preferred[kind] {
			if p.field == s.field {
				s.columns = p.columns + ", " + s.columns
			}
		}
		out = append(out, s)
	}
	return out
}

// fieldsWithout are the fields that only an integration's own mapping feeds.
func fieldsWithout(list []synonym) (out []synonym) {
	for f := range inventory.NumFields {
		own := f != inventory.DealershipID && f != inventory.Custom
		if own && !slices.ContainsFunc(list, func(s synonym) bool { return s.field == f }) {
			out = append(out, synonym{field: f})
		}
	}
	return out
}

// soughtVehicle are the prefixes of a lead's vehicle in flattened files.
var soughtVehicle = []string{"", "soughtvehicles ", "soughtvehicles", "soughtvehicles0", "soughtvehicles 0 ", "soughtvehicle ", "soughtvehicle"}

// keysIn are the header keys of the candidate's columns in files of the type, best first, each once.
func (s synonym) keysIn(kind string) []string {
	if kind != TypeElead {
		return distinct(s.keys())
	}
	var keys []string
	for _, key := range s.keys() {
		for _, prefix := range soughtVehicle {
			keys = append(keys, prefix+key)
		}
	}
	return keys
}

func distinct(keys []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(keys, func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
}

// of a customer, not of the vehicle on offer: what is sought or traded in. Neither is taken or suggested.
func customers(key string) bool {
	return strings.HasPrefix(key, "trade") || strings.HasPrefix(key, "customer") ||
		slices.Contains([]string{"maxmileage", "pricefrom", "priceto", "yearto"}, strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(key, "soughtvehicle"), "s"), "0 "))
}

// doubtful columns often hold something else under the same name: a value that does not fit is passed over in
// silence.
var doubtful = map[string]bool{
	"type": true, "title": true, "vehicle type": true, "class": true, "segment": true, "style": true,
	"photos": true, "images": true, "media": true, "image": true, "disp": true, "status": true, "price mkt": true,
}

// kilometres are what a column of these names counts.
var kilometres = map[string]bool{"kms": true, "km": true, "kilometers": true, "kilometres": true, "mileage km": true, "odometer km": true}

// leadColumns give away a file of sales opportunities: its status is a lead's, never a car's.
var leadColumns = []string{"uptype", "opportunityid", "opportunity id", "soughtvehicles vin"}

func (s synonym) keys() []string { return strings.Split(s.columns, ", ") }

// numberedPhoto tells whether a column is one of several that hold one photo each: `Image 3`, `photo_url_2`,
// `image[0].url`.
func numberedPhoto(key string) bool {
	rest, ok := "", false
	for _, word := range []string{"images", "image", "photos", "photo", "pictures", "picture"} {
		if rest, ok = strings.CutPrefix(key, word); ok {
			break
		}
	}
	if !ok {
		return false
	}
	digits := 0
	for _, part := range []string{"urls", "url", "link", " "} {
		rest = strings.ReplaceAll(rest, part, "")
	}
	for _, r := range rest {
		if r < '0' || r > '9' {
			return false
		}
		digits++
	}
	return digits > 0 && digits <= 3
}
