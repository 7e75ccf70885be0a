package main

// model is a car the demo stores sell. The first eight characters of its VIN follow the maker's scheme (world
// manufacturer identifier, then a plausible descriptor); position 7 is a letter, as for all cars since 2010.
type model struct {
	make, name string
	vin        string // positions 1 to 8
	plant      byte   // position 11
	from, to   int    // model years
	body       string
	drive      string
	fuel       string
	engine     string
	litres     string
	cylinders  int
	gears      string // transmission as the stores write it
	doors      int
	city, hwy  int
	trims      []trim
}

type trim struct {
	name string
	msrp int // dollars, new
}

const (
	gas      = "Gasoline"
	hybrid   = "Hybrid"
	electric = "Electric"
	diesel   = "Diesel"
)

// Models of the three stores. Figures are rounded and made to look right, not taken from price lists.
var (
	lakeside = []model{
		{"Ford", "F-150", "1FTFW1E8", 'F', 2021, 2026, "4D SuperCrew", "4WD", gas, "3.5L V6 EcoBoost", "3.50", 6, "10-Speed Automatic", 4, 17, 24, []trim{{"XLT", 56200}, {"Lariat", 67400}, {"Platinum", 77900}}},
		{"Ford", "Explorer", "1FMSK8DH", 'G', 2020, 2026, "4D Sport Utility", "4WD", gas, "2.3L EcoBoost I-4", "2.30", 4, "10-Speed Automatic", 4, 20, 27, []trim{{"XLT", 45300}, {"ST-Line", 49800}, {"Limited", 53100}}},
		{"Ford", "Escape", "1FMCU0GD", 'U', 2018, 2025, "4D Sport Utility", "FWD", gas, "1.5L EcoBoost", "1.50", 3, "8-Speed Automatic", 4, 27, 34, []trim{{"SE", 30400}, {"SEL", 33600}, {"Titanium", 37200}}},
		{"Ford", "Mustang", "1FA6P8CF", '5', 2018, 2026, "2D Coupe", "RWD", gas, "5.0L V8", "5.00", 8, "6-Speed Manual", 2, 15, 24, []trim{{"GT", 43900}, {"GT Premium", 48700}}},
		{"Chevrolet", "Silverado 1500", "1GCUYDED", 'Z', 2019, 2026, "4D Crew Cab", "4WD", gas, "5.3L EcoTec3 V8", "5.30", 8, "10-Speed Automatic", 4, 16, 21, []trim{{"LT", 54100}, {"RST", 58300}, {"LTZ", 63700}}},
		{"Chevrolet", "Equinox", "3GNAXKEV", 'S', 2019, 2024, "4D Sport Utility", "FWD", gas, "1.5L DOHC", "1.50", 4, "6-Speed Automatic", 4, 26, 31, []trim{{"LS", 27400}, {"LT", 29900}, {"Premier", 33800}}},
		{"Chevrolet", "Tahoe", "1GNSKNKD", 'R', 2021, 2026, "4D Sport Utility", "4WD", gas, "5.3L EcoTec3 V8", "5.30", 8, "10-Speed Automatic", 4, 15, 20, []trim{{"LT", 68900}, {"Z71", 71200}, {"Premier", 76800}}},
		{"GMC", "Sierra 1500", "1GTU9EED", 'Z', 2019, 2026, "4D Crew Cab", "4WD", diesel, "3.0L Duramax Turbo-Diesel", "3.00", 6, "10-Speed Automatic", 4, 22, 26, []trim{{"SLT", 62300}, {"AT4", 69900}, {"Denali", 74500}}},
		{"Jeep", "Grand Cherokee", "1C4RJFBG", 'C', 2018, 2022, "4D Sport Utility", "4WD", gas, "3.6L V6 24V VVT", "3.60", 6, "8-Speed Automatic", 4, 18, 25, []trim{{"Laredo", 39800}, {"Limited", 45100}, {"Overland", 53400}}},
		{"Jeep", "Wrangler Unlimited", "1C4HJXEN", 'W', 2018, 2025, "4D Sport Utility", "4WD", gas, "2.0L I4 DOHC", "2.00", 4, "8-Speed Automatic", 4, 21, 22, []trim{{"Sahara", 49200}, {"Rubicon", 55900}}},
	}

	harbor = []model{
		{"Toyota", "Camry", "4T1G11AK", 'U', 2020, 2024, "Sedan", "FWD", gas, "2.5L I4", "2.5 L", 4, "8-Speed Automatic", 4, 28, 39, []trim{{"LE", 27900}, {"SE", 29400}, {"XLE", 32600}}},
		{"Toyota", "RAV4 Hybrid", "2T3RWRFV", 'C', 2019, 2025, "SUV", "AWD", hybrid, "2.5L I4 Hybrid", "2.5 L", 4, "CVT", 4, 41, 38, []trim{{"XLE", 34500}, {"SE", 36200}, {"Limited", 40900}}},
		{"Lexus", "RX 350", "2T2HZMDA", 'C', 2020, 2022, "SUV", "AWD", gas, "3.5L V6", "3.5 L", 6, "8-Speed Automatic", 4, 19, 26, []trim{{"Base", 47800}, {"F Sport", 52300}}},
		{"Honda", "Civic", "2HGFE2F5", 'H', 2022, 2026, "Sedan", "FWD", gas, "2.0L I4", "2.0 L", 4, "CVT", 4, 31, 40, []trim{{"LX", 25400}, {"Sport", 27300}, {"EX", 28500}}},
		{"Honda", "CR-V", "2HKRS4H7", 'H', 2023, 2026, "SUV", "AWD", gas, "1.5L I4 Turbo", "1.5 L", 4, "CVT", 4, 27, 32, []trim{{"EX", 34700}, {"EX-L", 37200}}},
		{"Subaru", "Outback", "4S4BTACC", '3', 2020, 2025, "Wagon", "AWD", gas, "2.5L H4", "2.5 L", 4, "CVT", 4, 26, 32, []trim{{"Premium", 32100}, {"Limited", 37300}, {"Touring", 41200}}},
		{"Mazda", "CX-5", "JM3KFBCM", '0', 2019, 2025, "SUV", "AWD", gas, "2.5L I4", "2.5 L", 4, "6-Speed Automatic", 4, 24, 30, []trim{{"Select", 30600}, {"Preferred", 32300}, {"Carbon Edition", 33900}}},
		{"Hyundai", "Elantra", "KMHLM4AG", 'U', 2021, 2025, "Sedan", "FWD", gas, "2.0L I4", "2.0 L", 4, "IVT", 4, 31, 41, []trim{{"SE", 22400}, {"SEL", 24200}, {"Limited", 27300}}},
		{"Kia", "Telluride", "5XYP5DHC", 'G', 2020, 2026, "SUV", "AWD", gas, "3.8L V6", "3.8 L", 6, "8-Speed Automatic", 4, 19, 24, []trim{{"S", 41200}, {"EX", 44900}, {"SX", 50100}}},
		{"BMW", "X3", "5UX43DP0", '9', 2022, 2024, "SUV", "AWD", gas, "2.0L I4 Turbo", "2.0 L", 4, "8-Speed Automatic", 4, 21, 28, []trim{{"xDrive30i", 49600}}},
		{"Mercedes-Benz", "C-Class", "W1KAF4GB", 'R', 2022, 2025, "Sedan", "RWD", gas, "2.0L I4 Turbo", "2.0 L", 4, "9-Speed Automatic", 4, 25, 35, []trim{{"C 300", 48400}}},
		{"Audi", "Q5", "WA1BAAFY", '2', 2021, 2024, "SUV", "AWD", gas, "2.0L I4 TFSI", "2.0 L", 4, "7-Speed DSG", 4, 23, 28, []trim{{"Premium", 45600}, {"Premium Plus", 50300}}},
		{"Volkswagen", "Tiguan", "3VV2B7AX", 'M', 2018, 2024, "SUV", "FWD", gas, "2.0L I4 TSI", "2.0 L", 4, "8-Speed Automatic", 4, 23, 30, []trim{{"S", 28900}, {"SE", 32300}}},
		{"Tesla", "Model 3", "5YJ3E1EA", 'F', 2019, 2023, "Sedan", "RWD", electric, "Single Motor", "", 0, "Single-Speed", 4, 0, 0, []trim{{"Standard Range Plus", 41400}, {"Long Range", 48700}}},
	}

	prairie = []model{
		{"Ram", "1500", "1C6SRFFT", 'N', 2019, 2025, "Crew Cab Pickup", "4x4", gas, "5.7L V8 HEMI", "5.7", 8, "8-Speed Automatic", 4, 17, 22, []trim{{"Big Horn", 52800}, {"Laramie", 61300}}},
		{"Ford", "F-150", "1FTFW1E8", 'K', 2021, 2025, "4D SuperCrew", "4x4", gas, "3.5L V6 EcoBoost", "3.5", 6, "10-Speed Automatic", 4, 17, 24, []trim{{"XL", 47900}, {"XLT", 56200}}},
		{"Nissan", "Rogue", "5N1AT3BA", 'C', 2021, 2025, "SUV", "AWD", gas, "1.5L I3 VC-Turbo", "1.5", 3, "Xtronic CVT", 4, 28, 35, []trim{{"SV", 32300}, {"SL", 36700}}},
		{"Nissan", "Altima", "1N4BL4CV", 'N', 2019, 2025, "Sedan", "FWD", gas, "2.5L I4", "2.5", 4, "Xtronic CVT", 4, 27, 37, []trim{{"SR", 28300}, {"SL", 32100}}},
		{"Chevrolet", "Malibu", "1G1ZD5ST", 'F', 2019, 2025, "4dr Car", "FWD", gas, "1.5L Turbo", "1.5", 4, "CVT", 4, 27, 36, []trim{{"LT", 28200}}},
		{"Toyota", "RAV4 Hybrid", "2T3RWRFV", 'W', 2019, 2024, "Sport Utility", "AWD", hybrid, "2.5L I4 Hybrid", "2.5", 4, "CVT", 4, 41, 38, []trim{{"XLE", 34500}}},
		{"Honda", "Accord", "1HGCV1F3", 'A', 2018, 2022, "4D Sedan", "FWD", gas, "1.5L I4 Turbo", "1.5", 4, "CVT", 4, 30, 38, []trim{{"Sport", 28700}, {"EX-L", 32400}}},
		{"Hyundai", "Tucson", "KM8J3CAL", 'U', 2018, 2021, "Sport Utility", "AWD", gas, "2.4L I4", "2.4", 4, "6-Speed Automatic", 4, 21, 26, []trim{{"SEL", 27100}, {"Limited", 31600}}},
	}
)
