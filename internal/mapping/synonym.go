package mapping

import (
	"slices"
	"strings"

	"carfluence/internal/vehicle"
)

// synonym lists the columns that feed one field, best first, as header keys. The first that holds a value in
// a row wins.
type synonym struct {
	field   vehicle.Field
	columns string // separated by ", "
}

// synonyms is the union of what vAuto, HomeNet and Elead call their columns and of names met in files made
// by hand, in the order in which the fields are read.
//
// Left out on purpose: wishes of a customer (maxmileage, pricefrom, priceto), vehicle type as a condition (it
// is a class of vehicle), and lead or shipping statuses.
var synonyms = []synonym{
	{vehicle.StockNumber, "stock number, stocknumber, stock, stk num, stk, stock no, stockno, stocknum, unit, inventory id, lot"},
	{vehicle.SourceDealerCode, "dealerid, provider id, dealer id, subscription id, account, rooftop, store code, feed id, dealer code, dealercode"},
	{vehicle.SourceDealerName, "dealer name, dealername, dealer, dealership, dealership name, store, location"},
	{vehicle.Year, "year, yearfrom, yr, model year, modelyear, vehicle year"},
	{vehicle.Make, "make, manufacturer, brand, make name, makename"},
	{vehicle.Model, "model, model name, modelname"},
	{vehicle.Trim, "trim, trim level, series, badge, variant, sub model, style"},
	{vehicle.SeriesDetail, "series detail, style description, package"},
	{vehicle.ModelCode, "model code, model number, modelnumber, model no"},
	{vehicle.BodyStyle, "body, body style, vehicle type, body type, bodystyle, bodytype, segment, class"},
	{vehicle.Doors, "door count, body door ct, doors, door ct"},
	{vehicle.Passengers, "passengercapacity, passenger capacity, passengers"},
	{vehicle.ExteriorColor, "colour, color, exterior color, ext color, exterior colour, exteriorcolor, exteriorcolordescription, color ext, outside color, paint, exterior, exterior base color"},
	{vehicle.ExteriorColorGeneric, "exterior base color, ext color generic, exteriorgenericcolor, base ext color"},
	{vehicle.ExteriorColorCode, "exterior color code, ext color code"},
	{vehicle.ExteriorColorHex, "extcolorhexcode, exteriorcolorhexcode"},
	{vehicle.InteriorColor, "interior color, interiorcolor, color int, int color, interior colour, interior"},
	{vehicle.InteriorColorGeneric, "int color generic"},
	{vehicle.InteriorColorCode, "interior color code, int color code"},
	{vehicle.InteriorColorHex, "intcolorhexcode"},
	{vehicle.Upholstery, "int upholstery, upholstery"},
	{vehicle.Drivetrain, "drivetrain desc, driveline, drivetrain, drivetype, drive type, drive, wheel drive"},
	{vehicle.Engine, "engine, engine description, motor"},
	{vehicle.EngineDisplacement, "engine displacement, disp, engine size, enginedisplacement, litres, liters"},
	{vehicle.Aspiration, "engine aspiration type, engineaspirationtype"},
	{vehicle.EngineBlock, "engine block type, engineblocktype"},
	{vehicle.Cylinders, "engine cylinder ct, enginecylinders, enginecylindercount, cyl, cylinders"},
	{vehicle.FuelType, "fuel, fuel type, fueltype"},
	{vehicle.CityMPG, "city mpg, citympg, epacitympg, mpg city"},
	{vehicle.HighwayMPG, "highway mpg, highwaympg, epahighwaympg, hw mpg, hwy mpg, mpg highway"},
	{vehicle.MileageUnit, "mileage unit, mileageunit"},
	{vehicle.Price, "list price, price, price mkt, asking price, retail value, sellingprice, askingprice, selling price, price current, retail price, sale price, final price, dealer price"},
	{vehicle.InternetPrice, "internet price, internetprice, web price, special price, eprice"},
	{vehicle.SalePrice, "sale price, promo price"},
	{vehicle.MSRP, "msrp, sticker, list new, sticker price, base msrp"},
	{vehicle.Invoice, "invoice, invoice price, invoiceamount"},
	{vehicle.Cost, "salescost, cost, unit cost, price cost, dealer cost"},
	{vehicle.BookValue, "book value, bookvalue, defaultbookvalue, book, acv"},
	{vehicle.WholesalePrice, "wholesale price, price wholesale"},
	{vehicle.OtherPrice, "other price"},
	{vehicle.MiscPrice1, "misc price1, customprice1, dealer discounted"},
	{vehicle.MiscPrice2, "misc price2, customprice2"},
	{vehicle.MiscPrice3, "misc price3, customprice3"},
	{vehicle.RebatesTotal, "total rebates, total customer incentives"},
	{vehicle.Certified, "certified, dealercertified, cpo, is certified, certified pre owned, certified preowned"},
	{vehicle.CertifiedProgram, "certification, certified program"},
	{vehicle.DateInStock, "inventory date, dateinstock, date in inventory, in stock date, on lot since, date first on lot, entry date, date in stock"},
	{vehicle.Description, "description, autowriter description, comments, free text, comment1, dealer comments"},
	{vehicle.OptionList, "categorized options, options, option codes, options codes, equipment, packages, installedoptions"},
	{vehicle.Features, "features"},
	{vehicle.PhotoCount, "photo count, photos"},
	{vehicle.PhotosUpdatedAt, "photos last modified date, datelasttouched"},
	{vehicle.VDPURL, "vehicle detail link, url, link, final url, vdp, listing url, website link"},
	{vehicle.VideoURL, "video url, video link"},
	{vehicle.Disposition, "disposition"},
	{vehicle.Status, "status, dms status, inventory status"},

	// Last: other fields follow from their texts, unless a column of their own says more.
	{vehicle.Condition, "newused, type, isnew, new used, nu, condition, state of vehicle, inventory type, title, listing type"},
	{vehicle.Transmission, "transmission description, transmission, trans, gearbox"},
	{vehicle.Mileage, "odometer, mileage, miles, odometer reading, kms, km, kilometers, kilometres, mileage value, mileagevalue, mileage km, odometer km, mileage mi, odometer mi, odometer miles"},
	{vehicle.Photos, "photos, photo url list, imagelist, photo urls, images, image urls, picturerefs, media, image, image url, photo url, image link"},
}

