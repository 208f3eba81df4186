// Package webguard refuses the requests that a web page of somebody else makes a browser send
// to a server without passwords, such as one on loopback. It looks at what only a browser
// says: programs such as curl, which send no Origin, are refused nothing but a foreign Host.
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

// Guard knows the names of a server. Its methods may be called concurrently.
type Guard struct{ names []string }

// New makes a guard of a server that has these names beside localhost and any address; empty
// ones are passed over.
func New(names ...string) *Guard {
	g := new(Guard)
	for _, name := range names {
		if name != "" {
			g.names = append(g.names, canonical(name))
		}
	}
	return g
}

// Handler passes to next what CheckHost and, but for the page at /, which may be linked to,
// CheckSite accept. It answers everything else with 403, and lets no page frame the answers.
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

// CheckHost returns an error unless the request is for a name of this server or an address. By
// a name of their own, which they let resolve to this machine, other sites could read from it
// (DNS rebinding). No address can be made to resolve; but browsers leave out Sec-Fetch-Site for
// 0.0.0.0 and for IPv4 addresses written as IPv6, which also lead to loopback.
func (g *Guard) CheckHost(r *http.Request) error {
	host := canonical(r.Host)
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && !addr.IsUnspecified() && !addr.Is4In6():
		return nil
	case err != nil && (isLoopback(host) || slices.Contains(g.names, host)):
		return nil
	}
	return fmt.Errorf("host %q is not known to be this server: use localhost or its address, or start mps-sim with --allowed-hosts and this name", r.Host)
}

// CheckSite returns an error if a page of another site or port has made a browser send the
// request. Reading is no exception: each call of the REST API makes events.
func CheckSite(r *http.Request) error {
	asUnsafe := r.WithContext(r.Context()) // a shallow copy
	asUnsafe.Method = http.MethodPost
	if err := http.NewCrossOriginProtection().Check(asUnsafe); err != nil {
		return fmt.Errorf("%w: only the page of mps-sim itself may ask a browser for this", err)
	}
	return nil
}

// CheckOrigin returns an error if a page of another host opens the request, whatever its port:
// it is for WebSockets, which have a port of their own.
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

// canonical returns the host of host or host:port in the one form that is compared.
func canonical(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopback says whether browsers take the host for this machine, whatever DNS says.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}
