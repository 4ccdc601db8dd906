package certificates_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/certificates"
)

func TestNamesThatAreDomains(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		given []string
		want  []string
	}{
		{"one", []string{"api.example.com"}, []string{"api.example.com"}},
		{"several, in their order", []string{"b.example.com", "a.example.com"}, []string{"b.example.com", "a.example.com"}},
		{"in upper case", []string{"API.Example.COM"}, []string{"api.example.com"}},
		{"twice the same", []string{"api.example.com", "API.example.com"}, []string{"api.example.com"}},
		{"in another script", []string{"bücher.example"}, []string{"xn--bcher-kva.example"}},
		{"in another script, as it stands in a certificate", []string{"xn--bcher-kva.example"}, []string{"xn--bcher-kva.example"}},
		{"of one label, for an authority of one's own", []string{"gateway"}, []string{"gateway"}},
		{"with digits and hyphens", []string{"a-1.2b.example"}, []string{"a-1.2b.example"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := certificates.ParseDomains(row.given)
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("they are %q and %v", got, err)
			}
		})
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, given, says string }{
		{"nothing", "", "want a name"},
		{"an IPv4 address", "192.0.2.1", "IP address"},
		{"an IPv6 address", "2001:db8::1", "IP address"},
		{"an IPv6 address in brackets", "[2001:db8::1]", "IP address"},
		{"a URL", "https://api.example.com", "scheme"},
		{"a path", "api.example.com/v1", "path"},
		{"a port", "api.example.com:443", "--listen"},
		{"a wildcard", "*.example.com", "DNS-01"},
		{"a wildcard inside", "api.*.example.com", "DNS-01"},
		{"two dots", "api..example.com", "empty label"},
		{"a dot in front", ".example.com", "empty label"},
		{"a dot at the end", "api.example.com.", "empty label"},
		{"a space", "api example.com", "want a name"},
		{"a space in front", " api.example.com", "want a name"},
		{"an underscore", "my_api.example.com", "want a name"},
		{"a hyphen in front", "-api.example.com", "want a name"},
		{"a line break", "api.example.com\r\nx: y", "port"},
		{"a label of 64 bytes", strings.Repeat("a", 64) + ".example.com", "want a name"},
		{"254 bytes", strings.Repeat("abcdefg.", 31) + "abcdef", "want a name"},
		{"what is no encoding of another script", "xn--a.example", "want a name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := certificates.ParseDomains([]string{"api.example.com", row.given})
			if err == nil || got != nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("they are %q and %v", got, err)
			}
		})
	}
	if _, err := certificates.ParseDomains(nil); err == nil {
		t.Error("no domain is enough")
	}
}
