// Package validate checks the deployment files with the libraries of the tools that
// read them. It contains only tests.
package validate
