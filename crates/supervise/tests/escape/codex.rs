//! The real Codex in cages: with its own sandbox inside in one, and without it in the other.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use supervise::{Cage, Caged, Exit, Profile, Stdin};

use crate::suite::{story, why_not};
use crate::world::{World, say};

/// What the model has the agent do: write where it may, try where it may not, and call outside.
const ERRAND: &str = "echo mine > made; echo mine > .runs/made; echo mine > .git/made; \
    echo mine > ../outside/made; exec 3<>/dev/tcp/127.0.0.1/PORT && echo out >&3; echo done";

pub(crate) fn trials() -> Vec<Trial> {
    let sandboxed: &[&str] = &["--sandbox", "workspace-write"];
    let bare: &[&str] = &["--sandbox", "danger-full-access"];
    vec![
        story("codex_builds_its_sandbox_in_wrap", || check(Profile::Wrap, sandboxed)),
        story("codex_without_a_sandbox_is_held_by_strict", || check(Profile::Strict, bare)),
        story("codex_without_a_sandbox_is_held_by_wrap", || check(Profile::Wrap, bare)),
    ]
}

fn check(profile: Profile, options: &[&str]) -> Result<(), Failed> {
    let Some(installed) = client() else {
        say("skipped: Codex is not installed; `scripts/setup --tests` does it with npm");
        return Ok(());
    };
    let mut world = World::new(profile);
    let base = world.scene.base.clone();
    let client = seen(&installed, &base.join("client"))?;
    let (home, tmp) = (base.join("codex"), base.join("temporary"));
    for folder in [&home, &tmp] {
        fs::create_dir(folder)?;
    }
    let model = Model::listen(ERRAND.replace("PORT", &world.scene.tcp4.port().to_string()));
    let address = model.address;
    fs::write(
        home.join("config.toml"),
        format!(
            "model = \"scripted\"\nmodel_provider = \"script\"\n\n[model_providers.script]\n\
             name = \"script\"\nbase_url = \"http://{address}/v1\"\nwire_api = \"responses\"\n\
             requires_openai_auth = false\n"
        ),
    )?;
    let cage = Cage {
        write: vec![world.scene.work.clone(), home.clone(), tmp.clone()],
        forward: vec![address],
        ..world.cage()
    };
    if let Some(why) = why_not(&world, &cage) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    let proxy = format!("http://{}", Cage::PROXY);
    let mut argv = vec!["env".to_owned(), format!("CODEX_HOME={}", home.display())];
    argv.push(format!("TMPDIR={}", tmp.display()));
    argv.extend(["HTTPS_PROXY", "HTTP_PROXY"].map(|name| format!("{name}={proxy}")));
    // Clients look at the host alone.
    argv.push(format!("NO_PROXY={}", address.ip()));
    argv.push(client.display().to_string());
    argv.extend(["exec", "--json", "--skip-git-repo-check", "-C", "."].map(str::to_owned));
    argv.extend(options.iter().map(|option| (*option).to_owned()));
    argv.push("run the errand".to_owned());
    let argv: Vec<_> = argv.into_iter().map(Into::into).collect();
    let (mut tree, output) = world.launch(cage, &argv, Stdin::Null)?;
    let caged = tree.take_caged().expect("a cage");
    serve(caged);
    let mut exit = Exit::Lost;
    tree.watch(output, |report| {
        if let supervise::TreeReport::Ended { exit: ended, .. } = report {
            exit = ended;
        }
    });
    let said = world.said();
    assert_eq!(exit, Exit::Code(0), "{said}");
    let told = model.told();
    assert!(told.iter().any(|output| output.contains("done")), "{told:?}: {said}");
    assert_eq!(
        fs::read_to_string(world.scene.in_work("made")).ok().as_deref(),
        Some("mine\n"),
        "{told:?}"
    );
    assert_eq!(world.disturbed(), [""; 0], "{told:?}");
    Ok(())
}

