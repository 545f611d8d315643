//! stub
use crate::app::App;
use crate::tasks::Did;
/// tick
pub async fn tick(app: &App) -> anyhow::Result<Did> { let _ = app; Ok(Did::Nothing) }
