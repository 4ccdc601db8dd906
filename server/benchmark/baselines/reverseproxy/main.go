// Command reverseproxy is a tuned net/http/httputil.ReverseProxy.
package main

import (
	"net/http"

	"github.com/openai-connect/openai-connect/server/benchmark/baselines/tuned"
)

func main() {
	tuned.Main(func(proxy http.Handler) (http.Handler, error) { return proxy, nil })
}
