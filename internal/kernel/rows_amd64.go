//go:build !purego

package kernel

func addRows[T Float](nu, a []T, idx []int32, R int) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		addRowsF64AVX512(len(idx), &idx[0], lanes, R, f64(nu), f64(a))
	case f32AVX512:
		addRowsF32AVX512(len(idx), &idx[0], lanes, R, f32(nu), f32(a))
	case f64AVX2:
		addRowsF64AVX2(len(idx), &idx[0], lanes, R, f64(nu), f64(a))
	case f32AVX2:
		addRowsF32AVX2(len(idx), &idx[0], lanes, R, f32(nu), f32(a))
	}
	return lanes
}

func relaxSharedVec[T Float](nu, d, a, save []T, idx []int32, R int, slope, s, t []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	if save == nil {
		switch pick[T]() {
		case f64AVX512:
			relaxSharedF64AVX512(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(s), f64(t), f64(slope))
		case f32AVX512:
			relaxSharedF32AVX512(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(s), f32(t), f32(slope))
		case f64AVX2:
			relaxSharedF64AVX2(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(s), f64(t), f64(slope))
		case f32AVX2:
			relaxSharedF32AVX2(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(s), f32(t), f32(slope))
		}
		return lanes
	}
	switch pick[T]() {
	case f64AVX512:
		relaxSharedSaveF64AVX512(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(save), f64(s), f64(t), f64(slope))
	case f32AVX512:
		relaxSharedSaveF32AVX512(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(save), f32(s), f32(t), f32(slope))
	case f64AVX2:
		relaxSharedSaveF64AVX2(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(save), f64(s), f64(t), f64(slope))
	case f32AVX2:
		relaxSharedSaveF32AVX2(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(save), f32(s), f32(t), f32(slope))
	}
	return lanes
}

func relaxLanesVec[T Float](nu, d, a, save, slope []T, idx []int32, R int, s, t []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	if save == nil {
		switch pick[T]() {
		case f64AVX512:
			relaxLanesF64AVX512(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(s), f64(t), f64(slope))
		case f32AVX512:
			relaxLanesF32AVX512(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(s), f32(t), f32(slope))
		case f64AVX2:
			relaxLanesF64AVX2(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(s), f64(t), f64(slope))
		case f32AVX2:
			relaxLanesF32AVX2(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(s), f32(t), f32(slope))
		}
		return lanes
	}
	switch pick[T]() {
	case f64AVX512:
		relaxLanesSaveF64AVX512(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(save), f64(s), f64(t), f64(slope))
	case f32AVX512:
		relaxLanesSaveF32AVX512(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(save), f32(s), f32(t), f32(slope))
	case f64AVX2:
		relaxLanesSaveF64AVX2(len(idx), &idx[0], lanes, R, f64(nu), f64(d), f64(a), f64(save), f64(s), f64(t), f64(slope))
	case f32AVX2:
		relaxLanesSaveF32AVX2(len(idx), &idx[0], lanes, R, f32(nu), f32(d), f32(a), f32(save), f32(s), f32(t), f32(slope))
	}
	return lanes
}

func relaxLinesVec[T Float](nu, d, m, a []T, R int, l Lines[T]) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		relaxLinesF64AVX512(len(l.KL), lanes, R, f64(nu), f64(d), f64(m), f64(a), f64(l.KL), f64(l.TL), f64(l.KU), f64(l.TU))
	case f32AVX512:
		relaxLinesF32AVX512(len(l.KL), lanes, R, f32(nu), f32(d), f32(m), f32(a), f32(l.KL), f32(l.TL), f32(l.KU), f32(l.TU))
	case f64AVX2:
		relaxLinesF64AVX2(len(l.KL), lanes, R, f64(nu), f64(d), f64(m), f64(a), f64(l.KL), f64(l.TL), f64(l.KU), f64(l.TU))
	case f32AVX2:
		relaxLinesF32AVX2(len(l.KL), lanes, R, f32(nu), f32(d), f32(m), f32(a), f32(l.KL), f32(l.TL), f32(l.KU), f32(l.TU))
	}
	return lanes
}

func sumRows[T Float](d, e, a []T, R int, b, S []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	if b == nil {
		switch pick[T]() {
		case f64AVX512:
			sumAbsRowsF64AVX512(len(S), lanes, R, f64(e), f64(a), f64(S))
		case f32AVX512:
			sumAbsRowsF32AVX512(len(S), lanes, R, f32(e), f32(a), f32(S))
		case f64AVX2:
			sumAbsRowsF64AVX2(len(S), lanes, R, f64(e), f64(a), f64(S))
		case f32AVX2:
			sumAbsRowsF32AVX2(len(S), lanes, R, f32(e), f32(a), f32(S))
		}
		return lanes
	}
	switch pick[T]() {
	case f64AVX512:
		sumRowsF64AVX512(len(S), lanes, R, f64(d), f64(e), f64(a), f64(b), f64(S))
	case f32AVX512:
		sumRowsF32AVX512(len(S), lanes, R, f32(d), f32(e), f32(a), f32(b), f32(S))
	case f64AVX2:
		sumRowsF64AVX2(len(S), lanes, R, f64(d), f64(e), f64(a), f64(b), f64(S))
	case f32AVX2:
		sumRowsF32AVX2(len(S), lanes, R, f32(d), f32(e), f32(a), f32(b), f32(S))
	}
	return lanes
}

