package publisher_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
)

func TestWithoutAnAddressAllWorksAndNothingHappens(t *testing.T) {
	t.Setenv("MPS_MQTT_ADDRESS", "")
	pub, err := publisher.FromEnv()
	require.NoError(t, err)
	require.NoError(t, pub.Publish(numbered(1)))
	require.NoError(t, pub.Flush(context.Background()))
	assert.Zero(t, pub.Stats())
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.ErrorIs(t, pub.Publish(numbered(1)), publisher.ErrClosed)
}

func TestFromEnvAppliesAdjustments(t *testing.T) {
	t.Setenv("MPS_MQTT_ADDRESS", "")
	var log bytes.Buffer
	pub, err := publisher.FromEnv(
		func(c *publisher.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) },
		func(c *publisher.Config) { c.Source = "console-1" },
	)
	require.NoError(t, err)
	require.NoError(t, pub.Shutdown(context.Background()))
	assert.Contains(t, log.String(), "MPS_MQTT_ADDRESS is empty: events are not published")
	_, err = publisher.FromEnv(func(c *publisher.Config) { c.Source = "\n" })
	require.ErrorContains(t, err, "Source")
	pub, err = publisher.FromEnv(func(c *publisher.Config) { c.Logger = nil })
	require.NoError(t, err, "nil discards")
	require.NoError(t, pub.Shutdown(context.Background()))
}

func TestEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("pa ss\n"), 0o600))
	for name, value := range map[string]string{
		"ADDRESS": "mqtts://a,ws://b/mosquitto", "TOPIC": "x/y", "QOS": "0", "CLIENT_ID": "me",
		"USERNAME": "u", "PASSWORD_FILE": secret, "CA_FILE": "ca", "CERT_FILE": "cert", "KEY_FILE": "key",
	} {
		t.Setenv("MPS_MQTT_"+name, value)
	}
	config, err := publisher.ConfigFromEnv()
	require.NoError(t, err)
	assert.Equal(t, publisher.Config{
		Address: "mqtts://a,ws://b/mosquitto", Topic: "x/y", QoS: publisher.AtMostOnce, ClientID: "me",
		Username: "u", Password: "pa ss", CAFile: "ca", CertFile: "cert", KeyFile: "key",
	}, config)
	_, err = publisher.New(config)
	assert.ErrorContains(t, err, "open ca:", "a missing file shows at once, not at the first connection")
}

func TestBadEnvironmentIsNamedAndKeepsItsSecrets(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"MPS_MQTT_ADDRESS", "http://u:s3cret@a", `unknown scheme "http"`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a:0", `port "0"`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a:70000", `port "70000"`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a:x", `is no address`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret%zz@a", `is no address`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret@", `names no host`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3,cret@h", `write %2C for a comma`},
		{"MPS_MQTT_ADDRESS", "mqtt:/u:s3cret@h", `"mqtt://***@h" has more than`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3/cret@h:1", `write %2F for /`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3#cret@h:1", `write %2F for /`},
		{"MPS_MQTT_ADDRESS", "mqtt://u/s3cret@h:1", `"mqtt://***@h:1" has more than`},
		{"MPS_MQTT_ADDRESS", "mqtt://a,", `address is empty`},
		{"MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a/path", `only ws and wss take a path`},
		{"MPS_MQTT_TOPIC", "mps/#", `wildcards`},
		{"MPS_MQTT_TOPIC", "mps/\xff", `UTF-8`},
		{"MPS_MQTT_TOPIC", "mps/\x01", `U+0001`},
		{"MPS_MQTT_CLIENT_ID", "a\nb", `U+000A`},
		{"MPS_MQTT_STATUS", "perhaps", `"perhaps": want true or false`},
		{"MPS_MQTT_QOS", "2", `"2": want 0 or 1`},
		{"MPS_MQTT_PASSWORD_FILE", "/nowhere", `/nowhere`},
	} {
		t.Run(c.name+" "+c.value, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			_, err := publisher.ConfigFromEnv()
			require.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, c.name)
			assert.NotContains(t, err.Error(), "s3")
		})
	}
	t.Setenv("MPS_MQTT_PASSWORD", "s3cret")
	t.Setenv("MPS_MQTT_PASSWORD_FILE", "/x")
	_, err := publisher.ConfigFromEnv()
	require.ErrorContains(t, err, "MPS_MQTT_PASSWORD and MPS_MQTT_PASSWORD_FILE are both set")
	t.Setenv("MPS_MQTT_PASSWORD_FILE", "")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a,mqtt://v@b")
	_, err = publisher.ConfigFromEnv()
	require.ErrorContains(t, err, "MPS_MQTT_ADDRESS) holds a user too")
	assert.NotContains(t, err.Error(), "s3cret")
	t.Setenv("MPS_MQTT_ADDRESS", "mqtt://u:s3cret@a,mqtt://b")
	_, err = publisher.ConfigFromEnv()
	require.NoError(t, err, "the second needs it")
}

// The client id is the default of the source, but the error must name the client id.
func TestABadClientIDIsNamedEachTime(t *testing.T) {
	for range 50 {
		_, err := publisher.New(publisher.Config{ClientID: "a\nb"})
		require.ErrorContains(t, err, `ClientID (MPS_MQTT_CLIENT_ID) "a\nb"`)
	}
	_, err := publisher.New(publisher.Config{ClientID: "a", Source: "a\nb"})
	require.ErrorContains(t, err, `Source "a\nb"`)
}

func TestOnlyTwoQualitiesOfServiceAreTaken(t *testing.T) {
	_, err := publisher.New(publisher.Config{QoS: "2"})
	require.ErrorContains(t, err, `QoS "2" (MPS_MQTT_QOS): want 0 (AtMostOnce) or 1 (AtLeastOnce)`)
}

// Two Configs with equal fields behave alike: a Config has no hidden fields.
func TestAConfigHasNoHiddenFields(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[publisher.Config]()) {
		assert.True(t, field.IsExported(), field.Name)
	}
}
