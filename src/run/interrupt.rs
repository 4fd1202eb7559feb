//! Ctrl-C, as all that a run waits for listens to it.

use tokio::sync::watch;

/// Waits for Ctrl-C. Where nobody can say it any more, it doesn't come.
pub(super) async fn interrupted(interrupt: &watch::Receiver<bool>) {
    if interrupt.clone().wait_for(|interrupted| *interrupted).await.is_err() {
        std::future::pending::<()>().await;
    }
}
