//! Administration from beside the server.

use secrecy::ExposeSecret;

use super::{AdminError, runner_add, runner_list, runner_revoke, token_add, token_revoke};
use crate::store::Store;
use crate::token::{Kind, Presented};

#[tokio::test]
async fn a_runner_gets_a_token_once_and_loses_it_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Store::open(folder.path()).await.unwrap();
    let token = runner_add(folder.path(), "node-1").await.unwrap();
    assert!(Presented::parse(Kind::Runner, token.expose_secret()).is_some());
    let again = runner_add(folder.path(), "node-1").await;
    assert!(matches!(again, Err(AdminError::Taken { .. })), "{again:?}");
    runner_revoke(folder.path(), "node-1").await.unwrap();
    let listed = runner_list(folder.path()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].revoked_at.is_some());
    let twice = runner_revoke(folder.path(), "node-1").await.unwrap_err();
    assert_eq!(twice.exit_code(), 1);
}

#[tokio::test]
async fn a_name_that_is_none_and_a_folder_without_a_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        token_add(folder.path(), "a b")
            .await
            .unwrap_err()
            .exit_code(),
        2
    );
    assert_eq!(
        token_add(folder.path(), "bot")
            .await
            .unwrap_err()
            .exit_code(),
        4
    );
    let _server = Store::open(folder.path()).await.unwrap();
    assert_eq!(
        token_revoke(folder.path(), "bot")
            .await
            .unwrap_err()
            .exit_code(),
        1
    );
}
