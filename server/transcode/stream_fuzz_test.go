package transcode

import (
	"math/rand/v2"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/streamtest"
)

// FuzzStream streams any bytes, whole and in random pieces. Messages and end must be
// equal, and no message may be late.
func FuzzStream(f *testing.F) {
	for i, recorded := range streamtest.Corpus(f) {
		for _, s := range variants(recorded) {
			f.Add([]byte(s.Text), uint64(i))
		}
	}
	server := newStreamServer(f)
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if found, _ := formOf(text); found == formJSON {
			return // The body is read whole: see FuzzReply.
		}
		random := rand.New(rand.NewPCG(seed, 0))
		choices := 1 + random.Int32N(3)
		whole := server.call(t, choices, &delivery{pieces: []string{string(text)}})
		split := splitting{
			server:   server,
			name:     "any bytes",
			choices:  choices,
			schedule: streamtest.ScheduleOf(string(text), len(whole.frames)),
			whole:    whole,
		}
		split.check(t, []string{string(text)}, &delivery{atOnce: true})
		split.check(t, byteByByte(string(text)), &delivery{})
		split.check(t, randomPieces(random, string(text), 1+random.IntN(20)), &delivery{})
	})
}