func primalSharedVec[T Float](v, z, a []T, idx []int32, R int, slope, s, t []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		primalSharedF64AVX512(len(idx), &idx[0], lanes, R, f64(v), f64(z), f64(a), f64(s), f64(t), f64(slope))
	case f32AVX512:
		primalSharedF32AVX512(len(idx), &idx[0], lanes, R, f32(v), f32(z), f32(a), f32(s), f32(t), f32(slope))
	case f64AVX2:
		primalSharedF64AVX2(len(idx), &idx[0], lanes, R, f64(v), f64(z), f64(a), f64(s), f64(t), f64(slope))
	case f32AVX2:
		primalSharedF32AVX2(len(idx), &idx[0], lanes, R, f32(v), f32(z), f32(a), f32(s), f32(t), f32(slope))
	}
	return lanes
}

func primalLanesVec[T Float](v, z, a, slope []T, idx []int32, R int, s, t []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		primalLanesF64AVX512(len(idx), &idx[0], lanes, R, f64(v), f64(z), f64(a), f64(s), f64(t), f64(slope))
	case f32AVX512:
		primalLanesF32AVX512(len(idx), &idx[0], lanes, R, f32(v), f32(z), f32(a), f32(s), f32(t), f32(slope))
	case f64AVX2:
		primalLanesF64AVX2(len(idx), &idx[0], lanes, R, f64(v), f64(z), f64(a), f64(s), f64(t), f64(slope))
	case f32AVX2:
		primalLanesF32AVX2(len(idx), &idx[0], lanes, R, f32(v), f32(z), f32(a), f32(s), f32(t), f32(slope))
	}
	return lanes
}

func primalLinesVec[T Float](v, z, a []T, R int, l Lines[T]) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		primalLinesF64AVX512(len(l.KL), lanes, R, f64(v), f64(z), f64(a), f64(l.KL), f64(l.TL), f64(l.KU), f64(l.TU))
	case f32AVX512:
		primalLinesF32AVX512(len(l.KL), lanes, R, f32(v), f32(z), f32(a), f32(l.KL), f32(l.TL), f32(l.KU), f32(l.TU))
	case f64AVX2:
		primalLinesF64AVX2(len(l.KL), lanes, R, f64(v), f64(z), f64(a), f64(l.KL), f64(l.TL), f64(l.KU), f64(l.TU))
	case f32AVX2:
		primalLinesF32AVX2(len(l.KL), lanes, R, f32(v), f32(z), f32(a), f32(l.KL), f32(l.TL), f32(l.KU), f32(l.TU))
	}
	return lanes
}

func adamRows[T Float](alpha, m, v, a, z []T, idx []int32, R int, par *[8]T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		adamF64AVX512(len(idx), &idx[0], lanes, R, f64(alpha), f64(m), f64(v), f64(a), f64(z), f64(par[:]))
	case f32AVX512:
		adamF32AVX512(len(idx), &idx[0], lanes, R, f32(alpha), f32(m), f32(v), f32(a), f32(z), f32(par[:]))
	case f64AVX2:
		adamF64AVX2(len(idx), &idx[0], lanes, R, f64(alpha), f64(m), f64(v), f64(a), f64(z), f64(par[:]))
	case f32AVX2:
		adamF32AVX2(len(idx), &idx[0], lanes, R, f32(alpha), f32(m), f32(v), f32(a), f32(z), f32(par[:]))
	}
	return lanes
}

func cornerRows[T Float](x, a []T, R int, lo, hi []T) int {
	lanes := vectorised[T](R)
	if lanes == 0 {
		return 0
	}
	switch pick[T]() {
	case f64AVX512:
		cornerF64AVX512(len(lo), lanes, R, f64(x), f64(a), f64(lo), f64(hi))
	case f32AVX512:
		cornerF32AVX512(len(lo), lanes, R, f32(x), f32(a), f32(lo), f32(hi))
	case f64AVX2:
		cornerF64AVX2(len(lo), lanes, R, f64(x), f64(a), f64(lo), f64(hi))
	case f32AVX2:
		cornerF32AVX2(len(lo), lanes, R, f32(x), f32(a), f32(lo), f32(hi))
	}
	return lanes
}
