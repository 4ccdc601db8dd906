package contender

import (
	"os/exec"
	"path/filepath"
)

// nginx configures a worker per core, persistent upstream connections, and no buffering.
func nginx(program string, settings Settings) (*exec.Cmd, error) {
	file := filepath.Join(settings.Dir, "nginx.conf")
	err := write(file, `
daemon off;
pid %[1]s/nginx.pid;
error_log stderr crit;
worker_processes %[2]d;
worker_rlimit_nofile %[6]d;
events { worker_connections %[6]d; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream openai {
		server %[4]s;
		keepalive %[6]d;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
		keepalive_time 24h;
	}
	server {
		listen %[3]s backlog=4096;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
		keepalive_time 24h;
		tcp_nodelay on;
		location / {
			proxy_pass %[5]s://openai;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_request_buffering off;
			proxy_read_timeout 1h;
			proxy_ssl_trusted_certificate %[7]s;
			proxy_ssl_verify on;
			proxy_ssl_name localhost;
			proxy_ssl_server_name on;
			proxy_ssl_session_reuse on;
			proxy_ssl_protocols TLSv1.2 TLSv1.3;
		}
	}
}
`, settings.Dir, settings.Cores, settings.Listen, settings.Upstream, settings.scheme(), 2*settings.Streams+100, settings.CA)
	return run(program, "-p", settings.Dir, "-e", "stderr", "-c", file), err
}
