# PG_CONFIG=/path/to/pg_config chooses the PostgreSQL; every target installs what it needs, once.

.PHONY: help demo test install installcheck bench lint
.DEFAULT_GOAL := help

# The PostgreSQL that the extension is installed into, for what runs next.
WITH_EXTENSION := PG_CONFIG=$$(extension/install.sh) && export PG_CONFIG PGRX_HOME='$(CURDIR)/target/pgrx' &&

help:
	@echo 'make demo          show what PercyTech does, on a private server'
	@echo 'make test          run all tests, on a private server'
	@echo 'make install       build the extension and install it into PostgreSQL'
	@echo 'make installcheck  run the tests that need a server against the installed extension'
	@echo 'make bench         measure what the isolation costs, as ratios'
	@echo 'make lint          check formatting and lints'

demo:
	@$(WITH_EXTENSION) cargo run --package percytech-toolkit -- demo

# A test that fails says where, and an error that the server sends must not.
test installcheck: export RUST_BACKTRACE = 1

test:
	tests/install.sh
	$(WITH_EXTENSION) cargo test

install:
	extension/install.sh

installcheck:
	tests/install.sh
	$(WITH_EXTENSION) cargo test --package percytech-tests

bench:
	$(WITH_EXTENSION) cargo run --package percytech-tests --bin bench

lint:
	cargo fmt --all --check
	$(WITH_EXTENSION) cargo clippy --workspace --all-targets -- --deny warnings
