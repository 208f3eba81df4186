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
		// What may be the rest of a password that holds a comma is neither shown nor used.
		rest := len(servers) > 0 && strings.Contains(one, "@") && !strings.Contains(one, "://")
		if rest || err != nil && strings.Contains(address, "@") && !strings.Contains(one, "@") {
			return nil, fmt.Errorf("address %d of those between commas is wrong (in a user and a password, write %%2C for a comma; before a user, write mqtt:// or another scheme)", len(servers)+1)
		}
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
	shown := withoutUser(address)
	u, err := url.Parse(address)
	if err != nil {
		if shown != address { // url's error would quote a part of the password
			return Server{}, fmt.Errorf("%q is no address (in a user and a password, write %%2F for /, %%23 for #, %%3F for ? and %%40 for @)", shown)
		}
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return Server{}, fmt.Errorf("%q is no address: %w", shown, err)
	}
	user := u.User
	u.User = nil
	known, ok := schemes[strings.ToLower(u.Scheme)]
	switch {
	case !ok:
		return Server{}, fmt.Errorf("%q has the unknown scheme %q: want mqtt, tcp, mqtts, ssl, tls, ws or wss", shown, u.Scheme)
	case u.Hostname() == "":
		return Server{}, fmt.Errorf("%q names no host", shown)
	case (known.scheme == "mqtt" || known.scheme == "mqtts") && strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Server{}, fmt.Errorf("%q has more than scheme, user, host and port (only ws and wss take a path)", shown)
	}
	u.Scheme = known.scheme
	port := u.Port()
	if port == "" {
		port = known.port
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("%q has the port %q: want 1 to 65535", shown, port)
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return Server{URL: u, User: user}, nil
}

// withoutUser cuts what may be a user and a password out of an address, however
// wrong it is.
func withoutUser(address string) string {
	at := strings.LastIndex(address, "@")
	if at < 0 {
		return address
	}
	scheme, _, _ := strings.Cut(address, "://")
	return scheme + "://***" + address[at:]
}
