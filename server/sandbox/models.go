package sandbox

import "net/http"

// Model is the name of the only model. Responses have it regardless of the model in the
// request.
const Model = "sandbox"

type modelList struct {
	Object string  `json:"object"`
	Data   []model `json:"data"`
}

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func sandboxModel() model {
	return model{
		ID:      Model,
		Object:  "model",
		Created: 1735689600, // 2025-01-01T00:00:00Z
		OwnedBy: "openai-connect, which answers in place of a model",
	}
}

func (s *sandbox) listModels(x *exchange) error {
	x.respond(modelList{Object: "list", Data: []model{sandboxModel()}})
	return nil
}

func (s *sandbox) getModel(x *exchange) error {
	if x.id != Model {
		return &apiError{
			status:  http.StatusNotFound,
			message: "The model '" + truncate(x.id, maxQuotedValue) + "' does not exist: the only model is '" + Model + "'.",
			kind:    typeInvalidRequest,
			param:   "model",
			code:    "model_not_found",
		}
	}
	x.respond(sandboxModel())
	return nil
}
