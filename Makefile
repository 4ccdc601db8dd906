# The commands of this project. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Tools built here take precedence over installed ones.
export PATH := $(CURDIR)/bin:$(PATH)

TYPESCRIPT := client/typescript
PLAYGROUND := server/playground
GOTESTSUM  := go run gotest.tools/gotestsum@v1.13.0
BENCHMARK  := server/benchmark
# Separate modules, whose dependencies the main module does not need.
MODULES    := $(BENCHMARK) server/telemetry/integration server/deploy/validate
BENCH_ARGS ?= -compare result.json
FUZZ_TIME  ?= 5000x
SOAK       ?= 1h

.PHONY: help
help: ## List the commands.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Run the server with the embedded upstream, which needs no API key.
	bin/openai-connect --upstream sandbox

.PHONY: build
build: ## Build bin/openai-connect.
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/openai-connect ./server/cmd/openai-connect

.PHONY: test
test: test-go test-typescript ## Run all tests. Tests skipped for lack of a tool are listed.

.PHONY: test-go
test-go:
	@mkdir -p bin
	$(GOTESTSUM) --format pkgname --jsonfile bin/test.json -- -race ./...
	@for module in $(MODULES); do (set -x; go test -C $$module ./...); done

.PHONY: test-typescript
test-typescript: build
	@if command -v npm >/dev/null; then \
		cd $(TYPESCRIPT) && npm ci --silent && export OPENAI_CONNECT_COMMAND=$(CURDIR)/bin/openai-connect && \
		npm test --silent && node ../../server/playground/test.mjs; \
	else \
		echo '=== SKIPPED: the tests of the TypeScript client and of the playground need npm. Install Node.js to run them.'; \
	fi

.PHONY: fuzz
fuzz: ## Run every fuzz target. FUZZ_TIME=1h runs each for an hour.
	@grep -rno --exclude-dir=node_modules --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^(.*)/[^/]*:[0-9]+:func (.*)|\1 \2|' | sort -R | \
	while read -r package target; do \
		go test "$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 10x >bin/fuzz.log 2>&1 </dev/null || { cat bin/fuzz.log; exit 1; }; \
		echo "$$package $$target: $$(grep -o 'execs: [0-9]*' bin/fuzz.log | tail -n 1)"; \
	done

.PHONY: soak
soak: ## Run all kinds of traffic for SOAK (default 1h) and check for leaks.
	OPENAI_CONNECT_SOAK=$(SOAK) go test -timeout 0 -v -run TestSoak ./server/soak

.PHONY: bench
bench: ## Measure the server against nginx and other proxies. BENCH_ARGS=-help lists the options.
	@mkdir -p bin
	go run -C $(BENCHMARK) . -json $(CURDIR)/bin/bench.json -plot $(CURDIR)/bin/bench.svg $(BENCH_ARGS)

.PHONY: bench-go
bench-go: ## Run the Go benchmarks. GO_BENCH_ARGS='-count 10' for benchstat.
	go test -run '^$$' -bench . -benchmem $(GO_BENCH_ARGS) ./...
	go test -C $(BENCHMARK) -run '^$$' -bench . -benchmem $(GO_BENCH_ARGS) ./codec

.PHONY: lint
lint: tools build $(TYPESCRIPT)/node_modules ## Check the style of code and prose, and the compatibility of the protos.
	test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	golangci-lint run ./...
	cd $(BENCHMARK) && go vet ./... && golangci-lint run ./...
	buf lint
	buf format --diff --exit-code
	buf breaking --against proto/baseline.binpb
	vale --config .github/vale/vale.ini $$(git ls-files '*.md' '*.proto' '*.go' '*.ts' | grep -Ev '(^|/)(gen|testdata|library)/')
	for command in serve check chat clients 'clients add'; do bin/openai-connect $$command --help; done | vale --config .github/vale/vale.ini --ext .txt
	git ls-files '*.go' | grep -Ev '_test\.go|^gen/|/library/' | xargs grep -hoE '"[A-Za-z%][^"]* [^"]*"' | vale --config .github/vale/vale.ini --ext .txt # Error and log messages.
	cd $(TYPESCRIPT) && npx --no-install tsc --noEmit && npx --no-install tsc --noEmit --project ../../server/playground

.PHONY: generate
generate: bin/buf $(TYPESCRIPT)/node_modules ## Generate code from the .proto files, and build the playground's page.
	find gen -name '*_rest.pb.go' -delete # They may not compile with a changed codec.
	go build -o bin/protoc-gen-go-rest ./proto/protoc-gen-go-rest
	buf generate
	go test ./proto/protoc-gen-go-rest -run TestLibrary_IsCurrent -update
	node $(PLAYGROUND)/build.mjs

.PHONY: tools
tools: bin/buf bin/golangci-lint bin/grpcurl bin/connectconformance bin/vale ## Build the tools for lint and tests.

bin/buf: PACKAGE := github.com/bufbuild/buf/cmd/buf
bin/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/grpcurl: PACKAGE := github.com/fullstorydev/grpcurl/cmd/grpcurl
bin/connectconformance: PACKAGE := connectrpc.com/conformance/cmd/connectconformance
bin/vale: PACKAGE := github.com/vale-cli/vale/v3/cmd/vale

bin/buf bin/golangci-lint bin/grpcurl bin/connectconformance bin/vale: proto/tools/go.mod
	go build -C proto/tools -o $(CURDIR)/$@ $(PACKAGE)

$(TYPESCRIPT)/node_modules: $(TYPESCRIPT)/package-lock.json
	cd $(TYPESCRIPT) && npm ci --silent
	@touch $@

.PHONY: clean
clean: ## Remove all build results.
	rm -rf bin $(TYPESCRIPT)/dist $(TYPESCRIPT)/node_modules
