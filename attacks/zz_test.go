package attacks

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
)

func TestZZ(t *testing.T) {
	dir := "/work/shared/vnncomp/sri_resnet_a"
	p, pr := loadInstance(t, map[string]*prog.Program{}, dir, "onnx/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1.onnx", "vnnlib/"+os.Getenv("Q")+".vnnlib")
	w, err := Search(context.Background(), p, pr, Options{Time: 2*time.Second})
	fmt.Println(w.Margin, w.AnyOrder, err)
	L, U := p.Enclose(w.X, w.X, prog.Unit32)
	v := p.Eval(w.X, 1, nil)
	for k := range p.Nodes {
		n := &p.Nodes[k]
		mx, rad, unc := 0.0, 0.0, 0
		for i := range L[k] {
			mx = max(mx, v[k][i], -v[k][i])
			rad = max(rad, U[k][i]-L[k][i])
			if n.Kind == prog.Relu && L[n.Src][i] < 0 && U[n.Src][i] > 0 {
				unc++
			}
		}
		row := 0
		for _, tt := range n.Terms { r, _ := tt.Map.Fan(); row += r }
		fmt.Println(k, n.Kind, n.Name, n.N, "fan", row, "rel", n.Rel, "max", mx, "width", rad, "uncertain", unc)
	}
	fmt.Println(w.Y)
}
