package robust

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// decimals is a decimal number or a quotient of two, with exponents that keep exact arithmetic small.
var decimals = regexp.MustCompile(`^[0-9.]{1,40}(e[+-]?[0-9]{1,2})?(/[0-9.]{1,40}(e[+-]?[0-9]{1,2})?)?$`)

// ParseEps reads a radius: a decimal number, or a quotient of two as in 2/255. The result is the least float64 that is not below
// it, so that a proof covers the radius as it was written.
func ParseEps(text string) (float64, error) {
	bad := fmt.Errorf("%w: %q is no radius: write 0.1 or 2/255", ErrInput, text)
	text = strings.ToLower(strings.TrimSpace(text))
	if !decimals.MatchString(text) {
		return 0, bad
	}
	num, den, quotient := strings.Cut(text, "/")
	r, ok := new(big.Rat).SetString(num)
	if !ok {
		return 0, bad
	}
	if quotient {
		d, ok := new(big.Rat).SetString(den)
		if !ok || d.Sign() == 0 {
			return 0, bad
		}
		r.Quo(r, d)
	}
	f, exact := r.Float64()
	if !exact && new(big.Rat).SetFloat64(f).Cmp(r) < 0 {
		f = math.Nextafter(f, math.Inf(1))
	}
	return f, checkEps(f)
}

// ParseEpsList reads radii separated by commas, and returns them with their texts in increasing order, each once.
func ParseEpsList(text string) (eps []float64, texts []string, err error) {
	for _, t := range strings.Split(text, ",") {
		t = strings.TrimSpace(t)
		f, err := ParseEps(t)
		if err != nil {
			return nil, nil, err
		}
		k := 0
		for k < len(eps) && eps[k] < f {
			k++
		}
		if k == len(eps) || eps[k] != f {
			eps = append(eps[:k], append([]float64{f}, eps[k:]...)...)
			texts = append(texts[:k], append([]string{t}, texts[k:]...)...)
		}
	}
	return eps, texts, nil
}

// FormatDown writes a radius with four digits, rounded down: what is proved up to it stays proved as it reads.
func FormatDown(v float64) string { return directed(v, -1) }

// FormatUp writes a radius or a distance with four digits, rounded up: what is broken there stays broken as it reads.
func FormatUp(v float64) string { return directed(v, 1) }

func directed(v float64, sign int) string {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	exact := new(big.Rat).SetFloat64(v)
	text := strconv.FormatFloat(v, 'e', 3, 64)
	r, _ := new(big.Rat).SetString(text)
	if r.Cmp(exact) == -sign { // rounded to the wrong side: one step of the last digit
		_, e, _ := strings.Cut(text, "e")
		k, _ := strconv.Atoi(e)
		step, _ := new(big.Rat).SetString("1e" + strconv.Itoa(k-3))
		if sign < 0 {
			step.Neg(step)
		}
		r.Add(r, step)
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', 5, 64)
}
