package kolter

// An arena lends slices that are all taken back at once. It allocates only when more is lent than ever before.
type arena[T any] struct {
	chunks [][]T
	chunk  int // in use
	used   int // of it
}

const arenaChunk = 1 << 18

func (a *arena[T]) reset() { a.chunk, a.used = 0, 0 }

// take returns n elements that hold anything.
func (a *arena[T]) take(n int) []T {
	for {
		if a.chunk == len(a.chunks) {
			a.chunks = append(a.chunks, make([]T, max(n, arenaChunk)))
		}
		if c := a.chunks[a.chunk]; len(c)-a.used >= n {
			s := c[a.used : a.used+n : a.used+n]
			a.used += n
			return s
		}
		a.chunk, a.used = a.chunk+1, 0
	}
}

// zeros returns n zeros.
func (a *arena[T]) zeros(n int) []T {
	s := a.take(n)
	clear(s)
	return s
}
