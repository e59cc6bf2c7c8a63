//! A registry of packages on this machine, for clients that are as they are everywhere.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::scratch::done;

/// What it serves, by path.
type Pages = BTreeMap<String, Vec<u8>>;

/// A server that has one crate, `tiny`.
pub(crate) struct Registry {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let pages = crates(&format!("http://127.0.0.1:{port}"));
        let asked = Arc::<AtomicUsize>::default();
        let counted = asked.clone();
        // It goes with the test.
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = answer(&caller, &pages);
            }
        });
        Self { port, asked }
    }

    /// How many have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What makes cargo use it.
    pub(crate) fn cargo_settings(&self) -> String {
        format!(
            "[source.crates-io]\nreplace-with = \"near\"\n\
             [source.near]\nregistry = \"sparse+http://127.0.0.1:{}/index/\"\n",
            self.port
        )
    }
}

/// The search path with the toolchain that there is first: what stands for it elsewhere looks into
/// the home for which one it is, and homes are of the tests' own.
pub(crate) fn toolchain() -> OsString {
    let told = done(Command::new("rustc").args(["--print", "sysroot"]));
    assert_eq!(told.code, 0, "{told:?}");
    let own = Path::new(told.stdout.trim()).join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths([own].into_iter().chain(env::split_paths(&path))).expect("a search path")
}

fn answer(mut caller: &TcpStream, pages: &Pages) -> std::io::Result<()> {
    let mut lines = BufReader::new(caller).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match pages.get(path) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", [].as_slice()),
    };
    let length = body.len();
    write!(caller, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    caller.write_all(body)
}

/// A sparse registry, as cargo asks for it.
fn crates(at: &str) -> Pages {
    let packed = packed(
        "tiny-1.0.0",
        &[
            ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
            ("src/lib.rs", "pub const HELLO: &str = \"hello from tiny\";\n"),
        ],
    );
    let entry = json!({
        "name": "tiny", "vers": "1.0.0", "deps": [], "features": {}, "yanked": false,
        "cksum": sum(&packed),
    });
    Pages::from([
        ("/index/config.json".to_owned(), json!({ "dl": format!("{at}/dl") }).to_string().into()),
        ("/index/ti/ny/tiny".to_owned(), entry.to_string().into()),
        ("/dl/tiny/1.0.0/download".to_owned(), packed),
    ])
}

/// A packed folder of that name with these files.
fn packed(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, said) in files {
        let path = folder.path().join(name).join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, said).expect("a file");
    }
    let pack = folder.path().join("packed");
    let tarred =
        done(Command::new("tar").arg("czf").arg(&pack).arg(name).current_dir(folder.path()));
    assert_eq!(tarred.code, 0, "{tarred:?}");
    fs::read(pack).expect("what was packed")
}

fn sum(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path: &Path = &folder.path().join("summed");
    fs::write(path, bytes).expect("a file");
    let told = done(Command::new("sha256sum").arg(path));
    told.stdout.split(' ').next().expect("a sum").to_owned()
}
