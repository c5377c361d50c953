//! Files that an operator names: regular ones only, and never more of one than it may hold.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Why a file was not read; reads on after its name: `config.json is missing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Neither the file nor, where it is a link, what the link leads to.
    Missing,
    /// A folder, a pipe, a socket or a device.
    NotRegular,
    /// Longer than so many bytes.
    TooLong(u64),
    Refused(io::ErrorKind),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Missing => f.write_str("is missing"),
            Unreadable::NotRegular => f.write_str("is not a regular file"),
            Unreadable::TooLong(most) if most % (1 << 20) == 0 => write!(f, "is longer than {} MiB", most >> 20),
            Unreadable::TooLong(most) => write!(f, "is longer than {most} bytes"),
            Unreadable::Refused(kind) => write!(f, "cannot be read ({kind})"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        match error.kind() {
            io::ErrorKind::NotFound => Unreadable::Missing,
            kind => Unreadable::Refused(kind),
        }
    }
}

/// The content of a regular file of at most `most` bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    check(path)?;
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(Unreadable::TooLong(most)) } else { Ok(bytes) }
}

/// Whether it is a regular file, itself or through links.
///
/// To be asked before opening: a pipe is opened only once somebody has opened its other end.
// INVARIANT: what_is_no_regular_file_is_never_opened
pub fn check(path: &Path) -> Result<(), Unreadable> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(Unreadable::NotRegular) }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink(at("pipe"), at("link to a pipe")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        for (path, why) in [
            (at("pipe"), Unreadable::NotRegular),
            (at("link to a pipe"), Unreadable::NotRegular),
            ("/dev/zero".into(), Unreadable::NotRegular),
            (folder.path().into(), Unreadable::NotRegular),
            (at("dangling"), Unreadable::Missing),
            (at("nothing"), Unreadable::Missing),
        ] {
            assert_eq!(read(&path, 8), Err(why), "{}", path.display());
        }
    }

    #[test]
    fn no_more_than_the_limit_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"12345678");
        assert_eq!(read(&path, 7).unwrap_err().to_string(), "is longer than 7 bytes");
        // A terabyte that takes no space.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path, 1 << 20).unwrap_err().to_string(), "is longer than 1 MiB");
    }
}
