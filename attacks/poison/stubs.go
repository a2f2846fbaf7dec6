package poison

type Split struct {
	Full interface {
		Inputs() int
		Classes() int
	}
}

var featureCollision = &Attack{}
var convexPolytope = &Attack{}
var badNets = &Attack{}
