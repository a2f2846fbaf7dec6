package poison

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Activation clustering (Chen et al. 2018): the features of the items of one label are reduced to a few independent components
// and cut in two by k-means. Where poison hides behind a label, one of the two clusters is the poison: it is smaller than chance
// would make it, and the two are well apart.
var clustering = &Defence{
	Name:   "clustering",
	Doc:    "cuts the features of each label in two clusters and removes the smaller where it is too small, or too far apart",
	Source: "Chen et al. 2018",
	Net:    true,
	Params: []Param{
		{Name: "reduce", Words: []string{"ica", "pca"}, Doc: "how features are reduced"},
		{Name: "dims", Default: 10, Doc: "to how many numbers"},
		{Name: "rule", Words: []string{"size", "silhouette", "both"}, Doc: "what gives poison away"},
		{Name: "size", Default: 0.35, Doc: "share of a label below which a cluster is too small"},
		{Name: "silhouette", Default: 0.15, Doc: "silhouette above which clusters are too far apart"},
	},
	run: runClustering,
}

func runClustering(d *defending) error {
	dims := d.int("dims")
	if dims < 1 || dims > 1<<10 {
		return fmt.Errorf("poison: %s: dims=%d", d.name, dims)
	}
	v, err := d.view(d.set, true)
	if err != nil {
		return err
	}
	for c, at := range v.class {
		d.progress(c, len(v.class))
		if len(at) < 4 {
			continue
		}
		r := d.stream(fmt.Sprint(c))
		z, kept, err := reduce(d.ctx, v.rows(at), v.width, dims, d.int("reduce") == 0, d.Workers, r)
		if err != nil {
			return err
		}
		if kept == 0 {
			continue
		}
		if d.int("reduce") == 0 {
			if z, err = independent(d.ctx, z, kept, r); err != nil {
				return err
			}
		}
		second := halves(z, kept, r)
		small := 0
		for _, s := range second {
			if s {
				small++
			}
		}
		share, apart := float64(small)/float64(len(at)), silhouette(z, kept, second, r)
		flagged := [3]bool{share < d.num("size"), apart > d.num("silhouette"), share < d.num("size") &&
			apart > d.num("silhouette")}[d.int("rule")]
		d.out.Notes = append(d.out.Notes, fmt.Sprintf("label %d: the smaller cluster has %.1f %%, silhouette %.3f%s", c,
			100*share, apart,
			map[bool]string{true: ", removed"}[flagged]))
		for k, s := range second {
			d.out.Suspect[at[k]] = flagged && s
		}
	}
	return nil
}

// halves cuts rows in two by 2-means, the best of ten starts, and tells which rows are in the smaller cluster.
func halves(z []float64, dims int, r *rand.Rand) []bool {
	n := len(z) / dims
	row := func(i int) []float64 { return z[i*dims:][:dims] }
	best, least := make([]bool, n), math.Inf(1)
	for range 10 {
		// k-means++ (Arthur and Vassilvitskii 2007): the second centre is drawn by squared distance from the first.
		centre := [2][]float64{append([]float64{}, row(r.IntN(n))...), nil}
		total := 0.0
		for i := range n {
			total += squares(row(i), centre[0])
		}
		draw, pick := r.Float64()*total, n-1
		for i := range n {
			if draw -= squares(row(i), centre[0]); draw < 0 {
				pick = i
				break
			}
		}
		centre[1] = append([]float64{}, row(pick)...)
		second, cost := make([]bool, n), math.Inf(1)
		for range 100 {
			sum, count, next := [2][]float64{make([]float64, dims), make([]float64, dims)}, [2]int{}, 0.0
			for i := range n {
				a, b := squares(row(i), centre[0]), squares(row(i), centre[1])
				second[i] = b < a
				k := 0
				if second[i] {
					k = 1
				}
				next += min(a, b)
				count[k]++
				for j, v := range row(i) {
					sum[k][j] += v
				}
			}
			if !(next < cost) {
				break
			}
			cost = next
			for k := range sum {
				for j := range sum[k] {
					if count[k] > 0 {
						centre[k][j] = sum[k][j] / float64(count[k])
					}
				}
			}
		}
		if cost < least {
			least = cost
			copy(best, second)
		}
	}
	ones := 0
	for _, s := range best {
		if s {
			ones++
		}
	}
	if 2*ones > n {
		for i := range best {
			best[i] = !best[i]
		}
	}
	return best
}

// silhouette returns the mean of (b−a)/max(a, b) over the rows, or over 2000 of them: a is the mean distance to the others of the
// own cluster, b to those of the other (Rousseeuw 1987). It is 0 when one cluster is empty.
func silhouette(z []float64, dims int, second []bool, r *rand.Rand) float64 {
	at := r.Perm(len(second))
	at = at[:min(len(at), 2000)]
	sum := 0.0
	for _, i := range at {
		var total [2]float64
		var count [2]int
		for _, j := range at {
			if i == j {
				continue
			}
			k := 0
			if second[i] != second[j] {
				k = 1
			}
			total[k] += math.Sqrt(squares(z[i*dims:][:dims], z[j*dims:][:dims]))
			count[k]++
		}
		if count[1] == 0 {
			return 0
		}
		if count[0] == 0 {
			continue // alone in its cluster: 0 by definition
		}
		a, b := total[0]/float64(count[0]), total[1]/float64(count[1])
		if a != b {
			sum += (b - a) / max(a, b)
		}
	}
	return sum / float64(len(at))
}
