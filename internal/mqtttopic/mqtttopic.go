// Package mqtttopic knows what topics and topic filters of MQTT 5 mean: which are valid,
// which topics match a filter, which filter covers another, and what a shared subscription
// wraps. It works on texts alone and knows no connection, so that rules and publisher ask
// the same questions as the consumer. Checks return errors that say what is wrong without
// naming the text, which the caller knows.
package mqtttopic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultTopic is the topic to which MPS publishes its events.
const DefaultTopic = "mps/events"

// CheckString returns an error if s may not be a string in a packet. MQTT 5.0, section 1.5.4,
// forbids NUL and bytes that are not UTF-8. Mosquitto also ends the connection for control
// characters and non-characters, which other brokers may accept: one of them in a message would
// end each connection on which the message is sent again.
func CheckString(s string) error {
	const maxLength = 65535
	switch {
	case len(s) > maxLength:
		return fmt.Errorf("has %d bytes: MQTT allows %d", len(s), maxLength)
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE {
			return fmt.Errorf("holds the character %U, for which brokers end the connection", r)
		}
	}
	return nil
}

// CheckTopic returns an error if topic is no topic to publish to: see MQTT 5.0, sections 4.7.1
// and 4.7.3.
func CheckTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("is empty")
	case strings.ContainsAny(topic, "+#"):
		return errors.New("a topic to publish to may not hold the wildcards + and #")
	}
	return CheckString(topic)
}

// CheckFilter returns an error if filter is no topic filter: see MQTT 5.0, sections 4.7 and
// 4.8.2.
func CheckFilter(filter string) error {
	if filter == "" {
		return errors.New("is empty")
	}
	if filter == "$share" || IsShared(filter) {
		group, of, _ := strings.Cut(strings.TrimPrefix(filter, "$share/"), "/")
		if group == "" || of == "" || strings.ContainsAny(group, "+#") {
			return errors.New("a shared subscription is written $share/GROUP/FILTER, such as $share/a/ilert/#")
		}
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case strings.Contains(level, "#") && (level != "#" || i != len(levels)-1):
			return errors.New("# may only be the whole last level")
		case strings.Contains(level, "+") && level != "+":
			return errors.New("+ may only be a whole level")
		}
	}
	return CheckString(filter)
}

// IsShared reports whether a topic filter is that of a shared subscription.
func IsShared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// Shared returns the filter of a group's shared subscription to a topic filter, and returns a filter that is shared
// already as it is.
func Shared(group, filter string) string {
	if IsShared(filter) {
		return filter
	}
	return "$share/" + group + "/" + filter
}

// Unshared returns the topic filter inside that of a shared subscription, and returns any other
// topic filter as it is.
func Unshared(filter string) string {
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(shared, "/")
	}
	return filter
}

// FilterOf returns the topic filter for messages that are published to a topic or to a topic
// template, such as mps/events/{guid}.
func FilterOf(topic string) string {
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		if strings.Contains(level, "{") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// Covers reports whether every topic that matches one valid topic filter matches another,
// too.
func Covers(filter, narrower string) bool {
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok { // it covers only filters of the same group
		group, _, _ := strings.Cut(shared, "/")
		if narrower, ok = strings.CutPrefix(narrower, "$share/"+group+"/"); !ok {
			return false
		}
	}
	if strings.HasSuffix(narrower, "#") && !strings.HasSuffix(filter, "#") {
		return false
	}
	return Matches(filter, narrower)
}

// Uncovered returns the valid topic filters that no other one of filters covers, each once and in
// order.
func Uncovered(filters []string) []string {
	var all []string
	for i, filter := range filters {
		covered := slices.Contains(filters[:i], filter) ||
			slices.ContainsFunc(filters, func(wider string) bool { return wider != filter && Covers(wider, filter) })
		if !covered {
			all = append(all, filter)
		}
	}
	return all
}

func startsWithWildcard(filter string) bool {
	return strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")
}

// Matches reports whether a topic matches a valid topic filter, which may be that
// of a shared subscription ($share/group/filter).
func Matches(filter, topic string) bool {
	filter = Unshared(filter)
	if strings.HasPrefix(topic, "$") && startsWithWildcard(filter) {
		return false
	}
	for {
		f, restOfFilter, moreFilter := strings.Cut(filter, "/")
		t, restOfTopic, moreTopic := strings.Cut(topic, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !moreTopic:
			return !moreFilter || restOfFilter == "#"
		case !moreFilter:
			return false
		}
		filter, topic = restOfFilter, restOfTopic
	}
}
