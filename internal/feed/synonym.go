package feed

import "strings"

// Names in the synonym table that are no field of a vehicle.
const (
	nameVIN        = "vin"
	nameDealerCode = "source_dealer_code"
	nameDealerName = "source_dealer_name"
)

// synonym lists the columns that feed one canonical name, best first, as header keys. The first that holds a
// value in a row wins.
type synonym struct {
	name    string
	columns string // separated by ", "
}

// synonyms is the union of what vAuto, HomeNet and Elead call their columns and of names met in files made
// by hand.
//
// Left out on purpose: wishes of a customer (maxmileage, pricefrom, priceto), vehicle type as a condition (it
// is a class of vehicle), and lead or shipping statuses.
var synonyms = []synonym{
	{nameVIN, "vin, soughtvehicles vin, vehicle vin number, vin num, vin no, vin number, vehicle vin, vehicle identification number, chassis"},
	{"stock_number", "stock number, stocknumber, stock, stk num, stk, stock no, stockno, stocknum, unit, inventory id, lot"},
	{nameDealerCode, "dealerid, provider id, dealer id, subscription id, account, rooftop, store code, feed id, dealer code, dealercode"},
	{nameDealerName, "dealer name, dealername, dealer, dealership, dealership name, store, location"},
	{"condition", "newused, type, isnew, new used, nu, condition, state of vehicle, inventory type, title, listing type"},
	{"year", "year, yearfrom, yr, model year, modelyear, vehicle year"},
	{"make", "make, manufacturer, brand, make name, makename"},
	{"model", "model, model name, modelname"},
	{"trim", "trim, trim level, series, badge, variant, sub model, style"},
	{"series_detail", "series detail, style description, package"},
	{"model_code", "model code, model number, modelnumber, model no"},
	{"body_style", "body, body style, vehicle type, body type, bodystyle, bodytype, segment, class"},
	{"doors", "door count, body door ct, doors, door ct"},
	{"passengers", "passengercapacity, passenger capacity, passengers"},
	{"exterior_color", "exterior base color, colour, color, exterior color, ext color, exterior colour, exteriorcolor, exteriorcolordescription, color ext, outside color, paint"},
	{"exterior_color_generic", "exterior base color, ext color generic, exteriorgenericcolor, base ext color"},
	{"exterior_color_code", "exterior color code, ext color code"},
	{"exterior_color_hex", "extcolorhexcode, exteriorcolorhexcode"},
	{"interior_color", "interior color, interiorcolor, color int, int color, interior colour, interior"},
	{"interior_color_generic", "int color generic"},
	{"interior_color_code", "interior color code, int color code"},
	{"interior_color_hex", "intcolorhexcode"},
	{"upholstery", "int upholstery, upholstery"},
	{"transmission", "transmission description, transmission, trans, gearbox"},
	{"drivetrain", "drivetrain desc, driveline, drivetrain, drivetype, drive type, drive, wheel drive"},
	{"engine", "engine, engine description, motor"},
	{"engine_displacement_l", "engine displacement, disp, engine size, enginedisplacement, litres, liters"},
	{"aspiration", "engine aspiration type, engineaspirationtype"},
	{"engine_block", "engine block type, engineblocktype"},
	{"cylinders", "engine cylinder ct, enginecylinders, enginecylindercount, cyl, cylinders"},
	{"fuel_type", "fuel, fuel type, fueltype"},
	{"city_mpg", "city mpg, citympg, epacitympg, mpg city"},
	{"highway_mpg", "highway mpg, highwaympg, epahighwaympg, hw mpg, hwy mpg, mpg highway"},
	{"mileage", "odometer, mileage, miles, odometer reading, kms, kilometers, kilometres, mileage value, mileagevalue"},
	{"mileage_unit", "mileage unit, mileageunit"},
	{"price", "list price, price, price mkt, asking price, retail value, sellingprice, askingprice, selling price, price current, retail price, sale price, final price, dealer price"},
	{"internet_price", "internet price, internetprice, web price, special price, eprice"},
	{"sale_price", "sale price, promo price"},
	{"msrp", "msrp, sticker, list new, sticker price, base msrp"},
	{"invoice", "invoice, invoice price, invoiceamount"},
	{"cost", "salescost, cost, unit cost, price cost, dealer cost"},
	{"book_value", "book value, bookvalue, defaultbookvalue, book, acv"},
	{"wholesale_price", "wholesale price, price wholesale"},
	{"misc_price_1", "misc price1, customprice1, other price"},
	{"misc_price_2", "misc price2, customprice2, dealer discounted"},
	{"misc_price_3", "misc price3, customprice3"},
	{"rebates_total", "total rebates, total customer incentives"},
	{"certified", "certified, dealercertified, cpo, is certified, certified pre owned, certified preowned"},
	{"certified_program", "certification, certified program"},
	{"date_in_stock", "inventory date, dateinstock, date in inventory, in stock date, on lot since, date first on lot, entry date, date in stock"},
	{"description", "description, autowriter description, comments, free text, comment1, dealer comments"},
	{"options", "categorized options, options, option codes, options codes, equipment, packages, installedoptions"},
	{"features", "features"},
	{"photos", "photos, photo url list, imagelist, photo urls, images, image urls, picturerefs, media, image, image url, photo url, image link"},
	{"photo_count", "photo count, photos"},
	{"photos_updated_at", "photos last modified date, datelasttouched"},
	{"vdp_url", "vehicle detail link, url, link, final url, vdp, listing url, website link"},
	{"video_url", "video url, video link"},
	{"disposition", "disposition"},
	{"status", "status, dms status, inventory status"},
}

// doubtful columns often hold something else under the same name: a value that does not fit is passed over in
// silence.
var doubtful = map[string]bool{
	"type": true, "title": true, "vehicle type": true, "class": true, "segment": true, "style": true,
	"photos": true, "images": true, "media": true, "image": true, "disp": true, "status": true, "price mkt": true,
}

// kilometres are what a column of these names counts.
var kilometres = map[string]bool{"kms": true, "kilometers": true, "kilometres": true}

// leadColumns give away a file of sales opportunities: its status is a lead's, never a car's.
var leadColumns = []string{"uptype", "opportunityid", "opportunity id", "soughtvehicles vin"}

func (s synonym) keys() []string { return strings.Split(s.columns, ", ") }

// numberedPhoto tells whether a column is one of several that hold one photo each: `Image 3`, `photo_url_2`,
// `image[0].url`.
func numberedPhoto(key string) bool {
	rest, ok := "", false
	for _, word := range []string{"image", "photo", "picture"} {
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
