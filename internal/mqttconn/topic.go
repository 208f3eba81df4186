package mqttconn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultTopic is where MPS publishes its events.
const DefaultTopic = "mps/events"

// CheckString refuses what may not be in a UTF-8 encoded string of a packet: by
// MQTT 5.0, section 1.5.4, NUL and what is no UTF-8, and also the control and
// non-characters for which Mosquitto cuts the connection, though a broker may let
// them pass. One of them would cut it for this message and for every later one.
func CheckString(s string) error {
	const most = 65535
	switch {
	case len(s) > most:
		return fmt.Errorf("has %d bytes: MQTT allows %d", len(s), most)
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE {
			return fmt.Errorf("holds the character %U, for which brokers cut the connection", r)
		}
	}
	return nil
}

// CheckTopic refuses what is no topic to publish to: MQTT 5.0, sections 4.7.1 and
// 4.7.3.
func CheckTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("is empty")
	case strings.ContainsAny(topic, "+#"):
		return errors.New("a topic to publish to may not hold the wildcards + and #")
	}
	return CheckString(topic)
}

// CheckFilter holds a topic filter against MQTT 5.0, sections 4.7 and 4.8.2.
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

// Unshared returns the topic filter within that of a shared subscription; others stay as they
// are.
func Unshared(filter string) string {
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(shared, "/")
	}
	return filter
}

// FilterOf is the topic filter for all that is published to a topic or to a topic
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
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok { // covers only what is shared by the same group
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

// Uncovered returns those of some valid topic filters that no other one of them covers, each
// once, in their order.
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
