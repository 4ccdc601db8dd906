package contender

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// workerd returns the path of Cloudflare's runtime for Workers. It installs the version in
// baselines/worker with npm.
func workerd(b *Builder) (string, error) {
	dir := filepath.Join(b.module, "baselines", "worker")
	programs := filepath.Join(dir, "node_modules", "@cloudflare", "*", "bin", "workerd")
	found, err := filepath.Glob(programs)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		install := exec.CommandContext(b.ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		install.Dir = dir
		if output, err := install.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci (requires Node.js and a registry): %w\n%s", err, output)
		}
		if found, err = filepath.Glob(programs); err != nil || len(found) == 0 {
			return "", fmt.Errorf("npm did not install workerd for this platform in %s", dir)
		}
	}
	return filepath.Abs(found[0])
}

// worker runs a Worker that replaces the host. It uses one core, because an isolate has a
// single thread.
func worker(program string, settings Settings) (*exec.Cmd, error) {
	script, err := os.ReadFile(filepath.Join("baselines", "worker", "worker.js"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(settings.Dir, "worker.js"), script, 0o600); err != nil { //nolint:gosec // in the benchmark's directory
		return nil, err
	}
	var tls string
	if settings.UpstreamProtocol == TLS {
		root, err := os.ReadFile(settings.CA)
		if err != nil {
			return nil, err
		}
		tls = fmt.Sprintf(", tlsOptions = (trustedCertificates = [%q])", root)
	}
	file := filepath.Join(settings.Dir, "config.capnp")
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
`, settings.scheme(), settings.Upstream, tls, settings.Listen)
	return run(program, "serve", file), err
}
