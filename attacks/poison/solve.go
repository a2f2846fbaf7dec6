package poison

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// ErrCurvature says that a Hessian is not positive definite: the objective is not at a minimum, or needs more damping.
var ErrCurvature = errors.New("poison: the Hessian is not positive definite: train further, or add damping")

func norm(x []float64) float64 { return math.Sqrt(kernel.Dot(x, x)) }

// conjugateGradients solves (H + damping·I)·x = b for the Hessian at the last gradient's θ until the residual is below
// tolerance·‖b‖, and returns x. It fails with ErrCurvature, when the steps run out, or with the error of ctx.
func (p *pass) conjugateGradients(ctx context.Context, b []float64, damping, tolerance float64, steps int) ([]float64, error) {
	x, r, d := make([]float64, len(b)), append([]float64{}, b...), append([]float64{}, b...)
	rr := kernel.Dot(r, r)
	stop := tolerance * math.Sqrt(rr)
	for range steps {
		if math.Sqrt(rr) <= stop {
			return x, nil
		}
		if err := p.along(ctx, d); err != nil {
			return nil, err
		}
		kernel.Axpy(p.product, d, damping)
		bend := kernel.Dot(d, p.product)
		if !(bend > 0) {
			return nil, ErrCurvature
		}
		step := rr / bend
		kernel.Axpy(x, d, step)
		kernel.Axpy(r, p.product, -step)
		next := kernel.Dot(r, r)
		for i := range d {
			d[i] = r[i] + next/rr*d[i]
		}
		rr = next
	}
	if math.Sqrt(rr) <= stop {
		return x, nil
	}
	return nil, fmt.Errorf("poison: conjugate gradients did not converge in %d steps: residual %.3g, want %.3g", steps,
		math.Sqrt(rr), stop)
}

const (
	newtonSteps = 100
	cgSteps     = 5000
)

// newton minimises a strongly convex objective in place until ‖gradient‖ < tolerance. Steps solve H·d = −g to a tenth, better
// near the minimum, where the objective is quadratic and one step shall be enough (Dembo, Eisenstat and Steihaug 1982), and are
// halved until the norm of the gradient falls: along such a d it does, as gᵀH·d < 0. That is a better judge than the objective,
// whose last digits are lost long before the gradient's.
func (p *pass) newton(ctx context.Context, theta []float64, tolerance float64) error {
	if _, err := p.gradient(ctx, theta); err != nil {
		return err
	}
	trial := make([]float64, len(theta))
	for range newtonSteps {
		size := norm(p.grad)
		if size < tolerance {
			return nil
		}
		d, err := p.conjugateGradients(ctx, p.grad, 0, min(0.1, max(math.Sqrt(size), tolerance/size/2)), cgSteps)
		if err != nil {
			return err
		}
		for step := 1.0; ; step /= 2 {
			copy(trial, theta)
			kernel.Axpy(trial, d, -step)
			if _, err := p.gradient(ctx, trial); err != nil && !errors.Is(err, ErrDiverged) {
				return err
			}
			if norm(p.grad) <= (1-1e-4*step)*size {
				break
			}
			if step < 1e-10 {
				return fmt.Errorf("poison: Newton's method stopped at a gradient of %.3g, want %.3g", size, tolerance)
			}
		}
		copy(theta, trial)
		p.theta = theta
	}
	return fmt.Errorf("poison: Newton's method did not converge in %d steps: gradient %.3g, want %.3g", newtonSteps,
		norm(p.grad), tolerance)
}

// descend takes steps θ ← θ − rate·gradient in place. visit, if not nil, sees θ before every step.
func (p *pass) descend(ctx context.Context, theta []float64, steps int, rate float64, visit func(step int)) error {
	for t := range steps {
		if visit != nil {
			visit(t)
		}
		if _, err := p.gradient(ctx, theta); err != nil {
			return err
		}
		kernel.Axpy(theta, p.grad, -rate)
	}
	return nil
}
