# What is run while developing, and by .ci/run.
include .ci/versions

golangci_lint_run = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(golangci_lint) run

.PHONY: help build test lint generate chart e2e bench snapshot

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "%-10s%s\n", $$1, $$2 }' Makefile

build: ## compile the program
	go build ./cmd/groups-exporter

test: ## run the quick tests, without a hub or a network
	go test ./...

lint: ## check code, workflows and shell scripts
	go vet ./...
	go vet -tags e2e ./e2e/...
	$(golangci_lint_run)
	cd deploy/helm/test && go vet ./... && $(golangci_lint_run)
	go run github.com/rhysd/actionlint/cmd/actionlint@v$(actionlint)
	shellcheck -x .ci/run .ci/beside e2e/run e2e/cluster/build deploy/package/*.sh

generate: ## make reference, man pages, completions and the chart's files anew
	go generate ./...
	cd deploy/helm/test && go mod tidy && go generate ./... # it has the dependencies of the program, too

chart: ## test the Helm chart; compiling Helm takes minutes at first
	cd deploy/helm/test && go test -count=1 -timeout=20m ./... # Go doesn't see a change outside of this module

e2e: ## test with real hubs, Prometheus and a browser (Debian, root)
	e2e/run

bench: ## compare the exporter with others on a fake hub (Linux)
	go run ./bench

snapshot: ## build release files in dist (goreleaser, cyclonedx-gomod)
	goreleaser release --snapshot --clean --skip=docker,sign
