# `make help` lists the targets. Everything a target needs, it installs itself: tools go to
# build/, nothing else is touched but Debian packages for the tests (see test/setup).

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Tests of the built binary depend on code that go test does not see them use, so a cached
# result would be worth nothing. Many of them wait more than they work, so more of them run at a
# time than there are cores.
GOTEST  := $(GO) test -count=1 -timeout 30m -p 3 -parallel 6
# A soak has a machine to itself, so it judges how long something took as well.
SOAK    := JUDGE_TIMES=1 $(GO) test -count=1 -v -p 1
# A benchmark that compares contestants in rounds runs once and prints its own tables.
BENCH   := -count=1 -timeout 30m -run '^$$' -benchtime 1x
GOBENCH := $(GO) test $(BENCH)
# Libraries that only a comparison needs are a module of their own, which ./... does not see.
PEERS   := test/bench/peers
LINT    := build/golangci-lint-v2.15.0
SOAKTIME  ?= 10m

export CGO_ENABLED := 0

.PHONY: help setup run build test test-clients race lint format vet style check docs bench bench-engine bench-local bench-redis bench-durability bench-peers bench-policies bench-docs bench-smoke parity policies attack crash links soak-disk soak-times soak-wire fuzz soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on 127.0.0.1:6380
	exec bin/rlserver serve $(ARGS)

build: ## build the static binary bin/rlserver
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/rlserver ./cmd/rlserver

setup:
	test/setup

test: setup ## install what the tests need, and run them all
	$(GOTEST) ./...

test-clients: ## install the clients of the README's table, and try each (3 minutes at first)
	test/setup clients
	$(GOTEST) ./test/clients -clients

# What shares memory with the code under test. Tests of the built binary show a race only by what
# the server does, so of these only those with many connections run once more.
RACED   := ./bench/... ./cmd/... ./engine/... ./lua/... ./policy ./replication/... ./server/... \
	./test/linearizability ./test/load ./test/pubsub ./test/wire
# One goroutine asks in these. They have no race to show, and the detector makes them four times as
# slow. The invariants are checked all the same.
ALONE   := ./test/model ./test/parity

race: setup ## run what shares memory with the race detector and the costly invariant checks
	CGO_ENABLED=1 $(GOTEST) -race -tags invariants $(RACED)
	$(GOTEST) -tags invariants $(ALONE)

format: ## format the code in place
	$(GO) fmt ./...

vet: ## run go vet, for this system and others
	$(GO) vet ./...
	$(GO) vet -C $(PEERS) ./...
	GOOS=windows $(GO) vet ./engine ./policy ./server/... ./replication/...
	GOOS=darwin $(GO) vet ./bench/... ./engine ./server/... ./replication/... ./cmd/rlserver

lint: $(LINT) ## run golangci-lint: style, errors, and the arrows between rooms
	$(LINT) run --allow-parallel-runners ./...
	cd $(PEERS) && $(abspath $(LINT)) run --allow-parallel-runners ./...

$(LINT):
	GOBIN=$(abspath build) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv build/golangci-lint $@

style: vet lint ## check format, vet and lint
	@test -z "$$(gofmt -l .)" || { echo "not formatted (make format):"; gofmt -l .; exit 1; }

check: style race bench-smoke ## what CI runs besides make test: format, vet, lint, race tests, each benchmark for seconds

docs: ## write docs/COMMANDS.md anew from the tables of commands and settings, and the picture of the algorithms
	$(GO) test -p 1 ./server ./cmd/rlserver ./test/picture -run 'Reference|Picture' -update

bench-engine: setup ## measure the engine beside its peers: time, memory, ten million keys (5 minutes)
	$(GOBENCH) ./test/bench/engine -bench . -skip Local

bench: setup ## compare with a real Redis on the wire: throughput, latency, CPU, memory (9 minutes)
	$(GOBENCH) ./test/bench/wire -bench .

bench-local: ## measure 5,000 concurrent callers in process, beside published figures (1 minute)
	$(GOBENCH) ./test/bench/engine -bench Local

bench-redis: setup ## compare decisions in Redis, through rlserver and straight: throughput, CPU (5 minutes)
	$(GOBENCH) ./test/bench/backend ./test/backend -bench .

bench-peers: setup ## compare with other limiters: libraries of Go programs in process, and servers on the wire (4 minutes; builds some of them at first)
	test/setup peers
	$(GOBENCH) ./test/bench/servers -bench .
	$(GO) test -C $(PEERS) $(BENCH) -bench .

