package journal_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mps-events/mps-events/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait is the time after which a test fails.
const wait = 10 * time.Second

type entry struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

func open(t *testing.T, config journal.Config) *journal.Journal {
	t.Helper()
	j, err := journal.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return j
}

// read returns the numbers of the lines of a file.
func read(t *testing.T, path string) (numbers []int) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e entry
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		numbers = append(numbers, e.N)
	}
	return numbers
}

// written waits until as many lines were written.
func written(t *testing.T, j *journal.Journal, want uint64) {
	t.Helper()
	require.Eventually(t, func() bool { n, _ := j.Counts(); return n == want }, wait, time.Millisecond)
}

func TestALineIsReadableAtOnceAndOnlyForItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j := open(t, journal.Config{Path: path, Size: 1 << 20, Keep: 1})
	j.Add(entry{1, "<a & b>"}, entry{2, ""})
	written(t, j, 2)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "{\"n\":1,\"text\":\"<a & b>\"}\n{\"n\":2,\"text\":\"\"}\n", string(text))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, j.Close())
	j = open(t, journal.Config{Path: path, Size: 1 << 20, Keep: 1})
	j.Add(entry{N: 3})
	require.NoError(t, j.Close())
	assert.Equal(t, []int{1, 2, 3}, read(t, path))
	j.Add(entry{N: 4})
	_, dropped := j.Counts()
	assert.EqualValues(t, 1, dropped)
}

func TestAFullFileIsRenamedAndTheOldestIsRemoved(t *testing.T) {
	for keep, want := range map[int]map[string][]int{
		0: {"log": {6, 7}},
		2: {"log": {6, 7}, "log.1": {4, 5}, "log.2": {2, 3}},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "log")
		j := open(t, journal.Config{Path: path, Size: 250, Keep: keep}) // two lines
		for n := range 8 {
			j.Add(entry{n, strings.Repeat("x", 100)})
			written(t, j, uint64(n)+1)
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		got := map[string][]int{}
		for _, file := range files {
			got[file.Name()] = read(t, filepath.Join(dir, file.Name()))
		}
		assert.Equal(t, want, got)
	}
}

func TestAFileThatSomebodyMovesIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j := open(t, journal.Config{Path: path, Size: 1 << 20, Keep: 1})
	j.Add(entry{N: 1})
	written(t, j, 1)
	require.NoError(t, os.Rename(path, path+".moved"))
	j.Add(entry{N: 2})
	written(t, j, 2)
	assert.Equal(t, []int{1}, read(t, path+".moved"))
	assert.Equal(t, []int{2}, read(t, path))
}

func TestWhatCannotBeWrittenIsCountedUntilTheFileWorksAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "log")
	type failure struct {
		err   error
		lines int
	}
	failures := make(chan failure, 1)
	j := open(t, journal.Config{Path: path, Size: 1 << 20, Keep: 1, Failed: func(err error, lines int) { failures <- failure{err, lines} }})
	require.NoError(t, os.RemoveAll(dir))
	j.Add(entry{N: 1}, entry{N: 2})
	failed := <-failures
	assert.ErrorContains(t, failed.err, path)
	assert.Equal(t, 2, failed.lines)
	_, dropped := j.Counts()
	assert.EqualValues(t, 2, dropped)

	require.NoError(t, os.Mkdir(dir, 0o700))
	j.Add(entry{N: 3})
	written(t, j, 1)
	assert.Equal(t, []int{3}, read(t, path))
}

func TestAnUnusableFileIsNamedAtTheStart(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing", "log")} {
		_, err := journal.Open(journal.Config{Path: path, Size: 10})
		assert.ErrorContains(t, err, path)
	}
}

func TestManyWritersLoseNothingThatIsNotCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j := open(t, journal.Config{Path: path, Size: 1 << 30})
	const writers, lines = 8, 10_000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for n := range lines {
				j.Add(entry{N: n})
			}
		})
	}
	all.Wait()
	require.NoError(t, j.Close())
	kept, dropped := j.Counts()
	assert.EqualValues(t, writers*lines, kept+dropped)
	assert.Len(t, read(t, path), int(kept))
}
