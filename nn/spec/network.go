package spec

import (
	"strconv"
	"strings"
)

// declareNetwork reads NAME (declare-input …)+ (declare-output …)+).
func (p *parser) declareNetwork(open place) error {
	if len(p.vars.tensors) > 0 {
		return p.unsupported("a second network", "one network per query is; state the property on one network")
	}
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokSymbol {
		return p.fail("expected the name of the network")
	}
	p.vars.byName = map[string]*tensor{}
	for {
		if err := p.next(open); err != nil {
			return err
		}
		if p.lx.kind == tokClose {
			return p.checkPorts()
		}
		if p.lx.kind != tokOpen {
			return p.fail("expected (declare-input …) or (declare-output …)")
		}
		inner := p.lx.at
		if err := p.next(inner); err != nil {
			return err
		}
		switch word := string(p.lx.text); word {
		case "declare-input", "declare-output":
			if err := p.declareTensor(inner, word == "declare-output"); err != nil {
				return err
			}
		case "declare-hidden":
			return p.unsupported("declare-hidden", "constrain inputs and outputs, or export the model with that value as an output")
		case "equal-to", "isomorphic-to":
			return p.unsupported(word, "one network per query is")
		default:
			return p.fail("unknown declaration %s; expected declare-input or declare-output", quoteWord(p.lx.text))
		}
	}
}

// declareTensor reads NAME TYPE SHAPE).
func (p *parser) declareTensor(open place, output bool) error {
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokSymbol {
		return p.fail("expected the name of a variable")
	}
	t := &tensor{Var: Var{Name: string(p.lx.text), Output: output}, at: p.lx.at}
	if _, ok := p.vars.byName[t.Name]; ok {
		return p.fail("%s is declared twice", quoteWord(p.lx.text))
	}
	if !output && p.vars.size[1] > 0 {
		return p.fail("inputs are declared before outputs")
	}
	if err := p.next(open); err != nil {
		return err
	}
	if bad, err := p.elementType(); err != nil {
		return err
	} else if bad != "" {
		return p.fail("%s", bad)
	}
	t.Type = string(p.lx.text)
	if err := p.shape(open, t); err != nil {
		return err
	}
	side := 0
	if output {
		side = 1
	}
	t.offset = p.vars.size[side]
	if p.vars.size[side] += t.size; p.vars.size[side] > p.lim.vars {
		return p.fail("more than %d variables", p.lim.vars)
	}
	p.vars.tensors = append(p.vars.tensors, t)
	p.vars.byName[t.Name] = t
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind == tokSymbol && string(p.lx.text) == "initialized" {
		return p.unsupported("initialized", "inputs that take their value from the model need no declaration: fold them into the model")
	}
	if p.lx.kind != tokClose {
		return p.fail("expected ')' after the shape of %s", t.Name)
	}
	return nil
}

// elementType checks the type at the current token.
func (p *parser) elementType() (bad string, err error) {
	name := string(p.lx.text)
	switch strings.ToLower(name) {
	case "real", "float32", "float64", "float", "double":
		return "", nil
	case "float16", "bfloat16", "bool", "int2", "int4", "int8", "int16", "int32", "int64", "uint2", "uint4", "uint8", "uint16",
		"uint32", "uint64", "complex64", "complex128", "string":
		return "", p.unsupported("the element type "+name, "real, float32 and float64 are")
	}
	return "unknown element type " + quoteWord(p.lx.text) + "; real, float32 and float64 are known", nil
}

// shape reads [d0,d1,…] into t.
func (p *parser) shape(open place, t *tensor) error {
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokLeft {
		return p.fail("expected the shape of %s, such as [1,3] or [] for a scalar", t.Name)
	}
	t.Shape, t.size = []int{}, 1
	return p.indices(open, func(n int) error {
		if n < 1 {
			return p.fail("dimensions are at least 1")
		}
		if n > p.lim.vars || t.size > p.lim.vars/n || len(t.Shape) >= 32 {
			return p.fail("more than %d variables", p.lim.vars)
		}
		t.Shape = append(t.Shape, n)
		t.size *= n
		return nil
	})
}

