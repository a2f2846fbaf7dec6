//go:build !race

package relax

const raceDetector = false
