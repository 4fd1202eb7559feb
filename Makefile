# Transport Lab. `make` alone says what there is.

# Where cargo builds: CARGO_TARGET_DIR and cargo's configuration may say somewhere else than ./target.
BUILT = $(shell cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
LAB = $(BUILT)/release/transport-lab
# Where `make install` puts the program and its manual pages.
PREFIX ?= /usr/local
# Options for `transport-lab run`: make run ARGS="--client firefox --repeats 3"
ARGS ?=

.PHONY: help run install test matrix cluster cluster-soak soak bench bench-delivery bench-link clean

help:
	@echo 'make run     install what is missing, build, and measure six versus one hundred in the browsers here'
	@echo 'make install build, and put the program and its manual pages below PREFIX (/usr/local)'
	@echo 'make test    install what tests need; format, lints, documentation, all tests with real browsers'
	@echo 'make matrix  run every experiment (an hour and more), and hold each trial against what is expected of it'
	@echo 'make cluster start three nodes of NATS, three servers that share their feeds and two agents on this machine, run'
	@echo '             the experiments on several servers and agents, and end all of it (some minutes); CLUSTER=keep leaves'
	@echo '             it up until Ctrl-C'
	@echo 'make cluster-soak'
	@echo '             10,000 readers of three servers at three agents on networks of their own, while servers and nodes are'
	@echo '             killed; as root (some minutes). READERS, RATE and MINUTES say how much'
	@echo 'make soak    measure six versus one hundred ten times over; any trial whose ends disagree fails it, and so does'
	@echo '             anything that one hundred trials leave behind, or connections that end at any point of their life'
	@echo 'make bench   memory that the server takes for each idle stream'
	@echo 'make bench-delivery'
	@echo '             what an event costs to deliver to 5,000 TLS subscribers, next to nginx with nchan (some minutes)'
	@echo 'make bench-link'
	@echo '             what a link does next to what it is told to do; as root (half a minute)'
	@echo 'make clean   remove what was built (results and certificates stay)'
	@echo
	@echo 'make run ARGS="--client firefox --repeats 3" passes options on; transport-lab --help has all of them.'

run:
	@sh tools/install.sh run
	cargo build --release --locked
	$(LAB) run $(ARGS)

install:
	cargo build --release --locked
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -s -m 755 '$(LAB)' '$(DESTDIR)$(PREFIX)/bin/transport-lab'
	$(LAB) man '$(DESTDIR)$(PREFIX)/share/man/man1'

# The tests come last, so that the closing lines are theirs. nextest runs each in a process of its own, but no
# documentation tests: those are run before.
test: export TRANSPORT_LAB_BROWSERS = 1
test:
	@sh tools/install.sh test
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --lib --no-deps --document-private-items
	cargo test --locked --doc
	@if command -v cargo-nextest >/dev/null 2>&1; then \
		echo cargo nextest run --locked --no-fail-fast; cargo nextest run --locked --no-fail-fast; \
	else \
		echo cargo test --locked --lib --bins --tests --no-fail-fast; \
		cargo test --locked --lib --bins --tests --no-fail-fast; \
	fi

# Not by nextest, which ends a test long before.
matrix: export TRANSPORT_LAB_BROWSERS = 1
matrix:
	@sh tools/install.sh test
	cargo test --locked --test matrix -- --ignored --test-threads 1

# make cluster ARGS="failover", or CLUSTER=keep make cluster
cluster:
	@sh tools/install.sh broker
	cargo build --release --locked
	@sh tools/cluster.sh $(LAB) $(ARGS)

cluster-soak:
	@sh tools/install.sh broker
	cargo build --release --locked
	@sh tools/cluster-soak.sh $(LAB) $(ARGS)

soak:
	@sh tools/install.sh run
	cargo build --release --locked
	$(LAB) run six-vs-hundred --repeats 10 $(ARGS)
	TRANSPORT_LAB_SOAK=100 cargo test --release --locked --test run -- soak --nocapture
	TRANSPORT_LAB_SOAK=100 cargo test --release --locked --test server -- endings --nocapture

bench:
	cargo bench --locked --bench idle_memory

# make bench-delivery ARGS="--rounds 5 sse/h1 sse/h2"
# make bench-delivery ARGS="--shared --subscribers 1000 sse/h1"    what logs in NATS JetStream add
bench-delivery:
	@sh tools/install.sh bench
	cargo bench --locked --bench delivery -- $(ARGS)

bench-link:
	cargo bench --locked --bench link

clean:
	cargo clean
