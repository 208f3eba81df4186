package mqttconn_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

func TestParseAddress(t *testing.T) {
	for address, want := range map[string][]string{
		"mosquitto":                          {"mqtt://mosquitto:1883"},
		"mosquitto:8883":                     {"mqtt://mosquitto:8883"}, // without TLS: the port does not decide on it
		"tcp://h":                            {"mqtt://h:1883"},
		"mqtts://h":                          {"mqtts://h:8883"},
		"SSL://h:1":                          {"mqtts://h:1"},
		"tls://h":                            {"mqtts://h:8883"},
		"ws://kong/mosquitto":                {"ws://kong:80/mosquitto"},
		"wss://kong/mosquitto":               {"wss://kong:443/mosquitto"},
		"mqtt://[::1]":                       {"mqtt://[::1]:1883"},
		"mqtt://[fe80::1]:7":                 {"mqtt://[fe80::1]:7"},
		"mqtt://h/":                          {"mqtt://h:1883/"},
		"mqtts://a, mqtts://u:p%40ss@b:9 ,c": {"mqtts://a:8883", "mqtts://b:9", "mqtt://c:1883"},
	} {
		servers, err := mqttconn.ParseAddress(address)
		require.NoError(t, err, address)
		var got []string
		for _, s := range servers {
			got = append(got, s.URL.String())
		}
		assert.Equal(t, want, got, address)
	}
	servers, err := mqttconn.ParseAddress("mqtt://u:p%40ss@b")
	require.NoError(t, err)
	password, _ := servers[0].User.Password()
	assert.Equal(t, "u p@ss", servers[0].User.Username()+" "+password)
}

// The text after the comma would be taken for another address, to which the client would send
// the rest of the password.
func TestACommaInAPasswordIsAnErrorThatHidesIt(t *testing.T) {
	for _, address := range []string{
		"mqtt://u:12,s3cret@h", "mqtt://u:12,s3cret@h:1", "mqtt://u:s3c:et,x@h", "mqtt://u:1,2,s3cret@h",
		"mqtt://u:s3cret,@h", "mqtt://u:,s3cret@h", "mqtts://a,mqtts://u:12,s3cret@h", "u:12,s3cret@h",
	} {
		_, err := mqttconn.ParseAddress(address)
		require.ErrorContains(t, err, "write %2C for a comma", address)
		assert.NotContains(t, err.Error(), "s3c", address)
	}
	servers, err := mqttconn.ParseAddress("mqtt://u:12%2Cs3cret@h")
	require.NoError(t, err)
	password, _ := servers[0].User.Password()
	assert.Equal(t, "12,s3cret", password)
}

func FuzzParseAddress(f *testing.F) {
	f.Add("mqtts://u:s3cret@a:1,ws://[::1]/x")
	f.Add("mqtt://u:s3cret%zz@a")
	f.Add("://u:s3cret@\x00")
	f.Fuzz(func(t *testing.T, address string) {
		servers, err := mqttconn.ParseAddress(address)
		if err != nil {
			return
		}
		require.NotEmpty(t, servers)
		for _, s := range servers {
			assert.Nil(t, s.URL.User)
			assert.NotEmpty(t, s.URL.Port())
		}
	})
}
