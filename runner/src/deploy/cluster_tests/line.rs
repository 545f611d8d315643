//! A line to the cluster that can be cut, as networks are.

use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// While it is cut, open connections are closed and new ones are refused an answer.
pub(super) struct Line {
    pub(super) kubeconfig: PathBuf,
    is_cut: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl Line {
    pub(super) async fn to(url: &str, kubeconfig: &Path) -> Self {
        let address = url
            .trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        std::fs::write(&path, text.replace(&address, &here.to_string())).unwrap();
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (address, mut cut) = (address.clone(), cut.clone());
                tokio::spawn(async move {
                    if *cut.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(&address).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self {
            kubeconfig: path,
            is_cut,
            _folder: folder,
        }
    }

    pub(super) fn cut(&self) {
        self.is_cut.send_replace(true);
    }
    pub(super) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}
