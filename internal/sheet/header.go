package sheet

import (
	"strings"
	"unicode"
)

// HeaderKey is the form header cells are compared in: lower case, runs of blanks, line breaks and `_` one
// blank, `#` the word number, other punctuation gone. camelCase stays one word, as in package mapping's table of names.
func HeaderKey(cell string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(cell) {
		switch {
		case r == '_' || unicode.IsSpace(r):
			gap = b.Len() > 0
			continue
		case r == '#':
			if gap {
				b.WriteByte(' ')
			}
			b.WriteString("number")
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if gap {
				b.WriteByte(' ')
			}
			b.WriteRune(r)
		default:
			continue
		}
		gap = false
	}
	return b.String()
}

// VINColumns are the keys of columns that are called VIN, best first, separated by ", ".
const VINColumns = "vin, soughtvehicles vin, vehicle vin number, vin num, vin no, vin number, vehicle vin, vehicle identification number, chassis"

// layout is a known order of columns, for files without a header.
type layout struct {
	name   string
	vin    int // index of the VIN
	header []string
}

// layouts are the ones that importers in the field apply by position: three of vAuto, which share their
// beginning, and one of 44 columns.
var layouts = func() []layout {
	a := strings.Split("DealerId,Stock #,VIN,New/Used,Year,Make,Model,Model Code,Body,Transmission,Series,Series Detail,"+
		"Door Count,Odometer,Engine Cylinder Ct,Engine Displacement,Drivetrain Desc,Colour,Interior Color,Price,MSRP,"+
		"Inventory Date,Certified,Description,Features,City MPG,Highway MPG,Photo Count,Photos,Photos Last Modified Date,"+
		"Dealer Name,Engine,Fuel,Age", ",")
	a43 := strings.Split(strings.Join(a, ",")+",Option Codes,Invoice,Sticker,Dealer Discounted,MEMOLINE1,MEMOLINE2,"+
		"FLOORPLANAMOUNT,SALESCOST,INVOICEAMOUNT", ",")
	d := strings.Split("Provider ID,VIN,Stock Number,Year,Make,Model,Trim Level,Doors,Body Style,Transmission,Mileage,"+
		"Exterior Color,Exterior Color Code,Interior Color,Interior Color Code,Engine,Engine Size,Model Code,Certified,"+
		"Retail Value,Invoice Price,Asking Price,Wholesale Price,MSRP,Sale Price,Type,Options,Options Codes,Comments,"+
		"Photo Url List,Package Code,Fuel,Driveline,R/W,Status,Cost,Video Url,Age,Misc,Dealer Discounted,Total Rebates,"+
		"Guaranteed Rebates,Optional Rebates,Photos Last Modified Date", ",")
	return []layout{
		{"vauto-34", 2, a}, {"vauto-35", 2, a43[:35]}, {"vauto-43", 2, a43}, {"provider-44", 1, d},
	}
}()

// layoutOf finds the known layout of a file without header by the number of columns and the place of the VIN.
func layoutOf(columns int, isVIN func(column int) bool) (layout, bool) {
	for _, l := range layouts {
		if len(l.header) == columns && isVIN(l.vin) {
			return l, true
		}
	}
	return layout{}, false
}
