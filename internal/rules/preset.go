package rules

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed presets
var presets embed.FS

// PresetNames are the names of the built-in files of rules.
var PresetNames = []string{"mps", "rps", "calls"}

// presetName begins the name of a built-in file.
const presetName = "preset "

// Preset returns a built-in file of rules.
func Preset(name string) (Source, error) {
	if !slices.Contains(PresetNames, name) {
		return Source{}, fmt.Errorf("there is no preset %q%s: want %s", name, suggestion(name, PresetNames), strings.Join(PresetNames, ", "))
	}
	text, err := presets.ReadFile("presets/" + name + ".yaml")
	return Source{Name: presetName + name, Text: text}, err
}
