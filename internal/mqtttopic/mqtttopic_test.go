package mqtttopic_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// The cases are those of MQTT 5.0, section 4.7.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player2", false},
		{"#", "mps/events", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"mps/events", "mps/events", true},
		{"mps/events", "mps/events/x", false},
		{"mps/events/x", "mps/events", false},
		{"#", "$SYS/broker", false},
		{"+/broker", "$SYS/broker", false},
		{"$SYS/#", "$SYS/broker", true},
		{"$share/group/mps/#", "mps/events", true},
	} {
		assert.Equal(t, c.want, mqtttopic.Matches(c.filter, c.topic), "%s %s", c.filter, c.topic)
	}
}

func TestCharactersThatEndConnectionsAreRefused(t *testing.T) {
	for _, bad := range []string{"a\x00", "a\x01", "a\n", "a\x1f", "a\x7f", "a\u009f", "a\uFDD0", "a\uFFFE", "a\U0001FFFF", "a\xff", strings.Repeat("a", 65536)} {
		for check, err := range map[string]error{
			"string": mqtttopic.CheckString(bad), "topic": mqtttopic.CheckTopic(bad), "filter": mqtttopic.CheckFilter(bad),
		} {
			assert.Error(t, err, "%s %q", check, bad[:2])
		}
	}
	for _, good := range []string{"a", "a b/ü/😀", "\uFFFD", strings.Repeat("a", 65535)} {
		assert.NoError(t, mqtttopic.CheckTopic(good))
		assert.NoError(t, mqtttopic.CheckFilter(good))
	}
	assert.Error(t, mqtttopic.CheckTopic(""))
	assert.Error(t, mqtttopic.CheckFilter(""))
}

func TestASharedSubscriptionNamesItsGroupAndAFilter(t *testing.T) {
	for _, bad := range []string{"$share", "$share/t", "$share//t", "$share/g/", "$share/+/t", "$share/#", "$share/g/a#", "$share/g/#/a"} {
		assert.Error(t, mqtttopic.CheckFilter(bad), bad)
	}
	for _, good := range []string{"$share/g/t", "$share/g/#", "$share/g/+/a", "$share/g//", "$SYS/#", "$shared"} {
		assert.NoError(t, mqtttopic.CheckFilter(good), good)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		filter, narrower string
		want             bool
	}{
		{"mps/#", "mps/events", true},
		{"mps/#", "mps/+/x", true},
		{"mps/#", "mps/a/#", true},
		{"#", "#", true},
		{"mps/#", "mps", true},
		{"mps/+", "mps/events", true},
		{"mps/+", "mps/+", true},
		{"mps/+", "mps/#", false},
		{"mps/events", "mps/+", false},
		{"mps/a/#", "mps/#", false},
		{"+/events", "mps/events", true},
		{"mps/events", "mps/events", true},
		{"#", "$SYS/x", false},
		{"#", "$share/g/a", false},
		{"$share/g/#", "$share/g/a", true},
		{"$share/g/#", "$share/h/a", false},
		{"$share/g/#", "a", false},
	} {
		assert.Equal(t, c.want, mqtttopic.Covers(c.filter, c.narrower), "%s %s", c.filter, c.narrower)
	}
}
