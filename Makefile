.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail

# The library and its end-to-end tests: two modules, so that nothing the tests need is asked of users.
MODULES := . e2e
each = for module in $(MODULES); do (cd $$module && $(1)) || exit 1; done

GOLANGCI_VERSION := 2.8.0
GOLANGCI := $(or $(shell go env GOBIN),$(shell go env GOPATH)/bin)/golangci-lint
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
FUZZTIME ?= 30s

# SQLite, C translated to Go, is not looked at for races: that made the tests of the store five times as slow.
uninstrumented = $(foreach module,sqlite libc,-gcflags=modernc.org/$(module)/...=-race=false)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: all
all: tidy fmt lint race e2e ## everything to do before a pull request

.PHONY: build
build: ## build the commands into bin/
	go build -o bin/ ./mps-sim ./mps-ilert

.PHONY: test
test: ## test the library; needs neither Docker nor network
	go test ./...

.PHONY: race
race: ## the same with the race detector, in random order
	go test -race -shuffle=on $(uninstrumented) ./...

.PHONY: e2e
e2e: ## test the built commands against Mosquitto; needs Docker
	cd e2e && go test -count=1 -shuffle=on ./...

.PHONY: bench
bench: ## compare publisher, consumer and middleware with their peers, on Mosquitto; run the benchmarks
	cd e2e && go run ./bench
	go test -run '^$$' -bench . -benchmem ./...
	cd e2e && go test -run '^$$' -bench . ./peers

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (30s)
	@go test -list '^Fuzz' ./... \
	| awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { while (n) print names[--n], $$2 }' \
	| while read -r name package; do \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
	done

.PHONY: lint
lint: $(GOLANGCI) ## run the linters
	@$(call each,$(GOLANGCI) run --allow-serial-runners ./...)

.PHONY: fmt
fmt: $(GOLANGCI) ## format the code
	@$(call each,$(GOLANGCI) fmt ./...)

# Not a file target: the one that is there may be of another version.
.PHONY: $(GOLANGCI)
$(GOLANGCI):
	@$@ version --short 2>/dev/null | grep -qx $(GOLANGCI_VERSION) \
	|| go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)

.PHONY: tidy
tidy: ## tidy go.mod and go.sum
	@$(call each,go mod tidy)

.PHONY: check
check: ## what CI wants beside tests and lint: go vet, tidy modules
	@$(call each,go vet ./... && go mod tidy -diff)

.PHONY: pictures
pictures: ## take the pictures in docs/images from a running mps-sim; needs Chromium
	cd e2e && go run ./screenshots --out ../docs/images

.PHONY: up
up: ## start compose.yaml: http://localhost:3000
	$(COMPOSE) up --build --detach

.PHONY: down
down: ## stop it and delete its data
	$(COMPOSE) down --volumes
