package main

import (
	"net"
	"strings"
	"text/template"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/sandbox"
)

// bannerText is printed at the start. Its commands require only curl and Go.
var bannerText = template.Must(template.New("banner").Parse(`openai-connect listens on {{.URL}}
{{with .Site}}certificates: automatic, stored in {{.Directory}}{{with .Plain}}; http://{{.}} redirects{{end}}
{{end}}upstream: {{.Upstream}}

Try it, raw:

  curl {{.URL}}/v1/chat/completions{{.Auth}} -H 'content-type: application/json' \
    -d '{"model": "{{.Model}}", "messages": [{"role": "user", "content": "Hello!"}]}'

Typed, with Connect:

  curl {{.URL}}/openaiconnect.chat.v1.ChatService/CreateChatCompletion{{.Auth}} -H 'content-type: application/json' \
    -d '{"model": "{{.Model}}", "messages": [{"role": "ROLE_USER", "content": "Hello!"}]}'

Typed, with gRPC, as a stream:

  go run github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4{{if not .TLS}} -plaintext{{end}}{{.Auth}} \
    -d '{"model": "{{.Model}}", "messages": [{"role": "ROLE_USER", "content": "Hello!"}]}' \
    {{.Address}} openaiconnect.chat.v1.ChatService/StreamChatCompletion

In a browser: {{.URL}}/playground/
OpenAI's SDKs: set the base URL to {{.URL}}/v1

`))

// banner returns the text for a server at an address. Site is nil without --domain.
// Credential is the shell expression of an API key, empty if clients need none.
func banner(address, upstream, credential string, tls bool, site *acmeSite) string {
	type siteData struct{ Directory, Plain string }
	data := struct {
		URL, Address, Upstream, Model, Auth string
		TLS                                 bool
		Site                                *siteData
	}{Address: dialableAddr(address), Upstream: upstream, TLS: tls}
	data.URL = "http://" + data.Address
	if tls {
		data.URL = "https://" + strings.TrimSuffix(data.Address, ":443")
	}
	if site != nil {
		data.Site = &siteData{Directory: site.directory}
		if site.plain != nil {
			data.Site.Plain = site.plain.Addr().String()
		}
	}
	switch {
	case upstream == server.Sandbox:
		data.Upstream = "the embedded sandbox, which needs no key"
		data.Model = sandbox.Model
	case isOpenAI(upstream):
		data.Model = openAIModel
	default:
		data.Model = "MODEL"
	}
	if credential != "" {
		data.Auth = ` -H "authorization: Bearer ` + credential + `"`
	}
	var text strings.Builder
	if err := bannerText.Execute(&text, data); err != nil {
		return err.Error() + "\n"
	}
	return text.String()
}

// dialableAddr returns an address of the listener to which this machine can connect.
func dialableAddr(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
