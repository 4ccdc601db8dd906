package chat

import (
	"errors"
	"syscall"

	"github.com/openai-connect/openai-connect/client"
)

// withHint returns an error for the user: with a hint what to do, and without control
// characters, as the text may be the upstream's.
func withHint(err error) error {
	text := replaceControl(err.Error())
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		text += "\nNo server is running there: start one with `openai-connect`, or set --server"
	case client.IsUnauthenticated(err):
		text += "\nSet the API key with --api-key-file or OPENAI_CONNECT_API_KEY"
	case client.IsNotFound(err):
		text += "\nIf the model is unknown, set another with --model, or with /model in a session"
	}
	return errors.New(text)
}
