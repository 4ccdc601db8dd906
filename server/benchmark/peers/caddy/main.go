// Command caddy is Caddy with no modules but those of a reverse proxy over HTTP.
// It runs the JSON configuration in the file that its argument names.
package main

import (
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

func main() {
	config, err := os.ReadFile(os.Args[1]) //nolint:gosec // the benchmark's own
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "caddy: %v\n", err)
		os.Exit(1)
	}
	select {}
}
