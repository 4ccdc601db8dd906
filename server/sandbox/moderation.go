package sandbox

import (
	"encoding/json"
	"strings"
)

type moderationResults struct {
	Type    string             `json:"type"`
	Model   string             `json:"model"`
	Results []moderationResult `json:"results"`
}

type moderationResult struct {
	Type         string                 `json:"type"`
	Model        string                 `json:"model"`
	Flagged      bool                   `json:"flagged"`
	Categories   map[string]bool        `json:"categories"`
	Scores       map[string]json.Number `json:"category_scores"`
	AppliedTypes map[string][]string    `json:"category_applied_input_types"`
}

type moderationError struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// moderationPrefix is the prefix of the names of the moderation models.
const moderationPrefix = "omni-moderation"

// flaggedCategory is the category of text that contains its name.
const flaggedCategory = "violence"

func isFlagged(text string) bool { return strings.Contains(strings.ToLower(text), flaggedCategory) }

// moderate returns the moderation of the input and of each choice's output, or nil
// unless requested. An unknown moderation model is reported inside the response, because
// the completion itself succeeds.
func (r *request) moderate(outputs []string) *moderation {
	if r.moderation == nil {
		return nil
	}
	name := r.moderation.str("model")
	if !strings.HasPrefix(name, moderationPrefix) {
		failed := moderationError{
			Type:    "error",
			Code:    "model_not_found",
			Message: "Unknown moderation model: want a name that starts with " + moderationPrefix + ".",
		}
		return &moderation{Input: failed, Output: failed}
	}
	resultsFor := func(texts []string, images bool) moderationResults {
		result := moderationResults{Type: "moderation_results", Model: name, Results: []moderationResult{}}
		for _, text := range texts {
			result.Results = append(result.Results, moderationResultFor(name, text, images))
		}
		return result
	}
	input, images := "", false
	if user := r.lastUser(); user != nil {
		input, images = user.text, user.images > 0
	}
	return &moderation{Input: resultsFor([]string{input}, images), Output: resultsFor(outputs, false)}
}

func moderationResultFor(name, text string, images bool) moderationResult {
	result := moderationResult{
		Type:         "moderation_result",
		Model:        name,
		Flagged:      isFlagged(text),
		Categories:   map[string]bool{},
		Scores:       map[string]json.Number{},
		AppliedTypes: map[string][]string{},
	}
	for _, category := range []string{
		"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
		"self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors",
		"violence", "violence/graphic",
	} {
		result.Categories[category] = category == flaggedCategory && result.Flagged
		result.Scores[category] = "0.001"
		if result.Categories[category] {
			result.Scores[category] = "0.99"
		}
		result.AppliedTypes[category] = []string{"text"}
		if images && (category == flaggedCategory || category == "violence/graphic") {
			result.AppliedTypes[category] = []string{"text", "image"}
		}
	}
	return result
}

// isBlocked reports whether the request's policy for input or output blocks text.
func (r *request) isBlocked(side, text string) bool {
	mode := r.moderation.object("policy").object(side).str("mode")
	return mode == "block" && strings.HasPrefix(r.moderation.str("model"), moderationPrefix) && isFlagged(text)
}
