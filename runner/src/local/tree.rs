//! The working tree as a job will see it: what a checkout would have, and what is not committed yet.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many files.
    pub files: usize,
    /// Whether git said which files belong to the tree; otherwise all were taken.
    pub by_git: bool,
}

/// Copies the tree at `root` to the new folder `to`: tracked files as they are now, and new ones
/// that `.gitignore` does not name. At the top of a repository the copy has a `.git` as a checkout
/// has it: this commit, without history, and changes that are not committed show as such.
pub fn snapshot(root: &Path, to: &Path) -> io::Result<Snapshot> {
    std::fs::create_dir_all(to)?;
    let listed = listed(root);
    let by_git = listed.is_some();
    let paths = match listed {
        Some(paths) => paths,
        None => walked(root)?,
    };
    let mut files = 0;
    for path in paths {
        files += usize::from(copy(root, to, &path)?);
    }
    if root.join(".git").exists() {
        // Steps that do not ask git lose nothing by a failure.
        if let Err(words) = give_git(root, to) {
            tracing::warn!(words, "the copy of the tree has no .git");
        }
    }
    Ok(Snapshot { files, by_git })
}

/// Copies one entry; answers whether it is there and a file or symlink.
fn copy(root: &Path, to: &Path, path: &Path) -> io::Result<bool> {
    let (from, to) = (root.join(path), to.join(path));
    let found = match std::fs::symlink_metadata(&from) {
        Ok(found) => found,
        // Deleted, and not committed yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if found.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(&from)?, &to)?;
        return Ok(true);
    }
    // A folder is a submodule, which a checkout leaves empty; sockets and pipes are nobody's.
    if found.is_file() {
        std::fs::copy(&from, &to)?;
    }
    Ok(found.is_file())
}

/// The files that belong to the tree, as git sees it; nothing outside of a repository.
fn listed(root: &Path) -> Option<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStrExt as _;
    let args = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ];
    let done = git(root).args(args).output().ok()?;
    if !done.status.success() {
        return None;
    }
    let names = done.stdout.split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    let path = |name: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(name));
    Some(names.map(path).collect())
}

/// Every file below a folder, but git's own.
fn walked(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if !entry.file_type()?.is_dir() {
                found.push(path);
            } else if path != Path::new(".git") {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

/// Makes the copy a repository at the same commit.
fn give_git(root: &Path, to: &Path) -> Result<(), String> {
    let head = run(git(root).args(["rev-parse", "--verify", "HEAD"]))?;
    let commit = head.trim();
    let format = if commit.len() == 64 { "sha256" } else { "sha1" };
    run(git(to)
        .args([
            "init",
            "--quiet",
            "--template=",
            "--initial-branch=seaworthy",
        ])
        .arg(format!("--object-format={format}")))?;
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let fetch = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-write-fetch-head",
    ];
    run(git(to)
        .args(fetch)
        .args(["--no-recurse-submodules", "--end-of-options"])
        .arg(format!("file://{}", root.display()))
        .arg(commit))?;
    run(git(to).args(["update-ref", "--no-deref", "HEAD", commit]))?;
    run(git(to).args(["reset", "--quiet"])).map(|_| ())
}

/// Git in a folder. Unlike a runner's checkout this is the user's own repository, read with the
/// user's own settings.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["-c", "uploadpack.allowAnySHA1InWant=true"]);
    // Set within a hook, they would name another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| error.to_string())?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, text) in [(".gitignore", "target\n"), ("kept", "1"), ("gone", "1")] {
            std::fs::write(root.join(name), text).unwrap();
        }
        run(git(root).args(["init", "--quiet"])).unwrap();
        run(git(root).args(["add", "."])).unwrap();
        let me = ["-c", "user.name=me", "-c", "user.email=me@example.com"];
        run(git(root)
            .args(me)
            .args(["commit", "--quiet", "-m", "first"]))
        .unwrap();
        std::fs::write(root.join("kept"), "2").unwrap();
        std::fs::write(root.join("new"), "1").unwrap();
        std::fs::write(root.join("target"), "1").unwrap();
        std::fs::remove_file(root.join("gone")).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_has_what_is_not_committed_and_not_what_is_ignored() {
        let (folder, to) = (repository(), tempfile::tempdir().unwrap());
        let copied = snapshot(folder.path(), &to.path().join("tree")).unwrap();
        assert_eq!(
            copied,
            Snapshot {
                files: 3,
                by_git: true
            }
        );
        let names = names(&to.path().join("tree"));
        assert_eq!(names, [".git", ".gitignore", "kept", "new"]);
    }

    #[test]
    fn git_sees_the_commit_and_the_changes_in_a_copy() {
        let (folder, to) = (repository(), tempfile::tempdir().unwrap());
        let to = to.path().join("tree");
        snapshot(folder.path(), &to).unwrap();
        let heads = [folder.path(), &to].map(|root| run(git(root).args(["rev-parse", "HEAD"])));
        assert_eq!(heads[0], heads[1]);
        let status = run(git(&to).args(["status", "--short"])).unwrap();
        assert_eq!(status, " D gone\n M kept\n?? new\n");
    }

    #[test]
    fn without_a_repository_everything_is_taken() {
        let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c"), "1").unwrap();
        std::os::unix::fs::symlink("a/b/c", folder.path().join("link")).unwrap();
        let copied = snapshot(folder.path(), to.path()).unwrap();
        assert_eq!(
            copied,
            Snapshot {
                files: 2,
                by_git: false
            }
        );
    }
}
