package sandbox

import (
	"hash/fnv"
)

// logprobs are those of a choice's text, or of its refusal, if the request asks.
func (a *answer) logprobs(c choice) *logprobs {
	if !a.request.logprobs || len(c.content)+len(c.refusal) == 0 {
		return nil
	}
	return &logprobs{Content: a.likelihoods(c.content), Refusal: a.likelihoods(c.refusal)}
}

// likelihoods is nil, and so null, for no tokens.
func (a *answer) likelihoods(tokens []string) []tokenLogprob {
	var result []tokenLogprob
	for _, each := range tokens {
		chosen := likely(each, logprobOf(each))
		top := []likelyToken{}
		if a.request.topLogprobs > 0 {
			top = append(top, chosen)
		}
		for i := 1; i < a.request.topLogprobs; i++ {
			top = append(top, likely(each+decimal(i), chosen.Logprob-float64(i)))
		}
		result = append(result, tokenLogprob{likelyToken: chosen, TopLogprobs: top})
	}
	return result
}

func likely(token string, logprob float64) likelyToken {
	result := likelyToken{Token: token, Logprob: logprob, Bytes: make([]int, len(token))}
	for i := range len(token) {
		result.Bytes[i] = int(token[i])
	}
	return result
}

// logprobOf is always the same for a token, between -1 and -1/1024: fractions
// that a double holds exactly.
func logprobOf(token string) float64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(token))
	return -float64(1+sum.Sum32()%1024) / 1024
}
