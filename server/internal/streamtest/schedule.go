package streamtest

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Schedule says by which byte of a stream's text what must have happened.
type Schedule struct {
	complete []int // how many bytes complete each message
	end      int   // how many show the end; beyond the text where its own end does
}

var lineEnd = regexp.MustCompile("\r\n|\n|\r")

// ScheduleOf returns the schedule of a text that stands for so many messages.
// The events are found as the WHATWG HTML standard says, section 9.2.6, by
// cutting all of the text into its lines.
//
// An event is complete with its blank line. If that ends with CR LF then with
// the CR: an LF that follows says nothing more.
func ScheduleOf(text string, messages int) Schedule {
	var (
		events []int // how many bytes complete each event that has data
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
			if data := strings.Join(values, "\n"); strings.TrimSpace(data) != "" && !isPassedOver(kind, data) {
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

// isPassedOver reports whether an event is neither a message nor an end: it has a
// name of its own, and data that is not a chunk.
func isPassedOver(kind, data string) bool {
	switch trimmed := strings.TrimSpace(kind); {
	case kind == "", kind == "message", strings.EqualFold(trimmed, "error"):
		return false
	case strings.EqualFold(strings.Trim(strings.TrimSpace(data), " \""), "[DONE]"):
		return false
	default:
		return restjson.Unmarshal([]byte(data), new(chatv1.ChatCompletionChunk)) != nil
	}
}

// Messages is how many messages are complete in the first n bytes.
func (s Schedule) Messages(n int) int {
	count, _ := slices.BinarySearch(s.complete, n+1)
	return count
}

// Ended reports whether the first n bytes show the end.
func (s Schedule) Ended(n int) bool { return n >= s.end }

// Complete are the numbers of bytes that complete the messages.
func (s Schedule) Complete() []int { return s.complete }

// Places are random places in a text of a length at which to cut it, in order.
func Places(random *rand.Rand, length, count int) []int {
	places := make([]int, count)
	for i := range places {
		places[i] = random.IntN(length + 1)
	}
	slices.Sort(places)
	return places
}
