package contender

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
)

// caddy configures persistent upstream connections and immediate flushing.
func caddy(program string, settings Settings) (*exec.Cmd, error) {
	type object = map[string]any
	versions := []string{"1.1"}
	if settings.UpstreamProtocol == HTTP2 {
		versions = []string{"2"}
	}
	transport := object{
		"protocol": "http", "versions": versions, "compression": false,
		"keep_alive": object{"idle_timeout": "1h", "max_idle_conns_per_host": 1 << 20},
	}
	if settings.UpstreamProtocol != Plain {
		transport["tls"] = object{
			"server_name": "localhost",
			"ca":          object{"provider": "file", "pem_files": []string{settings.CA}},
		}
	}
	proxy := object{
		"handler": "reverse_proxy", "flush_interval": -1, "transport": transport,
		"upstreams": []object{{"dial": settings.Upstream}},
	}
	config, err := json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"storage": object{"module": "file_system", "root": settings.Dir},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"front": object{
			"listen":          []string{settings.Listen},
			"automatic_https": object{"disable": true},
			"routes":          []object{{"handle": []object{proxy}}},
		}}}},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(settings.Dir, "caddy.json")
	return run(program, file), write(file, "%s", config)
}
