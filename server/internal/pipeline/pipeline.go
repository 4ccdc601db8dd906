// Package pipeline builds a chain of layers from a list that reads from the outside in.
package pipeline

import "slices"

// Layer is one layer of a chain of T, such as [net/http.Handler].
type Layer[T any] struct {
	// Name is the layer's name in documentation.
	Name string

	// Wrap returns the layer around the next inner one. If it is nil, the layer is
	// not configured and is left out.
	Wrap func(next T) T
}

// Build wraps the layers around the innermost element. The first layer is the
// outermost.
func Build[T any](innermost T, layers []Layer[T]) T {
	for _, layer := range slices.Backward(layers) {
		if layer.Wrap != nil {
			innermost = layer.Wrap(innermost)
		}
	}
	return innermost
}

// Names returns the names of the layers, configured or not.
func Names[T any](layers []Layer[T]) []string {
	names := make([]string, len(layers))
	for i, layer := range layers {
		names[i] = layer.Name
	}
	return names
}
