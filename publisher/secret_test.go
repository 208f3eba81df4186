package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
)

// printed returns a value as fmt, both handlers of slog, and JSON print it.
func printed(v any) string {
	var b bytes.Buffer
	for _, flags := range []string{"%", "%+", "%#", "% ", "%20"} {
		for verb := range strings.SplitSeq("v s q d b o O c U e E f F g G t", " ") {
			fmt.Fprintf(&b, flags+verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("x", "v", v, "in", struct{ V any }{v}, "list", []any{v})
	}
	text, _ := json.Marshal(v)
	return b.String() + string(text)
}

// Each text of a Config either may be seen by anybody, or is never printed.
func TestAConfigPrintsNoSecret(t *testing.T) {
	open := map[string]bool{"Topic": true, "ClientID": true, "Source": true, "Username": true, "CAFile": true, "CertFile": true, "KeyFile": true, "QoS": true, "SpoolDir": true}
	var config publisher.Config
	fields := reflect.ValueOf(&config).Elem()
	for i := range fields.NumField() {
		if field := fields.Field(i); field.Kind() == reflect.String && field.CanSet() {
			field.SetString("canary" + fields.Type().Field(i).Name)
		}
	}
	for _, v := range []any{config, &config, []publisher.Config{config}, struct{ C publisher.Config }{config}} {
		text := printed(v)
		for i := range fields.NumField() {
			if name := fields.Type().Field(i).Name; fields.Field(i).Kind() == reflect.String {
				assert.Equal(t, open[name], strings.Contains(text, "canary"+name), "%T: %s", v, name)
			}
		}
	}
	assert.Contains(t, config.String(), "Address:*** ")
	assert.Contains(t, publisher.Config{}.String(), "Password: ", "none is there to be hidden")
}

// A user without a password may be a token.
func TestATokenAsTheUserIsNotPrinted(t *testing.T) {
	assert.NotContains(t, printed(publisher.Config{Username: "canary"}), "canary")
	assert.Contains(t, publisher.Config{Username: "u", Password: "p"}.String(), "Username:u ")
}

func TestAPublisherPrintsNoSecret(t *testing.T) {
	pub, err := publisher.New(publisher.Config{Address: "ws://127.0.0.1:1/mqtt?t=canary1", Username: "u", Password: "canary2"})
	require.NoError(t, err)
	require.NoError(t, pub.Shutdown(context.Background())) // fmt reads all fields, without their locks
	assert.NotContains(t, printed(pub), "canary")
}
