//! The zip of a tree, for the AWS API. Unchanged files are taken over from the zip before, still compressed.

use crate::dev::tree::Tree;
use crate::failure::{Context, Failure};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What UpdateFunctionCode takes, in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const ZIP_BYTES_MAX: usize = 52_428_800;
/// Speed counts, not size: the zip goes to this machine.
const COMPRESSION_LEVEL: i64 = 1;

/// Makes one zip after the other.
#[derive(Default)]
pub struct Packer {
    tree: Tree,
    zip: Vec<u8>,
}

impl Packer {
    /// The zip of `tree`.
    ///
    /// Errors: a file cannot be read (any more), or the zip is larger than Lambda takes.
    pub fn pack(&mut self, tree: &Tree) -> Result<&[u8], Failure> {
        let changed: BTreeSet<String> = tree.difference(&self.tree).changed.into_iter().collect();
        let mut before = match self.zip.is_empty() {
            true => None,
            false => Some(ZipArchive::new(Cursor::new(self.zip.as_slice())).context("cannot read its own zip")?),
        };
        let mut writer = ZipWriter::new(Cursor::new(Vec::with_capacity(self.zip.len())));
        for (path, entry) in &tree.files {
            if let Some(before) = before.as_mut().filter(|_| !changed.contains(path))
                && let Ok(file) = before.by_name(path)
            {
                writer.raw_copy_file(file).context(format_args!("cannot pack {path}"))?;
                continue;
            }
            let mode = if entry.is_executable { 0o755 } else { 0o644 };
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(COMPRESSION_LEVEL))
                .unix_permissions(mode);
            let packed = File::open(&entry.source)
                .and_then(|file| {
                    let mut content = Vec::with_capacity(usize::try_from(entry.bytes).unwrap_or_default());
                    // A file that grows meanwhile is packed again after it.
                    file.take(entry.bytes).read_to_end(&mut content)?;
                    writer.start_file(path.as_str(), options)?;
                    writer.write_all(&content)
                })
                .context(format_args!("cannot pack {}", entry.source.display()));
            packed?;
        }
        let zip = writer.finish().context("cannot finish the zip")?.into_inner();
        if zip.len() > ZIP_BYTES_MAX {
            return Err(too_large());
        }
        drop(before);
        self.zip = zip;
        self.tree = tree.clone();
        Ok(&self.zip)
    }
}

/// A package for a function whose code is too large to be uploaded.
pub fn placeholder() -> Result<Vec<u8>, Failure> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let written = writer.start_file("README", SimpleFileOptions::default()).map_err(std::io::Error::from);
    let written = written
        .and_then(|()| writer.write_all(b"The code of this function is served by `gust dev` while that runs.\n"));
    written.context("cannot make a package")?;
    Ok(writer.finish().context("cannot make a package")?.into_inner())
}

fn too_large() -> Failure {
    Failure::new(format!("its zip is larger than {ZIP_BYTES_MAX} bytes (50 MB), Lambda's limit for an upload"))
        .hint("leave out what the function does not need in .gustignore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn content(zip: &[u8]) -> Vec<(String, u32, String)> {
        let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let name = String::from_utf8(file.name_raw().to_vec()).unwrap();
            files.push((name, file.unix_mode().unwrap() & 0o777, text));
        }
        files.sort();
        files
    }

    #[test]
    fn a_later_zip_holds_what_there_is_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("app.py"), "1").unwrap();
        fs::write(path("gone.py"), "1").unwrap();
        fs::create_dir(path("lib")).unwrap();
        fs::write(path("lib/run"), "kept").unwrap();
        fs::set_permissions(path("lib/run"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut packer = Packer::default();
        let tree = Tree::scan(folder.path()).unwrap();
        assert_eq!(content(packer.pack(&tree).unwrap()).len(), 3);
        fs::write(path("app.py"), "22").unwrap();
        fs::remove_file(path("gone.py")).unwrap();
        let tree = Tree::scan(folder.path()).unwrap();
        let expected =
            [("app.py".to_owned(), 0o644, "22".to_owned()), ("lib/run".to_owned(), 0o755, "kept".to_owned())];
        assert_eq!(content(packer.pack(&tree).unwrap()), expected);
        assert_eq!(content(packer.pack(&tree).unwrap()), expected, "packing again changes nothing");
    }
}
