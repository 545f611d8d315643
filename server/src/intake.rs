//! stub
use crate::app::App;
use crate::tasks::Did;
/// tick
pub async fn tick(app: &App) -> anyhow::Result<Did> { let _ = app; Ok(Did::Nothing) }
/// rerun
pub async fn rerun(app: &App, run: pipelines::ids::RunId) -> anyhow::Result<pipelines::ids::RunNumber> { let _ = (app, run); anyhow::bail!("stub") }
