package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// yamlBlocks matches the blocks of YAML in a document.
var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Each block of docs/rules.md is a file of rules to copy.
func TestTheRecipesOfTheDocumentsAreRules(t *testing.T) {
	text, err := os.ReadFile("../docs/rules.md")
	require.NoError(t, err)
	blocks := yamlBlocks.FindAllSubmatch(text, -1)
	require.Greater(t, len(blocks), 10)
	for _, block := range blocks {
		out, err := check(t, "", "--config", write(t, "rules.yaml", string(block[1])))
		assert.NoError(t, err, "%s\n%s", block[1], out)
	}
}
