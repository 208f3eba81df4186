package mqttconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLSFiles holds the names of the PEM files for TLS. All are optional: without CA
// the client trusts the system's roots, without Cert and Key it shows no client certificate.
type TLSFiles struct {
	CA, Cert, Key  string
	TrustAnyServer bool // do not check the server's certificate
}

// ErrTLSFile is the error of a file for TLS that cannot be read, or is not such a file.
var ErrTLSFile = errors.New("a file for TLS")

// Config reads the files. Each connection calls it, so that renewed
// certificates need no restart. Its error is an ErrTLSFile.
func (f TLSFiles) Config() (*tls.Config, error) {
	config, err := f.read()
	if err != nil {
		return nil, tlsFileError{err}
	}
	return config, nil
}

// tlsFileError is the ErrTLSFile that shows the reason alone.
type tlsFileError struct{ error }

// Is reports that the error is an ErrTLSFile.
func (tlsFileError) Is(target error) bool { return target == ErrTLSFile }

// Unwrap returns the reason.
func (e tlsFileError) Unwrap() error { return e.error }

// read reads the files.
func (f TLSFiles) read() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: f.TrustAnyServer, //nolint:gosec // only where its frightening name was written
	}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("CA certificates (MPS_MQTT_CA_FILE): %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA certificates (MPS_MQTT_CA_FILE): %s holds no certificate in PEM", f.CA)
		}
	}
	if strings.Contains(f.Key, "-----BEGIN") { // the error of opening such a file would quote the key
		return nil, errors.New("client certificate: MPS_MQTT_KEY_FILE holds the key itself: want the name of a file that holds it")
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("client certificate: certificate %q (MPS_MQTT_CERT_FILE) and key %q (MPS_MQTT_KEY_FILE) go together", f.Cert, f.Key)
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate (MPS_MQTT_CERT_FILE, MPS_MQTT_KEY_FILE): %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
