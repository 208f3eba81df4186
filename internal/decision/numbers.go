package decision

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Numbers are what a window says about itself in the texts of its alert, when ilert is
// told. Until then their places stand in the text.
type Numbers struct {
	Count    int      // hits, or members that are held
	Of       int      // what the ratio is to: calls or devices
	Part     int      // what is that share of it: hits or members
	Distinct int      // members
	Members  []string // some of them
	More     int      // how many members are not among these
}

// Place is where a number goes. No message can hold it: these characters are no text, and
// what has them is written without.
func Place(name string) string { return PlaceBegins + name + PlaceEnds }

// The first and the last character of a place.
const (
	PlaceBegins = "\uFDD0"
	PlaceEnds   = "\uFDD1"
)

// Fill puts the numbers into their places in a JSON text.
func (n Numbers) Fill(text []byte) []byte {
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
		Place("count"), strconv.Itoa(n.Count),
		Place("of"), strconv.Itoa(n.Of),
		Place("distinct"), strconv.Itoa(n.Distinct),
		Place("percent"), strconv.Itoa(percent),
		Place("members"), string(quoted[1:len(quoted)-1]),
	).Replace(string(text)))
}
