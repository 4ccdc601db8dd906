package chat

import (
	"errors"
	"os"
	"strings"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

const commandHelp = `/clear          start a new conversation with the same system prompt
/model [NAME]   show or set the model
/system [TEXT]  set the system prompt, or remove it
/save FILE      write the conversation as the JSON of a request, for curl -d @FILE
/quit           quit, as does Ctrl-D

Any other line is a prompt. Put a space before a prompt that starts with a slash.
Ctrl-J or Alt-Enter starts a new line, and a paste may have several (shown as ` + string(lineMark) + `).
The arrow keys browse the history.`

// parseCommand splits a line that starts with a slash.
func parseCommand(line string) (name, argument string, isCommand bool) {
	command, isCommand := strings.CutPrefix(line, "/")
	name, argument, _ = strings.Cut(command, " ")
	return name, strings.TrimSpace(argument), isCommand
}

// run runs a command.
func (c *Conversation) run(name, argument string, out *Output) {
	switch name {
	case "help":
		out.notef("%s", commandHelp)
	case "clear":
		c.messages = nil
		out.notef("Started a new conversation.")
	case "model":
		if argument != "" {
			c.Request.Model = argument
		}
		out.notef("Model: %s", c.Request.GetModel())
	case "system":
		c.System = argument
		if argument == "" {
			out.notef("No system prompt.")
		} else {
			out.notef("System prompt: %s", argument)
		}
	case "save":
		if err := c.save(argument); err != nil {
			out.notef("/save: %v", err)
			return
		}
		out.notef("Saved in %s.", argument)
	default:
		out.notef("Unknown command /%s: /help lists the commands. Put a space before a prompt that starts with a slash.", name)
	}
}

// save writes a request with the messages of the conversation as OpenAI's JSON.
func (c *Conversation) save(path string) (err error) {
	if path == "" {
		return errors.New("requires the name of a file")
	}
	body, err := restjson.AppendRequest(nil, c.request(), nil)
	if err != nil {
		return err
	}
	const ownerOnly = 0o600
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, ownerOnly)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	_, err = file.Write(append(body, '\n'))
	return err
}
