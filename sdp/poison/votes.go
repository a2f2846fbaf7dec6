package poison

// Plurality returns the class with the most votes, the lowest among equals, and how many votes may change arbitrarily without
// changing it (Levine and Feizi 2021): for the leader p and every other class c, a changed vote lowers n_p − n_c by at most 2,
// and p stays while n_p − n_c ≥ [c < p]. So the radius is the minimum over c of ⌊(n_p − n_c − [c < p])/2⌋, and it is exact.
// Where each vote is cast by a model of its own part of the data, it counts inserted and deleted items; a changed item is one
// of each. One class alone is never overruled: then the radius is the number of votes.
func Plurality(votes []int) (leader, radius int) {
	total := 0
	for c, n := range votes {
		total += n
		if n > votes[leader] {
			leader = c
		}
	}
	radius = total
	for c, n := range votes {
		if c != leader {
			radius = min(radius, lead(votes[leader]-n, c, leader)/2)
		}
	}
	return leader, radius
}

// lead is what class c lacks to overtake the leader: c wins a tie if its number is lower.
func lead(difference, c, leader int) int {
	if c < leader {
		return difference - 1
	}
	return difference
}

// count adds up the votes of models.
func count(votes []int, models []uint8) {
	clear(votes)
	for _, v := range models {
		votes[v]++
	}
}
