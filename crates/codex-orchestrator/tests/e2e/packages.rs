//! A registry of packages on this machine, for clients that are as they are everywhere.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use serde_json::json;

use crate::scratch::done;

/// What it serves, by path.
type Pages = BTreeMap<String, Vec<u8>>;

/// A server that has one package, `tiny`, for every client that there is.
pub(crate) struct Registry {
    host: String,
    port: u16,
    asked: Arc<AtomicUsize>,
    /// What to believe who speaks TLS with it.
    pub(crate) authority: Option<String>,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::named("127.0.0.1")
    }

    /// The same for clients that know this machine by another name.
    pub(crate) fn named(host: &str) -> Self {
        Self::serve(host, None, |at| {
            let hello = ("/hello".to_owned(), b"hello from tiny\n".to_vec());
            crates(at)
                .into_iter()
                .chain(of_npm(at))
                .chain(of_pip())
                .chain(of_go())
                .chain([hello])
                .collect()
        })
    }

    /// A git repository by TLS, `tiny.git`.
    pub(crate) fn of_git(host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
            .expect("a server");
        let mut served = Self::serve(host, Some(Arc::new(config)), |_| of_git());
        served.authority = Some(made.cert.pem());
        served
    }

    fn serve(
        host: &str,
        tls: Option<Arc<ServerConfig>>,
        pages: impl FnOnce(&str) -> Pages,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let pages = Arc::new(pages(&format!("http://{host}:{port}")));
        let asked = Arc::<AtomicUsize>::default();
        let counted = asked.clone();
        // It goes with the test.
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (pages, tls) = (Arc::clone(&pages), tls.clone());
                thread::spawn(move || match tls {
                    None => answer(caller, &pages),
                    Some(config) => {
                        let tls = ServerConnection::new(config).expect("a connection");
                        answer(StreamOwned::new(tls, caller), &pages)
                    }
                });
            }
        });
        Self { host: host.to_owned(), port, asked, authority: None }
    }

    /// How many have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What makes cargo use it.
    pub(crate) fn cargo_settings(&self) -> String {
        cargo_settings(&format!("{}:{}", self.host, self.port))
    }
}

/// What makes cargo use a registry at that place.
pub(crate) fn cargo_settings(place: &str) -> String {
    format!(
        "[source.crates-io]\nreplace-with = \"near\"\n\
         [source.near]\nregistry = \"sparse+http://{place}/index/\"\n"
    )
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

fn answer(mut caller: impl Read + Write, pages: &Pages) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut caller).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, body) = match pages.get(path) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", [].as_slice()),
    };
    let length = body.len();
    write!(
        caller,
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    caller.write_all(body)?;
    caller.flush()
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
        "cksum": digest("sha256sum", &packed),
    });
    Pages::from([
        ("/index/config.json".to_owned(), json!({ "dl": format!("{at}/dl") }).to_string().into()),
        ("/index/ti/ny/tiny".to_owned(), entry.to_string().into()),
        ("/dl/tiny/1.0.0/download".to_owned(), packed),
    ])
}

/// The same for npm and its like.
fn of_npm(at: &str) -> Pages {
    let manifest = json!({ "name": "tiny", "version": "1.0.0", "main": "index.js" });
    let packed = packed(
        "package",
        &[
            ("package.json", &manifest.to_string()),
            ("index.js", "module.exports = 'hello from tiny';\n"),
        ],
    );
    let mut version = manifest.clone();
    version["dist"] = json!({ "tarball": format!("{at}/npm/tiny-1.0.0.tgz"), "shasum": digest("sha1sum", &packed) });
    let all = json!({
        "name": "tiny", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version },
    });
    Pages::from([
        ("/npm/tiny".to_owned(), all.to_string().into()),
        ("/npm/tiny-1.0.0.tgz".to_owned(), packed),
    ])
}

/// The same for pip and uv, where there is something that packs wheels.
fn of_pip() -> Pages {
    let about = "tiny-1.0.0.dist-info";
    let wheel = zipped(&[
        ("tiny/__init__.py", "HELLO = 'hello from tiny'\n"),
        (&format!("{about}/METADATA"), "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0.0\n"),
        (
            &format!("{about}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (&format!("{about}/RECORD"), ""),
    ]);
    let name = "tiny-1.0.0-py3-none-any.whl";
    let link = format!("<a href=\"/simple/{name}\">{name}</a>");
    let pages = wheel.map(|wheel| {
        [("/simple/tiny/".to_owned(), link.into()), (format!("/simple/{name}"), wheel)]
    });
    pages.into_iter().flatten().collect()
}

/// The same for go.
fn of_go() -> Pages {
    let module = "module example.com/tiny\n";
    let zip = zipped(&[
        ("example.com/tiny@v1.0.0/go.mod", module),
        ("example.com/tiny@v1.0.0/said", "hello from tiny\n"),
    ]);
    let at = |ending: &str| format!("/go/example.com/tiny/@v/v1.0.0.{ending}");
    let about = json!({ "Version": "v1.0.0" }).to_string();
    let pages =
        zip.map(|zip| [(at("info"), about.into()), (at("mod"), module.into()), (at("zip"), zip)]);
    pages.into_iter().flatten().collect()
}

/// A zip with these files, where there is something that makes one.
fn zipped(files: &[(&str, &str)]) -> Option<Vec<u8>> {
    const MAKE: &str = "import json, sys, zipfile\n\
                        with zipfile.ZipFile(sys.argv[1], 'w') as made:\n    \
                        for name, said in json.loads(sys.argv[2]): made.writestr(name, said)\n";
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("made");
    let made =
        Command::new("python3").args(["-c", MAKE]).arg(&at).arg(json!(files).to_string()).status();
    made.ok()?.success().then(|| fs::read(at).expect("a zip"))
}

/// A repository with one file, as those see it who know nothing but files.
fn of_git() -> Pages {
    let folder = tempfile::tempdir().expect("a folder");
    let tell = |at: &Path, words: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(words);
        let told = done(git.current_dir(at));
        assert_eq!(told.code, 0, "git {words:?}: {told:?}");
    };
    let at = folder.path();
    tell(at, &["init", "-q", "-b", "main", "mine"]);
    fs::write(at.join("mine/said"), "hello from tiny\n").expect("a file");
    tell(&at.join("mine"), &["add", "said"]);
    tell(&at.join("mine"), &["commit", "-q", "-m", "first"]);
    tell(at, &["clone", "-q", "--bare", "mine", "tiny.git"]);
    tell(&at.join("tiny.git"), &["update-server-info"]);
    let mut pages = Pages::new();
    let mut folders = vec![at.join("tiny.git")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(at).expect("it is within").display().to_string();
                    pages.insert(format!("/{name}"), fs::read(path).expect("a file"));
                }
            }
        }
    }
    pages
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

fn digest(tool: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path: &Path = &folder.path().join("summed");
    fs::write(path, bytes).expect("a file");
    let told = done(Command::new(tool).arg(path));
    told.stdout.split(' ').next().expect("a sum").to_owned()
}
