package publisher

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/mps-events/mps-events/internal/mqttconn"
)

// FromEnv calls New with the Config that ConfigFromEnv returns, and slog.Default as Logger: one
// line is enough when a server starts. Each of adjust may change the Config before that, such as
// its Logger. Without MPS_MQTT_ADDRESS the Publisher works and publishes nothing, which it logs.
// With MPS_MQTT_SPOOL_DIR it fails unless one of adjust sets the Spool: package publisher links
// no database, and package spool shows the lines that open a spool.
func FromEnv(adjust ...func(*Config)) (*Publisher, error) {
	config, err := ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	config.Logger = slog.Default()
	for _, change := range adjust {
		change(&config)
	}
	if config.Address == "" && config.Logger != nil {
		config.Logger.Info("MPS_MQTT_ADDRESS is empty: events are not published")
	}
	return New(config)
}

// ConfigFromEnv reads the environment variables
//
//	MPS_MQTT_ADDRESS    the broker, see Config.Address; empty: nothing is published
//	MPS_MQTT_TOPIC      default mps/events
//	MPS_MQTT_QOS        0 or 1; default 1
//	MPS_MQTT_CLIENT_ID  default random
//	MPS_MQTT_USERNAME   and MPS_MQTT_PASSWORD, for an address without them
//	MPS_MQTT_CA_FILE    PEM file of the certificates to trust
//	MPS_MQTT_CERT_FILE  and MPS_MQTT_KEY_FILE, PEM files of a client certificate
//	MPS_MQTT_STATUS     true or false, see Config.Status; default false
//	MPS_MQTT_SPOOL_DIR  see Config.SpoolDir; spool.FromEnv opens it for Config.Spool
//
// The address, the user and the password may also be the content of a file that
// MPS_MQTT_ADDRESS_FILE, MPS_MQTT_USERNAME_FILE or MPS_MQTT_PASSWORD_FILE names; line breaks at
// its end are ignored. An error names the variable, and its value unless it may be a secret.
func ConfigFromEnv() (Config, error) {
	broker, err := mqttconn.BrokerFromEnv(os.Getenv)
	if err != nil {
		return Config{}, fmt.Errorf("publisher: %w", err)
	}
	config := Config{
		Address:  broker.Address,
		Username: broker.Username,
		Password: broker.Password,
		CAFile:   broker.TLS.CA,
		CertFile: broker.TLS.Cert,
		KeyFile:  broker.TLS.Key,
		Topic:    broker.Topic,
		ClientID: broker.ClientID,
		QoS:      QoS(broker.QoS),
		Status:   broker.Status,
	}
	if _, _, err = config.withDefaults(); err != nil {
		return Config{}, err
	}
	config.SpoolDir = os.Getenv(mqttconn.SpoolDirVariable)
	return config, nil
}
