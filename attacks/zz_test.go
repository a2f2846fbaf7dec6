package attacks

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
)

func TestZZ(t *testing.T) {
	dir := "/work/shared/vnncomp/marabou-cifar10"
	p, pr := loadInstance(t, map[string]*prog.Program{}, dir, "onnx/cifar10_medium.onnx", "vnnlib/networkcifar10_medium_index2317_eps0.012_target6_orig5.vnnlib")
	s, _ := NewSearcher(p, pr)
	fmt.Println(len(pr.Cases), len(pr.Cases[0].Rows), s.cost, len(s.groups[0].active))
	w := s.Search(context.Background(), Options{Time: 8*time.Second, Work: 2e11})
	fmt.Println(w)
	for _, e := range s.archive[:5] { fmt.Println(e.margin, e.cs) }
}
