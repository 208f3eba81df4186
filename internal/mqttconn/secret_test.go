package mqttconn_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/broker/brokertest"
	"github.com/mps-events/mps-events/internal/mqttconn"
)

func TestAQueryIsTakenAndIsNoPartOfTheURL(t *testing.T) {
	for address, want := range map[string][2]string{
		"wss://h/mqtt?X-Amz-Security-Token=s3cret%2F%3D&X-Amz-Date=1": {"wss://h:443/mqtt", "wss://h:443/mqtt?X-Amz-Security-Token=s3cret%2F%3D&X-Amz-Date=1"},
		"ws://h?a=?@:/": {"ws://h:80", "ws://h:80?a=?@:/"},
		"ws://h/mqtt?":  {"ws://h:80/mqtt", "ws://h:80/mqtt"},
		"wss://u:s3cret@a/x?t=s3cret1, wss://b/y?t=s3cret2,mqtts://c": {"wss://a:443/x wss://b:443/y mqtts://c:8883", "wss://a:443/x?t=s3cret1 wss://b:443/y?t=s3cret2 mqtts://c:8883"},
	} {
		servers, err := mqttconn.ParseAddress(address)
		require.NoError(t, err, address)
		var shown, dialed []string
		for _, s := range servers {
			shown, dialed = append(shown, s.URL.String()), append(dialed, s.Dialed())
		}
		assert.Equal(t, want, [2]string{strings.Join(shown, " "), strings.Join(dialed, " ")}, address)
	}
}

// An error names the part that is wrong, and shows no text that may be a secret.
func TestAnErrorOfAnAddressNamesThePartAndHidesSecrets(t *testing.T) {
	for address, want := range map[string]string{
		"mqtt://h?token=s3cret":             `"mqtt://h?***" has a query`,
		"mqtts://h:1/?s3cret":               `"mqtts://h:1/?***" has a query`,
		"mqtt://u:p@h?token=s3cret":         `"mqtt://***" has a query`,
		"h?s3cret":                          `has a query`,
		"mqtt://u?s3cret@h":                 `write %3F`,
		"wss://h/mqtt#s3cret":               `"wss://h/mqtt#***" has a #`,
		"wss://h/mqtt?t=s3#cret":            `has a #`,
		"wss://h/mqtt#":                     `has a #`,
		"wss://h/mqtt?t=s3cret%zz":          `has a character in its query`,
		"wss://h/mqtt?t=s3cret%":            `has a character in its query`,
		"wss://h/mqtt?t=s3 cret":            `has a character in its query`,
		"wss://h/mqtt?t=s3\"cret":           `has a character in its query`,
		"wss://h/mqtt?t=s3\ncret":           `is no address`,
		"wss://h/%zz?t=s3cret":              `is no address`,
		"wss://h:s3cret/mqtt":               `is no address`,
		"wss://u:s3cret":                    `is no address`,
		"wss://u:s3/cret":                   `is no address`,
		"wss://h/u:s3cret@x/mqtt":           `write %40`,
		"wss:/u:s3cret@h/mqtt":              `"mqtt://***@h/mqtt" has more than`,
		"u:s3cret://x@h":                    `is no address`,
		"wss:///mqtt?t=s3cret":              `names no host`,
		"http://h/mqtt?t=s3cret":            `unknown scheme "http"`,
		"wss://h:70000/mqtt?t=s3cret":       `port "70000"`,
		"wss://h/mqtt?a=1,s3cret":           `write %2C for a comma`,
		"wss://h/mqtt?a=1,s3cret=2&x=3":     `write %2C for a comma`,
		"wss://h/mqtt?a=1,s3cret://x":       `write %2C for a comma`,
		"mqtt://a,wss://h/mqtt?a=1,s3cret":  `write %2C for a comma`,
		"wss://h?a=1,mqtt://b?t=s3cret":     `"mqtt://b?***" has a query`,
		"MPS_MQTT_ADDRESS=wss://h?t=s3cret": `is no address`,
	} {
		_, err := mqttconn.ParseAddress(address)
		require.ErrorContains(t, err, want, address)
		for _, part := range []string{"s3", "cret"} {
			assert.NotContains(t, err.Error(), part, address)
		}
	}
}

// If NAME_FILE is set to the secret itself, the error must not show it.
func TestAFileThatIsTheSecretItselfIsNotShown(t *testing.T) {
	for _, value := range []string{"wss://h/mqtt?X-Amz-Security-Token=s3cret", "s3cret", "mqtt://u:s3cret@h", strings.Repeat("s3cret", 1000), "s3cret\x00"} {
		_, err := mqttconn.BrokerFromEnv(func(name string) string {
			return map[string]string{"MPS_MQTT_ADDRESS_FILE": value}[name]
		})
		require.ErrorContains(t, err, "MPS_MQTT_ADDRESS_FILE")
		assert.NotContains(t, err.Error(), "s3cret")
	}
	_, err := mqttconn.TLSFiles{Cert: "/c", Key: "-----BEGIN PRIVATE KEY-----\ns3cret\n"}.Config()
	require.ErrorContains(t, err, "MPS_MQTT_KEY_FILE")
	assert.NotContains(t, err.Error(), "s3cret")

	file := filepath.Join(t.TempDir(), "address")
	require.NoError(t, os.WriteFile(file, []byte("mqtt://h?t=s3cret\n"), 0o600))
	broker, err := mqttconn.BrokerFromEnv(func(name string) string { return map[string]string{"MPS_MQTT_ADDRESS_FILE": file}[name] })
	require.NoError(t, err)
	_, err = mqttconn.ParseAddress(broker.Address)
	require.ErrorContains(t, err, "has a query")
	assert.NotContains(t, err.Error(), "s3cret")
}

