package rulefile

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/rules"
)

//go:embed presets
var presets embed.FS

// PresetNames are the names of the built-in files of rules.
var PresetNames = []string{"mps", "rps", "calls"}

// DefaultPresets are the presets that the daemon uses if it has no other rules.
var DefaultPresets = []string{"mps", "rps"}

// presetName is the prefix of the file name of a preset.
const presetName = "preset "

// Preset returns a built-in file of rules.
func Preset(name string) (Source, error) {
	if !slices.Contains(PresetNames, name) {
		return Source{}, fmt.Errorf("there is no preset %q%s: want %s", name, rules.Suggestion(name, PresetNames), strings.Join(PresetNames, ", "))
	}
	text, err := presets.ReadFile("presets/" + name + ".yaml")
	return Source{Name: presetName + name, Text: text}, err
}

// Presets returns several built-in files.
func Presets(names []string) ([]Source, error) {
	all := make([]Source, len(names))
	for i, name := range names {
		var err error
		if all[i], err = Preset(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
