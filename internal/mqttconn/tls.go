package mqttconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLSFiles names what TLS needs from disk, as PEM. All are optional: without CA
// the system's roots are trusted, without Cert and Key no client certificate is
// shown.
type TLSFiles struct {
	CA, Cert, Key  string
	TrustAnyServer bool // do not check who the server is
}

// ErrTLSFile is the error of a file for TLS that cannot be read, or holds something else.
var ErrTLSFile = errors.New("a file for TLS")

// Config reads the files. The error is an ErrTLSFile. It is called for every connection, so that renewed
// certificates are taken up by the next one without a restart.
func (f TLSFiles) Config() (*tls.Config, error) {
	config, err := f.read()
	if err != nil {
		return nil, tlsFileError{err}
	}
	return config, nil
}

// tlsFileError is an ErrTLSFile in other words.
type tlsFileError struct{ error }

// Is reports that the error is an ErrTLSFile.
func (tlsFileError) Is(target error) bool { return target == ErrTLSFile }

// Unwrap returns what is wrong with the file.
func (e tlsFileError) Unwrap() error { return e.error }

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
	if strings.Contains(f.Key, "-----BEGIN") { // to open it would quote it
		return nil, errors.New("client certificate: MPS_MQTT_KEY_FILE holds a key itself: want the name of a file that holds it")
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
