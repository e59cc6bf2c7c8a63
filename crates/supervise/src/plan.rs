//! A launch on its way to the process that becomes the command.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::launch::{Launch, LaunchError};
use crate::record::Mark;
use crate::report::Exit;
use crate::sandbox::Cage;

/// A launch as the command's own process needs it: strings ready for exec.
pub(crate) struct Plan {
    argv: Vec<CString>,
    cwd: CString,
    env: Vec<CString>,
    /// As JSON, and empty without one.
    cage: CString,
}

impl Plan {
    pub(crate) fn of(launch: &Launch, mark: &Mark) -> Result<Plan, LaunchError> {
        if launch.argv.is_empty() {
            return Err(LaunchError::BadCommand("there is no command to start".to_owned()));
        }
        let text = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| {
                let shown = String::from_utf8_lossy(bytes).replace('\0', "\\0");
                LaunchError::BadCommand(format!("`{shown}` holds a NUL byte"))
            })
        };
        // The guard is at home in the root folder.
        let cwd = std::path::absolute(&launch.cwd)?;
        let others = launch.env.iter().filter(|(key, _)| key != mark.key());
        let pairs = others.map(|(key, value)| (key.as_os_str(), value.as_os_str()));
        let pairs = pairs.chain([(mark.key(), mark.value())]);
        let env =
            pairs.map(|(key, value)| text(&[key.as_bytes(), b"=", value.as_bytes()].concat()));
        let cage = launch.cage.as_ref().map(serde_json::to_vec).transpose();
        let cage = cage.map_err(|error| LaunchError::BadCage(error.to_string()))?;
        Ok(Plan {
            cage: text(&cage.unwrap_or_default())?,
            argv: launch.argv.iter().map(|word| text(word.as_bytes())).collect::<Result<_, _>>()?,
            cwd: text(cwd.as_os_str().as_bytes())?,
            env: env.collect::<Result<_, _>>()?,
        })
    }

    /// Writes the plan to a file without a name: arguments and environment may be longer than
    /// any socket takes at once.
    pub(crate) fn to_memory(&self) -> io::Result<File> {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let mut file: File = nix::sys::memfd::memfd_create(c"launch", flags)?.into();
        let mut bytes = format!("{}\0", self.argv.len()).into_bytes();
        for text in [&self.cage, &self.cwd].into_iter().chain(&self.argv).chain(&self.env) {
            bytes.extend_from_slice(text.as_bytes_with_nul());
        }
        file.write_all(&bytes)?;
        Ok(file)
    }

    pub(crate) fn from_memory(mut file: File) -> io::Result<Plan> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        let torn = || io::Error::from(io::ErrorKind::InvalidData);
        let mut texts = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let text = CStr::from_bytes_until_nul(rest).map_err(|_| torn())?;
            rest = &rest[text.count_bytes() + 1..];
            texts.push(text.to_owned());
        }
        let mut texts = texts.into_iter();
        let count = texts.next().and_then(|text| text.to_str().ok()?.parse().ok());
        let cage = texts.next().ok_or_else(torn)?;
        let cwd = texts.next().ok_or_else(torn)?;
        let argv: Vec<CString> = texts.by_ref().take(count.ok_or_else(torn)?).collect();
        Ok(Plan { argv, cwd, env: texts.collect(), cage })
    }

    /// What the command is to be confined to.
    pub(crate) fn cage(&self) -> io::Result<Option<Cage>> {
        match self.cage.to_bytes() {
            b"" => Ok(None),
            json => Ok(Some(serde_json::from_slice(json)?)),
        }
    }

    /// Where the command begins, and the file that it is, as far as there is one.
    pub(crate) fn place(&self) -> (&Path, PathBuf) {
        let candidates = self.argv.first().map(|program| self.candidates(program));
        let mut found = candidates.into_iter().flatten().map(|path| as_path(&path).to_owned());
        (as_path(&self.cwd), found.find(|path| path.is_file()).unwrap_or_default())
    }

    /// Becomes the command. Comes back only if that fails, with what a shell would say.
    pub(crate) fn exec(&self) -> Exit {
        let not_started = |code, reason| Exit::NotStarted { code, reason };
        if let Err(error) = nix::unistd::chdir(self.cwd.as_c_str()) {
            let cwd = self.cwd.to_string_lossy();
            return not_started(126, format!("cannot work in `{cwd}`: {}", error.desc()));
        }
        let Some(program) = self.argv.first() else {
            return not_started(127, "there is no command to start".to_owned());
        };
        let name = program.to_string_lossy().into_owned();
        let is_there = |path: &CStr| as_path(path).exists();
        let searched = !program.to_bytes().contains(&b'/');
        let mut refused = None;
        for path in self.candidates(program) {
            match self.exec_at(&path) {
                Errno::ENOENT if is_there(&path) => {
                    let reason = format!("`{name}` needs an interpreter that was not found");
                    return not_started(127, reason);
                }
                Errno::ENOENT | Errno::ENOTDIR => {}
                // Like a shell, look further, but remember that there was something. A folder of
                // the search path that may not be entered is nothing.
                Errno::EACCES if searched && !is_there(&path) => {}
                Errno::EACCES => refused = refused.or(Some(Errno::EACCES)),
                other => {
                    refused = Some(other);
                    break;
                }
            }
        }
        match refused {
            Some(error) => {
                not_started(126, format!("`{name}` could not be executed: {}", error.desc()))
            }
            None => not_started(127, format!("`{name}` was not found")),
        }
    }

    fn candidates(&self, program: &CStr) -> Vec<CString> {
        if program.to_bytes().contains(&b'/') {
            return vec![program.to_owned()];
        }
        if program.is_empty() {
            return Vec::new();
        }
        let path = self.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        let path = path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
        let in_folder = |folder: &[u8]| {
            let folder = if folder.is_empty() { b".".as_slice() } else { folder };
            CString::new([folder, b"/", program.to_bytes()].concat()).ok()
        };
        path.split(|byte| *byte == b':').filter_map(in_folder).collect()
    }

    fn exec_at(&self, path: &CStr) -> Errno {
        let Err(error) = nix::unistd::execve(path, &self.argv, &self.env);
        if error != Errno::ENOEXEC {
            return error;
        }
        // A script without a first line that says what reads it: the shell does.
        let shell = c"/bin/sh".to_owned();
        let mut argv = vec![shell.clone(), path.to_owned()];
        argv.extend_from_slice(&self.argv[1..]);
        let Err(_) = nix::unistd::execve(&shell, &argv, &self.env);
        error
    }
}

fn as_path(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}
