//! A file that is there as a whole, or as it was before.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

/// Why it could not be written.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("cannot write {}: {source}", path.display())]
#[diagnostic(help(
    "name a file in a directory that exists and that you may write to, or - for standard output"
))]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// Writes to a file beside it, which then takes its name.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    try_write(path, text.as_bytes()).map_err(|error| {
        // What is said of it may name the file beside it.
        let source = error.raw_os_error().map_or(error, io::Error::from_raw_os_error);
        Error { path: path.to_owned(), source }
    })
}

fn try_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".percytech-")
        // Less what the umask takes, as for any new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        std::fs::write(&path, "what was there before, and longer").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/report.html");
        let error = write(&path, "new").unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        // A directory is not replaced.
        let error = write(directory.path(), "new").unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
