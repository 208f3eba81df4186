package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/consumer"
	"github.com/mps-events/mps-events/internal/mqttconn"
	"github.com/mps-events/mps-events/internal/mqtttopic"
	"github.com/mps-events/mps-events/internal/store/sqlite"
)

// config returns the consumer's configuration.
func (f *daemonFlags) config(cmd *cobra.Command) (consumer.Config, error) {
	key, err := mqttconn.Secret(f.env, keyVariable)
	if err != nil {
		return consumer.Config{}, err
	}
	if err := f.checkValues(cmd, key); err != nil {
		return consumer.Config{}, err
	}
	config := consumer.Config{
		ClientID:       f.mqttName,
		AtMostOnce:     f.mqttQoS == 0,
		SharedGroup:    f.sharedGroup,
		IlertURL:       f.ilertURL,
		IntegrationKey: cmp.Or(f.eventKey, key),
		HeartbeatKey:   f.heartbeat,
		HeartbeatTopic: f.heartbeatTopic,
		HeartbeatURL:   f.heartbeatURL,
		MQTTPath:       f.mqttURL,
		MaxSkew:        f.maxSkew,
		UserAgent:      userAgent(),
		LookForIlert:   true,
		DryRun:         f.dryRun,
		Rate:           int(f.rate),
		Repeat:         f.repeat,
		IlertAPIKey:    f.apiKey,
		IlertPoll:      f.poll,

		MaxDeadLetters: int(f.maxLetters), MaxDeadLetterBytes: int64(f.maxLetterMiB) << 20, MaxDeadLetterAge: f.maxLetterAge,
		DecisionLog: f.decisionLog, DecisionLogSize: int64(f.decisionLogSize), DecisionLogKeep: int(f.decisionLogKeep),
	}
	if f.rate == 0 {
		config.Rate = -1 // no limit
	}
	if f.repeat == 0 {
		config.Repeat = -1 // never
	}
	if f.file != "" {
		config.OpenStore = func(ctx context.Context) (alerting.Store, error) { return sqlite.Open(ctx, f.file) }
	}
	if err := f.setBroker(cmd, &config); err != nil {
		return config, err
	}
	return config, f.setRules(cmd, &config)
}

// checkValues returns an error for the first flag whose own value is wrong.
func (f *daemonFlags) checkValues(cmd *cobra.Command, key string) error {
	if err := cmp.Or(checkKey(keyVariable, key), checkKey("--event_key", f.eventKey), checkKey("--ilert_api_key", f.apiKey), f.checkListener(cmd)); err != nil {
		return err
	}
	switch {
	case f.mqttName == "":
		return errors.New("--mqtt_name: want a client id")
	case f.maxSkew <= 0:
		return fmt.Errorf("--max_skew %v: want a positive duration", f.maxSkew)
	case f.repeat != 0 && f.repeat < time.Second:
		return fmt.Errorf("--repeat %v: want 0, or a second at least", f.repeat)
	case f.poll < time.Second:
		return fmt.Errorf("--ilert_poll %v: want a second at least", f.poll)
	case f.mqttQoS > 2:
		return fmt.Errorf("--mqtt_qos %d: want 0, 1 or 2", f.mqttQoS)
	}
	return cmp.Or(f.checkBounds(), f.checkDecisionLog())
}

// setRules sets the rules of a configuration, or the mapping of ilagent.
func (f *daemonFlags) setRules(cmd *cobra.Command, config *consumer.Config) (err error) {
	mapped := slices.IndexFunc(mappingFlags, cmd.Flags().Changed)
	switch {
	case f.isIlagent(mapped >= 0):
		f.mapping.IntegrationKey = f.eventKey
		config.Mapping = &f.mapping
		return nil
	case mapped >= 0:
		return fmt.Errorf("--%s goes with --preset ilagent", mappingFlags[mapped])
	case config.IntegrationKey == "" && config.Address != "" && !f.dryRun && (len(f.eventTopics) > 0 || f.heartbeatTopic == "" || f.hasRules()):
		return fmt.Errorf("no integration key: set %s or --event_key", keyVariable)
	}
	config.RulesFiles, config.Presets = f.rules.files, f.rules.presets
	config.Options, err = f.rules.values()
	return err
}

// mappingFlags are the flags that select ilagent's mapping.
var mappingFlags = []string{
	"map_key_etype", "map_key_alert_key", "map_key_summary", "map_val_etype_alert", "map_val_etype_accept",
	"map_val_etype_resolve", "filter_key", "filter_val", "forward_message_payload",
}

// isIlagent reports whether messages are events for ilert: if the flags say so, or if the command
// line looks like one of ilagent.
func (f *daemonFlags) isIlagent(mapped bool) bool {
	if f.hasRules() {
		return slices.Equal(f.rules.presets, []string{presetIlagent}) && len(f.rules.files) == 0
	}
	return mapped || slices.ContainsFunc(f.eventTopics, func(topic string) bool {
		topic = mqtttopic.Unshared(topic)
		return !strings.HasPrefix(topic, "mps/") && !strings.HasPrefix(topic, "rps/")
	})
}

// hasRules reports whether flags name rules.
func (f *daemonFlags) hasRules() bool { return len(f.rules.presets)+len(f.rules.files) > 0 }

// setBroker sets the broker and the topics of a configuration.
func (f *daemonFlags) setBroker(cmd *cobra.Command, config *consumer.Config) error {
	broker, err := mqttconn.BrokerFromEnv(f.env)
	if err != nil {
		return err
	}
	switch config.Topics = slices.Clone(f.eventTopics); {
	case len(config.Topics) > 0 || f.heartbeatTopic != "" && !f.hasRules():
	case broker.Topic != "" && broker.Topic != mqtttopic.DefaultTopic: // the rules do not name it
		config.Topics = []string{broker.Filter(), "mps/status/+"}
	}
	if f.mqttHost != "" {
		return f.setHost(config)
	}
	for _, name := range []string{"mqtt_port", "mqtt_username", "mqtt_password", "mqtt_tls", "mqtt_ca", "mqtt_client_cert", "mqtt_client_key"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s goes with --mqtt_host", name)
		}
	}
	config.Address, config.Username, config.Password = broker.Address, broker.Username, broker.Password
	config.CAFile, config.CertFile, config.KeyFile = broker.TLS.CA, broker.TLS.Cert, broker.TLS.Key
	if config.Address != "" {
		return nil
	}
	for _, name := range append([]string{"config", "preset", "event_topic", "heartbeat_topic", "mqtt_shared_group", "dry_run"}, mappingFlags...) {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s needs a broker: set --mqtt_host or %s", name, addressVariable)
		}
	}
	return nil
}

// setHost sets the broker of a configuration to that of --mqtt_host and the flags that go with it.
func (f *daemonFlags) setHost(config *consumer.Config) error {
	if strings.ContainsAny(f.mqttHost, "/@") || strings.Contains(f.mqttHost, ":") && net.ParseIP(f.mqttHost) == nil {
		return fmt.Errorf("--mqtt_host: want a host alone; its port is --mqtt_port, and a whole address goes into %s", addressVariable)
	}
	scheme := "mqtt"
	if f.mqttTLS {
		scheme = "mqtts"
	}
	config.Address = scheme + "://" + net.JoinHostPort(f.mqttHost, strconv.Itoa(int(f.mqttPort)))
	config.Username, config.Password = f.mqttUsername, f.mqttPassword
	config.CAFile, config.CertFile, config.KeyFile = f.mqttCA, f.mqttCert, f.mqttKey
	return nil
}
