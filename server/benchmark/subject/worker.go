package subject

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// workerd is Cloudflare's runtime of Workers, of the version that peers/worker
// names, which npm installs.
func workerd(w *Workshop) (string, error) {
	folder := filepath.Join(w.module, "peers", "worker")
	programs := filepath.Join(folder, "node_modules", "@cloudflare", "*", "bin", "workerd")
	found, err := filepath.Glob(programs)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		install := exec.CommandContext(w.ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		install.Dir = folder
		if output, err := install.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci, which needs Node.js and a registry: %w\n%s", err, output)
		}
		if found, err = filepath.Glob(programs); err != nil || len(found) == 0 {
			return "", fmt.Errorf("npm installed no workerd for this machine in %s", folder)
		}
	}
	return filepath.Abs(found[0])
}

// worker runs the Worker that swaps the host. An isolate has one thread: more
// cores are of no use to it.
func worker(program string, site Site) (*exec.Cmd, error) {
	script, err := os.ReadFile(filepath.Join("peers", "worker", "worker.js"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(site.Dir, "worker.js"), script, 0o600); err != nil { //nolint:gosec // the benchmark's own
		return nil, err
	}
	var tls string
	if site.Way == TLS {
		root, err := os.ReadFile(site.CA)
		if err != nil {
			return nil, err
		}
		tls = fmt.Sprintf(", tlsOptions = (trustedCertificates = [%q])", root)
	}
	file := filepath.Join(site.Dir, "config.capnp")
	err = write(file, `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
	services = [
		(name = "worker", worker = (
			modules = [(name = "worker", esModule = embed "worker.js")],
			compatibilityDate = "2026-11-01",
			bindings = [(name = "ORIGIN", text = "%[1]s://%[2]s")],
			globalOutbound = "internet",
		)),
		(name = "internet", network = (allow = ["private", "local"]%[3]s)),
	],
	sockets = [(name = "http", address = "%[4]s", http = (), service = "worker")],
);
`, site.scheme(), site.Upstream, tls, site.Listen)
	return run(program, "serve", file), err
}
