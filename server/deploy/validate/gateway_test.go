package validate

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// The Kubernetes schemas lack the Gateway API, so its Go types validate the example.
func TestGateway_ExampleIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../kubernetes/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := yamlv3.NewDecoder(bytes.NewReader(text))
	var seen []string
	for {
		var document map[string]any
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		one, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(one, &meta); err != nil || meta.APIVersion != gatewayv1.GroupVersion.String() {
			t.Errorf("got document of type %v, %v", meta, err)
		}
		seen = append(seen, meta.Kind)
		switch meta.Kind {
		case "Gateway":
			err = yaml.UnmarshalStrict(one, new(gatewayv1.Gateway))
		case "HTTPRoute":
			err = yaml.UnmarshalStrict(one, new(gatewayv1.HTTPRoute))
		default:
			t.Errorf("got unexpected document kind %s", meta.Kind)
		}
		if err != nil {
			t.Errorf("%s: %v", meta.Kind, err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("got documents %q, want 2", seen)
	}
}
