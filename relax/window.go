package relax

import (
	"sort"

	"github.com/spai-project/certify/nn/prog"
)

// PlanWindows restricts the batch begun to the receptive field of the given elements of affine node k, whose rows the lanes
// will start from (SeedRow). Call it after Begin and before seeding. Coefficients outside a node's window are zero and are
// neither cleared nor read.
func (w *Worker) PlanWindows(k int, rows []int32) {
	n := w.net
	set := make([]bool, k+1)
	add := func(src int, in prog.Window) {
		if set[src] {
			in = in.Union(w.win[src])
		}
		w.win[src], set[src] = in, true
	}
	img := n.image(k)
	if img == (prog.Window{}) {
		return // not a picture: everything
	}
	w.win[k], set[k] = img.Pixel(int(rows[0])), true
	for _, j := range rows[1:] {
		w.win[k] = w.win[k].Union(img.Pixel(int(j)))
	}
	for i := k; i > 0; i-- {
		if !set[i] {
			continue
		}
		nd := &n.P.Nodes[i]
		if nd.Kind != prog.Affine {
			add(nd.Src, w.win[i])
			if nd.Kind == prog.Product {
				add(nd.Src2, w.win[i])
			}
			continue
		}
		for _, t := range nd.Terms {
			if windowed(t.Map, w.win[i]) == nil {
				w.win[i] = prog.Window{} // one map needs everything, so everything must be cleared
			}
		}
		for _, t := range nd.Terms {
			if m := windowed(t.Map, w.win[i]); m != nil {
				add(t.Src, m.InWindow(w.win[i]))
			} else {
				add(t.Src, prog.Window{})
			}
		}
	}
	w.win[k] = prog.Window{}
}

// Cone returns, per node, the window of elements that the given elements of the output depend on: of a detector's thousands
// of outputs a property reads a few, and they see a part of the picture.
func (n *Net) Cone(outputs []int32) []prog.Window {
	w := NewWorker(n)
	if len(outputs) > 0 && n.P.Nodes[n.P.Output].Kind == prog.Affine {
		w.PlanWindows(n.P.Output, outputs)
	}
	return w.win
}

// windowed returns the map as Windowed when it can work on the window win of its output, nil when it must do everything: it
// knows no windows, reads the output in another layout, or win is everything.
func windowed(l prog.Linear, win prog.Window) prog.Windowed {
	m, ok := l.(prog.Windowed)
	if !ok || win.IsAll() {
		return nil
	}
	if img := m.OutImage(); img != (prog.Window{}) && !img.SameLayout(win) {
		return nil
	}
	return m
}

// image returns the layout of affine node k as a picture, zero when it is none.
func (n *Net) image(k int) prog.Window {
	for _, t := range n.P.Nodes[k].Terms {
		if m, ok := t.Map.(prog.Windowed); ok {
			if img := m.OutImage(); img != (prog.Window{}) {
				return img
			}
		}
	}
	return prog.Window{}
}

// each calls f for the runs of elements of node k inside its window.
func (w *Worker) each(k int, f func(lo, hi int)) {
	n := w.net.P.Nodes[k].N
	if w.win[k].IsAll() {
		f(0, n)
		return
	}
	w.win[k].Runs(n, func(i, c int) { f(i, i+c) })
}

// eachIn calls f for the index ranges of the sorted list of elements of node k that lie inside its window.
func (w *Worker) eachIn(k int, list []int32, f func(lo, hi int)) {
	if w.win[k].IsAll() {
		f(0, len(list))
		return
	}
	at := 0
	w.win[k].Runs(w.net.P.Nodes[k].N, func(i, c int) {
		at += sort.Search(len(list)-at, func(j int) bool { return int(list[at+j]) >= i })
		lo := at
		for at < len(list) && int(list[at]) < i+c {
			at++
		}
		if at > lo {
			f(lo, at)
		}
	})
}

// ByPixel orders rows of node k so that neighbours in the picture are neighbours in the list, if the node is a picture: then
// the lanes of a batch share a small window. It sorts in place.
func (n *Net) ByPixel(k int, rows []int32) {
	win := n.image(k)
	if win.H*win.W <= 1 {
		return
	}
	const tile = 3
	key := func(j int32) int {
		p := int(j) % (win.H * win.W)
		y, x := p/win.W, p%win.W
		return (y/tile)*win.W + x/tile
	}
	sort.SliceStable(rows, func(a, b int) bool { return key(rows[a]) < key(rows[b]) })
}
