package mqttconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Server is one broker to try.
type Server struct {
	// URL has one of the schemes mqtt, mqtts, ws and wss, always a port, and
	// never a user or a password, because errors and logs quote it.
	URL *url.URL
	// User is the user and password that the address held, nil without.
	User *url.Userinfo
}

// schemes maps every spelling of a scheme to one of four. TLS comes from the
// scheme alone: Open AMT's broker speaks plain MQTT on the port of TLS.
var schemes = map[string]struct{ scheme, port string }{
	"mqtt": {"mqtt", "1883"}, "tcp": {"mqtt", "1883"},
	"mqtts": {"mqtts", "8883"}, "ssl": {"mqtts", "8883"}, "tls": {"mqtts", "8883"},
	"ws": {"ws", "80"}, "wss": {"wss", "443"},
}

// ParseAddress reads one address or several with commas between, such as
// "mqtt://mosquitto:8883" or "mqtts://user:secret@a,mqtts://user:secret@b". A
// host without a scheme means mqtt, as for MPS. No error holds a password.
func ParseAddress(address string) ([]Server, error) {
	var servers []Server
	for one := range strings.SplitSeq(address, ",") {
		server, err := parseServer(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func parseServer(address string) (Server, error) {
	if address == "" {
		return Server{}, errors.New("an address is empty")
	}
	if !strings.Contains(address, "://") {
		address = "mqtt://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		// url's own error quotes the address, and with it the password.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return Server{}, fmt.Errorf("%q is no address: %w", withoutUser(address), err)
	}
	user := u.User
	u.User = nil
	known, ok := schemes[strings.ToLower(u.Scheme)]
	switch {
	case !ok:
		return Server{}, fmt.Errorf("%q has the unknown scheme %q: want mqtt, tcp, mqtts, ssl, tls, ws or wss", u, u.Scheme)
	case u.Hostname() == "":
		return Server{}, fmt.Errorf("%q names no host", u)
	case (known.scheme == "mqtt" || known.scheme == "mqtts") && strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Server{}, fmt.Errorf("%q has more than scheme, user, host and port (only ws and wss take a path)", u)
	}
	u.Scheme = known.scheme
	port := u.Port()
	if port == "" {
		port = known.port
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("%q has the port %q: want 1 to 65535", u, port)
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return Server{URL: u, User: user}, nil
}

// withoutUser cuts what may be a user and a password out of an address that
// could not be read.
func withoutUser(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
}
