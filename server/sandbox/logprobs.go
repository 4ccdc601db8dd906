package sandbox

import (
	"hash/fnv"
	"strconv"
)

// logprobs are those of a choice's text, or of its refusal, if the request asks.
func (resp *response) logprobs(c choice) *logprobs {
	if !resp.request.logprobs || len(c.content)+len(c.refusal) == 0 {
		return nil
	}
	return &logprobs{Content: resp.tokenLogprobs(c.content), Refusal: resp.tokenLogprobs(c.refusal)}
}

// likelihoods is nil, and so null, for no tokens.
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

// logprobOf is always the same for a token, between -1 and -1/1024: fractions
// that a double holds exactly.
func syntheticLogprob(token string) float64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(token))
	return -float64(1+sum.Sum32()%1024) / 1024
}