const signed = "X-Amz-Security-Token=s3cret%2Ftoken&X-Amz-Signature=s3cretsignature"

// parrots are servers that repeat the request of a WebSocket's handshake in their answer.
var parrots = map[string]func(net.Conn, *http.Request){
	"redirects": func(c net.Conn, r *http.Request) {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: http://elsewhere%s\r\nContent-Length: 0\r\n\r\n", r.RequestURI)
	},
	"refuses": func(c net.Conn, r *http.Request) {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 403 %s is wrong\r\nContent-Length: 0\r\n\r\n", r.RequestURI)
	},
	"speaks no HTTP": func(c net.Conn, r *http.Request) { _, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\n\r\n", r.RequestURI) },
	"has bad headers": func(c net.Conn, r *http.Request) {
		token := r.URL.Query().Get("X-Amz-Security-Token")
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", token)
	},
	"hangs up": func(net.Conn, *http.Request) {},
}

func TestTheQueryReachesTheBrokerAndNobodyElse(t *testing.T) {
	for name, answer := range parrots {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			asked := make(chan string, 100)
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
						asked <- request.RequestURI
						answer(conn, request)
					}
					_ = conn.Close()
				}
			})
			t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
			failed := make(chan error, 100)
			log := connectTo(t, "ws://u:s3cretpassword@"+listener.Addr().String()+"/mqtt?"+signed, mqttconn.Config{
				Handlers: mqttconn.Handlers{Failed: func(err error) { failed <- err }},
			})
			assert.Equal(t, "/mqtt?"+signed, await(t, asked))
			assert.NotContains(t, await(t, failed).Error(), "s3cret")
			log.wait(t, "cannot connect") // checks each line, too
		})
	}
}

// Texts of a broker may quote a password that it was sent.
func TestAPasswordThatABrokerRepeatsIsNotLogged(t *testing.T) {
	connack := packets.Connack{ReasonCode: packets.ConnackBadUsernameOrPassword, Properties: &packets.Properties{ReasonString: "s3cretpassword is wrong"}}
	failed := make(chan error, 100)
	log := connectTo(t, "mqtt://u:s3cretpassword@"+brokertest.Script{Connack: connack}.Serve(t), mqttconn.Config{
		Handlers: mqttconn.Handlers{Failed: func(err error) { failed <- err }},
	})
	err := await(t, failed)
	assert.ErrorContains(t, err, "is wrong")
	assert.NotContains(t, err.Error(), "s3cret")
	log.wait(t, "is wrong")
}

func TestTheAddressOfAConnectionHoldsNoSecret(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	servers, err := mqttconn.ParseAddress("ws://u:s3cret@" + server.Listener.Addr().String() + "/mqtt?t=s3cret")
	require.NoError(t, err)
	failed := make(chan error, 100)
	conn, err := mqttconn.Open(mqttconn.Config{Servers: servers, ClientID: "test", Handlers: mqttconn.Handlers{Failed: func(err error) { failed <- err }}})
	require.NoError(t, err)
	require.Error(t, await(t, failed))
	assert.Equal(t, "ws://"+server.Listener.Addr().String()+"/mqtt", conn.Address())
	require.NoError(t, conn.Close(t.Context()))
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", conn, conn, conn), "s3cret")
}

// printed returns a value as fmt, both handlers of slog, and JSON print it. It leaves out fmt's
// verbs %p and %w: both need another type, and then fmt calls no methods.
func printed(v any) string {
	var b bytes.Buffer
	for _, flags := range []string{"%", "%+", "%#", "% ", "%20"} {
		for verb := range strings.SplitSeq("v s q x X d b o O c U e E f F g G t", " ") {
			fmt.Fprintf(&b, flags+verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("x", "v", v, "in", struct{ V any }{v}, "list", []any{v})
	}
	text, _ := json.Marshal(v)
	return b.String() + string(text)
}

func TestNoTypePrintsItsSecrets(t *testing.T) {
	servers, err := mqttconn.ParseAddress("wss://ada:s3cret1@h/mqtt?t=s3cret2,mqtt://i")
	require.NoError(t, err)
	config := mqttconn.Config{Servers: servers, Username: "ada", Password: "s3cret3"}
	broker := mqttconn.Broker{Address: "wss://ada:s3cret1@h/mqtt?t=s3cret2", Username: "ada", Password: "s3cret3"}
	for _, v := range []any{
		servers, servers[0], &servers[0], config, &config,
		[]mqttconn.Config{config},
		broker, &broker,
		struct{ mqttconn.Config }{config},
		map[string]any{"x": config},
	} {
		text := printed(v)
		assert.NotContains(t, text, "s3cret", "%T", v)
		assert.NotContains(t, text, hex.EncodeToString([]byte("s3cret")), "%T: in hex", v)
	}
	// fmt calls no methods of an unexported field, and does not follow its pointers.
	type holder struct{ inside any }
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", holder{servers}, holder{servers}, holder{&config}), "s3cret")
}
