package chat

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Output is where answers are written.
type Output struct {
	// Answers is for what the model says.
	Answers io.Writer
	// Notes is for all else.
	Notes io.Writer
	// Terminal is whether Answers is a terminal. Then characters that control one
	// are made visible, since what a model says may have been put into its mouth;
	// and a line with tokens and time follows, if Summary says so. What goes
	// elsewhere is verbatim.
	Terminal bool
	// Summary is whether there is such a line.
	Summary bool

	inLine bool // whether the last character didn't end a line
}

// text writes a part of an answer.
func (o *Output) text(text string) error {
	if text == "" {
		return nil
	}
	if o.Terminal {
		text = harmless(text)
	}
	o.inLine = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(o.Answers, text)
	return err
}

// endLine ends a line that was begun.
func (o *Output) endLine() {
	if o.inLine {
		_ = o.text("\n") // A writer that fails has failed the answer.
	}
}

// notef writes a line beside the answers.
func (o *Output) notef(format string, arguments ...any) {
	fmt.Fprintln(o.Notes, harmless(fmt.Sprintf(format, arguments...)))
}

// harmless is a text without characters that control a terminal: those of
// ISO/IEC 6429, but for ends of lines and tabs, and those that change the
// direction of text, which hide what it says.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && isControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// harmlessJSON is the same JSON on one line, with escapes for the characters that
// harmless replaces. Between tokens, where JSON allows white space alone, there
// are spaces.
func harmlessJSON(text string) string {
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

// isControl reports whether a character controls a terminal, by ISO/IEC 6429, or
// the direction of text, by Unicode's UAX #9.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// summarize tells what an answer took, and why it ended if not by itself.
func (o *Output) summarize(got answer) {
	if !o.Terminal || !o.Summary {
		return
	}
	var parts []string
	if usage := got.completion.GetUsage(); usage != nil {
		parts = append(parts, fmt.Sprintf("%d tokens in, %d out", usage.GetPromptTokens(), usage.GetCompletionTokens()))
	}
	parts = append(parts, seconds(got.whole)+" s")
	if got.first > 0 && got.first < got.whole {
		parts = append(parts, "the first text after "+seconds(got.first)+" s")
	}
	if choices := got.completion.GetChoices(); len(choices) > 0 {
		if reason := choices[0].GetFinishReason(); reason != chatv1.FinishReason_FINISH_REASON_STOP {
			parts = append(parts, "ended by "+chatv1.FinishReasonToREST(reason))
		}
	}
	o.notef("[%s: %s]", got.completion.GetModel(), strings.Join(parts, ", "))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
