package page

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image"
	"image/png"
	"sort"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/verify/robust"
)

// An example is an item in pictures.
type example struct {
	Name                          string
	Label, Class                  string
	Distance, Eps, Scale, Caption string
	Original, Change, Adversarial template.URL // Change and Adversarial are empty where nothing broke it
	Margin                        string
}

// The numbers of examples shown.
const (
	maxExamples = 8
	maxClosest  = 4
)

// examples shows the items that were broken with the smallest change, and of those never broken the ones that were least far from
// another class as they are.
func (v *view) examples(r *Run) error {
	var broken, held []*robust.Record
	for _, rec := range r.Records {
		switch {
		case len(rec.X) == 0:
		case len(rec.Adversarial) > 0:
			broken = append(broken, rec)
		default:
			held = append(held, rec)
		}
	}
	sort.SliceStable(broken, func(i, j int) bool { return distance(broken[i]) < distance(broken[j]) })
	sort.SliceStable(held, func(i, j int) bool { return held[i].Margin < held[j].Margin })
	for _, rec := range broken[:min(len(broken), maxExamples)] {
		e, err := v.example(rec)
		if err != nil {
			return err
		}
		v.Examples = append(v.Examples, e)
	}
	for _, rec := range held[:min(len(held), maxClosest)] {
		e, err := v.example(rec)
		if err != nil {
			return err
		}
		v.Closest = append(v.Closest, e)
	}
	return nil
}

// first is the smallest radius at which an item is broken, −1.
func first(r *robust.Record) int {
	for k := range r.Eps {
		if r.Eps[k].Verdict == robust.Violated {
			return k
		}
	}
	return -1
}

func distance(r *robust.Record) float64 {
	if k := first(r); k >= 0 && r.Eps[k].Distance != nil {
		return *r.Eps[k].Distance
	}
	return 0
}

func (v *view) example(r *robust.Record) (e example, err error) {
	e = example{Name: r.Name, Label: className(v.H, r.Label)}
	lo, hi := colours(v.H, r.X)
	if e.Original, err = uri(data.Image(r.X, v.H.Data.Shape, lo, hi)); err != nil {
		return e, err
	}
	k := first(r)
	if k < 0 || len(r.Adversarial) == 0 {
		for j := len(r.Eps) - 1; j >= 0; j-- {
			if a := &r.Eps[j]; a.Verdict == robust.Holds {
				e.Eps = epsText(v.H, j)
				break
			}
		}
		return e, nil
	}
	a := &r.Eps[k]
	m, scale, err := data.Difference(r.X, r.Adversarial, v.H.Data.Shape, 0)
	if e.Change, err = uri(m, err); err != nil {
		return e, err
	}
	if e.Adversarial, err = uri(data.Image(r.Adversarial, v.H.Data.Shape, lo, hi)); err != nil {
		return e, err
	}
	e.Scale, e.Eps = robust.FormatUp(scale), epsText(v.H, k)
	if a.Class != nil {
		e.Class = className(v.H, *a.Class)
	}
	if a.Distance != nil {
		e.Distance = robust.FormatUp(*a.Distance)
	}
	return e, nil
}

// colours are the values drawn black and white.
func colours(h *robust.Header, x []float64) (lo, hi float64) {
	if l, u := h.Options.Lower, h.Options.Upper; len(l) > 0 && len(u) > 0 {
		lo, hi = l[0], u[0]
		for i := range l {
			lo = min(lo, l[i])
		}
		for i := range u {
			hi = max(hi, u[i])
		}
	} else {
		lo, hi = x[0], x[0]
		for _, v := range x {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if !(lo < hi) {
		hi = lo + 1
	}
	return lo, hi
}

// uri is a picture as part of the page. Browsers enlarge it without smoothing.
func uri(m image.Image, err error) (template.URL, error) {
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
