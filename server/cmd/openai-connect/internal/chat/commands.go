package chat

import (
	"errors"
	"os"
	"strings"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

const commandHelp = `/clear          begin a new conversation; the system prompt stays
/model [NAME]   show or change the model
/system [TEXT]  change the system prompt; without a text there is none
/save FILE      write the conversation as the JSON of a request, for curl -d @FILE
/quit           end, as Ctrl-D does

All else is a question; one that begins with a slash needs a space before it.
Ctrl-J or Alt-Enter begins a new line, a paste may have several (shown as ` + string(lineMark) + `).
The arrow keys go through what was entered.`

// parseCommand splits a line that begins with a slash.
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
		c.said = nil
		out.notef("A new conversation begins.")
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
		out.notef("There is no /%s: /help lists the commands. A question that begins with a slash needs a space before it.", name)
	}
}

// save writes a request whose messages are the conversation, as OpenAI's JSON.
func (c *Conversation) save(path string) (err error) {
	if path == "" {
		return errors.New("needs the name of a file")
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
