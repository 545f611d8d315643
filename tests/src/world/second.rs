//! Servers beside the world's own.

use anyhow::Result;

use super::{World, serve};
use crate::program::Program;

impl World {
    /// A second server on the same data directory, to see it refused.
    pub fn second_server(&self) -> Result<Program> {
        self.second_server_with(&[])
    }

    /// The same, with other settings.
    pub fn second_server_with(&self, settings: &[(&str, &str)]) -> Result<Program> {
        let mut command = serve((self.dir.path(), &self.data()), &self.github, "127.0.0.1:0")?;
        command.envs(settings.iter().copied());
        Program::start(
            "a second server",
            &mut command,
            &self.dir.path().join("second.log"),
        )
    }

    /// A second server on a data directory of its own, below this world's folder.
    pub fn second_server_on(&self, data: &str, settings: &[(&str, &str)]) -> Result<Program> {
        let data = self.dir.path().join(data);
        let mut command = serve((self.dir.path(), &data), &self.github, "127.0.0.1:0")?;
        command.envs(settings.iter().copied());
        Program::start(
            "a second server",
            &mut command,
            &self.dir.path().join("second.log"),
        )
    }
}
