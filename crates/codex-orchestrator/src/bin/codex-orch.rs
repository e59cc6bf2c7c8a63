//! The program under the name `codex-orch`.

fn main() {}
