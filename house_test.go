// These tests hold the shape of the whole module: who may import whom, and what
// it costs to import us. They ask the go command, so they see what a build sees.
package mpsevents_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/mps-events/mps-events"

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), &stderr)
	return out
}

// rooms may import only those before them, and of the public ones only these.
var rooms = []string{
	"event", "internal/openamt", "internal/redact", "internal/loglimit", "internal/mqtttopic", "internal/mqttconn", "publisher", "publisher/spool", "middleware",
	"internal/ilert", "internal/decision", "internal/rules", "internal/rules/rulefile", "internal/rules/rulestest", "internal/ilagent", "internal/store", "internal/consumer", "internal/webguard", "internal/broker", "mps-ilert/internal/httpapi", "mps-ilert/internal/rehearsal", "mps-ilert", "mps-sim",
}

// mayImport names the rooms that a room may know, where that is less than all
// before it. The wire form is the only bond between publisher and consumer.
var mayImport = map[string][]string{
	"event":                        {},
	"internal/openamt":             {},
	"internal/redact":              {},
	"internal/loglimit":            {},
	"internal/mqtttopic":           {},
	"internal/mqttconn":            {"internal/redact", "internal/mqtttopic"},
	"publisher":                    {"event", "internal/redact", "internal/mqtttopic", "internal/mqttconn"},
	"publisher/spool":              {"internal/mqttconn", "publisher"},
	"middleware":                   {"event", "internal/openamt"},
	"internal/ilert":               {"internal/redact"},
	"internal/decision":            {"internal/redact", "internal/ilert"},
	"internal/rules":               {"event", "internal/openamt", "internal/mqtttopic", "internal/ilert", "internal/decision"},
	"internal/rules/rulefile":      {"event", "internal/mqtttopic", "internal/ilert", "internal/decision", "internal/rules"},
	"internal/rules/rulestest":     {"internal/decision", "internal/rules/rulefile"},
	"internal/ilagent":             {"internal/redact", "internal/ilert", "internal/decision"},
	"internal/store":               {"internal/ilert", "internal/decision"},
	"internal/consumer":            {"event", "internal/redact", "internal/loglimit", "internal/mqtttopic", "internal/mqttconn", "internal/ilert", "internal/decision", "internal/rules", "internal/rules/rulefile", "internal/ilagent", "internal/store"},
	"mps-ilert/internal/httpapi":   {"internal/loglimit", "internal/consumer"},
	"mps-ilert/internal/rehearsal": {"event", "internal/decision", "internal/rules", "internal/rules/rulefile", "internal/store"},
	"internal/webguard":            {},
	"internal/broker":              {"internal/mqttconn", "internal/webguard"},
}

func roomOf(importPath string) string {
	path := strings.TrimPrefix(importPath, module+"/")
	room := ""
	for _, r := range rooms {
		if (path == r || strings.HasPrefix(path, r+"/")) && len(r) > len(room) {
			room = r
		}
	}
	return room
}

func TestImportsRunOneWay(t *testing.T) {
	out := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-json=ImportPath,Imports", "./...")))
	seen := map[string]bool{}
	for out.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		require.NoError(t, out.Decode(&p))
		if p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/examples") {
			continue
		}
		room := roomOf(p.ImportPath)
		require.NotEmpty(t, room, "%s belongs to no room", p.ImportPath)
		seen[room] = true
		allowed, restricted := mayImport[room]
		if !restricted {
			allowed = rooms[:slices.Index(rooms, room)]
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module) && roomOf(imported) != room {
				assert.Contains(t, allowed, roomOf(imported), "%s imports %s", p.ImportPath, imported)
			}
		}
	}
	for _, room := range rooms {
		assert.True(t, seen[room], "%s is gone", room)
	}
}

// What a server links that imports publisher and middleware: paho.golang, gin,
// and what these link.
func TestImportersLinkNothingElse(t *testing.T) {
	for pkg, want := range map[string][]string{
		"./publisher": {"github.com/eclipse/paho.golang", "github.com/gorilla/websocket", "golang.org/x/net"},
		"./middleware": {
			"github.com/gabriel-vasile/mimetype", "github.com/gin-contrib/sse", "github.com/gin-gonic/gin",
			"github.com/go-playground/locales", "github.com/go-playground/universal-translator",
			"github.com/go-playground/validator/v10", "github.com/goccy/go-yaml", "github.com/leodido/go-urn",
			"github.com/mattn/go-isatty", "github.com/pelletier/go-toml/v2", "github.com/quic-go/qpack",
			"github.com/quic-go/quic-go", "github.com/ugorji/go/codec", "go.mongodb.org/mongo-driver/v2",
			"golang.org/x/crypto", "golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", "google.golang.org/protobuf",
		},
	} {
		var linked []string
		lines := bufio.NewScanner(bytes.NewReader(goCommand(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg)))
		for lines.Scan() {
			if path := lines.Text(); path != "" && path != module && !slices.Contains(linked, path) {
				linked = append(linked, path)
			}
		}
		assert.ElementsMatch(t, want, linked, pkg)
	}
}

// Whoever makes a consumer, as mps-sim does, links no client of Prometheus.
func TestOnlyTheCommandHasMetrics(t *testing.T) {
	for line := range strings.Lines(string(goCommand(t, "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./..."))) {
		path, imports, _ := strings.Cut(line, " ")
		assert.Equal(t, path == module+"/mps-ilert/internal/httpapi", strings.Contains(imports, "github.com/prometheus/"), path)
	}
}

// Adding us to Console raises no version that Console requires already.
func TestConsoleKeepsItsVersions(t *testing.T) {
	console := map[string]string{}
	file, err := os.Open("testdata/facts/console-requires.txt")
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		path, version, _ := strings.Cut(lines.Text(), " ")
		console[path] = version
	}
	var ours struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	require.NoError(t, json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &ours))
	assert.Equal(t, "1.25.0", ours.Go, "as gin asks")
	shared := 0
	for _, r := range ours.Require {
		if theirs, ok := console[r.Path]; ok {
			shared++
			assert.LessOrEqual(t, slices.Compare(numbers(t, r.Version), numbers(t, theirs)), 0, "%s: ours %s, Console's %s", r.Path, r.Version, theirs)
		}
	}
	assert.NotZero(t, shared)
}

// numbers makes v1.2.3 or v0.0.0-20220910002029-abceb7e1c41e comparable.
func numbers(t *testing.T, version string) []int {
	t.Helper()
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	var all []int
	for i, part := range strings.FieldsFunc(version, func(r rune) bool { return r == '.' || r == '-' }) {
		n, err := strconv.Atoi(part)
		if err != nil {
			require.GreaterOrEqual(t, i, 3, version) // the hash of a pseudo-version
			break
		}
		all = append(all, n)
	}
	return all
}
