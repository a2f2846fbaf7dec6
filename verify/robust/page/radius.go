package page

import (
	"slices"

	"github.com/spai-project/certify/verify/robust"
)

// RadiusChart shows, over the radius, the share of items that are proved there and the share that no counterexample broke.
func RadiusChart(title string, records []*robust.RadiusRecord) *Chart {
	var proved, broken []float64
	most := 0.0
	for _, r := range records {
		if r.Proved > 0 {
			proved = append(proved, r.Proved)
			most = max(most, r.Proved)
		}
		if r.Broken != nil {
			broken = append(broken, *r.Broken)
			most = max(most, *r.Broken)
		}
	}
	if most == 0 {
		most = 1
	}
	c := &Chart{Title: title, XName: "radius", Between: [2]int{0, 1}, Most: niceStep(most * 1.02)}
	for c.Most > 1.3*most && c.Most > 0 { // 1, 2, 5 are coarse for an edge
		c.Most *= 0.9
	}
	c.Curves = []Curve{survivors("no counterexample found", "open", broken, len(records), false), survivors("proved robust",
		"proved", proved, len(records), true)}
	return c
}

// survivors counts the items that are left at a radius. A counterexample at distance d breaks the radius d, a proof at r holds at
// r.
func survivors(name, class string, ends []float64, n int, before bool) Curve {
	slices.Sort(ends)
	c := Curve{Name: name, Class: class, Before: before}
	put := func(x float64, left int) {
		c.X, c.Y = append(c.X, x), append(c.Y, float64(left)/float64(max(n, 1)))
	}
	if before {
		put(0, len(ends)) // at the radius 0 what has any proof is proved
		for i := range ends {
			put(ends[i], len(ends)-i)
		}
		if len(ends) > 0 {
			c.X, c.Y = append(c.X, ends[len(ends)-1]*(1+1e-9)), append(c.Y, 0)
		}
		return c
	}
	put(0, n)
	for i, d := range ends {
		put(d, n-i-1)
	}
	return c
}
