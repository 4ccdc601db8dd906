package contender

import (
	"os/exec"
	"path/filepath"
)

// haproxy configures a thread per core, upstream connections shared by all clients, and
// immediate flushing. Without http-no-delay, it delays events by 200 ms.
func haproxy(program string, settings Settings) (*exec.Cmd, error) {
	var server string
	switch settings.UpstreamProtocol {
	case Plain:
	case TLS:
		server = "ssl verify required ca-file " + settings.CA + " verifyhost localhost sni str(localhost)"
	case HTTP2:
		server = "ssl verify required ca-file " + settings.CA + " verifyhost localhost sni str(localhost) alpn h2"
	}
	file := filepath.Join(settings.Dir, "haproxy.cfg")
	err := write(file, `
global
	nbthread %[1]d
	maxconn %[2]d
	tune.pool-low-fd-ratio 99
	tune.pool-high-fd-ratio 99

defaults
	mode http
	option http-keep-alive
	option http-no-delay
	http-reuse always
	timeout connect 10s
	timeout client 1h
	timeout server 1h

frontend front
	bind %[3]s backlog 4096
	default_backend openai

backend openai
	server upstream %[4]s pool-max-conn -1 pool-purge-delay 1h %[5]s
`, settings.Cores, settings.Streams+50, settings.Listen, settings.Upstream, server)
	return run(program, "-db", "-f", file), err
}