// leadSynonyms are all that an Elead file says of a vehicle. Its prices and mileages are wishes, its status is the
// lead's.
var leadSynonyms = []synonym{
	{vehicle.StockNumber, "stocknumber, stock number"},
	{vehicle.SourceDealerCode, "subscription id, subscriptionid"},
	{vehicle.SourceDealerName, "dealer, dealership"},
	{vehicle.Year, "yearfrom"},
	{vehicle.Make, "make"},
	{vehicle.Model, "model"},
	{vehicle.Trim, "trim"},
	{vehicle.Condition, "isnew"},
}

// preferred are the columns that stand first in files of one type; the common ones follow.
var preferred = map[string][]synonym{
	TypeVAuto: {
		{vehicle.Transmission, "transmission"},
		{vehicle.OptionList, "option codes, options"},
	},
	TypeHomeNet: {
		{vehicle.StockNumber, "stock, stocknumber"},
		{vehicle.SourceDealerName, "dealername"},
		{vehicle.Condition, "type"},
		{vehicle.SeriesDetail, "style description"},
		{vehicle.ModelCode, "modelnumber"},
		{vehicle.ExteriorColor, "exteriorcolor, exteriorcolordescription"},
		{vehicle.ExteriorColorGeneric, "ext color generic, exteriorgenericcolor"},
		{vehicle.InteriorColor, "interiorcolor"},
		{vehicle.Drivetrain, "drivetrain, drivetype"},
		{vehicle.Engine, "engine description"},
		{vehicle.EngineDisplacement, "enginedisplacement"},
		{vehicle.Cylinders, "enginecylinders, enginecylindercount"},
		{vehicle.FuelType, "fuel type, fueltype"},
		{vehicle.CityMPG, "citympg, epacitympg"},
		{vehicle.HighwayMPG, "highwaympg, epahighwaympg"},
		{vehicle.Price, "sellingprice, askingprice"},
		{vehicle.MiscPrice1, "misc price1, customprice1"},
		{vehicle.Mileage, "miles"},
		{vehicle.DateInStock, "dateinstock"},
		{vehicle.PhotosUpdatedAt, "datelasttouched"},
		{vehicle.VideoURL, "video link"},
		{vehicle.Photos, "imagelist"},
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
	for f := range vehicle.NumFields {
		own := f != vehicle.DealershipID && f != vehicle.Custom
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
