package certificates

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// hostName is the profile of a domain: labels of 1 to 63 letters, digits and hyphens,
// 253 bytes in all (RFC 1123 §2.1; RFC 1035 §2.3.4). Labels in other scripts are first
// converted to "xn--" labels (RFC 5891).
var hostName = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// ParseDomains checks the names of domains for certificates. It returns them as
// certificates contain them: in lower case, in ASCII, and without duplicates.
func ParseDomains(names []string) ([]string, error) {
	var domains []string
	for _, name := range names {
		domain, err := parseDomain(name)
		if err != nil {
			return nil, fmt.Errorf("invalid domain %q: %w", name, err)
		}
		if !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	if len(domains) == 0 {
		return nil, errors.New("no domain given")
	}
	return domains, nil
}

// parseDomain checks one name.
func parseDomain(name string) (string, error) {
	switch _, notIP := netip.ParseAddr(strings.Trim(name, "[]")); {
	case name == "":
		return "", errors.New("want a name such as api.example.com")
	case notIP == nil:
		return "", errors.New("certificates are not available for IP addresses; use a name such as api.example.com")
	case strings.Contains(name, "://"):
		return "", errors.New("it has a scheme; use only the name, such as api.example.com")
	case strings.Contains(name, "/"):
		return "", errors.New("it has a path; use only the name, such as api.example.com")
	case strings.Contains(name, ":"):
		return "", errors.New("it has a port; use only the name, and --listen for the port")
	case strings.Contains(name, "*"):
		return "", errors.New("wildcards require the DNS-01 challenge, which is not supported; list each domain, or use a certificate from files")
	case slices.Contains(strings.Split(name, "."), ""):
		return "", errors.New("it has an empty label: two dots in a row, or one at an end")
	}
	domain, err := hostName.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("want a name such as api.example.com: %w", err)
	}
	return domain, nil
}
