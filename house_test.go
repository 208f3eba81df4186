// These tests hold the shape of the whole module: who may import whom, and what
// it costs to import us. They ask the go command, so they see what a build sees.
package mpsevents_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
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

// room is a folder with what it may import: rooms that stand before it, and modules of others.
type room struct {
	folder  string
	rooms   []string
	modules []string
}

const (
	bbolt      = "go.etcd.io/bbolt"
	cobra      = "github.com/spf13/cobra"
	expr       = "github.com/expr-lang/expr"
	gin        = "github.com/gin-gonic/gin"
	goose      = "github.com/pressly/goose/v3"
	mochi      = "github.com/mochi-mqtt/server/v2"
	paho       = "github.com/eclipse/paho.golang"
	pflag      = "github.com/spf13/pflag"
	prometheus = "github.com/prometheus/client_golang"
	sqlite     = "modernc.org/sqlite"
	testify    = "github.com/stretchr/testify"
	websocket  = "github.com/gorilla/websocket"
	yaml       = "github.com/goccy/go-yaml"
)

// house lists the rooms in the order in which they build on each other. The wire form is the
// only bond between publisher and consumer.
var house = []room{
	{"event", nil, nil},
	{"internal/openamt", nil, nil},
	{"internal/redact", nil, nil},
	{"internal/loglimit", nil, nil},
	{"internal/journal", nil, nil},
	{"internal/mqtttopic", nil, nil},
	{"internal/mqttconn", []string{"internal/redact", "internal/mqtttopic"}, []string{paho, websocket}},
	{"publisher", []string{"event", "internal/redact", "internal/mqtttopic", "internal/mqttconn"}, []string{paho}},
	{"publisher/spool", []string{"internal/mqttconn", "publisher"}, []string{bbolt}},
	{"middleware", []string{"event", "internal/openamt"}, []string{gin}},
	{"internal/ilert", []string{"internal/redact"}, nil},
	{"internal/decision", []string{"internal/redact", "internal/ilert"}, nil},
	{"internal/rules", []string{"event", "internal/openamt", "internal/mqtttopic", "internal/ilert", "internal/decision"}, []string{expr}},
	{"internal/rules/rulefile", []string{"event", "internal/mqtttopic", "internal/ilert", "internal/decision", "internal/rules"}, []string{yaml}},
	{"internal/rules/rulestest", []string{"internal/decision", "internal/rules/rulefile"}, []string{testify}},
	{"internal/ilagent", []string{"internal/redact", "internal/ilert", "internal/decision"}, nil},
	{"internal/alerting", []string{"internal/ilert", "internal/decision"}, nil},
	{"internal/sources", []string{"internal/decision", "internal/alerting"}, nil},
	{"internal/store/memory", []string{"internal/ilert", "internal/alerting"}, nil},
	{"internal/store/sqlite", []string{"internal/ilert", "internal/decision", "internal/alerting"}, []string{goose, sqlite}},
	{"internal/store/storetest", []string{"internal/ilert", "internal/decision", "internal/alerting"}, []string{testify}},
	{"internal/consumer", []string{
		"event", "internal/redact", "internal/loglimit", "internal/journal", "internal/mqtttopic", "internal/mqttconn", "internal/ilert", "internal/decision",
		"internal/rules", "internal/rules/rulefile", "internal/ilagent", "internal/alerting", "internal/sources", "internal/store/memory",
	}, []string{paho}},
	{"internal/days", []string{"event", "internal/openamt", "internal/decision"}, nil}, // only tests import it
	{"internal/webguard", nil, nil},
	{"internal/broker", []string{"internal/mqttconn", "internal/webguard"}, []string{mochi, websocket}},
	{"internal/broker/brokertest", []string{"internal/broker"}, []string{paho, testify}},
	{"mps-ilert/internal/httpapi", []string{"internal/loglimit", "internal/consumer"}, []string{prometheus}},
	{"mps-ilert/internal/rehearsal", []string{"event", "internal/mqtttopic", "internal/decision", "internal/rules", "internal/rules/rulefile", "internal/alerting", "internal/sources", "internal/store/memory"}, nil},
	{"mps-ilert", []string{
		"internal/redact", "internal/loglimit", "internal/mqtttopic", "internal/mqttconn", "internal/ilert", "internal/rules", "internal/rules/rulefile",
		"internal/alerting", "internal/store/sqlite", "internal/consumer", "mps-ilert/internal/httpapi", "mps-ilert/internal/rehearsal",
	}, []string{cobra, pflag}},
	{"mps-sim", []string{
		"event", "internal/openamt", "internal/redact", "internal/mqtttopic", "internal/mqttconn", "publisher", "middleware", "internal/ilert", "internal/alerting", "internal/store/memory", "internal/consumer", "internal/webguard",
		"internal/broker",
	}, []string{gin, paho, pflag, websocket}},
}

