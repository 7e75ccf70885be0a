package feed

import (
	"sync"
	"time"

	"carfluence/internal/errs"
)

// gate bounds how many of one kind of work are under way at once, in all and for one integration.
type gate struct {
	mu   sync.Mutex
	all  int64
	each map[string]int64
}

// enter takes a place until leave is called; without one it is an error worth trying again.
func (g *gate) enter(integrationID string, each, all int64, what string) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= all || g.each[integrationID] >= each {
		return nil, errs.UnavailableFor(5*time.Second, "Too many "+what+" are under way at once; try again shortly.", nil)
	}
	if g.each == nil {
		g.each = map[string]int64{}
	}
	g.all++
	g.each[integrationID]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		if g.each[integrationID]--; g.each[integrationID] == 0 {
			delete(g.each, integrationID)
		}
	}, nil
}

// Previews read whole files for little.
const (
	previewsEach = 1
	previewsAll  = 2
)
