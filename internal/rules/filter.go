package rules

import (
	"fmt"

	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// HTTPFilter is the name under which the daemon counts the events that are posted by HTTP. It
// looks like a topic filter, so no one may subscribe to a filter of this name.
const HTTPFilter = "http"

// CheckFilter returns an error if a text is no topic filter or is HTTPFilter.
func CheckFilter(filter string) error {
	if filter == HTTPFilter {
		return fmt.Errorf("what comes by HTTP is counted under this name: write %s/#, which matches the topic %[1]s, too", HTTPFilter)
	}
	return mqtttopic.CheckFilter(filter)
}
