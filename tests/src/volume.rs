//! A small disk of a story's own: a file with an ext4 file system, mounted.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The disk. It is gone once this is dropped; whatever uses it should have ended by then.
#[derive(Debug)]
pub struct Volume {
    dir: TempDir,
}

impl Volume {
    /// Makes one of so many MiB.
    pub fn new(mebibytes: u64) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("seaworthy-disk-")
            .tempdir()?;
        let volume = Self { dir };
        let image = volume.dir.path().join("image");
        File::create(&image)?.set_len(mebibytes * 1024 * 1024)?;
        std::fs::create_dir(volume.path())?;
        // Without blocks that are kept for root, for whom these stories run.
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(volume.path()))?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Puts it where `place` is, as a link.
    pub fn link(&self, place: &Path) -> Result<()> {
        Ok(std::os::unix::fs::symlink(self.path(), place)?)
    }

    /// Takes all room that is left.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        // Ever smaller pieces, until not even one byte fits.
        for piece in [1 << 20, 4096, 1] {
            let piece = vec![0; piece];
            while ballast
                .write_all(&piece)
                .and_then(|()| ballast.sync_all())
                .is_ok()
            {}
        }
        Ok(())
    }

    /// Gives back what [`Volume::fill`] took.
    pub fn empty(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    /// Takes the right to write to it from everybody.
    pub fn read_only(&self) -> Result<()> {
        run(Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path()))
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A drop cannot fail. Lazily: a story that failed may still have a server on it.
        drop(run(Command::new("umount").arg("-l").arg(self.path())));
    }
}

fn run(command: &mut Command) -> Result<()> {
    let done = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?}: {words}");
    Ok(())
}
