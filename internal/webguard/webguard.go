// Package webguard refuses requests that a web page of another site makes a browser send
// to a server without passwords, such as one on loopback. It checks headers that only browsers
// send: of programs such as curl, which send no Origin, it only refuses requests for a foreign
// Host.
package webguard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Guard is the guard of one server, whose names it knows. Its methods may be called concurrently.
type Guard struct{ names []string }

// New returns a guard of a server that has these names, in addition to localhost and its IP
// addresses. It ignores empty names.
func New(names ...string) *Guard {
	g := new(Guard)
	for _, name := range names {
		if name != "" {
			g.names = append(g.names, canonical(name))
		}
	}
	return g
}

// Handler returns a handler that passes requests to next if CheckHost and CheckSite accept them.
// It does not call CheckSite for the page at /, so that other pages may link to it. It answers
// all other requests with 403, and forbids other pages to show the answers in a frame.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.CheckHost(r)
		if err == nil && r.URL.Path != "/" {
			err = CheckSite(r)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// CheckHost returns an error unless the request is for a name of this server or an IP address.
// Other sites could read from this machine if they let a name of theirs resolve to it (DNS
// rebinding). IP addresses do not resolve, but it refuses 0.0.0.0 and IPv4 addresses written as
// IPv6: they also lead to loopback, and browsers leave out Sec-Fetch-Site for them.
func (g *Guard) CheckHost(r *http.Request) error {
	host := canonical(r.Host)
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && !addr.IsUnspecified() && !addr.Is4In6():
		return nil
	case err != nil && (isLoopback(host) || slices.Contains(g.names, host)):
		return nil
	}
	return fmt.Errorf("host %q is not known as a name of this server: use localhost or its IP address, or start mps-sim with --allowed-hosts and this name", r.Host)
}

// CheckSite returns an error if a page of another site or port has made a browser send the
// request. It checks GET as well, because each call of the REST API makes events.
func CheckSite(r *http.Request) error {
	asUnsafe := r.WithContext(r.Context()) // a shallow copy
	asUnsafe.Method = http.MethodPost
	if err := http.NewCrossOriginProtection().Check(asUnsafe); err != nil {
		return fmt.Errorf("%w: only the page of mps-sim itself may make a browser send this request", err)
	}
	return nil
}

// CheckOrigin returns an error if a page of another host has made a browser send the request. It
// ignores ports: it is for WebSockets, whose port is not that of the page.
func (g *Guard) CheckOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	page, err := url.Parse(origin)
	if err == nil {
		from, to := canonical(page.Host), canonical(r.Host)
		if from != "" && (from == to || isLoopback(from) && isLoopback(to) || slices.Contains(g.names, from)) {
			return nil
		}
	}
	return fmt.Errorf("origin %q is a page of another host: start mps-sim with --allowed-hosts and the name of that host", origin)
}

// canonical returns the host in host or host:port in the form in which hosts are compared.
func canonical(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopback reports whether browsers resolve the host to this machine without DNS.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}
