package chat

import (
	"errors"
	"syscall"

	"github.com/openai-connect/openai-connect/client"
)

// explain is the error of a call as the user of the command is told it: with what
// can be done about it, where that is the command's to know, and harmless to a
// terminal, since the words are the upstream's.
func explain(err error) error {
	text := harmless(err.Error())
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		text += "\nNo server is there: `openai-connect` starts one, or name another by --server"
	case client.IsUnauthenticated(err):
		text += "\nGive the key, or the server's token, in a file by --api-key-file, or in OPENAI_CONNECT_API_KEY"
	case client.IsNotFound(err):
		text += "\nIf that is about the model: --model names another, and so does /model in a conversation"
	}
	return errors.New(text)
}
