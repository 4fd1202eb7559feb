//! Ctrl-C and its kin.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Exit;

/// Becomes true at the first SIGINT, SIGTERM or SIGHUP. The second one ends this process at once; its children
/// notice that their input has ended, and end too.
pub(super) fn interrupt() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds {
        match signal(kind) {
            Ok(signal) => drop(tokio::spawn(listen(signal, sender.clone()))),
            Err(error) => tracing::warn!(%error, "a signal can't be handled"),
        }
    }
    receiver
}

async fn listen(mut signal: Signal, interrupted: watch::Sender<bool>) {
    while signal.recv().await.is_some() {
        if interrupted.send_replace(true) {
            std::process::exit(Exit::Interrupted as i32);
        }
    }
}
