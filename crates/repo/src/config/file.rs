//! A config file as text. Whatever stands at its path, looking at it neither waits nor changes it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::error::{ConfigError, Position};

/// The largest config that we read.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;

/// What is written in the file, or `None` if there is none.
pub(super) fn read(path: &Path, name: &str) -> Result<Option<String>, ConfigError> {
    let fault = |message: &str| ConfigError::of_file(name, message);
    let unreadable = |error: io::Error| {
        if error.raw_os_error() == Some(libc::ELOOP) {
            return fault("its symbolic links go round in a circle");
        }
        let said = error.to_string();
        let said = said.split(" (os error").next().unwrap_or_default().to_lowercase();
        fault(&format!("it cannot be read: {said}"))
    };

    // Before opening, since opening a FIFO or a device can wait, or do something.
    match fs::metadata(path) {
        Ok(about) if is_placeholder(path, &about) => return Ok(None),
        Ok(about) => is_plain(about.file_type()).map_err(|what| fault(&what))?,
        Err(error) if missing(&error) => {
            return match fs::symlink_metadata(path) {
                Ok(_) => Err(fault("it is a symbolic link to nothing")),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(unreadable(error)),
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // And after: it may be another file by now.
    let about = file.metadata().map_err(unreadable)?;
    is_plain(about.file_type()).map_err(|what| fault(&what))?;

    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(fault("it is larger than 4 MiB"));
    }
    text(bytes, name).map(Some)
}

/// An empty folder that nobody may write into stands where there is no file while a run is confined,
/// so that it cannot make one.
fn is_placeholder(path: &Path, about: &fs::Metadata) -> bool {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    about.is_dir() && about.permissions().mode() & 0o222 == 0 && is_empty()
}

/// The text that the bytes of a config are.
pub(crate) fn text(bytes: Vec<u8>, name: &str) -> Result<String, ConfigError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        }),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let good = std::str::from_utf8(good).unwrap_or_default();
            let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let position = Position { line: good.matches('\n').count() + 1, column };
            Err(ConfigError {
                position: Some(position),
                ..ConfigError::of_file(name, "it is not UTF-8 text").hint("save it as UTF-8")
            })
        }
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_plain(kind: fs::FileType) -> Result<(), String> {
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    };
    Err(format!("it is {what}, not a file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, expected: &str) {
        let shown = match read(path, "config") {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(text)) => format!("text: {text}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_a_plain_file_is_read_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();

        check(&at("none"), "nothing");
        fs::write(at("plain"), "\u{feff}a = 1").unwrap();
        check(&at("plain"), "text: a = 1");
        check(&at("plain").join("below"), "nothing");
        link("plain", "link");
        check(&at("link"), "text: a = 1");
        link("void", "dangling");
        check(&at("dangling"), "config: it is a symbolic link to nothing");
        link("two", "one");
        link("one", "two");
        check(&at("one"), "config: its symbolic links go round in a circle");
        check(folder.path(), "config: it is a folder, not a file");
        fs::create_dir(at("held")).unwrap();
        check(&at("held"), "config: it is a folder, not a file");
        fs::set_permissions(at("held"), fs::Permissions::from_mode(0o555)).unwrap();
        check(&at("held"), "nothing");
        check(Path::new("/dev/zero"), "config: it is a device, not a file");
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        check(&at("fifo"), "config: it is a FIFO, not a file");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        check(&at("socket"), "config: it is a socket, not a file");
        fs::write(at("latin1"), b"a = 1\nb = \"\xe9\"").unwrap();
        check(&at("latin1"), "config:2:6: it is not UTF-8 text; save it as UTF-8");
        fs::write(at("large"), vec![b'#'; 4 * 1024 * 1024 + 1]).unwrap();
        check(&at("large"), "config: it is larger than 4 MiB");
        fs::write(at("just"), vec![b' '; 4 * 1024 * 1024]).unwrap();
        assert!(read(&at("just"), "config").is_ok());
    }
}
