package rules

import (
	"fmt"

	"github.com/mps-events/mps-events/internal/mqtttopic"
)

// HTTPFilter is the name under which the daemon counts what comes by HTTP, beside the topic
// filters. It would be one, so that it may not be subscribed to.
const HTTPFilter = "http"

// CheckFilter refuses what is no topic filter or may not be subscribed to.
func CheckFilter(filter string) error {
	if filter == HTTPFilter {
		return fmt.Errorf("what comes by HTTP is counted under this name: write %s/#, which matches the topic %[1]s, too", HTTPFilter)
	}
	return mqtttopic.CheckFilter(filter)
}
