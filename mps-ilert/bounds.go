package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/mps-events/mps-events/internal/alerting"
)

// letterFlags registers the flags that bound the dead letters.
func (f *daemonFlags) letterFlags(flags *pflag.FlagSet) {
	flags.Uint32Var(&f.maxLetters, "max_dead_letters", uint32(alerting.DefaultBounds.Letters), "dead letters that are kept; the oldest are purged")
	flags.Uint32Var(&f.maxLetterMiB, "max_dead_letter_mib", uint32(alerting.DefaultBounds.LetterBytes>>20), "MiB of dead letters that are kept")
	flags.DurationVar(&f.maxLetterAge, "max_dead_letter_age", alerting.DefaultBounds.LetterAge, "age at which dead letters are purged")
}

// checkBounds returns an error if a bound is zero, so that nothing would fit.
func (f *daemonFlags) checkBounds() error {
	switch {
	case f.maxLetters == 0:
		return errors.New("--max_dead_letters 0: want a number above zero")
	case f.maxLetterMiB == 0:
		return errors.New("--max_dead_letter_mib 0: want a number above zero")
	case f.maxLetterAge <= 0:
		return fmt.Errorf("--max_dead_letter_age %v: want a positive duration", f.maxLetterAge)
	case f.maxConnections == 0:
		return errors.New("--max_connections 0: want a number above zero")
	}
	return nil
}
