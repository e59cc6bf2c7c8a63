//! Which Codex there is, and whether it can do what is asked of it here.
//!
//! Its app-server's protocol changes from version to version. What a version speaks it can print, and
//! that is compared with what is said and heard by [`Talk`](crate::Talk) before anything depends on
//! it. Printing takes a moment, so the answer is kept for as long as the program is the same file.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    briefly::{self, Late},
    talk,
};

/// How long it may take to say which version it is, and to print what it speaks.
const LIMIT: Duration = Duration::from_secs(30);

/// The version with which all of this was seen to work.
const SEEN: &str = "0.169.0";

/// A Codex that can be driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The program.
    pub program: PathBuf,
    /// What it says its version is.
    pub version: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NotInstalled {
    /// It is not there.
    #[error("there is no program `{wanted}`{}; install it with `npm install --global @openai/codex`", if *.by_name { " on the path" } else { "" })]
    Missing {
        /// What was looked for.
        wanted: String,
        /// On the path, and not at a place.
        by_name: bool,
    },
    /// It does not run, or does not speak.
    #[error("`{}` does not work: {reason}; install it again with `npm install --global @openai/codex`", .program.display())]
    Broken {
        /// Which one.
        program: PathBuf,
        /// What it said or did.
        reason: String,
    },
    /// It does not know what is asked of it.
    #[error("`{}` is version {version}, whose app-server does not know {}; install one that does with `npm install --global @openai/codex@{SEEN}`", .program.display(), listed(.missing))]
    Lacks {
        /// Which one.
        program: PathBuf,
        /// Its version.
        version: String,
        /// Methods of its app-server that are not there.
        missing: Vec<String>,
    },
    /// What it speaks cannot be kept anywhere.
    #[error("`{}` could not be written", .path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What is kept of a program.
#[derive(Deserialize, Serialize)]
struct Known {
    stamp: Stamp,
    version: String,
    /// What it can be asked, asks, and tells.
    speaks: Spoken,
}

/// What a program file is recognised by. The time of its last change of any kind is among it because
/// packages are unpacked with times of their own, the same for each version.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Deserialize, Serialize)]
struct Spoken {
    requests: BTreeSet<String>,
    asks: BTreeSet<String>,
    tells: BTreeSet<String>,
}

impl Installed {
    /// Finds it: a path, or a name that is looked up in `path`, which is what `PATH` says.
    /// `cache` is a folder that may be kept, and may be lost.
    pub fn find(wanted: &OsStr, path: &OsStr, cache: &Path) -> Result<Self, NotInstalled> {
        let by_name = !wanted.as_encoded_bytes().contains(&b'/');
        let missing = || NotInstalled::Missing { wanted: wanted.display().to_string(), by_name };
        let mut places: Vec<PathBuf> = match by_name {
            true => std::env::split_paths(path).map(|folder| folder.join(wanted)).collect(),
            false => vec![PathBuf::from(wanted)],
        };
        places.retain(|place| is_program(place));
        let program = places.into_iter().next().ok_or_else(missing)?;
        // A link may lead elsewhere tomorrow.
        let program = program.canonicalize().map_err(|_| missing())?;
        let known = known(&program, path, cache)?;
        let missing = known.speaks.missing();
        if missing.is_empty() {
            Ok(Self { program, version: known.version })
        } else {
            Err(NotInstalled::Lacks { program, version: known.version, missing })
        }
    }

    /// The folder with all that it is made of, or the program where that is all.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        // npm puts what is for one platform into a package of its own, beside this one or far above.
        let folders = self.program.ancestors().filter(|it| it.ends_with("node_modules"));
        folders.last().unwrap_or(&self.program).to_owned()
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

impl Stamp {
    fn of(program: &Path) -> io::Result<Self> {
        let found = fs::metadata(program)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Spoken {
    /// What is said and heard here and not there.
    fn missing(&self) -> Vec<String> {
        let lacks = |needed: &[&str], there: &BTreeSet<String>| -> Vec<String> {
            let missing = needed.iter().filter(|name| !there.contains(**name));
            missing.map(|name| (*name).to_owned()).collect()
        };
        [
            lacks(&talk::REQUESTS, &self.requests),
            lacks(&talk::ANSWERED, &self.asks),
            lacks(&talk::HEARD, &self.tells),
        ]
        .concat()
    }

    fn read(folder: &Path) -> Option<Self> {
        let methods = |name: &str| -> Option<BTreeSet<String>> {
            let text = fs::read(folder.join(name)).ok()?;
            let schema: Schema = serde_json::from_slice(&text).ok()?;
            let named = schema.one_of.into_iter().flat_map(|one| one.properties.method.names);
            Some(named.collect())
        };
        Some(Self {
            requests: methods("ClientRequest.json")?,
            asks: methods("ServerRequest.json")?,
            tells: methods("ServerNotification.json")?,
        })
    }
}

/// A JSON Schema of messages, as far as it is read.
#[derive(Deserialize)]
struct Schema {
    #[serde(rename = "oneOf")]
    one_of: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    properties: Members,
}

#[derive(Deserialize)]
struct Members {
    method: Method,
}

#[derive(Deserialize)]
struct Method {
    #[serde(rename = "enum")]
    names: Vec<String>,
}

fn known(program: &Path, path: &OsStr, cache: &Path) -> Result<Known, NotInstalled> {
    let broken = |reason: String| NotInstalled::Broken { program: program.to_owned(), reason };
    let stamp = Stamp::of(program).map_err(|error| broken(error.to_string()))?;
    let kept = cache.join("codex.json");
    let name = program.display().to_string();
    let mut all: BTreeMap<String, Known> = fs::read(&kept)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    if let Some(known) = all.remove(&name)
        && known.stamp == stamp
    {
        return Ok(known);
    }
    let known = ask(program, path, cache, stamp)?;
    // It may be asked again next time, which costs a moment.
    all.retain(|other, _| Path::new(other).exists());
    all.insert(name.clone(), known);
    let next = cache.join(format!("codex.json.{}", std::process::id()));
    if let Ok(text) = serde_json::to_vec(&all) {
        let _ = fs::write(&next, text).and_then(|()| fs::rename(&next, &kept));
    }
    all.remove(&name).ok_or_else(|| broken("it is unknown".to_owned()))
}

/// Has it say its version and print what it speaks.
fn ask(program: &Path, path: &OsStr, cache: &Path, stamp: Stamp) -> Result<Known, NotInstalled> {
    let broken = |reason: String| NotInstalled::Broken { program: program.to_owned(), reason };
    let folder = cache.join(format!("codex.{}", std::process::id()));
    let unwritable = |source| NotInstalled::Unwritable { path: folder.clone(), source };
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let folder = Gone(folder);
    let run = |words: &[&OsStr]| {
        let mut command = Command::new(program);
        // It has a home of its own, so that nothing is done to the user's, and nothing of the
        // user's config keeps it from answering.
        command.args(words).env_clear().env("PATH", path);
        command.env("HOME", &folder.0).env("CODEX_HOME", &folder.0).current_dir(&folder.0);
        let ended = briefly::run(&mut command, "", |_| true, LIMIT, Late::Kill);
        let ended = ended.map_err(|error| broken(told(&error)))?;
        if ended.status.success() {
            return Ok(ended.said);
        }
        let last = ended.said.lines().rev().find(|line| !line.trim().is_empty());
        let said = last.map(|line| format!(": {}", line.trim())).unwrap_or_default();
        Err(broken(format!("it ended with {}{said}", ended.status)))
    };
    let said = run(&["--version".as_ref()])?;
    let version = said.lines().find_map(|line| line.strip_prefix("codex-cli "));
    let version =
        version.ok_or_else(|| broken("it does not say its version as Codex does".to_owned()))?;
    let out = folder.0.join("schema");
    let words = ["app-server", "generate-json-schema", "--experimental", "--out"].map(OsStr::new);
    run(&[&words[..], &[out.as_os_str()]].concat())?;
    let speaks = Spoken::read(&out).ok_or_else(|| {
        broken("what its app-server speaks is not printed as it was up to now".to_owned())
    })?;
    Ok(Known { stamp, version: version.trim().to_owned(), speaks })
}

/// The error and what it comes from.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A folder that goes away in the end.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
