package event_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/event"
)

// life returns the event of every constructor, made with the arguments in its documentation.
func life(guid string) map[string]event.Event {
	return map[string]event.Event{
		"Connected":          event.Connected(guid),
		"Disconnected":       event.Disconnected(guid, "keep-alive timed out"),
		"Activated":          event.Activated(guid, "admin control mode"),
		"ActivationFailed":   event.ActivationFailed(guid, "wrong password"),
		"Deactivated":        event.Deactivated(guid),
		"Added":              event.Added(guid),
		"Removed":            event.Removed(guid),
		"PowerChanged":       event.PowerChanged(guid),
		"RedirectionStarted": event.RedirectionStarted(guid),
		"RedirectionEnded":   event.RedirectionEnded(guid),
	}
}

func TestEveryConstructorMakesTheJSONOfItsDocumentation(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "device.go", nil, parser.ParseComments)
	require.NoError(t, err)
	all := life("4c4c4544-004b-4210-8033-b6c04f504633")
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !f.Name.IsExported() {
			continue
		}
		e, ok := all[f.Name.Name]
		require.True(t, ok, "%s is not tested", f.Name)
		delete(all, f.Name.Name)
		e.Timestamp = 1795321902892
		assert.Contains(t, strings.Split(f.Doc.Text(), "\n"), "\t"+string(e.AppendJSON(nil)), f.Name)
	}
	assert.Empty(t, all)
}

func TestConstructorsMakeWholeEvents(t *testing.T) {
	names := map[string]string{}
	for constructor, e := range life("123") {
		assert.NoError(t, e.Validate(), constructor)
		assert.Equal(t, "123", e.GUID, constructor)
		assert.Equal(t, e.Type == event.Success, e.Outcome == event.OutcomeOK, constructor)
		assert.NotEmpty(t, e.Outcome, constructor)
		name := string(e.Type) + " " + strings.Join(e.Methods, " ")
		assert.Empty(t, names[name], "%s is also %s", name, constructor)
		names[name] = constructor
	}
}

// MPS and RPS publish these events outside their REST routes.
func TestConstructorsUseTheWordsOfMPSAndRPS(t *testing.T) {
	type said struct {
		Methods []string
		Message string
	}
	theirs := map[string]said{} // by source and type
	for _, name := range []string{"mps-events", "rps-events"} {
		raw, err := os.ReadFile("../testdata/facts/" + name + ".json")
		require.NoError(t, err)
		var facts []struct {
			Source string
			Events []struct {
				Type string
				said
			}
		}
		require.NoError(t, json.Unmarshal(raw, &facts))
		for _, f := range facts {
			for _, e := range f.Events {
				theirs[f.Source+" "+e.Type] = e.said
			}
		}
	}
	for source, ours := range map[string]event.Event{
		"handleDeviceConnect success": event.Connected(""),
		"handleConnection success":    event.RedirectionStarted(""),
		"handleClose success":         event.RedirectionEnded(""),
		"setActivationStatus success": event.Activated("", "${clientObj.status.Status}"),
		"createSignedString fail":     event.ActivationFailed("", ""),
	} {
		want := theirs[source]
		assert.Equal(t, want.Methods, ours.Methods, source)
		assert.Equal(t, want.Message, ours.Message, source)
	}
}

func TestReasonAndModeMayBeEmpty(t *testing.T) {
	assert.Equal(t, "CIRA Connection Closed", event.Disconnected("1", "").Message)
	assert.Equal(t, "Failed to activate", event.ActivationFailed("1", "").Message)
	assert.Equal(t, "Device activated", event.Activated("1", "").Message)
}
