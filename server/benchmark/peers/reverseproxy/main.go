// Command reverseproxy is net/http/httputil.ReverseProxy, tuned.
package main

import (
	"net/http"

	"github.com/openai-connect/openai-connect/server/benchmark/peers/tuned"
)

func main() {
	tuned.Main(func(proxy http.Handler) (http.Handler, error) { return proxy, nil })
}
