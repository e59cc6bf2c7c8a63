//! Programs that people use, as far as they are installed, with the variables that they know.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use proxy::{Limits, Policy};

use crate::place::{Place, policy, server};

/// A web server for the files of a folder, over TLS or not; its port.
fn files(folder: &Path, tls: Option<Arc<rustls::ServerConfig>>) -> u16 {
    let folder = folder.to_owned();
    server(move |stream| match &tls {
        None => answer(&folder, stream),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            answer(&folder, rustls::StreamOwned::new(connection, stream));
        }
    })
}

fn answer(folder: &Path, mut stream: impl std::io::Read + std::io::Write) {
    let mut bytes = vec![];
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
    let (status, body) = match fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", vec![]),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    let _ = stream.flush();
}

struct Town {
    place: Place,
    folder: tempfile::TempDir,
    plain: String,
    encrypted: String,
}

/// Two servers for the same files, and a proxy that lets their host through.
fn town() -> Town {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "what is in it").unwrap();
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    fs::write(folder.path().join("authority.pem"), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let plain = files(folder.path(), None);
    let encrypted = files(folder.path(), Some(Arc::new(tls)));
    let listed = policy(&format!("a.example:{plain} a.example:{encrypted}"));
    let listed = Policy { tls_ports: [443, encrypted].into(), ..listed };
    let place = Place::with(listed, Limits::default(), |_| unreachable!("it is pinned"));
    Town {
        place,
        plain: format!("a.example:{plain}"),
        encrypted: format!("a.example:{encrypted}"),
        folder,
    }
}

impl Town {
    /// Runs a program as in a sandbox: with the variables for the proxy and no others of that kind. `None`
    /// if it is not installed.
    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        let proxy = format!("http://{}", self.place.address);
        let authority = self.folder.path().join("authority.pem");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Where programs are chosen by a shim, it looks in the home of who runs the test.
        command.envs(std::env::var_os("PYENV_ROOT").map(|root| ("PYENV_ROOT", root)));
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, &proxy);
        }
        for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"] {
            command.env(name, &authority);
        }
        match command.output() {
            Ok(output) => Some(output),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{program}: {error}"),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn curl_reaches_what_is_listed_and_reads_why_not() {
    let town = town();
    let (plain, encrypted) =
        (format!("http://{}/file", town.plain), format!("https://{}/file", town.encrypted));
    let socks = format!("socks5h://{}", town.place.address);
    for arguments in [
        &["-sS", &plain][..],
        &["-sS", &encrypted],
        &["-sS", "--proxy", &socks, &plain],
        &["-sS", "--proxy", &socks, &encrypted],
    ] {
        let Some(got) = town.run("curl", arguments) else { return };
        assert_eq!(text(&got.stdout), "what is in it", "{arguments:?}: {}", text(&got.stderr));
    }
    let denied = town.run("curl", &["-sS", "http://b.example/"]).unwrap();
    assert!(
        text(&denied.stdout).contains("add \"b.example:80\" to `caps.network.allow`"),
        "{denied:?}"
    );
    let denied = town.run("curl", &["-sSv", "https://b.example/"]).unwrap();
    assert!(!denied.status.success());
    assert!(text(&denied.stderr).contains("403 Not in caps.network.allow"), "{denied:?}");
    // Names are the proxy's to look up, and addresses are none that are listed.
    let here = format!("socks5://{}", town.place.address);
    let denied = town.run("curl", &["-sS", "--proxy", &here, &plain]).unwrap();
    assert!(!denied.status.success(), "{denied:?}");
    // Asking for one host and calling it by another name does not help.
    let denied = town.run("curl", &["-sS", "-H", "Host: b.example", &plain]).unwrap();
    assert!(text(&denied.stdout).contains("`Host` is another one"), "{denied:?}");
}

#[test]
fn git_clones_what_is_listed_and_names_the_refusal() {
    let town = town();
    let bare = town.folder.path().join("it.git");
    let work = town.folder.path().join("work");
    let (bare, work) = (bare.to_str().unwrap(), work.to_str().unwrap());
    let git = |arguments: &[&str]| town.run("git", arguments);
    let Some(made) = git(&["init", "-q", work]) else { return };
    assert!(made.status.success(), "{made:?}");
    let name = ["-c", "user.name=x", "-c", "user.email=x@x"];
    let commit = [&["-C", work][..], &name, &["commit", "-qm", "one", "--allow-empty"]].concat();
    assert!(git(&commit).unwrap().status.success());
    assert!(git(&["clone", "-q", "--bare", work, bare]).unwrap().status.success());
    assert!(git(&["-C", bare, "update-server-info"]).unwrap().status.success());
    for (scheme, host) in [("http", &town.plain), ("https", &town.encrypted)] {
        let cloned = git(&["clone", "-q", &format!("{scheme}://{host}/it.git"), scheme]).unwrap();
        assert!(cloned.status.success(), "{cloned:?}");
        let log = git(&["-C", scheme, "log", "--format=%s"]).unwrap();
        assert_eq!(text(&log.stdout), "one\n");
    }
    let denied = git(&["clone", "-q", "https://b.example/it.git", "denied"]).unwrap();
    assert!(text(&denied.stderr).contains("403"), "{denied:?}");
}

#[test]
fn python_reaches_what_is_listed_and_reads_why_not() {
    let town = town();
    let script = "import sys, urllib.request as u\n\
                  try: print(u.urlopen(sys.argv[1], timeout=20).read().decode())\n\
                  except Exception as e: print('no:', e, getattr(e, 'read', bytes)().decode())";
    for url in [format!("http://{}/file", town.plain), format!("https://{}/file", town.encrypted)] {
        let Some(got) = town.run("python3", &["-c", script, &url]) else { return };
        assert_eq!(text(&got.stdout).trim(), "what is in it", "{}", text(&got.stderr));
    }
    let denied = town.run("python3", &["-c", script, "http://b.example/"]).unwrap();
    assert!(text(&denied.stdout).contains("add \"b.example:80\""), "{denied:?}");
    let denied = town.run("python3", &["-c", script, "https://b.example/"]).unwrap();
    assert!(text(&denied.stdout).contains("403 Not in caps.network.allow"), "{denied:?}");
}

#[test]
fn wget_reaches_what_is_listed() {
    let town = town();
    let certificate =
        format!("--ca-certificate={}", town.folder.path().join("authority.pem").display());
    for url in [format!("http://{}/file", town.plain), format!("https://{}/file", town.encrypted)] {
        let Some(got) = town.run("wget", &["-q", &certificate, "-O", "-", &url]) else { return };
        assert_eq!(text(&got.stdout), "what is in it", "{}", text(&got.stderr));
    }
    let denied = town.run("wget", &["-nv", "--tries=1", "-O", "-", "http://b.example/"]).unwrap();
    assert!(text(&denied.stderr).contains("403"), "{denied:?}");
}

#[test]
fn a_client_that_is_cut_off_lets_its_server_go() {
    let (sender, ended) = std::sync::mpsc::channel();
    let port = server(move |mut stream: TcpStream| {
        let mut all = vec![];
        let _ = stream.read_to_end(&mut all);
        sender.send(all.len()).unwrap();
    });
    let place = Place::new(&format!("a.example:{port}"));
    let mut stream = place.connect();
    crate::tunnels::open(&mut stream, &format!("a.example:{port}"));
    stream.write_all(b"half").unwrap();
    drop(stream);
    assert_eq!(ended.recv_timeout(crate::place::DEADLINE).unwrap(), 4);
}
