package streamtest

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Schedule describes which messages are complete after how many bytes of a stream.
type Schedule struct {
	complete []int // number of bytes that complete each message
	end      int   // number of bytes that show the end; more than the text if its own end does
}

var lineEnd = regexp.MustCompile("\r\n|\n|\r")

// ScheduleOf returns the schedule of a stream with the given number of messages. It
// splits the stream into lines and finds the events as defined in section 9.2.6 of the
// WHATWG HTML standard.
//
// An event is complete with its blank line. If that line ends with CR LF, it is
// complete with the CR.
func ScheduleOf(text string, messages int) Schedule {
	var (
		events []int // number of bytes that complete each event with data
		values []string
		kind   string
		start  = len(text) - len(strings.TrimPrefix(text, "\uFEFF"))
	)
	for _, at := range lineEnd.FindAllStringIndex(text, -1) {
		line := text[start:at[0]]
		start = at[1]
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line != "" && name == "data":
			values = append(values, strings.TrimPrefix(value, " "))
		case name == "event":
			kind = strings.TrimPrefix(value, " ")
		case line == "":
			if data := strings.Join(values, "\n"); strings.TrimSpace(data) != "" && !isIgnored(kind, data) {
				events = append(events, at[0]+1)
			}
			values, kind = nil, ""
		}
	}
	if messages < len(events) {
		return Schedule{complete: events[:messages], end: events[messages]}
	}
	return Schedule{complete: events, end: len(text) + 1}
}

// isIgnored reports whether an event is neither a message nor an end: it has a name and
// data that is not a chunk.
func isIgnored(kind, data string) bool {
	switch trimmed := strings.TrimSpace(kind); {
	case kind == "", kind == "message", strings.EqualFold(trimmed, "error"):
		return false
	case strings.EqualFold(strings.Trim(strings.TrimSpace(data), " \""), "[DONE]"):
		return false
	default:
		return restjson.Unmarshal([]byte(data), new(chatv1.ChatCompletionChunk)) != nil
	}
}

// Messages returns the number of messages complete in the first n bytes.
func (s Schedule) Messages(n int) int {
	count, _ := slices.BinarySearch(s.complete, n+1)
	return count
}

// Ended reports whether the first n bytes show the end.
func (s Schedule) Ended(n int) bool { return n >= s.end }

// Complete returns the numbers of bytes that complete the messages.
func (s Schedule) Complete() []int { return s.complete }

// Places returns sorted random offsets at which to split a string.
func Places(random *rand.Rand, length, count int) []int {
	places := make([]int, count)
	for i := range places {
		places[i] = random.IntN(length + 1)
	}
	slices.Sort(places)
	return places
}
