package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteSize is the value of a flag for a number of bytes, such as 100MB.
type byteSize int64

// byteUnits holds the units of byteSize, the largest first.
var byteUnits = []struct {
	name  string
	bytes int64
}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}}

// Set sets the number from a text.
func (s *byteSize) Set(text string) error {
	for _, unit := range byteUnits {
		number, found := strings.CutSuffix(strings.ToLower(text), strings.ToLower(unit.name))
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/unit.bytes {
			break
		}
		*s = byteSize(n * unit.bytes)
		return nil
	}
	return errors.New("want a whole number with kB, MB or GB, such as 100MB")
}

// String returns the number in the largest unit that divides it.
func (s *byteSize) String() string {
	for _, unit := range byteUnits {
		if n := int64(*s); n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type returns the name of the type in the help.
func (s *byteSize) Type() string { return "size" }

// decisionLogFlag is the flag of the file, as errors name it.
const decisionLogFlag = "--decision_log"

// minDecisionLog is the least size of the decision log: a page of lines has to fit several times.
const minDecisionLog byteSize = 100e3

// decisionFlags registers the flags of the decision log.
func (f *daemonFlags) decisionFlags(flags *pflag.FlagSet) {
	f.decisionLogSize = 100e6
	flags.StringVar(&f.decisionLog, "decision_log", "", "file that gets a line of JSON for each message that a rule matches, each change of an alert and each answer of ilert")
	flags.Var(&f.decisionLogSize, "decision_log_size", "size at which that file is renamed to FILE.1, FILE.1 to FILE.2 and so on")
	flags.Uint16Var(&f.decisionLogKeep, "decision_log_keep", 5, "old files of the decision log that are kept")
}

// checkDecisionLog returns an error if the decision log would be too small.
func (f *daemonFlags) checkDecisionLog() error {
	if f.decisionLogSize < minDecisionLog {
		least := minDecisionLog
		return fmt.Errorf("--decision_log_size %s: want at least %s", &f.decisionLogSize, &least)
	}
	return nil
}
