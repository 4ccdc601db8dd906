// Package playground serves a page to try the API, at /playground/. The page is
// embedded in the binary: build.mjs builds it from src into dist.
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

// Path is the path of the page. The page owns every path below it.
const Path = "/playground/"

// policy allows only requests to the page's own origin, without inline scripts,
// inline styles and framing (https://www.w3.org/TR/CSP3/). Attached images are
// data URLs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

//go:embed dist
var dist embed.FS

// asset represents a file of the page.
type asset struct {
	content []byte
	mime    string
	etag    string // strong: a digest of the content (RFC 9110 §8.8.3)
}

// Handler returns a handler for [Path] and every path below it. It redirects Path
// without the trailing slash. Browsers may cache the files, but must revalidate
// them before each use.
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
			http.Error(w, "method not allowed: use GET", http.StatusMethodNotAllowed)
			return
		}
		name, found := strings.CutPrefix(r.URL.EscapedPath(), Path)
		if !found {
			// A relative location also works through a proxy that adds a path prefix.
			// http.Redirect would make it absolute.
			header.Set("Location", path.Base(Path)+"/")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		if name == "" {
			name = "index.html"
		}
		file, ok := assets[name]
		if !ok {
			http.Error(w, "no such file: the playground is at "+Path, http.StatusNotFound)
			return
		}
		header.Set("Content-Type", file.mime)
		header.Set("ETag", file.etag)
		header.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.content))
	})
}

// load returns the embedded files by name. Reading them can't fail.
func load() map[string]asset {
	files, err := fs.Sub(dist, "dist")
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

// mediaType returns the media type for a file name extension. Package mime would
// depend on the system's tables.
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
