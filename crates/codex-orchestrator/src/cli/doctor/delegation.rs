//! Whether Codex sessions can delegate: the client, the registration of the server, and the
//! server itself, started as Codex would start it.

use std::{ffi::OsString, path::Path, time::Duration};

use super::{Check, Verdict};
use crate::{
    cli::setup,
    registration::{
        USUAL_NAME,
        codex::{self, Client, MEASURED},
        enter, file, program, proof,
        server::Server,
        written::Written,
    },
    render::human,
    surroundings::Surroundings,
};

const CLIENT: &str = "codex";
const ENTRY: &str = "registration";
const SERVER: &str = "server";

/// No wait of the server is longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(240);

pub(super) fn checks(here: &Surroundings, quick: bool) -> Vec<Check> {
    let env = Surroundings::env();
    let folder = &here.place.work_tree;
    let mut checks = vec![client(&env, folder)];
    let servers = match registered(here) {
        Ok(servers) => servers,
        Err(check) => {
            checks.push(check);
            return checks;
        }
    };
    for server in &servers.ours {
        checks.extend(look(server, servers.ours.len() > 1, &servers.file, &env, folder));
        if !quick {
            checks.extend(try_out(server, &env, folder));
        }
    }
    if let [first, .., last] = servers.ours.as_slice() {
        checks.push(Check::off(
            ENTRY,
            Verdict::Limited,
            format!("`{}` and `{}` are both this program", first.name, last.name),
            &format!("a session needs one: `codex mcp remove {}`", last.name),
        ));
    }
    checks
}

fn client(env: &[(OsString, OsString)], folder: &Path) -> Check {
    let [major, minor, patch] = MEASURED;
    match codex::client(env, folder) {
        Client::Found { line, older: false } => Check::good(CLIENT, line),
        Client::Found { line, older: true } => Check::off(
            CLIENT,
            Verdict::Limited,
            format!("{line}, which is older than what this was made for"),
            &format!("{major}.{minor}.{patch} or newer: `npm install -g @openai/codex`"),
        ),
        Client::Silent(what) => {
            Check::off(CLIENT, Verdict::Limited, what, "see what `codex --version` says by hand")
        }
        Client::Missing => Check::off(
            CLIENT,
            Verdict::Limited,
            "not found",
            "nothing can be delegated from sessions without it: `npm install -g @openai/codex`",
        ),
    }
}

/// The entries of this program in Codex's config.
struct Registered {
    file: String,
    ours: Vec<Server>,
}

fn registered(here: &Surroundings) -> Result<Registered, Check> {
    let bad = |found: String, remedy: Option<&str>| {
        let remedy = remedy.unwrap_or("Codex cannot read it either: mend that file");
        Check::off(ENTRY, Verdict::Bad, found, remedy)
    };
    let path = setup::config(here).map_err(|failure| bad(failure.to_string(), None))?;
    let found = file::read(&path).map_err(|fault| bad(fault.to_string(), fault.hint.as_deref()))?;
    let file = path.display().to_string();
    let written = Written::read(&file, found.text.unwrap_or_default());
    let written = written.map_err(|fault| bad(fault.to_string(), fault.hint.as_deref()))?;
    let ours =
        enter::ours(&written).map_err(|fault| bad(fault.to_string(), fault.hint.as_deref()))?;
    match ours.is_empty() {
        true => Err(Check::off(
            ENTRY,
            Verdict::Limited,
            format!("none in {file}: sessions cannot delegate"),
            "`codex-orch setup` registers the server",
        )),
        false => Ok(Registered { file, ours }),
    }
}

