// Package demo owns the sample data of `carfluence serve --demo`: feeds of three invented dealerships, loaded
// through the same code as any file. The generator beside it wrote them.
package demo

import (
	"context"
	"embed"
	"fmt"
	"io"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/feed"
	"carfluence/internal/sqldb"
)

//go:generate go run ./gen data

//go:embed data
var files embed.FS

// store is a dealership and the file of its feed.
type store struct {
	file   string
	dealer dealer.Dealer
}

func stores() []store {
	at := func(lat, long float64) (*float64, *float64) { return &lat, &long }
	lakeside := dealer.Dealer{
		Name: "Lakeside Motors", Codes: []string{"LK001"}, Address: "100 Shore Drive", City: "Lakeside", Region: "TX", PostalCode: "78000", Country: "US",
		Phone: "+1 555 010 0100", Website: "https://lakeside.example.com", TimeZone: "America/Chicago",
	}
	lakeside.Latitude, lakeside.Longitude = at(30.2672, -97.7431)
	harbor := dealer.Dealer{
		Name: "Harbor City Imports", Codes: []string{"HC002"}, Address: "22 Pier Road", City: "Port Haven", Region: "WA", PostalCode: "98000", Country: "US",
		Phone: "+1 555 010 0200", Website: "https://harborcity.example.com", TimeZone: "America/Los_Angeles",
	}
	harbor.Latitude, harbor.Longitude = at(47.6062, -122.3321)
	prairie := dealer.Dealer{
		Name: "Prairie Truck & Auto", Codes: []string{"PT003"}, Address: "7 County Road", City: "Prairie Falls", Region: "KS", PostalCode: "67000", Country: "US",
		Phone: "+1 555 010 0300", Website: "https://prairie.example.com", TimeZone: "America/Chicago",
	}
	prairie.Latitude, prairie.Longitude = at(37.6872, -97.3301)
	return []store{{"lakeside-vauto.csv", lakeside}, {"harbor-homenet.csv", harbor}, {"prairie-inventory.txt", prairie}}
}

// Load creates the dealerships and imports their files into an empty group. It returns a report per file.
func Load(ctx context.Context, t *sqldb.Tenant, importer *feed.Importer, by audit.Actor) ([]feed.Report, error) {
	var reports []feed.Report
	for _, s := range stores() {
		if _, err := importer.Dealers.Create(ctx, t, by, s.dealer); err != nil {
			return nil, fmt.Errorf("demo dealership %s: %w", s.dealer.Name, err)
		}
		r, err := importer.Run(ctx, t, feed.Import{
			File: s.file, Open: func() (io.ReadCloser, error) { return files.Open("data/" + s.file) }, Dealer: s.dealer.Name, By: by,
		})
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}
