// Package validate checks the deployment files by the libraries of those who read
// them. It has nothing but tests.
package validate
