package kernel

import "fmt"

// A value is what a name of the file stands for: a constant, or a node of the network seen under a shape.
type value struct {
	shape []int
	node  int
	c     *constant // nil for a node
}

// A builder turns a file into a network.
type builder struct {
	net    *network
	values map[string]value
	opset  int
}

// parseModel reads an ONNX file with one input and one output.
func parseModel(b []byte) (*network, error) {
	var graph []byte
	w := &builder{net: &network{}, values: map[string]value{}}
	err := fields(b, func(f field) error {
		switch f.id {
		case 7:
			if graph != nil {
				return errWire
			}
			graph = f.data
		case 8:
			domain, version := "", uint64(0)
			err := fields(f.data, func(f field) error {
				switch f.id {
				case 1:
					domain = string(f.data)
				case 2:
					version = f.num
				}
				return nil
			})
			if err != nil {
				return err
			}
			if domain == "" || domain == "ai.onnx" {
				w.opset = int(min(version, 1000))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.opset < 7 || w.opset > 21 {
		return nil, fmt.Errorf("opset %d; 7 to 21 are checked", w.opset)
	}
	return w.net, w.graph(graph)
}

// graph reads a GraphProto: constants first, then the input, then the operators in order.
func (w *builder) graph(b []byte) error {
	var ops []*operator
	var inputs, outputs []value
	var inNames, outNames []string
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			op, err := parseOperator(f.data)
			if err != nil {
				return err
			}
			ops = append(ops, op)
		case 5:
			name, c, err := parseTensor(f.data)
			if err != nil {
				return err
			}
			return w.define(name, value{shape: c.shape, c: c})
		case 11, 12:
			name, shape, err := parseInfo(f.data)
			if err != nil {
				return err
			}
			if f.id == 11 {
				inputs, inNames = append(inputs, value{shape: shape}), append(inNames, name)
			} else {
				outputs, outNames = append(outputs, value{shape: shape}), append(outNames, name)
			}
		case 15:
			return fmt.Errorf("sparse constants are not checked")
		}
		return nil
	})
	if err != nil {
		return err
	}
	free := 0
	for i, name := range inNames {
		if _, constant := w.values[name]; constant {
			continue
		}
		if free++; free > 1 {
			return fmt.Errorf("the network has several inputs")
		}
		n := sizeOf(inputs[i].shape)
		if n < 1 {
			return fmt.Errorf("input %q has shape %v", name, inputs[i].shape)
		}
		if _, err := w.net.add(node{name: name, kind: input, n: n}); err != nil {
			return err
		}
		if err := w.define(name, inputs[i]); err != nil {
			return err
		}
	}
	if free != 1 || len(outputs) != 1 {
		return fmt.Errorf("the network has %d inputs and %d outputs; one of each is checked", free, len(outputs))
	}
	for _, op := range ops {
		if err := w.operator(op); err != nil {
			return err
		}
	}
	out, ok := w.values[outNames[0]]
	if !ok || out.c != nil {
		return fmt.Errorf("output %q does not depend on the input", outNames[0])
	}
	w.net.output = out.node
	return nil
}

// define gives a name a value, once.
func (w *builder) define(name string, v value) error {
	if _, twice := w.values[name]; twice || name == "" {
		return fmt.Errorf("the name %q is defined twice or empty", name)
	}
	w.values[name] = v
	return nil
}

// parseInfo reads a ValueInfoProto of a float tensor; a free first dimension counts as 1.
func parseInfo(b []byte) (name string, shape []int, err error) {
	err = fields(b, func(f field) error {
		if f.id == 1 {
			name = string(f.data)
		}
		if f.id != 2 {
			return nil
		}
		return fields(f.data, func(f field) error { // TypeProto
			if f.id != 1 {
				return fmt.Errorf("%q is no tensor", name)
			}
			return fields(f.data, func(f field) error { // Tensor: elem_type, shape
				if f.id != 2 {
					return nil
				}
				return fields(f.data, func(f field) error { // Shape: dim
					d := int64(0)
					err := fields(f.data, func(f field) error { // Dimension
						if f.id == 1 {
							d = int64(f.num)
						}
						return nil
					})
					if d < 1 && len(shape) == 0 {
						d = 1
					}
					if d < 1 || d > maxElements {
						d = 0
					}
					shape = append(shape, int(d))
					return err
				})
			})
		})
	})
	return name, shape, err
}

// sizeOf returns the number of elements, 0 when it is out of range.
func sizeOf(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 1 || d > maxElements || n*d > maxElements {
			return 0
		}
		n *= d
	}
	return n
}