bench-durability: setup ## measure what the append-only file and a replica cost, and a restart with ten million keys (2 minutes)
	$(GOBENCH) ./test/bench/durability -bench .

bench-policies: setup ## measure what limits cost by name and in the command, and very many policies (2 minutes)
	$(GOBENCH) ./test/bench/policies -bench .

# What these printed last is kept in build/bench, from which the document is filled. To measure one
# anew, remove its file.
FIGURES ?= bench bench-local bench-redis bench-peers bench-durability bench-policies bench-engine
build/bench/%.md:
	@mkdir -p $(@D)
	$(MAKE) -s $* >$@.part
	mv $@.part $@

bench-docs: $(FIGURES:%=build/bench/%.md) ## measure what build/bench has no figures of (FIGURES), and write all into docs/BENCHMARKS.md (25 minutes)
	$(GO) run ./test/bench/publish

bench-smoke: setup ## run each benchmark for seconds: only wrong counts and crashes fail (2 minutes)
	$(GOBENCH) -short ./test/bench/... ./test/backend -bench .
	$(GO) test -C $(PEERS) -count=1 -short ./... -bench . -benchtime 1x

parity: setup ## compare STEPS (a million) random steps in Redis and in memory, a quarter as many calls, and a tenth as many steps on the wire, field by field
	$(GOTEST) ./test/parity -v -timeout 20m -run TestParity -steps $(or $(STEPS),1000000) -callsteps $$(($(or $(STEPS),1000000) / 4)) -wiresteps $$(($(or $(STEPS),1000000) / 10))

policies: setup ## call policies CALLS (a million) times in Redis and in a cluster, and ten times as often in memory, and compare all sums (5 minutes)
	$(SOAK) -timeout 60m ./test/policies -run 'TestTogether$$' -calls $(or $(CALLS),1000000) $(if $(SEED),-seed $(SEED))

attack: setup ## attack a server by its connections, and see what honest clients notice (half an hour)
	$(SOAK) -timeout 60m ./test/attack -run 'TestAttack$$' -attack

crash: setup ## kill a server CRASHES (300) times under load for each of appendfsync always and everysec (5 minutes)
	$(SOAK) -timeout 0 ./test/durability -run 'TestCrash$$' -crashes $(or $(CRASHES),300) $(if $(SEED),-crashseed $(SEED))
	$(SOAK) -timeout 0 ./test/policies -run 'TestCrash$$' -crashes $(or $(CRASHES),300) $(if $(SEED),-seed $(SEED))

links: setup ## make the links of replicas worse for LINKSTIME (3m) under load, and compare state key by key
	$(SOAK) -timeout 0 ./test/replication -run 'TestLinks$$' -links $(or $(LINKSTIME),3m) $(if $(SEED),-linksseed $(SEED))

soak-disk: ## damage files of the log at every bit and every length (3 minutes)
	$(SOAK) ./replication/disk -run 'TestEvery(Bit|Length)$$' -every

soak-wire: setup ## full load with churn for SOAKTIME, looking for growth
	$(SOAK) -timeout 0 ./test/attack -run TestAttackChurnSoak -churn $(SOAKTIME)

soak-times: setup ## run the tests of the built binary on a machine that does nothing else, and judge how long things took (6 minutes)
	$(SOAK) -timeout 30m -parallel 1 ./test/attack ./test/backend ./test/debugging ./test/policies ./test/pubsub ./test/replication

fuzz: ## fuzz the framer, the commands' arguments, policies, files of the stream and the engine's tables, each for FUZZTIME (1m)
	$(GO) test ./server/resp -run '^$$' -fuzz FuzzFramer -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./server -run '^$$' -fuzz FuzzArguments -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./policy -run '^$$' -fuzz FuzzParse -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./replication/stream -run '^$$' -fuzz FuzzRecords -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./replication/disk -run '^$$' -fuzz FuzzReadStream -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./replication/disk -run '^$$' -fuzz FuzzManifest -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./test/model -run '^$$' -fuzz FuzzTableAgainstMap -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 10x

soak: ## look for races in the engine for SOAKTIME; the test itself ends what hangs
	$(GOTEST) -v ./test/linearizability -run TestSoak -soak $(SOAKTIME) -timeout 0
	$(GOTEST) -v ./engine -soak -rapid.seed 0

clean: ## remove what was built and installed here
	rm -rf bin build
