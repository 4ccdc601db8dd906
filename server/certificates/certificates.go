// Package certificates supplies the certificates for HTTPS and replaces them while the
// server runs. [ACME] obtains and renews them from an ACME authority (RFC 8555). [Files]
// reads one from files that another program keeps up to date.
package certificates

import "crypto/tls"

// newTLSConfig returns a configuration that calls certificate for each handshake.
func newTLSConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{
		GetCertificate: certificate,
		NextProtos:     append([]string{"h2", "http/1.1"}, protocols...),
		MinVersion:     tls.VersionTLS12,
	}
}