/// What an entry says that is not as `setup` would write it.
fn look(
    server: &Server,
    named: bool,
    file: &str,
    env: &[(OsString, OsString)],
    folder: &Path,
) -> Vec<Check> {
    let name = &server.name;
    let setup = match named || name != USUAL_NAME {
        true => format!("codex-orch setup --name {name} --yes"),
        false => "codex-orch setup --yes".to_owned(),
    };
    let mut checks = Vec::new();
    let mut off = |found: String, remedy: String| {
        checks.push(Check::off(ENTRY, Verdict::Limited, format!("`{name}`: {found}"), &remedy));
    };
    if server.enabled {
        let remedy = format!("`{setup}` turns it off until a session asks for it");
        off("its tools are in every session".to_owned(), remedy);
    }
    if !server.required {
        off(
            "not `required`: a session that begins on a busy machine has none of its tools"
                .to_owned(),
            format!("`{setup}` has sessions wait for it"),
        );
    }
    let lack = enter::variables().into_iter().filter(|name| {
        let set = server.env.iter().any(|(own, _)| own == name);
        !set && !server.env_vars.iter().any(|passed| passed == name)
    });
    let lack: Vec<&str> = lack.collect();
    if !lack.is_empty() {
        let found = format!("Codex does not pass {} on to it", lack.join(", "));
        off(found, format!("`{setup}` adds them to `env_vars`"));
    }
    if server.patience <= LONGEST_WAIT {
        off(
            format!("Codex gives a call up after {} s", server.patience.as_secs_f64()),
            format!("waiting takes up to {} s: `{setup}`", LONGEST_WAIT.as_secs()),
        );
    }
    if !server.parallel {
        off(
            "its calls wait for each other".to_owned(),
            format!("`{setup}` lets `status` answer during a long `wait`"),
        );
    }
    if let Some(repo) = server.pinned() {
        off(
            format!("it belongs to {repo}, wherever a session is"),
            format!("`{setup}` leaves `--repo` out: then it belongs to the session's repository"),
        );
    }
    if let Some(cwd) = &server.cwd {
        off(
            format!("it starts in {cwd}, wherever a session is"),
            format!("take `cwd` out of {file}"),
        );
    }
    let modes = server.approval.iter().chain(server.approvals.iter().map(|(_, mode)| mode));
    if let Some(mode) = modes.into_iter().find(|mode| enter::is_strict(mode)) {
        off(
            format!("with the approval mode `{mode}`, `codex exec` refuses tools of it"),
            format!("write `auto` instead in {file}"),
        );
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let cwd = server.cwd.as_ref().map_or(folder.to_owned(), |cwd| folder.join(cwd));
    let command = server.command.as_deref().unwrap_or_default();
    if let Err(what) = program::find(command, path, &cwd) {
        let remedy = format!("`{setup}` registers this program where it is now");
        checks.push(Check::off(ENTRY, Verdict::Bad, format!("`{name}`: {what}"), &remedy));
    }
    if checks.is_empty() {
        checks.push(Check::good(ENTRY, format!("`{name}` in {file}, off until a session asks")));
    }
    checks
}

/// Starts the server and talks with it.
fn try_out(server: &Server, env: &[(OsString, OsString)], folder: &Path) -> Vec<Check> {
    let name = &server.name;
    let by_hand = format!("see what `{}` says by hand; Ctrl-D ends it", server.line());
    let proof = match proof::prove(server, env, folder) {
        Ok(proof) => proof,
        Err(broken) => {
            return vec![Check::off(SERVER, Verdict::Bad, format!("`{name}`: {broken}"), &by_hand)];
        }
    };
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let called = proof.called.as_ref().map_or(String::new(), |(tool, took)| {
        format!(", `{tool}` answers after {:.1} ms", millis(*took))
    });
    let found = format!(
        "{} {}: {} after {:.1} ms{called}",
        proof.name,
        proof.version,
        human::count(proof.tools, "tool"),
        millis(proof.listed),
    );
    let mut checks = vec![Check::good(SERVER, found)];
    let complaints = proof.complaints.iter();
    checks.extend(complaints.map(|complaint| {
        Check::off(SERVER, Verdict::Limited, format!("`{name}`: {complaint}"), &by_hand)
    }));
    let own = env!("CARGO_PKG_VERSION");
    if proof.version != own {
        checks.push(Check::off(
            SERVER,
            Verdict::Limited,
            format!("`{name}`: it is version {}, and this is {own}", proof.version),
            "register the one that you mean, with its own `setup --yes`",
        ));
    }
    checks
}
