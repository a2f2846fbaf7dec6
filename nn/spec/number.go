package spec

import (
	"math/big"
	"strconv"
	"strings"
)

// A numID names a constant in a numbers table; equal numbers have equal IDs. 0 is none.
type numID uint32

// A number is a constant of the query, kept once.
type number struct {
	key string // canonical decimal, or p/q when it has no finite decimal expansion
	value
}

// numbers holds the distinct constants of a query.
type numbers struct {
	list    []number
	ids     map[string]numID
	scratch []byte
	recent  [256]recent // the last constants of up to 8 characters: grids and one-hot codes repeat a handful
}

type recent struct {
	text uint64
	id   numID
}

func newNumbers() *numbers { return &numbers{list: make([]number, 1), ids: map[string]numID{}} }

// decimal returns the ID of a constant as written, or what is wrong with it.
func (t *numbers) decimal(text []byte) (numID, string) {
	if len(text) > 8 {
		return t.lookup(text)
	}
	var pack uint64
	for _, c := range text {
		pack = pack<<8 | uint64(c)
	}
	slot := &t.recent[pack*0x9e3779b97f4a7c15>>56]
	if slot.text == pack && slot.id != 0 {
		return slot.id, ""
	}
	id, bad := t.lookup(text)
	if bad == "" {
		*slot = recent{pack, id}
	}
	return id, bad
}

func (t *numbers) lookup(text []byte) (numID, string) {
	key, bad := canonical(t.scratch[:0], text)
	t.scratch = key[:0]
	if bad != "" {
		return 0, bad
	}
	if id, ok := t.ids[string(key)]; ok {
		return id, ""
	}
	s := string(key)
	v, ok := decimalValue(s)
	if !ok {
		return 0, "this number is beyond the range of float64"
	}
	return t.add(s, v), ""
}

func (t *numbers) add(key string, v value) numID {
	id := numID(len(t.list))
	t.list = append(t.list, number{key, v})
	t.ids[key] = id
	return id
}

// rational returns the ID of an exact quotient.
func (t *numbers) rational(r *big.Rat) (numID, string) {
	key := ratKey(r)
	if id, ok := t.ids[key]; ok {
		return id, ""
	}
	v, ok := ratValue(r)
	if !ok {
		return 0, "this number is beyond the range of float64"
	}
	return t.add(key, v), ""
}

// rat returns the exact number; maxExponent and maxDigits keep it small.
func (n *number) rat() *big.Rat {
	r, ok := new(big.Rat).SetString(n.key)
	if !ok {
		panic("spec: number table holds " + strconv.Quote(n.key))
	}
	return r
}

// cmp compares two constants exactly: rounding to the nearest float64 is monotone, so distinct nearest floats decide; only
// constants that share one need exact arithmetic.
func (t *numbers) cmp(a, b numID) int {
	x, y := &t.list[a], &t.list[b]
	switch {
	case a == b:
		return 0
	case x.near < y.near:
		return -1
	case x.near > y.near:
		return 1
	case x.dir != y.dir:
		return int(x.dir) - int(y.dir)
	}
	return x.rat().Cmp(y.rat())
}

// ratKey returns the canonical decimal of r, or p/q when it has no finite expansion.
func ratKey(r *big.Rat) string {
	if r.Sign() == 0 {
		return "0"
	}
	den := new(big.Int).Set(r.Denom())
	twos := int(den.TrailingZeroBits())
	den.Rsh(den, uint(twos))
	five, q, m := big.NewInt(5), new(big.Int), new(big.Int)
	fives := 0
	for den.Cmp(five) >= 0 {
		if q.QuoRem(den, five, m); m.Sign() != 0 {
			break
		}
		den.Set(q)
		fives++
	}
	if den.Cmp(big.NewInt(1)) != 0 {
		return r.String()
	}
	exp := max(twos, fives)
	num := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exp)), nil)
	num.Mul(num, r.Num()).Quo(num, r.Denom())
	digits := num.String()
	short := strings.TrimRight(digits, "0")
	return short + "e" + strconv.Itoa(len(digits)-len(short)-exp)
}

// String prints the constant as a person would write it.
func (n *number) String() string { return plain(n.key) }

// plain spells a canonical decimal without exponent when it is short, else as d.ddde±x.
func plain(key string) string {
	at := strings.IndexByte(key, 'e')
	if at < 0 {
		return key
	}
	digits, sign := key[:at], ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	exp, _ := strconv.Atoi(key[at+1:])
	point := len(digits) + exp // digits before the decimal point
	switch {
	case exp >= 0 && point <= 21:
		return sign + digits + strings.Repeat("0", exp)
	case exp < 0 && point > 0:
		return sign + digits[:point] + "." + digits[point:]
	case exp < 0 && point > -6:
		return sign + "0." + strings.Repeat("0", -point) + digits
	case len(digits) == 1:
		return sign + digits + "e" + strconv.Itoa(point-1)
	}
	return sign + digits[:1] + "." + digits[1:] + "e" + strconv.Itoa(point-1)
}
