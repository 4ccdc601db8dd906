package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

// The sandbox is a handler as any other; here it fails once and then answers.
func Example() {
	server := httptest.NewServer(sandbox.New())
	defer server.Close()
	for _, status := range []string{"429", ""} {
		request, err := http.NewRequest(http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(
			`{"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Hello!"}]}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		request.Header.Set("Content-Type", "application/json")
		if status != "" {
			request.Header.Set("X-Sandbox-Status", status)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		var reply struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
			Choices []struct {
				Message struct {
					Content string `json:"content"`
				} `json:"message"`
			} `json:"choices"`
		}
		err = json.NewDecoder(response.Body).Decode(&reply)
		response.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		if response.StatusCode != http.StatusOK {
			fmt.Println(response.Status, reply.Error.Code)
			continue
		}
		fmt.Println(response.Status, reply.Choices[0].Message.Content)
	}
	// Output:
	// 429 Too Many Requests rate_limit_exceeded
	// 200 OK This is the sandbox: no model, no key, no network. You said: "Hello!"
}
