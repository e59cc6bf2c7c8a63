//! Homes that we make for threads of the real client.

use std::{collections::BTreeMap, fs, path::Path, process::Command, thread, time::Instant};

use codex::{CommandState, Home, Installed, Opening, Outcome, Said, Server, UsersHome, Wishes};

use crate::{
    client::{self, VERSION},
    desk::Desk,
    model::{Offer, say},
    server,
    talk::running,
    thread::{Thread, completed, opening},
};

impl Desk {
    pub(crate) fn users(&self) -> UsersHome {
        UsersHome::at(Some(&self.codex_home()), &self.home())
    }

    /// What a run here wishes for by itself.
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes { temporary: self.elsewhere().join("tmp"), ..Wishes::default() }
    }

    /// A home for a run of that name.
    pub(crate) fn home_for(&self, run: &str, wishes: &Wishes) -> Home {
        let dir = self.elsewhere().join("runs").join(run).join("codex");
        Home::make(&dir, &self.users(), wishes).expect("a home")
    }

    /// An app-server in it, that minds every key of its config.
    pub(crate) fn app_server_in(&self, home: &Home) -> Command {
        let mut command = self.command("codex", &["app-server", "--strict-config"]);
        command.env("CODEX_HOME", home.dir());
        command
    }
}

#[test]
fn the_client_speaks_what_we_say_and_hear() {
    let Some(desk) = Desk::new() else { return };
    let path = desk.elsewhere().join("bin");
    let find =
        || Installed::find("codex".as_ref(), path.as_os_str(), &desk.elsewhere().join("cache"));
    let begun = Instant::now();
    let installed = find().expect("it is here");
    let first = begun.elapsed();
    assert_eq!(installed.version, VERSION);
    let begun = Instant::now();
    assert_eq!(find().expect("it is here"), installed);
    client::say(&format!("asked in {first:?}, remembered in {:?}", begun.elapsed()));
    assert!(!desk.home().join(".codex").exists(), "nothing is done in the user's home");
}

#[test]
fn a_thread_works_in_its_own_home_and_has_what_it_was_granted() {
    let Some(desk) = Desk::registered() else { return };
    desk.configure("\n[mcp_servers.theirs]\ncommand = \"false\"\nrequired = true\n");
    let orch = server::program("codex-orch");
    let server = Server {
        command: orch.to_str().expect("a path").to_owned(),
        args: vec!["delegate-server".to_owned()],
        env_vars: vec!["CODEX_HOME".to_owned()],
        required: true,
        approved: true,
        tools: Some(vec!["delegate.status".to_owned()]),
        tool_timeout: Some(60),
        ..Server::default()
    };
    let inherited = ["GREETING".to_owned()].into();
    let servers = BTreeMap::from([("delegation".to_owned(), server)]);
    let wishes = Wishes { inherited, servers, ..desk.wishes() };
    let home = desk.home_for("1", &wishes);
    desk.model.play("greet", running("echo $GREETING $SECRET > said", false));

    let mut command = desk.app_server_in(&home);
    command.env("SECRET", "x").env("GREETING", "hello");
    let mut thread = Thread::spawn(command, opening(&desk, "greet"));
    assert!(matches!(thread.over(), Outcome::Completed { .. }));
    assert_eq!(desk.text("said"), "hello\n", "commands have what they were given");

    let first = desk.model.first("greet");
    assert_eq!(first.offer(), Offer::Functions(vec!["delegate_status".to_owned()]));
    let offered = first.on_offer();
    for tool in ["web_search", "multi_agent_v1", "create_goal"] {
        assert!(!offered.iter().any(|offer| offer == tool), "{tool}: {offered:?}");
    }
    // Of the user's home it has read the config, and that was all.
    let users: Vec<_> = fs::read_dir(desk.codex_home()).expect("a home").flatten().collect();
    assert_eq!(users.len(), 1, "{users:?}");

    // A thread goes on in its home as it was made anew.
    drop(thread);
    let home = desk.home_for("1", &desk.wishes());
    desk.model.play("and again", |seen| say(format!("{:?}", seen.offer())));
    let id = rollouts(home.dir()).pop().expect("a thread");
    let again = Opening { thread: Some(id), ..opening(&desk, "and again") };
    let mut thread = Thread::spawn(desk.app_server_in(&home), again);
    assert_eq!(thread.over(), completed("Nothing"));
}

#[test]
fn twenty_threads_in_homes_of_their_own_do_not_disturb_each_other() {
    let Some(desk) = Desk::confining() else { return };
    desk.model.play("work", running("echo one", false));
    let one = |number: usize| {
        let home = desk.home_for(&number.to_string(), &desk.wishes());
        let opening = opening(&desk, &format!("work {number}"));
        let mut thread = Thread::spawn(desk.app_server_in(&home), opening);
        let outcome = thread.over();
        let exits = thread.all(|said| match said {
            Said::Command { state: CommandState::Ended { exit_code, .. }, .. } => *exit_code,
            _ => None,
        });
        let troubles = thread.all(|said| match said {
            Said::Trouble { message, .. } => Some(message.clone()),
            _ => None,
        });
        (outcome, exits, troubles, rollouts(home.dir()).len())
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let one = &one;
        let all: Vec<_> = (0..20).map(|number| scope.spawn(move || one(number))).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    for (outcome, exits, troubles, threads) in outcomes {
        assert!(matches!(outcome, Outcome::Completed { .. }), "{outcome:?}");
        assert_eq!((exits, troubles, threads), (vec![0], Vec::new(), 1));
    }
}

/// The ids of the threads that a home has on disk.
fn rollouts(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("sessions")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Some(name) = name.strip_suffix(".jsonl") {
                // A time comes before it.
                found.push(name[name.len() - 36..].to_owned());
            }
        }
    }
    found
}
