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
	if scale == 0 && len(o.Mean) == 0 && len(o.Std) == 0 {
		return nil
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
	for c, s := range std {
		if !(s > 0) {
			return &Error{Why: fmt.Sprintf("the standard deviation %v of channel %d is not positive in float32", s, c)}
		}
	}
	factor, divide := float32(scale), false
	if n := math.Round(1 / scale); 1/n == scale {
		factor, divide = float32(n), true
	}
	d, _ := volume(shape)
	for k := range x {
		v := float32(x[k])
		if divide {
			v /= factor
		} else {
			v = float32(v * factor) // the conversion keeps the next line from being fused with this one
		}
		v = float32(v - mean[k%d*len(mean)/d])
		x[k] = float64(v / std[k%d*len(std)/d])
	}
	return nil
}

// channels returns one value for all of an item, or one for each index of its first dimension, in float32.
func channels(what string, v []float64, shape []int, none float32) ([]float32, error) {
	if len(v) == 0 {
		return []float32{none}, nil
	}
	if len(v) != 1 && len(v) != shape[0] {
		return nil, &Error{Why: fmt.Sprintf("%d values for the %s; items of shape %v take 1 or %d", len(v), what, shape, shape[0])}
	}
	out := make([]float32, len(v))
	for i := range v {
		out[i] = float32(v[i])
		if w := float64(out[i]); math.IsNaN(w) || math.IsInf(w, 0) {
			return nil, &Error{Why: fmt.Sprintf("the %s %v is not finite in float32", what, v[i])}
		}
	}
	return out, nil
}
