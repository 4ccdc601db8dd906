package chat

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Output writes replies and notes.
type Output struct {
	// Text receives the text of the model.
	Text io.Writer
	// Notes receives everything else.
	Notes io.Writer
	// Terminal reports whether Text is a terminal. Control characters are then replaced,
	// as others may have put them into the model's text. Otherwise text is verbatim.
	Terminal bool
	// Summary adds a line with tokens and times after a reply to a terminal.
	Summary bool

	inLine bool // the last character was not a newline
}

// text writes a part of a reply.
func (o *Output) text(text string) error {
	if text == "" {
		return nil
	}
	if o.Terminal {
		text = replaceControl(text)
	}
	o.inLine = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(o.Text, text)
	return err
}

// endLine writes a newline unless the last character was one.
func (o *Output) endLine() {
	if o.inLine {
		_ = o.text("\n") // A failing writer has already failed the reply.
	}
}

// notef writes a line to Notes.
func (o *Output) notef(format string, arguments ...any) {
	fmt.Fprintln(o.Notes, replaceControl(fmt.Sprintf(format, arguments...)))
}

// replaceControl replaces the characters that control a terminal: the control characters
// of ISO/IEC 6429 except newlines and tabs, and characters that change the direction of
// text, which can disguise it.
func replaceControl(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && isControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// escapeControlJSON returns the same JSON on one line, with escapes for the characters
// that replaceControl replaces. White space between tokens becomes spaces.
func escapeControlJSON(text string) string {
	if strings.IndexFunc(text, isControl) < 0 {
		return text
	}
	var line strings.Builder
	for _, r := range text {
		switch {
		case r < ' ': // JSON has no such character in a string.
			line.WriteByte(' ')
		case isControl(r): // All are below U+10000.
			fmt.Fprintf(&line, `\u%04x`, r)
		default:
			line.WriteRune(r)
		}
	}
	return line.String()
}

// isControl reports whether a character controls a terminal (ISO/IEC 6429) or the
// direction of text (UAX #9).
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// summarize writes tokens and times, and the finish reason unless it is "stop".
func (o *Output) summarize(got reply) {
	if !o.Terminal || !o.Summary {
		return
	}
	var parts []string
	if usage := got.completion.GetUsage(); usage != nil {
		parts = append(parts, fmt.Sprintf("%d tokens in, %d out", usage.GetPromptTokens(), usage.GetCompletionTokens()))
	}
	parts = append(parts, seconds(got.total)+" s")
	if got.first > 0 && got.first < got.total {
		parts = append(parts, "first text after "+seconds(got.first)+" s")
	}
	if choices := got.completion.GetChoices(); len(choices) > 0 {
		if reason := choices[0].GetFinishReason(); reason != chatv1.FinishReason_FINISH_REASON_STOP {
			parts = append(parts, "finish reason "+chatv1.FinishReasonToREST(reason))
		}
	}
	o.notef("[%s: %s]", got.completion.GetModel(), strings.Join(parts, ", "))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
