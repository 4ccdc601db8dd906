package sandbox

// These types are encoded as OpenAI's responses. Fields without omitempty are always sent.

type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []completionChoice `json:"choices"`
	Usage             usage              `json:"usage"`
	Moderation        *moderation        `json:"moderation,omitempty"`
	Metadata          *object            `json:"metadata,omitempty"`
	ServiceTier       string             `json:"service_tier"`
	SystemFingerprint string             `json:"system_fingerprint"`
}

type completionChoice struct {
	Index        int          `json:"index"`
	Message      replyMessage `json:"message"`
	Logprobs     *logprobs    `json:"logprobs"`
	FinishReason string       `json:"finish_reason"`
}

type replyMessage struct {
	Role         string        `json:"role"`
	Content      *string       `json:"content"`
	Refusal      *string       `json:"refusal"`
	Annotations  []annotation  `json:"annotations"`
	Audio        *audio        `json:"audio,omitempty"`
	ToolCalls    []toolCall    `json:"tool_calls,omitempty"`
	FunctionCall *functionCall `json:"function_call,omitempty"`
}

type annotation struct {
	Type        string      `json:"type"`
	URLCitation urlCitation `json:"url_citation"`
}

type urlCitation struct {
	StartIndex int    `json:"start_index"`
	EndIndex   int    `json:"end_index"`
	URL        string `json:"url"`
	Title      string `json:"title"`
}

type audio struct {
	ID         string `json:"id"`
	ExpiresAt  int64  `json:"expires_at"`
	Data       []byte `json:"data"`
	Transcript string `json:"transcript"`
}

type toolCall struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Function *functionCall `json:"function,omitempty"`
	Custom   *customCall   `json:"custom,omitempty"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type customCall struct {
	Name  string `json:"name"`
	Input string `json:"input"`
}

type logprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal []tokenLogprob `json:"refusal"`
}

type tokenLogprob struct {
	likelyToken

	TopLogprobs []likelyToken `json:"top_logprobs"`
}

type likelyToken struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

type usage struct {
	PromptTokens      int              `json:"prompt_tokens"`
	CompletionTokens  int              `json:"completion_tokens"`
	TotalTokens       int              `json:"total_tokens"`
	PromptDetails     promptTokens     `json:"prompt_tokens_details"`
	CompletionDetails completionTokens `json:"completion_tokens_details"`
}

type promptTokens struct {
	Text       int `json:"text_tokens"`
	Image      int `json:"image_tokens"`
	Audio      int `json:"audio_tokens"`
	Cached     int `json:"cached_tokens"`
	CacheWrite int `json:"cache_write_tokens"`
}

type completionTokens struct {
	Text               int `json:"text_tokens"`
	Reasoning          int `json:"reasoning_tokens"`
	Audio              int `json:"audio_tokens"`
	AcceptedPrediction int `json:"accepted_prediction_tokens"`
	RejectedPrediction int `json:"rejected_prediction_tokens"`
}

type moderation struct {
	Input  any `json:"input"`
	Output any `json:"output"`
}

type chunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	ServiceTier       string        `json:"service_tier"`
	SystemFingerprint string        `json:"system_fingerprint"`
	Choices           []chunkChoice `json:"choices"`
	Usage             any           `json:"usage,omitempty"` // usage, or an explicit null
	Moderation        *moderation   `json:"moderation,omitempty"`
	Obfuscation       string        `json:"obfuscation,omitempty"`
}

type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        delta     `json:"delta"`
	Logprobs     *logprobs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// A delta has only the fields to which a chunk adds. Content and Refusal are a string, or
// an explicit null in the first chunk of a choice.
type delta struct {
	Role         string             `json:"role,omitempty"`
	Content      any                `json:"content,omitempty"`
	Refusal      any                `json:"refusal,omitempty"`
	Annotations  []annotation       `json:"annotations,omitempty"`
	Audio        *audioDelta        `json:"audio,omitempty"`
	ToolCalls    []toolCallDelta    `json:"tool_calls,omitempty"`
	FunctionCall *functionCallDelta `json:"function_call,omitempty"`
}

type audioDelta struct {
	ID         string `json:"id,omitempty"`
	Transcript string `json:"transcript,omitempty"`
	Data       []byte `json:"data,omitempty"`
	ExpiresAt  int64  `json:"expires_at,omitempty"`
}

type toolCallDelta struct {
	Index    int                `json:"index"`
	ID       string             `json:"id,omitempty"`
	Type     string             `json:"type,omitempty"`
	Function *functionCallDelta `json:"function,omitempty"`
	Custom   *customCallDelta   `json:"custom,omitempty"`
}

type functionCallDelta struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type customCallDelta struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}
