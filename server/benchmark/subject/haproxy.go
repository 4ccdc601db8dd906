package subject

import (
	"os/exec"
	"path/filepath"
)

// haproxy has a thread for each core, keeps its connections to the upstream for
// every client, and sends what it has at once: without http-no-delay it holds an
// event back for 200 ms.
func haproxy(program string, site Site) (*exec.Cmd, error) {
	var server string
	switch site.Way {
	case Plain:
	case TLS:
		server = "ssl verify required ca-file " + site.CA + " verifyhost localhost sni str(localhost)"
	case HTTP2:
		server = "ssl verify required ca-file " + site.CA + " verifyhost localhost sni str(localhost) alpn h2"
	}
	file := filepath.Join(site.Dir, "haproxy.cfg")
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
`, site.Cores, site.Streams+50, site.Listen, site.Upstream, server)
	return run(program, "-db", "-f", file), err
}
