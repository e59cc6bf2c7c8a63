//! Programs by their paths: the one by which this is registered, which should stay right when it
//! is upgraded, and those that registrations name.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::PROGRAMS;

/// A path of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// What may become of it.
    pub(crate) warning: Option<String>,
}

/// The path to register: the program as it is found by name, where that is this one or the one
/// that was installed with it; else the one beside this one; else this one.
///
/// `running` is the file that runs, without links; `folders` are those of `$PATH`.
pub(crate) fn stable(running: &Path, folders: &[PathBuf], temp: &Path) -> Program {
    let home = running.parent();
    let is_ours = |path: &PathBuf| {
        let Ok(real) = path.canonicalize() else { return false };
        // Under its other name it is another file, in the same folder.
        let named = real.file_name().is_some_and(|name| PROGRAMS.iter().any(|it| name == *it));
        real == running || (named && real.parent() == home)
    };
    let absolute = folders.iter().filter(|folder| folder.is_absolute());
    let absolute: Vec<&PathBuf> = absolute.collect();
    let found = PROGRAMS.iter().find_map(|name| {
        // Only the first of that name is the one that people get.
        let first = absolute.iter().map(|folder| folder.join(name)).find(|path| path.is_file())?;
        Some(first).filter(is_ours)
    });
    let beside = || home.map(|home| home.join(PROGRAMS[0])).filter(|path| path.is_file());
    let path = found.or_else(beside).unwrap_or_else(|| running.to_owned());
    let warning = warning(&path, temp);
    Program { path, warning }
}

/// Why the program may not stay where it is.
fn warning(path: &Path, temp: &Path) -> Option<String> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let temporary = [temp, "/tmp".as_ref(), "/var/tmp".as_ref(), "/dev/shm".as_ref()];
    let what = if real.components().any(|part| part.as_os_str() == "target") {
        "is what was built last in a checkout"
    } else if temporary.iter().any(|folder| real.starts_with(folder)) {
        "is in a folder for temporary files"
    } else {
        return None;
    };
    let path = path.display();
    Some(format!("{path} {what}: install the program, and run its `setup` instead"))
}

/// The file that a command names, in a folder and with that `PATH`; else why there is none.
pub(crate) fn find(command: &str, path: Option<&OsStr>, folder: &Path) -> Result<PathBuf, String> {
    if command.is_empty() {
        return Err("no command is named".to_owned());
    }
    let may_run = |file: &Path| file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok();
    if command.contains('/') {
        let file = folder.join(command);
        return match file.exists() {
            _ if may_run(&file) => Ok(file),
            true => Err(format!("`{command}` is no program that can be run")),
            false => Err(format!("`{command}` is not there")),
        };
    }
    let folders = path.map(|path| env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let mut files = folders.iter().map(|each| folder.join(each).join(command));
    files.find(|file| may_run(file)).ok_or_else(|| format!("`{command}` is not on the PATH"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn the_path_that_outlives_an_upgrade_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for name in ["cellar/1.0", "cellar/0.9", "bin", "old"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in
            ["cellar/1.0/codex-orch", "cellar/1.0/codex-orchestrator", "cellar/0.9/codex-orch"]
        {
            fs::write(at(name), "").unwrap();
        }
        symlink(at("cellar/1.0/codex-orchestrator"), at("bin/codex-orchestrator")).unwrap();
        symlink(at("cellar/0.9/codex-orch"), at("old/codex-orchestrator")).unwrap();
        let nowhere = Path::new("/nowhere");
        let stable = |running: &str, folders: &[&str]| {
            let folders: Vec<PathBuf> = folders.iter().map(|name| at(name)).collect();
            stable(&at(running), &folders, nowhere).path
        };
        assert_eq!(stable("cellar/1.0/codex-orch", &["bin"]), at("bin/codex-orchestrator"));
        // Another version comes first there.
        let own = at("cellar/1.0/codex-orchestrator");
        assert_eq!(stable("cellar/1.0/codex-orch", &["old", "bin"]), own);
        assert_eq!(stable("cellar/1.0/codex-orch", &[]), own);
        assert_eq!(stable("cellar/0.9/codex-orch", &["bin"]), at("cellar/0.9/codex-orch"));
        assert_eq!(stable("cellar/0.9/codex-orch", &["old"]), at("old/codex-orchestrator"));
    }

    #[test]
    fn a_program_that_may_go_is_warned_of() {
        let warned = |path: &str| warning(Path::new(path), Path::new("/somewhere/temp")).is_some();
        assert!(warned("/home/you/project/target/debug/codex-orch"));
        assert!(warned("/somewhere/temp/codex-orch") && warned("/tmp/x/codex-orch"));
        assert!(!warned("/home/you/.cargo/bin/codex-orch"));
    }
}
