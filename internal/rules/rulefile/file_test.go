package rulefile_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/rules/rulefile"
)

var update = flag.Bool("update", false, "write what is wrong with testdata/mistakes.yaml to mistakes.txt")

func TestEveryMistakeOfAFileIsNamedWithItsPlace(t *testing.T) {
	text, err := os.ReadFile("testdata/mistakes.yaml")
	require.NoError(t, err)
	_, err = rulefile.Load{
		Sources:  []rulefile.Source{{Name: "mistakes.yaml", Text: text}},
		Settings: []string{"metrics-address", "log-level"},
		Options:  map[string]string{"limit": "many"},
	}.Do()
	require.Error(t, err)
	got := err.Error() + "\n"
	if *update {
		require.NoError(t, os.WriteFile("testdata/mistakes.txt", []byte(got), 0o600))
	}
	want, err := os.ReadFile("testdata/mistakes.txt")
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}
