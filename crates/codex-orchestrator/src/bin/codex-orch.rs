//! The program under the name `codex-orch`.

fn main() -> std::process::ExitCode {
    codex_orchestrator::main()
}
