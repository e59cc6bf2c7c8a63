# Every command of this repository. `just` lists them.

_list:
    @just --list --unsorted

# Install what building and testing need
setup:
    scripts/setup --tests

# Build the program and watch it do its main job once
demo:
    scripts/demo

# Everything CI runs, in the same order
ci:
    scripts/test

# Only some of it: fmt clippy doc test doctest deny msrv tidy docs
check +steps:
    scripts/test {{ steps }}

# Build the program as it is shipped
build:
    cargo build --release --locked

# Format the code
fmt:
    cargo fmt --all

# Run the tests, or those whose name contains a word
test *filter:
    cargo nextest run {{ filter }}

# Look for known faults in dependencies (needs a network)
advisories:
    cargo deny check advisories

# Check the structure, and show what has grown long
tidy:
    cargo xtask tidy

# Check that the documents are true; `--write` puts what is printed now into them
docs *options:
    cargo xtask docs {{ options }}

# Measure against the other tool and write BENCHMARKS.md
bench *options:
    cargo xtask bench {{ options }}

# Run the process tests many times over
soak times="20":
    for round in $(seq {{ times }}); do cargo nextest run --workspace --profile ci || exit; done

# Kill runner, guard and shim at random instants, so many times
kills rounds="300":
    E2E_ROUNDS={{ rounds }} cargo test --package codex-orchestrator --test e2e kills:: -- --nocapture

# Kill Codex, runner, guard and shim over the turns of a thread, so many times
thread-kills rounds="100":
    E2E_ROUNDS={{ rounds }} cargo test --package codex-orchestrator --test codex kills:: -- --nocapture

# Measure what a thread costs beside the bare app-server
thread-costs:
    cargo test --package codex-orchestrator --test codex costs:: -- --ignored --nocapture

# Send so many damaged messages to the delegation server
fuzz inputs="3000000":
    FUZZ_INPUTS={{ inputs }} cargo test --release --package delegate --test conversations fuzz:: -- --nocapture

# Give the tools of the delegation server so many arguments that nobody thought of
arguments cases="1000000":
    PROPTEST_CASES={{ cases }} cargo test --release --package delegate --lib any:: -- --nocapture

# Give the parsers of the proxy so many damaged requests, and compare who judges with who connects
hosts inputs="20000000":
    FUZZ_INPUTS={{ inputs }} cargo test --release --package proxy --test through fuzz:: -- --nocapture

# Measure what the way through the proxy costs
proxy-costs:
    cargo test --release --package proxy --test through numbers:: -- --ignored --nocapture
