package reluplex

import (
	"context"

	"github.com/spai-project/certify/smt/simplex"
)

// repair applies Pivot₁, Pivot₂ and Update until every variable is inside its bounds, or Failure applies:
//
//	Pivot₁   x_i basic, α(x_i) < l(x_i), x_j ∈ slack⁺(x_i):  exchange x_i and x_j
//	Pivot₂   x_i basic, α(x_i) > u(x_i), x_j ∈ slack⁻(x_i):  exchange x_i and x_j
//	Update   x_j nonbasic, out of its bounds:                 move it inside, the basic ones follow
//	Failure  x_i basic, α(x_i) < l(x_i), slack⁺(x_i) empty, or the mirror image
//
// The paper leaves open which; the dual simplex of smt/simplex chooses: the basic variable whose violation weighs most, the member
// of its slack set that keeps made-up costs dual feasible, and Updates to the other bound for members whose whole range does not
// suffice. Failure is believed only when the row's multipliers prove it on the network's own weights; otherwise the answer is
// Limit, and the caller splits.
func (e *engine) repair(ctx context.Context) (simplex.Status, error) { return e.sys.Repair(ctx) }
