// Package demo holds the bundled example: a small collision-avoidance-like network (5 inputs, 5 scores, two layers of 20
// ReLUs, seeded random weights) and two questions about it, laid out as a suite that `certify bench run` reads.
package demo

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed suite
var files embed.FS

// Files returns the example's files by their names: model.onnx, safe.vnnlib (unsat), unsafe.vnnlib (sat), instances.csv and
// truth.csv.
func Files() fs.FS {
	sub, err := fs.Sub(files, "suite")
	if err != nil {
		panic("demo: " + err.Error())
	}
	return sub
}

// Unpack writes the files into dir, which is made when missing.
func Unpack(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return fs.WalkDir(Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files(), path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), data, 0o644)
	})
}
