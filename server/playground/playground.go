// Package playground is the page at /playground/, on which a person tries the
// API: it holds what build.mjs makes of src, so that the server needs no file.
package playground

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// Path is where the page is. Every path below is the page's too.
const Path = "/playground/"

// policy lets the page load and call what its own origin serves, and nothing
// else: no inline script or style, no other host, no frame around it
// (https://www.w3.org/TR/CSP3/). An image that is attached is a data URL.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

//go:embed dist
var built embed.FS

// asset is one file of the page.
type asset struct {
	content []byte
	mime    string
	etag    string // strong: a digest of the content (RFC 9110 §8.8.3)
}

// Handler serves the page, for GET and HEAD. It takes requests for [Path], for
// what is below, and for Path without its last slash, which it redirects.
// Browsers may keep the files, but ask each time whether they are current.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "the playground is a page: GET it", http.StatusMethodNotAllowed)
			return
		}
		name, below := strings.CutPrefix(r.URL.EscapedPath(), Path)
		if !below {
			// Relative, so that it holds behind a proxy that adds a path; http.Redirect
			// would make it absolute.
			header.Set("Location", path.Base(Path)+"/")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		if name == "" {
			name = "index.html"
		}
		file, ok := assets[name]
		if !ok {
			http.Error(w, "the playground has no such file: it is at "+Path, http.StatusNotFound)
			return
		}
		header.Set("Content-Type", file.mime)
		header.Set("ETag", file.etag)
		header.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.content))
	})
}

// load returns the files by name. They are compiled in, so none fails to be read.
func load() map[string]asset {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err)
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	assets := make(map[string]asset, len(entries))
	for _, entry := range entries {
		content, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			panic(err)
		}
		digest := sha256.Sum256(content)
		assets[entry.Name()] = asset{
			content: content,
			mime:    mediaType(path.Ext(entry.Name())),
			etag:    `"` + base64.RawURLEncoding.EncodeToString(digest[:12]) + `"`,
		}
	}
	return assets
}

// mediaType is that of a file's extension: package mime would ask the machine.
func mediaType(extension string) string {
	switch extension {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8" // RFC 9239
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
