// Package apierror writes errors in the form of OpenAI's:
// https://platform.openai.com/docs/guides/error-codes
package apierror

import "encoding/json"

// Error is what went wrong, in OpenAI's terms.
type Error struct {
	Message string
	Type    string
	Param   string // empty for none
	Code    string
}

// Body is the JSON body of an answer.
func (e Error) Body() []byte {
	var body struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    string  `json:"code"`
		} `json:"error"`
	}
	body.Error.Message, body.Error.Type, body.Error.Code = e.Message, e.Type, e.Code
	if e.Param != "" {
		body.Error.Param = &e.Param
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return text
}
