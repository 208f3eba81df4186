package mqttconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/mps-events/mps-events/internal/redact"
)

// Server is the address of one broker.
type Server struct {
	redact.All
	// URL is the address with one of the schemes mqtt, mqtts, ws and wss, and a port. It has no
	// user, no password and no query, because errors and logs quote it.
	URL *url.URL
	// User is the user and password in the address, or nil.
	User *url.Userinfo
	// dialed is URL with the query of the address, which may be a secret: AWS
	// reads a signature there. It is a pointer, so that fmt does not print the query.
	dialed *url.URL
}

// schemes maps every spelling of a scheme to one of four. The scheme alone decides on
// TLS: Open AMT's broker speaks plain MQTT on the port of TLS.
var schemes = map[string]struct{ scheme, port string }{
	"mqtt": {"mqtt", "1883"}, "tcp": {"mqtt", "1883"},
	"mqtts": {"mqtts", "8883"}, "ssl": {"mqtts", "8883"}, "tls": {"mqtts", "8883"},
	"ws": {"ws", "80"}, "wss": {"wss", "443"},
}

// ParseAddress reads one address, or several with commas between, such as
// "mqtt://mosquitto:8883" or "mqtts://user:secret@a,wss://b/mqtt?token=secret". The
// default scheme is mqtt, as for MPS. No error holds a password or a query.
func ParseAddress(address string) ([]Server, error) {
	var servers []Server
	query := false // an address before had one
	for one := range strings.SplitSeq(address, ",") {
		scheme, _, found := strings.Cut(strings.ToLower(strings.TrimSpace(one)), "://")
		_, known := schemes[scheme]
		server, err := parseServer(strings.TrimSpace(one))
		// A text that may be the rest of a secret with a comma in it is neither shown nor used.
		first := len(servers) == 0
		whole := first && strings.ContainsAny(one, "@?#") || !first && found && known
		rest := !first && !found && (query || strings.Contains(one, "@"))
		if rest || err != nil && !whole && strings.ContainsAny(address, "@?#") {
			return nil, fmt.Errorf("address %d of those between commas is wrong (in a user, a password or a query, write %%2C for a comma; before a user, write mqtt:// or another scheme)", len(servers)+1)
		}
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
		query = query || strings.Contains(one, "?")
	}
	return servers, nil
}

// parseServer reads one address.
func parseServer(address string) (Server, error) {
	if address == "" {
		return Server{}, errors.New("an address is empty")
	}
	if !strings.Contains(address, "://") {
		address = "mqtt://" + address
	}
	shown := withoutSecrets(address)
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		if shown != address || err == nil { // the error of package url would quote a part of the secret
			return Server{}, fmt.Errorf("%q is no address (in a user, a password or a query, write %%2F for /, %%23 for #, %%3F for ? and %%40 for @)", shown)
		}
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return Server{}, fmt.Errorf("%q is no address: %w", shown, err)
	}
	known, ok := schemes[strings.ToLower(u.Scheme)]
	webSocket := known.scheme == "ws" || known.scheme == "wss"
	switch {
	case !ok:
		return Server{}, fmt.Errorf("%q has the unknown scheme %q: want mqtt, tcp, mqtts, ssl, tls, ws or wss", shown, u.Scheme)
	case u.Hostname() == "":
		return Server{}, fmt.Errorf("%q names no host", shown)
	case strings.Contains(address, "#"):
		return Server{}, fmt.Errorf("%q has a #: write %%23 for it, also in a query", shown)
	case !webSocket && u.RawQuery != "":
		return Server{}, fmt.Errorf("%q has a query, which begins at the ?: only ws and wss take one (in a user or a password, write %%3F for ?)", shown)
	case !webSocket && strings.Trim(u.Path, "/") != "":
		return Server{}, fmt.Errorf("%q has more than scheme, user, host and port (only ws and wss take a path)", shown)
	case strings.Contains(u.EscapedPath(), "@"):
		return Server{}, fmt.Errorf("%q has an @ in its path: write %%40 for it, and put user and password before the host", shown)
	case !isQuery(u.RawQuery):
		return Server{}, fmt.Errorf("%q has a character in its query that is not allowed there: write %% and two hex digits for it, such as %%25 for %%", shown)
	}
	port := u.Port()
	if port == "" {
		port = known.port
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("%q has the port %q: want 1 to 65535", shown, port)
	}
	user := u.User
	u.Scheme, u.Host, u.User, u.ForceQuery = known.scheme, net.JoinHostPort(u.Hostname(), port), nil, false
	withoutQuery := *u
	withoutQuery.RawQuery = ""
	return Server{URL: &withoutQuery, User: user, dialed: u}, nil
}

// isQuery reports whether a query is escaped as RFC 3986, section 3.4, requires.
func isQuery(query string) bool {
	_, err := url.PathUnescape(query)
	return err == nil && !strings.ContainsFunc(query, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"<>[]\\^`{|}", r)
	})
}

// withoutSecrets returns an address, which may be wrong in any way, with "***" instead of all
// that may be a user, a password or a query.
func withoutSecrets(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	if strings.ContainsAny(scheme, ":/@?#%") {
		return "***"
	}
	scheme += "://"
	at, end, tail := strings.LastIndex(rest, "@"), strings.IndexAny(rest, "?#"), ""
	switch {
	case at >= 0 && end >= 0: // the password may hold a ?, or the query an @
		return scheme + "***"
	case at >= 0:
		scheme, rest = scheme+"***@", rest[at+1:]
	case end >= 0:
		rest, tail = rest[:end], rest[end:end+1]+"***"
	}
	host, _, _ := strings.Cut(rest, "/")
	name, port, _ := strings.Cut(host, ":")
	if !strings.HasPrefix(host, "[") && strings.Trim(port, "0123456789") != "" { // a password whose host was forgotten
		return scheme + name + ":***"
	}
	return scheme + rest + tail
}
