package main

import "strings"

// makes are those of the generated vehicles: WMI, make, and models, each with its body. S is a Sedan, U an SUV, T a Truck, C a
// Coupe, H a Hatchback, V a Van, M a Minivan, W a Wagon, O a Convertible, X a Crossover.
const makes = `1FT Ford: F-150 T, Explorer U, Escape U, Mustang C, Bronco U, Ranger T, Edge X, Expedition U, Transit V, Maverick T
4T1 Toyota: Camry S, Corolla S, RAV4 U, Highlander U, Tacoma T, Tundra T, Sienna M, 4Runner U, Prius H, GR86 C
5J6 Honda: CR-V U, Civic S, Accord S, Pilot U, Odyssey M, HR-V X, Ridgeline T, Passport U, Fit H, Insight S
1G1 Chevrolet: Silverado 1500 T, Malibu S, Equinox U, Tahoe U, Traverse U, Colorado T, Camaro C, Trax X, Blazer U, Suburban U
KM8 Hyundai: Tucson U, Santa Fe U, Elantra S, Sonata S, Palisade U, Kona X, Venue X, Ioniq 5 X, Veloster H, Santa Cruz T
WBA BMW: 330i S, 540i S, X3 U, X5 U, M4 C, Z4 O, X1 X, 230i C, i4 H, X7 U
1N4 Nissan: Altima S, Sentra S, Rogue U, Pathfinder U, Frontier T, Titan T, Murano U, Kicks X, Leaf H, Armada U
1C4 Jeep: Wrangler U, Grand Cherokee U, Cherokee U, Compass X, Renegade X, Gladiator T, Wagoneer U, Patriot U, Liberty U, Commander U
1C6 Ram: 1500 T, 2500 T, 3500 T, ProMaster V, ProMaster City V, 1500 Classic T, Dakota T, 4500 T, 5500 T, Rebel T
1GT GMC: Sierra 1500 T, Yukon U, Terrain U, Acadia U, Canyon T, Savana V, Sierra 2500HD T, Envoy U, Hummer EV T, Yukon XL U
KND Kia: Sportage U, Sorento U, Telluride U, Forte S, K5 S, Soul H, Seltos X, Carnival M, Stinger S, Rio H
JF2 Subaru: Outback W, Forester U, Crosstrek X, Impreza H, Legacy S, Ascent U, WRX S, BRZ C, Solterra X, Baja T
WDD Mercedes-Benz: C 300 S, E 350 S, GLC 300 U, GLE 350 U, S 500 S, GLA 250 X, CLA 250 C, GLS 450 U, Sprinter V, AMG GT C
WAU Audi: A4 S, A6 S, Q3 X, Q5 U, Q7 U, A3 S, A5 C, Q8 U, e-tron U, TT C
JTH Lexus: RX 350 U, ES 350 S, NX 300 U, GX 460 U, IS 300 S, UX 250h X, LX 570 U, LS 500 S, RC 350 C, LC 500 C
1G6 Cadillac: Escalade U, XT5 U, XT4 X, CT5 S, CT4 S, XT6 U, ATS C, CTS S, SRX U, Lyriq U
JM3 Mazda: CX-5 U, CX-30 X, Mazda3 H, Mazda6 S, CX-9 U, MX-5 Miata O, CX-50 X, CX-90 U, CX-3 X, RX-8 C
3VW Volkswagen: Jetta S, Tiguan U, Atlas U, Golf H, Passat S, Taos X, ID.4 X, Arteon H, Beetle C, Touareg U
YV4 Volvo: XC90 U, XC60 U, XC40 X, S60 S, V60 W, S90 S, C40 X, V90 W, C70 O, S40 S
19U Acura: MDX U, RDX U, TLX S, Integra H, ILX S, TSX S, NSX C, RLX S, ZDX U, TL S
2C3 Dodge: Charger S, Challenger C, Durango U, Journey X, Grand Caravan M, Hornet X, Dart S, Avenger S, Nitro U, Magnum W
2C4 Chrysler: Pacifica M, 300 S, Voyager M, 200 S, Town & Country M, Aspen U, Sebring O, PT Cruiser W, Crossfire C, Concorde S
5LM Lincoln: Navigator U, Aviator U, Corsair U, Nautilus U, MKZ S, Continental S, MKC U, MKX U, Town Car S, MKT X
5GA Buick: Enclave U, Encore X, Envision U, Regal S, LaCrosse S, Verano S, Lucerne S, Cascada O, Envista X, Rendezvous U
JN8 Infiniti: QX60 U, QX80 U, Q50 S, QX50 U, Q60 C, QX55 X, G37 S, FX35 U, M37 S, QX30 X
KMT Genesis: G70 S, G80 S, G90 S, GV70 U, GV80 U, GV60 X, Coupe C, Electrified G80 S, GV80 Coupe U, X O
SAL Land Rover: Range Rover U, Discovery U, Defender U, Range Rover Sport U, Evoque U, Velar U, LR4 U, LR2 U, Freelander U, Discovery Sport U
SAJ Jaguar: F-PACE U, XF S, XE S, E-PACE X, F-TYPE C, I-PACE X, XJ S, XK O, S-Type S, X-Type S
WP0 Porsche: 911 C, Cayenne U, Macan U, Panamera S, Taycan S, 718 Boxster O, 718 Cayman C, Carrera GT C, 928 C, 944 C
WMW MINI: Cooper H, Countryman X, Clubman W, Convertible O, Paceman C, Hardtop 4 Door H, Roadster O, Coupe C, Cooper SE H, John Cooper Works H
5YJ Tesla: Model 3 S, Model Y X, Model S S, Model X U, Cybertruck T, Roadster O, Model 3 Performance S, Model Y Long Range X, Model S Plaid S, Model X Plaid U
JA4 Mitsubishi: Outlander U, Eclipse Cross X, Mirage H, Outlander Sport X, Lancer S, Galant S, Endeavor U, Montero U, Raider T, i-MiEV H
ZAR Alfa Romeo: Giulia S, Stelvio U, Tonale X, 4C C, Giulietta H, Brera C, Spider O, 159 S, MiTo H, GTV C
ZFF Ferrari: Roma C, Portofino O, F8 Tributo C, 488 GTB C, 812 Superfast C, California O, SF90 C, 296 GTB C, Purosangue U, 458 Italia C
ZAM Maserati: Ghibli S, Levante U, Quattroporte S, GranTurismo C, MC20 C, Grecale U, GranCabrio O, Spyder O, Coupe C, 3200 GT C
SCB Bentley: Bentayga U, Continental GT C, Flying Spur S, Mulsanne S, Azure O, Arnage S, Brooklands C, Turbo R S, Eight S, Batur C
7FC Rivian: R1T T, R1S U, EDV V, R2 U, R3 X, R1T Adventure T, R1S Adventure U, R1T Explore T, R1S Launch U, R3X X
7PD Polestar: 2 H, 3 U, 4 X, 1 C, 5 S, 6 O, 2 Performance H, 2 BST H, 3 Plus U, 4 Pilot X
ZFA Fiat: 500 H, 500X X, 500L W, 124 Spider O, Panda H, Tipo S, Punto H, Doblo V, Ducato V, 500e H
1GB Saturn: Vue U, Aura S, Outlook U, Sky O, Ion S, Astra H, Relay M, L-Series S, S-Series S, EV1 C`

// model is one a vehicle can be of.
type model struct{ wmi, make, name, body string }

var models = func() (all []model) {
	bodies := map[string]string{"S": "Sedan", "U": "SUV", "T": "Truck", "C": "Coupe", "H": "Hatchback", "V": "Van", "M": "Minivan", "W": "Wagon", "O": "Convertible", "X": "Crossover"}
	for line := range strings.SplitSeq(makes, "\n") {
		head, list, _ := strings.Cut(line, ": ")
		wmi, make, _ := strings.Cut(head, " ")
		for text := range strings.SplitSeq(list, ", ") {
			at := strings.LastIndexByte(text, ' ')
			all = append(all, model{wmi, make, text[:at], bodies[text[at+1:]]})
		}
	}
	return all
}()
