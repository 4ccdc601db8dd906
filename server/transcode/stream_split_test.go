package transcode

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/streamtest"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// variants returns a stream and, if all its lines end with LF, the stream with other line
// ends and with a byte order mark.
func variants(of streamtest.Stream) []streamtest.Stream {
	all := []streamtest.Stream{of}
	if strings.Contains(of.Text, "\r") || strings.HasPrefix(of.Text, "\uFEFF") {
		return all
	}
	for _, variant := range []struct{ name, text string }{
		{"with CR", strings.ReplaceAll(of.Text, "\n", "\r")},
		{"with CRLF", strings.ReplaceAll(of.Text, "\n", "\r\n")},
		{"behind a byte order mark", "\uFEFF" + of.Text},
	} {
		s := of
		s.Name, s.Text = of.Name+" "+variant.name, variant.text
		all = append(all, s)
	}
	return all
}

// checkMeaning fails the test unless the expected messages and end arrived.
func checkMeaning(t *testing.T, got *wire, want streamtest.Stream) {
	t.Helper()
	end, err := streamtest.ParseEnd(got.end)
	if err != nil {
		t.Fatal(err)
	}
	if end != want.End {
		t.Errorf("it ended with %+v, not with %+v", end, want.End)
	}
	messages := got.messages(t)
	if len(messages) != len(want.Messages) {
		t.Errorf("%d messages arrived, not %d", len(messages), len(want.Messages))
	}
	for i := range min(len(messages), len(want.Messages)) {
		if !proto.Equal(messages[i], want.Messages[i]) {
			t.Errorf("message %d is\n%v\nnot\n%v", i, messages[i], want.Messages[i])
		}
	}
}

// The result does not depend on the pieces of a stream, and no message is delayed beyond
// its event.
func TestStream_MayBeSplitAnywhere(t *testing.T) {
	t.Parallel()
	server := newStreamServer(t)
	for _, recorded := range streamtest.Corpus(t) {
		t.Run(recorded.Name, func(t *testing.T) {
			t.Parallel()
			for _, s := range variants(recorded) {
				split := newSplitting(t, server, s)
				for place := range s.Text {
					// Positions within a line are equal in all variants.
					if s.Name == recorded.Name || isNearLineEnd(s.Text, place) {
						split.check(t, cutAt(s.Text, place), &delivery{})
					}
				}
				random := rand.New(rand.NewPCG(1, uint64(len(s.Text))))
				for _, pieces := range [][]string{{s.Text}, byteByByte(s.Text), randomPieces(random, s.Text, 4), randomPieces(random, s.Text, 12)} {
					split.check(t, pieces, &delivery{})
					split.check(t, pieces, &delivery{atOnce: true})
					split.check(t, pieces, &delivery{untyped: true})
				}
			}
		})
	}
}

// isNearLineEnd reports whether one of the two bytes around a position is a line end, or
// whether the position is at the beginning.
func isNearLineEnd(text string, place int) bool {
	const near = 3
	around := text[max(0, place-near):min(len(text), place+near)]
	return place <= near || strings.Count(around, "\n")+strings.Count(around, "\r") > 1
}

// splitting checks a stream that is split into pieces.
type splitting struct {
	server   *streamServer
	name     string
	choices  int32 // requested choices
	schedule streamtest.Schedule
	whole    *wire
}

// newSplitting checks the result of a stream in one piece.
func newSplitting(t *testing.T, server *streamServer, s streamtest.Stream) splitting {
	t.Helper()
	schedule := streamtest.ScheduleOf(s.Text, len(s.Messages))
	whole := server.punctual(t, s.Choices(), &delivery{pieces: []string{s.Text}}, schedule)
	checkMeaning(t, whole, s)
	return splitting{server, s.Name, s.Choices(), schedule, whole}
}

// check checks that the result is the same for the given pieces.
func (s splitting) check(t *testing.T, pieces []string, by *delivery) {
	t.Helper()
	by.pieces = slices.Clone(pieces)
	if got := s.server.punctual(t, s.choices, by, s.schedule); !got.same(t, s.whole) {
		t.Errorf("got %d messages and the end %s", len(got.frames), got.end)
	}
	if t.Failed() {
		t.Fatalf("%s, in these pieces: %s", s.name, excerptOf(pieces))
	}
}

// The same holds for events that need many reads and the largest buffers.
func TestStream_LargeEventMayBeSplitAnywhere(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	server := newStreamServer(t)
	for _, s := range streamtest.Large(size) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			split := newSplitting(t, server, s)
			split.check(t, byteByByte(s.Text), &delivery{})
			for _, place := range split.schedule.Complete() {
				split.check(t, cutAt(s.Text, place-1), &delivery{})
				split.check(t, cutAt(s.Text, place), &delivery{})
			}
			random := rand.New(rand.NewPCG(2, uint64(len(s.Text))))
			for count := 2; count < 1000; count *= 3 {
				split.check(t, randomPieces(random, s.Text, count), &delivery{})
			}
		})
	}
}

// A truncated stream contains the complete messages. It is never considered finished if the
// connection broke, and otherwise only after the end marker or the last finish_reason.
func TestStream_TruncatedAnywhereIsNotFinished(t *testing.T) {
	t.Parallel()
	server := newStreamServer(t)
	broken := &upstream.Error{Kind: upstream.KindTruncated, Host: "api.example"}
	for _, s := range streamtest.Corpus(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			schedule := streamtest.ScheduleOf(s.Text, len(s.Messages))
			for n := range len(s.Text) + 1 {
				if n%8 != 0 && !isNearLineEnd(s.Text, n) {
					continue // It is within a line, and the same as its neighbours.
				}
				arrived := s
				arrived.Text, arrived.Messages = s.Text[:n], s.Messages[:schedule.Messages(n)]
				cut := streamtest.End{Code: "unavailable", Message: fmt.Sprintf("the upstream's stream ended after %s: %v",
					countOf(len(arrived.Messages)), broken)}
				if !schedule.Ended(n) {
					arrived.End = cut
				}
				checkMeaning(t, server.punctual(t, s.Choices(), &delivery{pieces: cutAt(arrived.Text), end: broken}, schedule), arrived)

				ended := server.punctual(t, s.Choices(), &delivery{pieces: cutAt(arrived.Text), unframed: true}, schedule)
				if end, err := streamtest.ParseEnd(ended.end); err != nil || (end == streamtest.End{}) && !finished(arrived) {
					t.Errorf("it counts as finished, with the error %v", err)
				}
				if len(ended.frames) != len(arrived.Messages) {
					t.Errorf("%d messages came, not %d", len(ended.frames), len(arrived.Messages))
				}
				if t.Failed() {
					t.Fatalf("after byte %d: %q", n, arrived.Text)
				}
			}
		})
	}
}

func countOf(events int) string {
	if events == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", events)
}

var marker = regexp.MustCompile(`(^|[\r\n]|\x{FEFF})data: ?\[DONE\]`)

// finished reports whether a stream has the marker, or every choice's last
// piece.
func finished(s streamtest.Stream) bool {
	ended := make(map[int32]bool)
	for _, message := range s.Messages {
		for _, choice := range message.GetChoices() {
			ended[choice.GetIndex()] = choice.GetFinishReason() != chatv1.FinishReason_FINISH_REASON_UNSPECIFIED ||
				strings.Contains(choice.GetExtraJson(), "finish_reason")
		}
	}
	all := len(ended) == int(s.Choices())
	for _, done := range ended {
		all = all && done
	}
	return all || marker.MatchString(s.Text)
}
