package certificates

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// hostName is what a domain has to be: letters, digits and hyphens in labels of
// 1 to 63 bytes, 253 in all (RFC 1123, section 2.1; RFC 1035, section 2.3.4),
// after those of other scripts became "xn--" labels (RFC 5891).
var hostName = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// ParseDomains checks the names of domains that a certificate shall be got for,
// and returns them as they stand in one: in lower case and ASCII, each once.
func ParseDomains(names []string) ([]string, error) {
	var domains []string
	for _, name := range names {
		domain, err := parseDomain(name)
		if err != nil {
			return nil, fmt.Errorf("%q %w", name, err)
		}
		if !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	if len(domains) == 0 {
		return nil, errors.New("names no domain")
	}
	return domains, nil
}

// parseDomain checks one name. Its error goes on from the name.
func parseDomain(name string) (string, error) {
	switch _, notIP := netip.ParseAddr(strings.Trim(name, "[]")); {
	case name == "":
		return "", errors.New("is no domain, such as api.example.com")
	case notIP == nil:
		return "", errors.New("is an IP address, and certificates are got for names alone, such as api.example.com")
	case strings.Contains(name, "://"):
		return "", errors.New("has a scheme: give the name alone, such as api.example.com")
	case strings.Contains(name, "/"):
		return "", errors.New("has a path: give the name alone, such as api.example.com")
	case strings.Contains(name, ":"):
		return "", errors.New("has a port: give the name alone, and the port with --listen")
	case strings.Contains(name, "*"):
		return "", errors.New("is a wildcard, which needs the DNS-01 challenge and so access to the domain's name server: name each domain, or bring a certificate of your own")
	case slices.Contains(strings.Split(name, "."), ""):
		return "", errors.New("has an empty label: two dots in a row, or one at an end")
	}
	domain, err := hostName.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("is no domain, such as api.example.com: %w", err)
	}
	return domain, nil
}
