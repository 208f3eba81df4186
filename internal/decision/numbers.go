package decision

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Numbers are the numbers in the texts of an alert that are known when it is sent, most of them of
// its window. Until then the texts contain places instead.
type Numbers struct {
	Since    time.Time     // when that began of which the alert tells
	Count    int           // hits, or members that are held
	Of       int           // the whole of the ratio: messages or devices
	Part     int           // the part of the ratio: hits or members
	Distinct int           // members
	Members  []string      // the members that the text names
	More     int           // the number of members that it does not name
	Window   time.Duration // in which they were counted
}

// Place returns the placeholder of a number in a text. No message can contain it, because rules
// replace its two characters, which are no text.
func Place(name string) string { return PlaceBegins + name + PlaceEnds }

// These are the first and the last character of a place.
const (
	PlaceBegins = "\uFDD0"
	PlaceEnds   = "\uFDD1"
)

// Fill replaces the places in a JSON text by the numbers.
func (n Numbers) Fill(text []byte) []byte {
	if !bytes.Contains(text, []byte(PlaceBegins)) {
		return text
	}
	percent := 0
	if n.Of > 0 {
		percent = 100 * n.Part / n.Of
	}
	members := strings.Join(n.Members, ", ")
	if n.More > 0 {
		members += " and " + strconv.Itoa(n.More) + " more"
	}
	quoted, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return []byte(strings.NewReplacer(
		Place("since"), Moment(n.Since),
		Place("count"), strconv.Itoa(n.Count),
		Place("of"), strconv.Itoa(n.Of),
		Place("distinct"), strconv.Itoa(n.Distinct),
		Place("percent"), strconv.Itoa(percent),
		Place("window"), Words(n.Window),
		Place("members"), string(quoted[1:len(quoted)-1]),
	).Replace(string(text)))
}

// Moment returns a time for people who may live in another time zone than the server.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Words returns a duration in words, such as "1 hour 30 minutes".
func Words(d time.Duration) string {
	var all []string
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := int(d / unit.of)
		d -= time.Duration(n) * unit.of
		if n == 1 {
			all = append(all, "1 "+unit.name)
		} else if n > 1 {
			all = append(all, strconv.Itoa(n)+" "+unit.name+"s")
		}
	}
	return strings.Join(all, " ")
}
