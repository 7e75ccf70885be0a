package sheet

import (
	"strings"
	"testing"
	"time"
)

var fileTimeNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestFileTime(t *testing.T) {
	const day, minute, second, milli = 24 * time.Hour, time.Minute, time.Second, time.Millisecond
	for _, c := range []struct {
		name, time, stem string
		precision        time.Duration
	}{
		{"ancira-2021-08-28.csv", "2021-08-28T00:00:00Z", "ancira-.csv", day},
		{"20210828.csv", "2021-08-28T00:00:00Z", ".csv", day},
		{"Inventory20210828.CSV", "2021-08-28T00:00:00Z", "inventory.csv", day},
		{"feed_20210828_143000.csv", "2021-08-28T14:30:00Z", "feed_.csv", second},
		{"feed_20210828143000.csv", "2021-08-28T14:30:00Z", "feed_.csv", second},
		{"feed_202108281430.csv", "2021-08-28T14:30:00Z", "feed_.csv", minute},
		{"feed-20210828-1430.csv", "2021-08-28T14:30:00Z", "feed-.csv", minute},
		{"feed 2021-08-28T14-30-00.csv", "2021-08-28T14:30:00Z", "feed .csv", second},
		{"feed 2021-08-28T14:30:00Z.csv", "2021-08-28T14:30:00Z", "feed .csv", second},
		{"feed.2021.08.28.14.30.csv.gz", "2021-08-28T14:30:00Z", "feed..csv.gz", minute},
		{"2021_08_28_feed.csv", "2021-08-28T00:00:00Z", "_feed.csv", day},
		{"08282021.csv", "2021-08-28T00:00:00Z", ".csv", day},
		{"feed_08-28-2021_1430.txt", "2021-08-28T14:30:00Z", "feed_.txt", minute},
		{"08082021.csv", "2021-08-08T00:00:00Z", ".csv", day}, // either way round
		{"feed_1630161000.csv", "2021-08-28T14:30:00Z", "feed_.csv", second},
		{"feed_1630161000123.csv", "2021-08-28T14:30:00.123Z", "feed_.csv", milli},
		{"dealer_12345_20210828.csv", "2021-08-28T00:00:00Z", "dealer_12345_.csv", day},
		{"dealer_10023456_20210828.csv", "2021-08-28T00:00:00Z", "dealer_10023456_.csv", day}, // a number that is no date
		{"feed_20210828_9900.csv", "2021-08-28T00:00:00Z", "feed__9900.csv", day},             // a number that is no time
		{"feed_20210828 (2).csv", "2021-08-28T00:00:00Z", "feed_ (2).csv", day},
		{"in/2020-01-01/feed_20210828.csv", "2021-08-28T00:00:00Z", "feed_.csv", day}, // folders don't count
		{"feed_20271231.csv", "2027-12-31T00:00:00Z", "feed_.csv", day},               // next year
		{"1FTFW1ET5DFC10312_20210828.csv", "2021-08-28T00:00:00Z", "1ftfw1et5dfc10312_.csv", day},
	} {
		got, ok := FileTime(c.name, fileTimeNow)
		if !ok || got.Time.Format(time.RFC3339Nano) != c.time || got.Stem != c.stem || got.Precision != c.precision {
			t.Errorf("%s: %v %s %q %v", c.name, ok, got.Time.Format(time.RFC3339Nano), got.Stem, got.Precision)
		}
	}
}

func TestFileTimeRefuses(t *testing.T) {
	for _, name := range []string{
		"", "feed.csv", "feed_2021.csv", "feed_12345678.csv",
		"feed_2021-08-28_2021-08-29.csv", "2021_08_28_2021_08_29.csv", "20210828-20210829.csv", "20210828_08292021.csv", "20210828_1630161000.csv", // two
		"08092021.csv", "feed_08-09-2021.csv", // August or September
		"28082021.csv",                                        // not the US order
		"19990828.csv", "20281231.csv", "feed_1999-08-28.csv", // implausible
		"20211328.csv", "20210230.csv", "2021-08_28.csv", // no dates
		"feed_202108281.csv", "feed_120210828.csv", "feed_16301610001.csv", // longer numbers
		"feed_4102444800.csv", "feed_0000000000.csv", // 2100 and 1970
		"1FT20210828FA1234.csv", "1FT202108281A1234.csv", // of a VIN
	} {
		if got, ok := FileTime(name, fileTimeNow); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzFileTime(f *testing.F) {
	for _, seed := range []string{"feed_20210828_143000.csv", "2021-08-28", "08282021", "1630161000123", "a/b\\c 2021_08_28_2021_08_29", "\xff20210828"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := FileTime(name, fileTimeNow)
		if !ok {
			return
		}
		if !plausible(s.Time, fileTimeNow) || s.Precision <= 0 || strings.ContainsAny(s.Stem, "/\\") {
			t.Errorf("%q: %+v", name, s)
		}
	})
}
