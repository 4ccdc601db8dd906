package sandbox

import (
	"hash/fnv"
	"strconv"
)

// logprobs returns the log probabilities of a choice's text or refusal, or nil unless
// requested.
func (resp *response) logprobs(c choice) *logprobs {
	if !resp.request.logprobs || len(c.content)+len(c.refusal) == 0 {
		return nil
	}
	return &logprobs{Content: resp.tokenLogprobs(c.content), Refusal: resp.tokenLogprobs(c.refusal)}
}

// tokenLogprobs returns nil for no tokens, which is encoded as null.
func (resp *response) tokenLogprobs(tokens []string) []tokenLogprob {
	var result []tokenLogprob
	for _, each := range tokens {
		chosen := newLikelyToken(each, syntheticLogprob(each))
		top := []likelyToken{}
		if resp.request.topLogprobs > 0 {
			top = append(top, chosen)
		}
		for i := 1; i < resp.request.topLogprobs; i++ {
			top = append(top, newLikelyToken(each+strconv.Itoa(i), chosen.Logprob-float64(i)))
		}
		result = append(result, tokenLogprob{likelyToken: chosen, TopLogprobs: top})
	}
	return result
}

func newLikelyToken(token string, logprob float64) likelyToken {
	result := likelyToken{Token: token, Logprob: logprob, Bytes: make([]int, len(token))}
	for i := range len(token) {
		result.Bytes[i] = int(token[i])
	}
	return result
}

// syntheticLogprob returns a fixed log probability for a token. It is a multiple of
// 1/1024 from -1 to -1/1024, which a double represents exactly.
func syntheticLogprob(token string) float64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(token))
	return -float64(1+sum.Sum32()%1024) / 1024
}
