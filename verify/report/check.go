package report

// CheckSchema names the JSON object of a check.
const CheckSchema = "certify.check/1"

// A Check is the certify.check/1 object: what the kernel said of a certificate or a witness.
type Check struct {
	Schema   string `json:"schema"`
	Accepted bool   `json:"accepted"`
	Claim    string `json:"claim"` // unsat or sat
	// Semantics is that of an accepted unsat: real, or both for a proof about binary32, which holds for real arithmetic too.
	Semantics string `json:"semantics,omitempty"`
	Reason    string `json:"reason,omitempty"` // of a refusal
	Case      int    `json:"case"`             // that a witness satisfies
	Cases     int    `json:"cases"`
	Leaves    int    `json:"leaves"`
	Splits    int    `json:"splits"`
	Lemmas    int    `json:"lemmas"`
	Products  int64  `json:"products"` // of integers
	Bytes     int    `json:"bytes"`    // of the proof
	Time      struct {
		Wall  float64 `json:"wall"`  // seconds since the start of the process, reading the files included
		Check float64 `json:"check"` // of these the check alone
	} `json:"time"`
}
