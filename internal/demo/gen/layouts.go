package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// vauto writes the 34-column layout: every cell quoted, photos and features by pipe, trim in Series.
func vauto(cars []car) []byte {
	header := strings.Split("DealerId,Stock #,VIN,New/Used,Year,Make,Model,Model Code,Body,Transmission,Series,Series Detail,Door Count,Odometer,Engine Cylinder Ct,Engine Displacement,Drivetrain Desc,Colour,Interior Color,Price,MSRP,Inventory Date,Certified,Description,Features,City MPG,Highway MPG,Photo Count,Photos,Photos Last Modified Date,Dealer Name,Engine,Fuel,Age", ",")
	b := &bytes.Buffer{}
	quoted(b, header, "\n")
	for _, c := range cars {
		modified := ""
		if len(c.photos) > 0 {
			modified = c.since.AddDate(0, 0, 1).Format("1/2/2006") + " 9:15:00 AM"
		}
		quoted(b, []string{
			"LK001", c.stock, c.vin, newUsed(c, "N", "U"), strconv.Itoa(c.year), c.make, c.model.name, "", c.body, c.gears, c.trim.name, "",
			number(c.doors), number(c.miles), number(c.cylinders), c.litres, c.drive, c.exterior, c.interior, number(c.price), number(c.msrp),
			c.since.Format("01/02/2006"), yes(c.certified, "Yes", ""), describe(c, "Lakeside Motors"), strings.Join(c.features, "|"),
			number(c.city), number(c.hwy), strconv.Itoa(len(c.photos)), strings.Join(c.photos, "|"), modified, "Lakeside Motors", c.engine, c.fuel,
			strconv.Itoa(int(today.Sub(c.since).Hours() / 24)),
		}, "\n")
	}
	return b.Bytes()
}

// homenet writes a 63-column layout: every cell quoted, CRLF, unknown prices as 0, options by category.
func homenet(cars []car) []byte {
	header := strings.Split("Type,Stock,VIN,Year,Make,Model,Body,Trim,ModelNumber,Doors,ExteriorColor,InteriorColor,EngineCylinders,EngineDisplacement,Transmission,Miles,SellingPrice,MSRP,BookValue,Invoice,Certified,DateInStock,Description,Options,Categorized Options,DealerName,DealerAddress,DealerCity,DealerState,DealerZip,DealerPhoneNumber,Special Field 1,Special Field 2,Special Field 3,Special Field 4,Style_Description,Ext_Color_Generic,Ext_Color_Code,Int_Color_Generic,Int_Color_Code,Int_Upholstery,Engine_Block_Type,Engine_Aspiration_Type,Engine_Description,Transmission_Speed,Transmission_Description,Drivetrain,Fuel_Type,CityMPG,HighwayMPG,EPAClassification,Wheelbase_Code,Internet_Price,Misc_Price1,Misc_Price2,Misc_Price3,Factory_Codes,MarketClass,PassengerCapacity,ExtColorHexCode,IntColorHexCode,EngineDisplacementCubicInches,ImageList", ",")
	b := &bytes.Buffer{}
	quoted(b, header, "\r\n")
	for _, c := range cars {
		internet := c.price
		if internet > 0 && c.used {
			internet -= 200
		}
		row := map[string]string{
			"Type": newUsed(c, "New", "Used"), "Stock": c.stock, "VIN": c.vin, "Year": strconv.Itoa(c.year), "Make": c.make, "Model": c.model.name,
			"Body": c.body, "Trim": c.trim.name, "Doors": number(c.doors), "ExteriorColor": c.exterior, "InteriorColor": c.interior,
			"EngineCylinders": number(c.cylinders), "EngineDisplacement": c.litres, "Transmission": c.gears, "Miles": number(c.miles),
			"SellingPrice": strconv.Itoa(c.price), "MSRP": strconv.Itoa(c.msrp), "BookValue": "0", "Invoice": "0", "Certified": yes(c.certified, "True", "False"),
			"DateInStock": c.since.Format("01/02/2006"), "Description": describe(c, "Harbor City Imports") + "\nCome in for a test drive.",
			"Options": strings.Join(c.features, ","), "Categorized Options": "Equipment@" + strings.Join(c.features, "~Equipment@"),
			"DealerName": "Harbor City Imports", "DealerCity": "Port Haven", "DealerState": "WA", "DealerZip": "98000",
			"Engine_Description": c.engine, "Drivetrain": c.drive, "Fuel_Type": c.fuel, "CityMPG": number(c.city), "HighwayMPG": number(c.hwy),
			"Internet_Price": strconv.Itoa(internet), "Misc_Price1": "0", "Misc_Price2": "0", "Misc_Price3": "0", "ImageList": strings.Join(c.photos, ","),
		}
		cells := make([]string, len(header))
		for i, name := range header {
			cells[i] = row[name]
		}
		quoted(b, cells, "\r\n")
	}
	return b.Bytes()
}

// custom writes what a small store exports by itself: pipes, few columns, money and mileage with signs.
func custom(cars []car) []byte {
	b := &bytes.Buffer{}
	w := csv.NewWriter(b)
	w.Comma = '|'
	_ = w.Write(strings.Split("Stock_No|VIN|Yr|Manufacturer|Model_Name|Trim|Body_Type|New_Used|Asking_Price|Mileage|Color_Ext|Color_Int|Gearbox|Drive_Type|Fuel|In_Stock_Date|Photo_Urls|Dealership", "|"))
	for _, c := range cars {
		price := "Call for price"
		if c.price > 0 {
			price = "$" + thousands(c.price)
		}
		_ = w.Write([]string{
			c.stock, c.vin, strconv.Itoa(c.year), c.make, c.model.name, c.trim.name, c.body, newUsed(c, "New", "Pre-Owned"), price, thousands(c.miles) + " mi",
			c.exterior, c.interior, c.gears, c.drive, c.fuel, c.since.Format("2006-01-02"), strings.Join(c.photos, ","), "Prairie Truck & Auto",
		})
	}
	w.Flush() // a bytes.Buffer does not fail
	return b.Bytes()
}

func quoted(b *bytes.Buffer, cells []string, end string) {
	for i, cell := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.ReplaceAll(cell, `"`, `""`) + `"`)
	}
	b.WriteString(end)
}

func describe(c car, store string) string {
	return fmt.Sprintf("%d %s %s %s in %s with %s and more. Offered by %s.", c.year, c.make, c.model.name, c.trim.name, c.exterior, strings.Join(c.features[:3], ", "), store)
}

func newUsed(c car, isNew, isUsed string) string {
	if c.used {
		return isUsed
	}
	return isNew
}

func yes(b bool, isYes, isNo string) string {
	if b {
		return isYes
	}
	return isNo
}

// number leaves unknown figures empty.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
