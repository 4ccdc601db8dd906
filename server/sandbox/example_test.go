package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

const hello = `{"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Hello!"}]}`

// Tests can use the sandbox in place of the OpenAI API.
func Example() {
	server := httptest.NewServer(sandbox.New())
	defer server.Close()
	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var completion struct {
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.NewDecoder(response.Body).Decode(&completion); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(completion.Choices[0].Message.Content)
	// Output:
	// This is the sandbox: no model, no key, no network. You said: "Hello!"
}

// Control headers inject errors and faults. This request fails as if it exceeded a rate
// limit.
func Example_rateLimit() {
	server := httptest.NewServer(sandbox.New())
	defer server.Close()
	request, err := http.NewRequest(http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Sandbox-Status", "429")
	response, err := server.Client().Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.Status, response.Header.Get("Retry-After"))
	fmt.Printf("%s", body)
	// Output:
	// 429 Too Many Requests 1
	// {"error":{"message":"The sandbox was asked to fail with status 429.","type":"requests","param":null,"code":"rate_limit_exceeded"}}
}
