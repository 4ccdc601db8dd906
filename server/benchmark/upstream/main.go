// Command upstream replaces api.openai.com in the benchmark. It uses as little CPU time as
// possible.
//
// On SIGUSR1, each stream ends with its next event. SIGTERM ends the process.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "`address` to listen on")
	certificate := flag.String("certificate", "", "PEM `file` of a certificate; enables TLS")
	key := flag.String("key", "", "PEM `file` of the certificate's key")
	http2 := flag.Bool("http2", false, "serve HTTP/2 over TLS instead of HTTP/1.1")
	flag.Parse()
	if err := run(*listen, *certificate, *key, *http2); err != nil {
		fmt.Fprintf(os.Stderr, "upstream: %v\n", err)
		os.Exit(1)
	}
}

func run(address, certificate, key string, http2 bool) error {
	var finish atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		<-signals
		finish.Store(true)
	}()

	listener, err := net.Listen("tcp", address) //nolint:noctx // for the lifetime of the process
	if err != nil {
		return err
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return err
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		if http2 {
			return serveHTTP2(listener, config, &finish)
		}
		listener = tls.NewListener(listener, config)
	}
	return servePlain(listener, &finish)
}

// stream writes an event per interval until finish is set, and then the end of the stream.
// The first event is immediate. The second one follows after a random part of the
// interval, so that concurrent streams are not synchronized.
func stream(interval time.Duration, finish *atomic.Bool, write func(event []byte, last bool) error) error {
	var event []byte
	wait := time.Duration(rand.Float64() * float64(interval)) //nolint:gosec // not secret
	for number := 0; ; number++ {
		last := number > 0 && finish.Load()
		event = fixture.AppendEvent(event[:0], number, time.Now(), last)
		if last {
			event = append(event, fixture.Done...)
		}
		if err := write(event, last); err != nil || last {
			return err
		}
		time.Sleep(wait)
		wait = interval
	}
}
