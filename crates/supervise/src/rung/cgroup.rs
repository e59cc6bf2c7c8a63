//! Leaves in cgroup hierarchies of either version.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where leaves can be made: under the cgroup that this process is in.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) cgroup2: Vec<PathBuf>,
    pub(crate) freezer1: Vec<PathBuf>,
}

impl Places {
    /// Looks at every mount, not only at the usual one: on hybrid systems version 2 is elsewhere.
    pub(crate) fn find() -> Places {
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut places = Places::default();
        for mount in mounts.split(|byte| *byte == b'\n').filter_map(Mount::parse) {
            let (list, line): (&mut Vec<PathBuf>, fn(&str) -> bool) = match mount.kind.as_str() {
                "cgroup2" => (&mut places.cgroup2, super::cgroup2::is_line),
                "cgroup" if mount.options.split(',').any(|option| option == "freezer") => {
                    (&mut places.freezer1, super::freezer1::is_line)
                }
                _ => continue,
            };
            let Some(path) = own_path(&own, line) else { continue };
            // The mount may show only a part of the hierarchy.
            let Ok(inside) = Path::new(path).strip_prefix(&mount.root) else { continue };
            if inside.components().any(|part| part.as_os_str() == "..") {
                continue;
            }
            let dir = mount.point.join(inside);
            if !list.contains(&dir) {
                list.push(dir);
            }
        }
        places
    }
}

struct Mount {
    root: PathBuf,
    point: PathBuf,
    kind: String,
    options: String,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = unescape(fields.nth(3)?);
        let point = unescape(fields.next()?);
        let mut after_dash = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = String::from_utf8_lossy(after_dash.next()?).into_owned();
        let options = String::from_utf8_lossy(after_dash.nth(1)?).into_owned();
        Some(Mount { root, point, kind, options })
    }
}

/// Undoes the kernel's `\040` for a space and the like.
fn unescape(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (first, code) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

/// The path in the line of `/proc/<pid>/cgroup` that `line` picks.
fn own_path(text: &str, line: impl Fn(&str) -> bool) -> Option<&str> {
    let line = text.lines().find(|text| line(text))?;
    line.splitn(3, ':').nth(2)
}

/// A cgroup for one tree.
#[derive(Debug)]
pub(crate) struct Leaf {
    dir: PathBuf,
}

impl Leaf {
    /// Makes the leaf in the first place that lets us.
    pub(crate) fn make(places: &[PathBuf], name: &str) -> Result<Leaf, String> {
        let mut why = "no such hierarchy is mounted where this process is".to_owned();
        for place in places {
            let dir = place.join(name);
            match std::fs::create_dir(&dir) {
                Ok(()) => return Ok(Leaf { dir }),
                Err(error) => why = format!("cannot make `{}`: {error}", dir.display()),
            }
        }
        Err(why)
    }

    /// A leaf that was made before.
    pub(crate) fn found(dir: &Path) -> Leaf {
        Leaf { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn read(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(self.dir.join(file))
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        File::options().write(true).open(self.dir.join(file))?.write_all(text.as_bytes())
    }

    /// Moves the calling process in.
    pub(crate) fn enter(&self) -> io::Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// Everybody in the leaf and in cgroups that were made inside it.
    pub(crate) fn members(&self) -> Vec<i32> {
        let mut members = Vec::new();
        for dir in self.with_inner() {
            let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        members
    }

    pub(crate) fn holds(&self, pid: i32, line: impl Fn(&str) -> bool) -> bool {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        let Some(name) = self.dir.file_name() else { return false };
        // The name of a leaf is unique, wherever the hierarchy is mounted.
        own_path(&text, line).is_some_and(|path| Path::new(path).iter().any(|part| part == name))
    }

    /// The leaf and what is inside it, outer ones first.
    fn with_inner(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.dir.clone()];
        let mut next = 0;
        while let Some(dir) = dirs.get(next) {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let inner: Vec<PathBuf> = inner.map(|entry| entry.path()).collect();
            dirs.extend(inner);
            next += 1;
        }
        dirs
    }

    /// Removes the leaf and what is inside it. The kernel lets go of the last dead member a
    /// moment after it is reaped.
    pub(crate) fn remove(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        if std::fs::remove_dir(&self.dir).is_ok() {
            return;
        }
        while self.dir.exists() {
            for dir in self.with_inner().iter().rev() {
                let _ = std::fs::remove_dir(dir);
            }
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_may_hold_spaces() {
        let line =
            b"38 31 0:38 /a\\040b /mnt/c\\040d rw,relatime shared:1 - cgroup2 none rw,nsdelegate";
        let mount = Mount::parse(line).expect("parses");
        assert_eq!(mount.root, Path::new("/a b"));
        assert_eq!(mount.point, Path::new("/mnt/c d"));
        assert_eq!((mount.kind.as_str(), mount.options.as_str()), ("cgroup2", "rw,nsdelegate"));
    }
}
