// Command caddy is Caddy with only the modules of an HTTP reverse proxy. Its argument is
// the path of a JSON configuration.
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
	config, err := os.ReadFile(os.Args[1]) //nolint:gosec // written by the benchmark
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "caddy: %v\n", err)
		os.Exit(1)
	}
	select {}
}
