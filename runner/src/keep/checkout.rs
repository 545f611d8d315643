//! The key of a cache: a hash of files of the checkout.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest;

use super::artifacts::Wish;
use crate::archive::{hex, sorted_names};

/// The key of a cache, and how many files made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// In hex.
    pub(super) text: String,
    pub(super) files: usize,
}

/// Hashes the files of a folder that `patterns` mean: their paths and contents, in order.
pub(super) fn key(folder: &Path, patterns: &[String]) -> io::Result<Key> {
    let wish = Wish::of(patterns).map_err(io::Error::other)?;
    let mut paths = Vec::new();
    if !patterns.is_empty() {
        for start in wish.starts() {
            find(folder, start, &wish, &mut paths)?;
        }
    }
    paths.sort();
    paths.dedup();
    let mut all = digest::Context::new(&digest::SHA256);
    for path in &paths {
        // The length first: no two lists of files are the same bytes.
        all.update(&(path.len() as u64).to_be_bytes());
        all.update(path.as_bytes());
        all.update(content(&folder.join(path))?.as_ref());
    }
    Ok(Key {
        text: hex(all.finish().as_ref()),
        files: paths.len(),
    })
}

fn find(folder: &Path, start: &str, wish: &Wish, found: &mut Vec<String>) -> io::Result<()> {
    let mut stack = vec![start.to_owned()];
    while let Some(path) = stack.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(folder.join(&path)) else {
            continue;
        };
        if metadata.is_file() && wish.means(&path) {
            found.push(path);
        } else if metadata.is_dir() && path != ".git" {
            for name in sorted_names(&folder.join(&path))? {
                // A name that is no text cannot be meant.
                if let Some(name) = name.to_str() {
                    stack.push(match path.as_str() {
                        "" => name.to_owned(),
                        path => format!("{path}/{name}"),
                    });
                }
            }
        }
    }
    Ok(())
}

fn content(path: &Path) -> io::Result<digest::Digest> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish()),
            bytes => context.update(&buffer[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(files: &[(&str, &str)], patterns: &[&str]) -> Key {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        key(folder.path(), &patterns).unwrap()
    }

    #[test]
    fn only_what_is_meant_changes_the_key() {
        let files = [("Cargo.lock", "1"), ("a/Cargo.lock", "2"), ("b", "3")];
        let patterns = ["**/Cargo.lock"];
        let first = keyed(&files, &patterns);
        let mut other = files;
        other[2].1 = "changed";
        let same = keyed(&other, &patterns);
        other[1].1 = "changed";
        let changed = keyed(&other, &patterns);
        assert_eq!(
            (first.files, first == same, first == changed),
            (2, true, false)
        );
    }

    #[test]
    fn a_content_that_moves_to_another_file_changes_the_key() {
        let (one, two) = ([("a", "xy"), ("b", "z")], [("a", "x"), ("b", "yz")]);
        assert_ne!(keyed(&one, &["*"]), keyed(&two, &["*"]));
    }

    #[test]
    fn without_files_there_is_the_key_of_nothing() {
        let none = keyed(&[("a", "x")], &["b/*"]);
        assert_eq!((none.files, none.clone()), (0, keyed(&[("a", "y")], &[])));
    }

    #[test]
    fn a_symlink_is_never_followed() {
        assert_eq!(keyed(&[("a", "x")], &["link"]).files, 0);
    }
}