// pure names the rooms that ask no clock and open no file, no database and no connection.
var pure = []string{"internal/openamt", "internal/mqtttopic", "internal/decision", "internal/rules", "internal/rules/rulefile", "internal/ilagent", "internal/alerting", "internal/sources", "internal/days"}

// roomOf returns the room of a package: that of the longest folder that holds it.
func roomOf(importPath string) (in room) {
	for _, r := range house {
		if under(strings.TrimPrefix(importPath, module+"/"), r.folder) && len(r.folder) > len(in.folder) {
			in = r
		}
	}
	return in
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// packages lists what each package of the module imports, tests apart, without the examples.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-json=ImportPath,Imports", "./...")))
	all := map[string][]string{}
	for out.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		require.NoError(t, out.Decode(&p))
		if p.ImportPath != module && !under(p.ImportPath, module+"/examples") {
			all[p.ImportPath] = p.Imports
		}
	}
	return all
}

func TestImportsRunOneWay(t *testing.T) {
	for i, r := range house {
		for _, other := range r.rooms {
			assert.True(t, slices.ContainsFunc(house[:i], func(before room) bool { return before.folder == other }), "%s stands before %s", r.folder, other)
		}
	}
	seen := map[string]bool{}
	for path, imports := range packages(t) {
		in := roomOf(path)
		require.NotEmpty(t, in.folder, "%s belongs to no room", path)
		seen[in.folder] = true
		for _, imported := range imports {
			domain, _, _ := strings.Cut(imported, "/")
			switch {
			case under(imported, module):
				if other := roomOf(imported).folder; other != in.folder {
					assert.Contains(t, in.rooms, other, "%s imports %s", path, imported)
				}
			case strings.Contains(domain, "."):
				assert.True(t, slices.ContainsFunc(in.modules, func(m string) bool { return under(imported, m) }), "%s imports %s", path, imported)
			}
		}
	}
	for _, r := range house {
		assert.True(t, seen[r.folder], "%s is gone", r.folder)
	}
}

func TestPureRoomsAskNothingOfTheMachine(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTicker", "NewTimer", "Sleep", "Tick"}
	for path, imports := range packages(t) {
		folder := roomOf(path).folder
		if !slices.Contains(pure, folder) {
			continue
		}
		for _, imported := range imports {
			for _, machine := range []string{"database", "net", "os", "syscall"} {
				assert.False(t, under(imported, machine), "%s imports %s", path, imported)
			}
		}
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if of, ok := s.X.(*ast.Ident); ok && of.Name == "time" {
						assert.NotContains(t, clock, s.Sel.Name, "%s asks a clock", name)
					}
				}
				return true
			})
		}
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

// The simulator is what a stranger runs first: it is small.
func TestTheSimulatorLinksNoDatabase(t *testing.T) {
	linked := strings.Fields(string(goCommand(t, "list", "-deps", "./mps-sim")))
	for _, path := range []string{sqlite, goose, cobra, "database/sql"} {
		assert.NotContains(t, linked, path)
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
