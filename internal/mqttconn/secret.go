package mqttconn

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/mps-events/mps-events/internal/redact"
)

// secrets returns all texts that no log and no error may hold, in the forms in which a broker
// or a gateway may repeat them.
func (c *Config) secrets() []string {
	all := []string{cmp.Or(c.Password, c.Username)} // a user without a password may be a token
	for _, server := range c.Servers {
		if user := server.User; user != nil {
			name, escaped, found := strings.Cut(user.String(), ":")
			if password, _ := user.Password(); found {
				all = append(all, password, escaped)
			} else {
				all = append(all, user.Username(), name)
			}
		}
		if server.dialed == nil {
			continue
		}
		query := server.dialed.RawQuery
		all = append(all, query)
		for part := range strings.SplitSeq(query, "&") {
			_, value, found := strings.Cut(part, "=")
			if !found {
				value = part
			}
			plain, _ := url.QueryUnescape(value) // isQuery has checked it
			all = append(all, value, plain)
		}
	}
	return all
}

// mask returns a Replacer of secrets by "***". It ignores secrets of less than 4 bytes, which
// would be found in ordinary words.
func mask(secrets []string) *strings.Replacer {
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may hold another
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 4 {
			pairs = append(pairs, s, redact.Hide(s))
		}
	}
	return strings.NewReplacer(pairs...)
}

// masked returns err, or an error with the same text without secrets.
func (c *Conn) masked(err error) error {
	if text := c.mask.Replace(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}
