package rules_test

import "github.com/mps-events/mps-events/internal/rules/rulestest"

var (
	load, preset, mistakes = rulestest.Load, rulestest.Preset, rulestest.Mistakes
	say, failed, effects   = rulestest.Say, rulestest.Failed, rulestest.Effects
)