/// The program itself, in the package for this platform.
fn client() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/tools/codex/node_modules/@openai")
        .canonicalize()
        .ok()?;
    let folders = fs::read_dir(packages).ok()?.filter_map(Result::ok);
    let vendors = folders.filter_map(|folder| fs::read_dir(folder.path().join("vendor")).ok());
    let mut triples = vendors.flatten().filter_map(Result::ok);
    triples.find_map(|triple| triple.path().join("bin/codex").canonicalize().ok())
}

/// The client where it is seen inside: what lies in the temporary folder is not.
fn seen(client: &Path, place: &Path) -> io::Result<PathBuf> {
    let (Some(package), true) = (client.ancestors().nth(2), client.starts_with("/tmp")) else {
        return Ok(client.to_owned());
    };
    let mut folders = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        let to = |path: &Path| place.join(path.strip_prefix(package).unwrap_or(path));
        fs::create_dir_all(to(&folder))?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::hard_link(&path, to(&path)).is_err() {
                fs::copy(&path, to(&path))?;
            }
        }
    }
    Ok(place.join(client.strip_prefix(package).unwrap_or(client)))
}

/// The proxy refuses everybody, and what is forwarded is passed on.
fn serve(caged: Caged) {
    let proxy = TcpListener::from(caged.proxy.expect("a proxy"));
    thread::spawn(move || {
        for mut caller in proxy.incoming().map_while(Result::ok) {
            let _ = BufReader::new(&caller).read_line(&mut String::new());
            let _ = caller.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        }
    });
    for (address, listener) in caged.forwards {
        if let Ok(there) = TcpStream::connect(address) {
            drop(there);
            thread::spawn(move || pass_on(listener, address));
        }
    }
}

fn pass_on(listener: OwnedFd, address: std::net::SocketAddr) {
    for here in TcpListener::from(listener).incoming().map_while(Result::ok) {
        let Ok(there) = TcpStream::connect(address) else { return };
        let both = (here.try_clone().expect("a copy"), there.try_clone().expect("a copy"));
        thread::spawn(move || pump(here, there));
        thread::spawn(move || pump(both.1, both.0));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A model that has one command run, and ends.
struct Model {
    address: std::net::SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Model {
    fn listen(errand: String) -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (errand, hears) = (errand.clone(), Arc::clone(&hears));
                thread::spawn(move || drop(answer(&stream, &errand, &hears)));
            }
        });
        Model { address, told }
    }

    /// What came of the command.
    fn told(&self) -> Vec<String> {
        self.told.lock().expect("what was told").clone()
    }
}

fn answer(mut stream: &TcpStream, errand: &str, told: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length, mut first) = (String::new(), 0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (kind, body) = if first.starts_with("POST /v1/responses ") {
        ("text/event-stream", events(&serde_json::from_slice(&body)?, errand, told))
    } else {
        ("application/json", "{}".to_owned())
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

fn events(request: &Value, errand: &str, told: &Mutex<Vec<String>>) -> String {
    let input = request["input"].as_array().cloned().unwrap_or_default();
    let outputs = input.iter().filter(|item| item["type"] == "function_call_output");
    let outputs: Vec<String> = outputs.map(|item| item["output"].to_string()).collect();
    let item = if outputs.is_empty() {
        let arguments = json!({ "cmd": format!("bash -c '{errand}'"), "yield_time_ms": 20000 });
        json!({
            "type": "function_call", "call_id": "call", "name": "exec_command",
            "arguments": arguments.to_string(),
        })
    } else {
        told.lock().expect("what was told").extend(outputs);
        json!({
            "type": "message", "role": "assistant",
            "content": [{ "type": "output_text", "text": "it is done" }],
        })
    };
    let usage = json!({
        "input_tokens": 1, "input_tokens_details": null, "output_tokens": 1,
        "output_tokens_details": null, "total_tokens": 2,
    });
    let events = [
        json!({ "type": "response.created", "response": { "id": "response" } }),
        json!({ "type": "response.output_item.done", "item": item }),
        json!({ "type": "response.completed", "response": { "id": "response", "usage": usage } }),
    ];
    let one = |event: &Value| {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    };
    events.iter().map(one).collect()
}
