//! What a server of the user's says on its standard error: kept up to a limit, where nothing that is
//! confined sees it, since a server may well write its secrets there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// How much is kept of all servers of that name in a run. What comes after that is read and dropped,
/// so that no server waits for a reader.
pub(super) const MOST: u64 = 1024 * 1024;

/// What stands where something is left out.
const CUT: &[u8] = b"\n[what it said after this is not kept]\n";

/// Where it is kept, in the folder of a run.
pub(super) fn path(run: &Path, server: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = server.chars().map(plain).take(100).collect();
    run.join("servers").join(format!("{name}.log"))
}

/// What is shown of a line, in characters.
const SHOWN: usize = 300;

/// The last line of a log in which something stands.
pub(super) fn last_line(path: &Path) -> Option<String> {
    const END: u64 = 16 * 1024;
    let mut log = File::open(path).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    log.take(END).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let line = end.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let shown: String = line.chars().take(SHOWN).collect();
    Some(shown.chars().filter(|c| !c.is_control()).collect())
}

/// A log that several may write to.
#[derive(Debug)]
pub(super) struct ServerLog(File);

impl ServerLog {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        Ok(Self(OpenOptions::new().append(true).create(true).open(path)?))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Adds that, as far as there is room. Whoever cannot write it has nobody to tell.
    pub(super) fn add(&mut self, said: &[u8]) {
        let Ok(length) = self.0.metadata().map(|about| about.len()) else { return };
        let room = usize::try_from(MOST.saturating_sub(length)).unwrap_or(usize::MAX);
        if room >= said.len() {
            let _ = self.0.write_all(said);
        } else if room > 0 {
            let _ = self.0.write_all(&[&said[..room], CUT].concat());
        }
    }

    /// Adds what comes until its end.
    pub(super) fn keep(mut self, mut from: impl Read) {
        let mut piece = vec![0; 16 * 1024];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return,
                Ok(count) => self.add(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let run = std::env::temp_dir().join(format!("server-log-{}", std::process::id()));
        let path = path(&run, "../odd name");
        assert_eq!(path, run.join("servers/___odd_name.log"));
        let log = ServerLog::open(&path).unwrap();
        log.try_clone().unwrap().add(b"first\n");
        log.keep(io::repeat(b'x').take(2 * MOST));
        let kept = fs::read(&path).unwrap();
        assert!(kept.starts_with(b"first\nxx") && kept.ends_with(CUT));
        assert_eq!(kept.len(), usize::try_from(MOST).unwrap() + CUT.len());
        let last = super::last_line(&path).unwrap();
        assert_eq!(last, "[what it said after this is not kept]");
        fs::write(&path, [&b"a\n\x1b[31m\xff"[..], &[b'x'; 1000], b"\n \n"].concat()).unwrap();
        let last = super::last_line(&path).unwrap();
        assert!(last.starts_with("[31m\u{fffd}xx") && last.chars().count() < 300, "{last}");
        assert_eq!(super::last_line(&run.join("none")), None);
        fs::remove_dir_all(run).unwrap();
    }
}
