// Package certificates supplies the certificates that HTTPS is served with, and
// changes them while the server runs: [Automatic] gets them for domains from an
// ACME authority (RFC 8555) and renews them, [Files] reads one that somebody
// else keeps up to date.
package certificates

import "crypto/tls"

// serve returns what HTTPS is served with where this function has the
// certificate for each handshake. Connections that are open keep theirs.
func serve(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{
		GetCertificate: certificate,
		NextProtos:     append([]string{"h2", "http/1.1"}, protocols...),
		MinVersion:     tls.VersionTLS12,
	}
}
