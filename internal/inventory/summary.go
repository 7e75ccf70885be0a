package inventory

import (
	"context"
	"strconv"

	"carfluence/internal/money"
	"carfluence/internal/sqldb"
)

// Summary are figures of a group's stock, texts as published. new_count, used_count and the averages are over
// active vehicles; an average of nothing is "0".
type Summary struct {
	TotalCount   string `json:"total_count" example:"415"`
	ActiveCount  string `json:"active_count" example:"389"`
	SoldCount    string `json:"sold_count" example:"26"`
	NewCount     string `json:"new_count" example:"120" doc:"Active new vehicles."`
	UsedCount    string `json:"used_count" example:"269" doc:"Active used vehicles."`
	AvgPrice     string `json:"avg_price" example:"31250.50" doc:"Over active vehicles with a price."`
	AvgMileage   string `json:"avg_mileage" example:"41874" doc:"Over active vehicles with a mileage, rounded."`
	AvgDaysOnLot string `json:"avg_days_on_lot" example:"38" doc:"Over active vehicles, rounded."`
}

// Summary of the group's stock.
func (s *Stock) Summary(ctx context.Context, t *sqldb.Tenant) (Summary, error) {
	days, err := s.recentCalendar(ctx, t)
	if err != nil {
		return Summary{}, err
	}
	all, err := selectCounts(ctx, t)
	if err != nil {
		return Summary{}, err
	}
	lot := int64(0)
	for id, n := range all {
		lot += n.active*int64(days.today(id, s.now())) - n.lotSinceDaySum
	}
	n := all.sum()
	out := Summary{
		TotalCount: text10(n.total), ActiveCount: text10(n.active), SoldCount: text10(n.total - n.active),
		NewCount: text10(n.activeNew), UsedCount: text10(n.activeUsed), AvgPrice: "0",
		AvgMileage: text10(mean(n.mileageSum, n.mileageCount)), AvgDaysOnLot: text10(mean(lot, n.active)),
	}
	if n.priceCount > 0 {
		out.AvgPrice = money.FromCents(mean(n.priceCents, n.priceCount)).String()
	}
	return out, nil
}

func text10(n int64) string { return strconv.FormatInt(n, 10) }

// mean rounds half up; 0 over nothing.
func mean(sum, n int64) int64 {
	if n == 0 {
		return 0
	}
	return (2*sum + n) / (2 * n)
}

// sum over all dealerships.
func (c counts) sum() (all count) {
	for _, n := range c {
		all.total += n.total
		all.active += n.active
		all.activeNew += n.activeNew
		all.activeUsed += n.activeUsed
		all.priceCount += n.priceCount
		all.priceCents += n.priceCents
		all.mileageCount += n.mileageCount
		all.mileageSum += n.mileageSum
		all.lotSinceDaySum += n.lotSinceDaySum
	}
	return all
}
