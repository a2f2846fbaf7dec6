// Package page makes pages of the records of package robust: one HTML file that needs nothing else, for people who were not
// there.
package page
