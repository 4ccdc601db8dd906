package certificates_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/certificates"
)

func TestParseDomains_AcceptsNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"one name", []string{"api.example.com"}, []string{"api.example.com"}},
		{"several names, in order", []string{"b.example.com", "a.example.com"}, []string{"b.example.com", "a.example.com"}},
		{"in upper case", []string{"API.Example.COM"}, []string{"api.example.com"}},
		{"the same name twice", []string{"api.example.com", "API.example.com"}, []string{"api.example.com"}},
		{"in another script", []string{"bücher.example"}, []string{"xn--bcher-kva.example"}},
		{"in another script, encoded", []string{"xn--bcher-kva.example"}, []string{"xn--bcher-kva.example"}},
		{"of one label, for a private authority", []string{"gateway"}, []string{"gateway"}},
		{"with digits and hyphens", []string{"a-1.2b.example"}, []string{"a-1.2b.example"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := certificates.ParseDomains(row.names)
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("ParseDomains() = %q, %v", got, err)
			}
		})
	}
}

func TestParseDomains_RejectsInvalidNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, names, wantErr string }{
		{"an empty name", "", "want a name"},
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
		{"an invalid encoding of another script", "xn--a.example", "want a name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := certificates.ParseDomains([]string{"api.example.com", row.names})
			if err == nil || got != nil || !strings.Contains(err.Error(), row.wantErr) {
				t.Errorf("ParseDomains() = %q, %v", got, err)
			}
		})
	}
	if _, err := certificates.ParseDomains(nil); err == nil {
		t.Error("ParseDomains(nil) succeeded, want an error")
	}
}