// indices reads the integers of a bracketed list whose '[' is the current token; its ']' becomes the current token.
func (p *parser) indices(open place, each func(int) error) error {
	for first := true; ; first = false {
		if err := p.next(open); err != nil {
			return err
		}
		if first && p.lx.kind == tokRight {
			return nil
		}
		n, err := strconv.Atoi(string(p.lx.text))
		if p.lx.kind != tokNumber || err != nil || p.lx.text[0] == '+' {
			return p.fail("expected a natural number, not %s", quoteWord(p.lx.text))
		}
		if err := each(n); err != nil {
			return err
		}
		if err := p.next(open); err != nil {
			return err
		}
		if p.lx.kind == tokRight {
			return nil
		}
		if p.lx.kind != tokComma {
			return p.fail("expected ',' or ']'")
		}
	}
}

// element resolves a reference: X[0,2,3,1], or the bare name of a scalar.
func (p *parser) element(open place) (varID, error) {
	t, at := p.vars.byName[string(p.lx.text)], p.lx.at
	if t == nil {
		return 0, p.fail("%s is not declared", quoteWord(p.lx.text))
	}
	v := varID(t.offset) << 1
	if t.Output {
		v |= 1
	}
	if len(t.Shape) == 0 {
		return v, nil
	}
	if err := p.next(open); err != nil {
		return 0, err
	}
	if p.lx.kind != tokLeft {
		return 0, p.lx.failAt(at, len(t.Name), "%s has the shape %s, an element is written %s", t.Name, shapeText(t.Shape), t.element(0))
	}
	flat, d := 0, 0
	err := p.indices(open, func(n int) error {
		if d == len(t.Shape) {
			return p.fail("too many indices, %s has the shape %s", t.Name, shapeText(t.Shape))
		}
		if n < 0 || n >= t.Shape[d] {
			return p.fail("index %d is out of range, %s has the shape %s (0…%d here)", n, t.Name, shapeText(t.Shape), t.Shape[d]-1)
		}
		flat = flat*t.Shape[d] + n
		d++
		return nil
	})
	if err == nil && d < len(t.Shape) {
		err = p.fail("%d of %d indices, %s has the shape %s", d, len(t.Shape), t.Name, shapeText(t.Shape))
	}
	return v + varID(flat)<<1, err
}

// checkPorts compares the declared tensors with each other and with the model.
func (p *parser) checkPorts() error {
	for side := range 2 {
		var have []*tensor
		for _, t := range p.vars.tensors {
			if t.Output == (side == 1) {
				have = append(have, t)
			}
		}
		if len(have) == 0 {
			return p.fail("the network declares no %ss", sideWords[side])
		}
		if p.sig == nil {
			continue
		}
		if err := p.fitPorts(side, have); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) fitPorts(side int, have []*tensor) error {
	want := p.sig.ports(side)
	if len(have) != len(want) {
		last := have[len(have)-1]
		plural := "s"[:min(1, len(have)-1)]
		return p.mismatch(last.at, len(last.Name), "the query declares %d %s tensor%s, the model has %s in %d", len(have),
			sideWords[side], plural, p.sig.describe(side), len(want))
	}
	for i, t := range have {
		if n := elements(want[i].Shape); t.size != n {
			return p.mismatch(t.at, len(t.Name), "%s has the shape %s, the model's %s %s has %s", t.Name, shapeText(t.Shape),
				sideWords[side], want[i].Name, shapeText(want[i].Shape))
		}
		a, b := floatType(t.Type), floatType(want[i].Type)
		if a != "real" && b != "" && b != "real" && a != b {
			return p.mismatch(t.at, len(t.Name), "%s has the type %s, the model's %s %s has %s", t.Name, t.Type, sideWords[side],
				want[i].Name, want[i].Type)
		}
	}
	return nil
}

// floatType returns the ONNX name of an element type.
func floatType(name string) string {
	switch name = strings.ToLower(name); name {
	case "float":
		return "float32"
	case "double":
		return "float64"
	}
	return name
}
