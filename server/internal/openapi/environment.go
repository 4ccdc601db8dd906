package openapi

import (
	"os"
	"testing"
)

// Environment is the name of the environment variable with the path of OpenAI's
// specification of the Chat operations. The project does not contain it.
const Environment = "OPENAI_CHAT_SPEC"

// Text returns the text of the specification. Without it, Text skips the test, or fails
// it in continuous integration (CI=true).
func Text(tb testing.TB) []byte {
	tb.Helper()
	path := os.Getenv(Environment)
	if path == "" {
		const reason = Environment + " is not set: want the path of the OpenAPI document of OpenAI's Chat operations"
		if os.Getenv("CI") == "true" {
			tb.Fatal("skipped in CI: " + reason)
		}
		tb.Skip(reason)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Specification returns the parsed specification; see [Text].
func Specification(tb testing.TB) *Document {
	tb.Helper()
	d, err := Parse(Text(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
