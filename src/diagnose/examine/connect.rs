//! Which ALPNs it speaks.

use super::http3;
use crate::diagnose::dial::{DialError, Dialled};
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::Guest;
use crate::diagnose::visit::Visit;
use crate::trial::Alpn;

/// A connection for each ALPN that it speaks on TCP, the best first; where nobody is there, one on QUIC.
pub(super) async fn all(visit: &mut Visit, guest: &Guest) -> Result<Vec<Dialled>, DiagnoseError> {
    match by_tcp(visit, guest).await {
        Err(error @ DiagnoseError::Dial(DialError::Connect { .. } | DialError::Slow { .. }))
            if visit.aim.is_secure() =>
        {
            let (seen, dialled) = http3::look(&visit.aim, guest, None, None).await;
            let dialled = match dialled {
                Ok(dialled) => dialled,
                Err(error @ DialError::Certificate { .. }) => return Err(error.into()),
                // That nobody is there at all is said best by who was asked first.
                Err(_) => return Err(error),
            };
            visit.quic = Some(seen);
            note(visit, &dialled);
            visit.http3 = dialled.http3().await;
            Ok(vec![dialled])
        }
        connected => connected,
    }
}

/// The same on TCP alone.
async fn by_tcp(visit: &mut Visit, guest: &Guest) -> Result<Vec<Dialled>, DiagnoseError> {
    let (mut connections, mut fault) = (Vec::new(), None);
    let asked: &[Alpn] = if visit.aim.is_secure() { &[Alpn::H2, Alpn::H1] } else { &[Alpn::H1] };
    for &alpn in asked {
        match Dialled::connect(&visit.aim, guest, alpn).await {
            Ok(dialled) => {
                note(visit, &dialled);
                connections.push(dialled);
            }
            // Some end the handshake without saying that it is for the ALPN.
            Err(error @ (DialError::Alpn { .. } | DialError::Tls { .. })) if visit.aim.is_secure() => {
                visit.not_spoken.push(alpn);
                if matches!(error, DialError::Tls { .. }) {
                    fault.get_or_insert(error);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let Some(best) = connections.first() else {
        let none = || DiagnoseError::NoHttp { peer: visit.aim.authority() };
        return Err(fault.map_or_else(none, DiagnoseError::from));
    };
    visit.settings = best.settings(&visit.aim).await?;
    Ok(connections)
}

/// Writes down what was agreed on.
pub(super) fn note(visit: &mut Visit, dialled: &Dialled) {
    visit.spoken.push(dialled.alpn);
    visit.connected.get_or_insert((dialled.address, dialled.took));
    if visit.tls.is_none() {
        visit.tls.clone_from(&dialled.tls);
    }
}
