package evasion

// tiles divides an input into at most side×side tiles for every channel, or a vector into at most side² runs, and returns the
// tile of every coordinate. A side of 0 makes every coordinate a tile.
func tiles(shape []int, n, side int) (tile []int, count int) {
	tile = make([]int, n)
	c, h, w := picture(shape, n)
	th, tw := min(side, h), min(side, w)
	if h == 1 {
		tw = min(side*side, w)
	}
	if side <= 0 {
		th, tw = h, w
	}
	for i := range tile {
		k, y, x := i/(h*w), i/w%h, i%w
		tile[i] = (k*th+y*th/h)*tw + x*tw/w
	}
	return tile, c * th * tw
}

// picture returns the channels, height and width of an input: those of a shape [channels height width], or with ones before;
// anything else is one row.
func picture(shape []int, n int) (channels, height, width int) {
	for len(shape) > 3 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 3 {
		return shape[0], shape[1], shape[2]
	}
	return 1, 1, n
}
