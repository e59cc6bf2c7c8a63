# Sourced from the root of the repository: finds Rust and its tools.

# The oldest Rust that builds this, as the workspace says it.
oldest_rust() {
  sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml
}

# at_least HAVE WANT: compares dotted numbers.
at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version of the Rust that would be used, or nothing.
current_rust() {
  cargo --version >/dev/null 2>&1 || return 0
  rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p'
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# rustup puts cargo where only a login shell looks for it.
if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# Whether the Rust that would be used is new enough.
rust_will_do() {
  local rust
  rust=$(current_rust)
  [ -n "$rust" ] && at_least "$rust" "$(oldest_rust)"
}

# Somebody's default may be an older one; it stays their default, and is not used here.
use_stable_if_needed() {
  if ! rust_will_do && have rustup && (export RUSTUP_TOOLCHAIN=stable; rust_will_do); then
    export RUSTUP_TOOLCHAIN=stable
  fi
}
use_stable_if_needed

# Where scripts/setup puts cargo-nextest and cargo-deny, if the host has none.
PATH="$PATH:$PWD/target/tools/bin"
