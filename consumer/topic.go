package consumer

import (
	"errors"
	"strings"
)

// checkFilter holds a topic filter against MQTT 5.0, section 4.7.
func checkFilter(filter string) error {
	if filter == "" || len(filter) > 65535 || strings.ContainsRune(filter, 0) {
		return errors.New("is empty, too long or has a NUL")
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
	return nil
}

// matches reports whether a topic matches a valid topic filter, which may be that
// of a shared subscription ($share/group/filter).
func matches(filter, topic string) bool {
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(shared, "/")
	}
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
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
