package openapi

import (
	"os"
	"testing"
)

// Environment is the name of the environment variable with the path of OpenAI's
// specification of the Chat operations. The project does not contain it.
const Environment = "OPENAI_CHAT_SPEC"

// Text returns the text of the specification. Without it the test is skipped;
// in continuous integration (CI=true) it fails.
func Text(tb testing.TB) []byte {
	tb.Helper()
	path := os.Getenv(Environment)
	if path == "" {
		const reason = Environment + " is not set: it takes the path of the OpenAPI document of OpenAI's Chat operations"
		if os.Getenv("CI") == "true" {
			tb.Fatal("would be skipped: " + reason)
		}
		tb.Skip(reason)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Specification returns the specification, read as by [Text].
func Specification(tb testing.TB) *Document {
	tb.Helper()
	d, err := Parse(Text(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
