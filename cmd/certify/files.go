package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// files finds out which file is the model and which the query, whatever the order and the flags.
func (f *verifyFlags) files(args []string) (model, query string, err error) {
	var models []string
	for _, n := range f.networks {
		if _, file, ok := strings.Cut(n, "="); ok {
			n = file
		}
		models = append(models, n)
	}
	rest := append([]string{}, args...)
	if f.spec != "" {
		rest = append(rest, f.spec)
	}
	if len(models) > 1 {
		return "", "", unsupportedf("ask about one network", "queries over several networks are not supported yet")
	}
	switch {
	case len(models) == 1 && len(rest) == 1:
		rest = append(models, rest...)
	case len(models) == 0 && len(rest) == 2:
	case len(models) == 0 && len(rest) == 1:
		return "", "", usagef("add --network NAME=MODEL, or give both files: certify verify MODEL QUERY", "the model of %s is missing", rest[0])
	default:
		return "", "", usagef("certify verify MODEL QUERY, or certify verify QUERY --network NAME=MODEL", "a query and one model are needed")
	}
	for i := range rest {
		if rest[i], err = locate(rest[i]); err != nil {
			return "", "", err
		}
	}
	return arrange(rest[0], rest[1])
}

// arrange tells a model from a query by contents; either order is accepted.
func arrange(a, b string) (model, query string, err error) {
	qa, err := isQuery(a)
	if err != nil {
		return "", "", err
	}
	qb, err := isQuery(b)
	if err != nil {
		return "", "", err
	}
	switch {
	case qa && qb:
		return "", "", malformedf("give one model and one query", "%s and %s are both queries", a, b)
	case qa:
		return b, a, nil
	case !qb:
		return "", "", malformedf("a query is VNN-LIB text: it starts with '(' or ';'", "neither %s nor %s is a query", a, b)
	}
	return a, b, nil
}

// writable makes sure, before any search, that a file can be put at path later. It leaves nothing behind. What and flag are for
// the message.
func writable(path, what, flag string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return &fs.PathError{Op: "write", Path: path, Err: fs.ErrExist}
	}
	t, err := os.CreateTemp(filepath.Dir(path), ".certify-*")
	if err != nil {
		return &failure{code: exitResources, kind: what, msg: "the " + what + " file cannot be written: " + err.Error(),
			hint: "nothing was searched; choose another " + flag, err: err}
	}
	t.Close()
	return os.Remove(t.Name())
}

// writeAtomic writes a file so that at every moment path holds either its old contents or all of the new ones.
func writeAtomic(path string, write func(*os.File) error) (err error) {
	t, err := os.CreateTemp(filepath.Dir(path), ".certify-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			t.Close()
			os.Remove(t.Name())
		}
	}()
	if err = t.Chmod(0o644); err != nil {
		return err
	}
	if err = write(t); err != nil {
		return err
	}
	if err = t.Sync(); err != nil {
		return err
	}
	if err = t.Close(); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
