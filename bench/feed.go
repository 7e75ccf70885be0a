package main

import (
	"bufio"
	"fmt"
	"os"

	"carfluence/internal/vin"
)

var models = []struct{ wmi, make, model, trim, body string }{
	{"1FT", "Ford", "F-150", "XLT", "Truck"}, {"4T1", "Toyota", "Camry", "SE", "Sedan"}, {"5J6", "Honda", "CR-V", "EX-L", "SUV"},
	{"1G1", "Chevrolet", "Malibu", "LT", "Sedan"}, {"KM8", "Hyundai", "Tucson", "SEL", "SUV"}, {"WBA", "BMW", "330i", "xDrive", "Sedan"},
}

// writeFeed writes a deterministic feed file of n vehicles in a layout the importer knows.
func writeFeed(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "VIN,Stock #,New/Used,Year,Make,Model,Series,Body,Odometer,Colour,Interior Color,Transmission,Drivetrain Desc,Fuel,Price,MSRP,Inventory Date,Description")
	colours := []string{"Black", "White", "Silver", "Blue", "Red", "Gray"}
	for i := range n {
		m := models[i%len(models)]
		price := 15000 + i*37%45000
		fmt.Fprintf(w, "%s,S%06d,%s,%d,%s,%s,%s,%s,%d,%s,%s,8-Speed Automatic,AWD,Gasoline,%d,%d,%02d/%02d/2026,\"%s %s, one owner, clean.\"\n",
			feedVIN(i), i, []string{"N", "U"}[i%2], 2018+i%9, m.make, m.model, m.trim, m.body, i*131%120000, colours[i%6], colours[i%3],
			price, price+2500, 1+i%9, 1+i%28, m.make, m.model)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// feedVIN is the VIN of the i-th vehicle of the file.
func feedVIN(i int) string { return benchVIN(models[i%len(models)].wmi, i) }

func benchVIN(wmi string, i int) string {
	text := []byte(fmt.Sprintf("%sAB1CD0L%07d", wmi, i))
	text[8] = vin.CheckDigit(string(text))
	return string(text)
}
