package main_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// through returns a client whose connections begin with a header.
func through(t *testing.T, header string, http2 bool) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				_, err = io.WriteString(conn, header)
			}
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testTimeout}
}

// binary is a header of version 2.
func binary(t *testing.T, command proxyproto.ProtocolVersionAndCommand, source string) string {
	t.Helper()
	from, err := net.ResolveTCPAddr("tcp", source)
	if err != nil {
		t.Fatal(err)
	}
	header := proxyproto.HeaderProxyFromAddrs(2, from, &net.TCPAddr{IP: from.IP, Port: 1})
	header.Command = command
	text, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProxyProtocol_SetsTheClientAddress(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	for transport, flags := range map[string][]string{"plain": nil, "TLS": {"--tls-cert", chain, "--tls-key", key}} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, append(flags, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--access-log", "--trusted-proxies", "127.0.0.0/8", "--proxy-protocol")...)
			// Connections that say nothing hold up nobody.
			for range 10 {
				silent, err := net.Dial("tcp", p.address)
				if err != nil {
					t.Fatal(err)
				}
				defer silent.Close()
			}
			var want []string
			for _, row := range []struct{ header, peer string }{
				{"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n", "203.0.113.9"},
				{"PROXY TCP6 2001:db8::7 2001:db8::8 1234 80\r\n", "2001:db8::7"},
				{"PROXY UNKNOWN\r\n", "127.0.0.1"},
				{binary(t, proxyproto.PROXY, "203.0.113.10:1234"), "203.0.113.10"},
				{binary(t, proxyproto.PROXY, "[2001:db8::9]:1234"), "2001:db8::9"},
				{binary(t, proxyproto.LOCAL, "203.0.113.11:1234"), "127.0.0.1"},
			} {
				for _, http2 := range []bool{false, true} {
					response, err := through(t, row.header, http2).Get(p.url + "/v1/models")
					if err != nil {
						t.Fatalf("%q, HTTP/2 %t: %v", row.header, http2, err)
					}
					response.Body.Close()
					if response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != http2 {
						t.Errorf("%q: %s %s", row.header, response.Proto, response.Status)
					}
					want = append(want, row.peer)
				}
			}
			for _, header := range []string{"", "PROXY TCP4 nonsense\r\n", "PROXY TCP4 203.0.113.9 10.0.0.1 1234 80", strings.Repeat("P", 200)} {
				if response, err := through(t, header, false).Get(p.url + "/v1/models"); err == nil {
					response.Body.Close()
					t.Errorf("%q: got %s", header, response.Status)
				}
			}
			silent, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			_ = silent.SetReadDeadline(time.Now().Add(2 * testTimeout)) // Headers may take 20 seconds.
			if _, err := silent.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("a silent connection ends with %v", err)
			}
			var got []string
			for _, line := range p.logged(t) {
				if _, rest, found := strings.Cut(line, " peer="); found {
					got = append(got, strings.Fields(rest)[0])
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("the log has %q, want %q", got, want)
			}
		})
	}
}

func TestProxyProtocol_IsOnlyReadFromTrustedProxies(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--trusted-proxies", "10.0.0.0/8", "--proxy-protocol")
	if response, err := through(t, "", false).Get(p.url + "/v1/models"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("without a header: %v, %v", response, err)
	} else {
		response.Body.Close()
	}
	if response, err := through(t, "PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n", false).Get(p.url + "/v1/models"); err == nil {
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("with one: %s", response.Status)
		}
	}
	checkRejected(t, end(t, nil, "--proxy-protocol"), []string{"--proxy-protocol: ", "--trusted-proxies"})
}
