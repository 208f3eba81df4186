package mqttconn

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/redact"
)

// Broker is what the environment says of the broker and how to log in.
type Broker struct {
	redact.All
	Address         string `json:"-"` // for ParseAddress; empty is none
	Username        string
	Password        string `json:"-"`
	TLS             TLSFiles
	ClientID, Topic string // empty: the default of whoever asks
	QoS             string // "0" or "1"; empty: the default of whoever asks
	Status          bool   // keep a retained message that says who is online
}

// SpoolDirVariable names the folder of a publisher's spool.
const SpoolDirVariable = "MPS_MQTT_SPOOL_DIR"

// BrokerFromEnv reads MPS_MQTT_ADDRESS, _USERNAME, _PASSWORD, _CA_FILE, _CERT_FILE,
// _KEY_FILE, _CLIENT_ID, _TOPIC, _QOS and _STATUS. The first three may be given by a file
// that the same name with _FILE behind it names; its closing line break is cut
// off. The error names the variable and holds no secret.
func BrokerFromEnv(env func(string) string) (Broker, error) {
	broker := Broker{
		TLS: TLSFiles{
			CA:   env("MPS_MQTT_CA_FILE"),
			Cert: env("MPS_MQTT_CERT_FILE"),
			Key:  env("MPS_MQTT_KEY_FILE"),
		},
		ClientID: env("MPS_MQTT_CLIENT_ID"),
		Topic:    env("MPS_MQTT_TOPIC"),
		QoS:      env("MPS_MQTT_QOS"),
	}
	if broker.QoS != "" && broker.QoS != "0" && broker.QoS != "1" {
		return Broker{}, fmt.Errorf("MPS_MQTT_QOS %q: want 0 or 1", broker.QoS)
	}
	if status := env("MPS_MQTT_STATUS"); status != "" {
		var err error
		if broker.Status, err = strconv.ParseBool(status); err != nil {
			return Broker{}, fmt.Errorf("MPS_MQTT_STATUS %q: want true or false", status)
		}
	}
	for name, field := range map[string]*string{
		"MPS_MQTT_ADDRESS":  &broker.Address,
		"MPS_MQTT_USERNAME": &broker.Username,
		"MPS_MQTT_PASSWORD": &broker.Password,
	} {
		var err error
		if *field, err = Secret(env, name); err != nil {
			return Broker{}, err
		}
	}
	return broker, nil
}

// Filter is the topic filter for what is published to Topic.
func (b Broker) Filter() string { return mqtttopic.FilterOf(cmp.Or(b.Topic, mqtttopic.DefaultTopic)) }

// Secret reads a variable, or the file that its twin NAME_FILE names; a closing line break
// is cut off. To set both is an error, which names them. What is no absolute path may be
// the secret itself, and no error shows it.
func Secret(env func(string) string, name string) (string, error) {
	value, file := env(name), env(name+"_FILE")
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("%s and %s_FILE are both set: want one of them", name, name)
	}
	content, err := os.ReadFile(file)
	var path *os.PathError
	switch {
	case errors.As(err, &path) && !filepath.IsAbs(file):
		return "", fmt.Errorf("%s_FILE: %w (what it names is not shown, as it is no absolute path)", name, path.Err)
	case err != nil:
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
