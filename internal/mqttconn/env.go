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

// Broker holds the settings in the environment for a broker and the login to it.
type Broker struct {
	redact.All
	Address         string `json:"-"` // for ParseAddress; may be empty
	Username        string
	Password        string `json:"-"`
	TLS             TLSFiles
	ClientID, Topic string // empty: the caller's default
	QoS             string // "0" or "1"; empty: the caller's default
	Status          bool   // see publisher.Config.Status
}

// SpoolDirVariable is the environment variable for the folder of a publisher's spool.
const SpoolDirVariable = "MPS_MQTT_SPOOL_DIR"

// BrokerFromEnv reads MPS_MQTT_ADDRESS, _USERNAME, _PASSWORD, _CA_FILE, _CERT_FILE,
// _KEY_FILE, _CLIENT_ID, _TOPIC, _QOS and _STATUS. It reads the first three as Secret does. The
// error names the variable and holds no secret.
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

// Filter returns the topic filter for messages that are published to Topic.
func (b Broker) Filter() string { return mqtttopic.FilterOf(cmp.Or(b.Topic, mqtttopic.DefaultTopic)) }

// Secret returns the value of a variable, or the content of the file that the variable NAME_FILE
// names, without line breaks at its end. It returns an error if both are set. No error shows a
// value of NAME_FILE that is no absolute path, because it may be the secret itself.
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
		return "", fmt.Errorf("%s_FILE: %w (its value is not shown, because it is no absolute path and may be a secret)", name, path.Err)
	case err != nil:
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
