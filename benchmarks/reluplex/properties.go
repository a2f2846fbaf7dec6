package reluplex

import (
	"fmt"

	"github.com/spai-project/certify/nn/spec"
)

// A Property is one of the ten of the paper's Table 2.
type Property struct {
	Number   int
	Claim    string
	Networks []Network
	// Published are the rows of Table 2.
	Published []Published

	boxes  [][numInputs]side
	unsafe [][]comparison // the negation of the claim
}

// A Published row of Table 2: so many networks with this result, in so many seconds in sum; the greatest depth and the splits
// in sum, where they are given.
type Published struct {
	Networks int
	Result   string // sat, unsat, or timeout (after 12 hours)
	Seconds  int
	Depth    int
	Splits   int
}

// Problem returns the question whether the claim fails when comparisons of (scaled) scores hold up to slack, a decimal.
func (p *Property) Problem(slack string) (*spec.Problem, error) {
	w := newWriter(slack)
	w.boxes(p.boxes)
	w.unsafe(p.unsafe)
	return w.problem(fmt.Sprintf("property %d", p.Number))
}

// Pi as the paper's program has it where a property names it. The domain ends at 3.141593.
const (
	pi         = "3.141592"
	minusPi    = "-3.141592"
	minusPi005 = "-3.136592" // −π + 0.005
	minusPi01  = "-3.131592" // −π + 0.01
)

// Properties returns the ten properties with the networks each is asked of.
func Properties() []Property {
	far := [][numInputs]side{{{lo: "55947.691"}, {}, {}, {lo: "1145"}, {hi: "60"}}}
	near := side{"1500", "1800"}
	ahead := side{"-0.06", "0.06"}
	against := side{minusPi, minusPi005}
	return []Property{
		{
			Number: 1, Claim: "far and slow intruder: the score of clear of conflict is below 1500", Networks: networks(1, 9),
			boxes:     far,
			unsafe:    [][]comparison{{{upper: clear, score: "1500"}}},
			Published: []Published{{41, "unsat", 394517, 47, 1522384}, {Networks: 4, Result: "timeout"}},
		},
		{
			Number: 2, Claim: "far and slow intruder: clear of conflict is not the worst advisory", Networks: networks(2, 9),
			boxes:     far,
			unsafe:    [][]comparison{highest(clear)},
			Published: []Published{{1, "unsat", 463, 55, 88388}, {35, "sat", 82419, 44, 284515}},
		},
		{
			Number: 3, Claim: "intruder ahead and coming: not clear of conflict", Networks: networks(1, 6),
			boxes:     [][numInputs]side{{near, ahead, {lo: "3.10"}, {lo: "980"}, {lo: "960"}}},
			unsafe:    [][]comparison{lowest(clear, others(clear)...)},
			Published: []Published{{42, "unsat", 28156, 22, 52080}},
		},
		{
			Number: 4, Claim: "intruder ahead, flying away more slowly: not clear of conflict", Networks: networks(1, 6),
			boxes:     [][numInputs]side{{near, ahead, {"0", "0"}, {lo: "1000"}, {"700", "800"}}},
			unsafe:    [][]comparison{lowest(clear, others(clear)...)},
			Published: []Published{{42, "unsat", 12475, 21, 23940}},
		},
		{
			Number: 5, Claim: "near intruder from the left: strong right", Networks: []Network{{1, 1}},
			boxes:     [][numInputs]side{{{"250", "400"}, {"0.2", "0.4"}, against, {"100", "400"}, {"0", "400"}}},
			unsafe:    beaten(strongRight),
			Published: []Published{{1, "unsat", 19355, 46, 58914}},
		},
		{
			Number: 6, Claim: "far intruder: clear of conflict (two boxes)", Networks: []Network{{1, 1}},
			boxes: [][numInputs]side{
				{{"12000", "62000"}, {"0.7", pi}, against, {"100", "1200"}, {"0", "1200"}},
				{{"12000", "62000"}, {minusPi, "-0.7"}, against, {"100", "1200"}, {"0", "1200"}},
			},
			unsafe:    beaten(clear),
			Published: []Published{{1, "unsat", 180288, 50, 548496}},
		},
		{
			Number: 7, Claim: "large vertical separation: never a strong turn", Networks: []Network{{1, 9}},
			boxes:     [][numInputs]side{{{"0", "60760"}, {minusPi, pi}, {minusPi, pi}, {"100", "1200"}, {"0", "1200"}}},
			unsafe:    [][]comparison{lowest(strongLeft, clear, weakLeft, weakRight), lowest(strongRight, clear, weakLeft, weakRight)},
			Published: []Published{{Networks: 1, Result: "timeout"}},
		},
		{
			Number: 8, Claim: "large vertical separation, weak left before: clear of conflict or weak left", Networks: []Network{{2, 9}},
			boxes: [][numInputs]side{{{"0", "60760"}, {minusPi, "-2.356194"}, {"-0.1", "0.1"}, {"600", "1200"}, {"600", "1200"}}},
			unsafe: [][]comparison{
				lowest(weakRight, clear, weakLeft), lowest(strongLeft, clear, weakLeft), lowest(strongRight, clear, weakLeft),
			},
			Published: []Published{{1, "sat", 40102, 69, 116697}},
		},
		{
			Number: 9, Claim: "near intruder, weak right before: strong left", Networks: []Network{{3, 3}},
			boxes:     [][numInputs]side{{{"2000", "7000"}, {"-0.4", "-0.14"}, {minusPi, minusPi01}, {"100", "150"}, {"0", "150"}}},
			unsafe:    beaten(strongLeft),
			Published: []Published{{1, "unsat", 99634, 48, 227002}},
		},
		{
			Number: 10, Claim: "far intruder: clear of conflict", Networks: []Network{{4, 5}},
			boxes:     [][numInputs]side{{{"36000", "60760"}, {"0.7", pi}, {minusPi, minusPi01}, {"900", "1200"}, {"600", "1200"}}},
			unsafe:    beaten(clear),
			Published: []Published{{1, "unsat", 19944, 49, 88520}},
		},
	}
}

// networks lists the networks from the given previous advisory on; those of the first advisory only up to a time class.
func networks(from, firstTo int) []Network {
	var all []Network
	for a := from; a <= 5; a++ {
		for t := 1; t <= 9; t++ {
			if a > 1 || t <= firstTo {
				all = append(all, Network{a, t})
			}
		}
	}
	return all
}
