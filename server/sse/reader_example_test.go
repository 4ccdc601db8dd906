package sse_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/openai-connect/openai-connect/server/sse"
)

// The example forwards events. Buffered events are flushed together.
func ExampleReader_Buffered() {
	body := strings.NewReader("data: one\n\ndata: two\n\n: keep-alive\n\ndata: three\n\n")
	out := bufio.NewWriter(os.Stdout)

	events := sse.NewReader(body, 1<<20)
	defer events.Release()
	for {
		event, err := events.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprintf(out, "%s\n", event.Data)
		if !events.Buffered() {
			out.Flush()
		}
	}
	// Output:
	// one
	// two
	// three
}

// If the last event of a stream is known to be "end", the stream is complete even
// without the blank line after it.
func ExampleErrUnfinished() {
	for _, body := range []string{"data: one\n\ndata: end\n", "data: one\n\ndata: tw"} {
		events := sse.NewReader(strings.NewReader(body), 1<<20)
		event, err := events.Next()
		for err == nil {
			event, err = events.Next()
		}
		if errors.Is(err, sse.ErrUnfinished) && string(event.Data) == "end" {
			err = nil
		}
		fmt.Println(err)
		events.Release()
	}
	// Output:
	// <nil>
	// the event stream ended inside an event: unexpected EOF
}
