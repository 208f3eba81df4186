package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/consumer"
)

// Each text of a Config is either public, or never printed.
func TestAConfigPrintsNoSecret(t *testing.T) {
	hidden := map[string]bool{"Address": true, "Password": true, "IntegrationKey": true, "HeartbeatKey": true}
	var config consumer.Config
	fields := reflect.ValueOf(&config).Elem()
	for i := range fields.NumField() {
		if field := fields.Field(i); field.Kind() == reflect.String {
			field.SetString("canary-" + fields.Type().Field(i).Name + "-")
		}
	}
	config.Mapping = &consumer.Mapping{IntegrationKey: "canary-Mapping-", OtherKey: "canary-Mapping-"}
	var log strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "v", config, "in", struct{ C consumer.Config }{config}, "mapping", config.Mapping)
	}
	text, err := json.Marshal(config)
	require.NoError(t, err)
	seen := fmt.Sprintf("%v %+v %#v %s %q %d %v", config, config, &config, config, config, config, *config.Mapping) +
		config.String() + config.GoString() + config.LogValue().String() + log.String() + string(text)
	for i := range fields.NumField() {
		if name := fields.Type().Field(i).Name; fields.Field(i).Kind() == reflect.String {
			assert.Equal(t, !hidden[name], strings.Contains(seen, "canary-"+name+"-"), name)
		}
	}
	assert.NotContains(t, seen, "canary-Mapping-")
}

func TestAConsumerPrintsNoSecret(t *testing.T) {
	c, err := consumer.New(consumer.Config{
		Address: "ws://127.0.0.1:1/mqtt?t=canary1", Username: "u", Password: "canary2", IntegrationKey: "canary3", HeartbeatKey: "canary4",
		ClientID: "c", OpenStore: storeAt(newStorePath(t)),
	})
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, c), "canary")
	ended, end := context.WithCancel(t.Context())
	end()
	require.NoError(t, c.Run(ended)) // which closes the store
}
