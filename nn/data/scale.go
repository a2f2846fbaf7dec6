package data

import (
	"fmt"
	"math"
)

// rescale turns stored values into x = (raw·Scale − Mean)/Std, in float32: each of the three steps rounds to the nearest
// float32, as the frameworks that train networks do, so the networks see here what they saw there. natural is the scale that
// the file means, 0 when it means the stored values; it holds unless Options.Scale says otherwise. Nothing changes, not even
// to float32, when there is nothing to do.
//
// A scale that is 1/n for a whole n divides by n instead: the byte b becomes float32(b)/255, not float32(b)·float32(1/255),
// which differs in the last place.
func (o *Options) rescale(x []float64, shape []int, natural float64) error {
	scale := o.Scale
	if scale == 0 {
		scale = natural
	}
	if len(x) == 0 || scale == 0 && len(o.Mean) == 0 && len(o.Std) == 0 {
		return nil // without items, the dimensions of an item may be anything
	}
	if scale == 0 {
		scale = 1
	}
	if !(scale > 0) || math.IsInf(scale, 0) {
		return &Error{Why: fmt.Sprintf("the scale %v is not a positive finite number", scale)}
	}
	mean, err := channels("mean", o.Mean, shape, 0)
	if err != nil {
		return err
	}
	std, err := channels("standard deviation", o.Std, shape, 1)
	if err != nil {
		return err
	}
	for k, s := range std {
		if !(s > 0) {
			return &Error{Why: fmt.Sprintf("the standard deviation of element %d is %v, not positive in float32", k, s)}
		}
	}
	factor, divide := float32(scale), false
	if n := math.Round(1 / scale); 1/n == scale {
		factor, divide = float32(n), true
	}
	for k := range x {
		v, j := float32(x[k]), k%len(mean)
		if divide {
			v /= factor
		} else {
			v = float32(v * factor) // the conversion keeps the next line from being fused with this one
		}
		v = float32(v - mean[j])
		x[k] = float64(v / std[j])
	}
	return nil
}

// channels returns v, which holds one value for all of an item or one for each index of its first dimension, for every element
// of the item, in float32; none when v is empty.
func channels(what string, v []float64, shape []int, none float32) ([]float32, error) {
	if len(v) == 0 {
		v = []float64{float64(none)}
	}
	if len(v) != 1 && len(v) != shape[0] {
		return nil, &Error{Why: fmt.Sprintf("%d values for the %s; items of shape %v take 1 or %d",
			len(v), what, shape, shape[0])}
	}
	for _, w := range v {
		if f := float64(float32(w)); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, &Error{Why: fmt.Sprintf("the %s %v is not finite in float32", what, w)}
		}
	}
	d, _ := volume(shape)
	out := make([]float32, d)
	for j := range out {
		out[j] = float32(v[j/(d/len(v))])
	}
	return out, nil
}
