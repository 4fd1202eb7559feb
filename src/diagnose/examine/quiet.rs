//! A stream that is read for a long time, to see whether it is cut once it is quiet.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;

use crate::diagnose::aim::Aim;
use crate::diagnose::dial::{Dialled, Goaway};
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::Guest;
use crate::diagnose::reading::{Coding, Finish, Heard, Reading, listen, wants};
use crate::diagnose::visit::{SeenQuiet, Visit, millis};
use crate::text::chain;
use crate::trial::Alpn;

/// Waits so long, on a connection of each ALPN at the same time.
pub(super) async fn on_each(
    visit: &mut Visit,
    guest: &Guest,
    connections: &[Dialled],
    wait: Duration,
) -> Result<(), DiagnoseError> {
    let waits = connections.iter().map(|dialled| on(&visit.aim, guest, dialled, wait));
    let waited = join_all(waits).await;
    for waited in waited {
        match waited {
            Ok((seen, goaway)) => {
                visit.quiet.extend(seen);
                visit.goaways.extend(goaway);
            }
            Err(error) if visit.quiet.is_empty() => return Err(error),
            Err(error) => visit.left_out.push(format!("a quiet time: {}", guest.hide(&chain(&error)))),
        }
    }
    Ok(())
}

async fn on(
    aim: &Aim,
    guest: &Guest,
    dialled: &Dialled,
    wait: Duration,
) -> Result<(Option<SeenQuiet>, Option<(Alpn, Goaway)>), DiagnoseError> {
    // A connection of its own: one that others have used lives longer.
    let dialled = dialled.again(aim, guest).await?;
    let seen = match listen(&dialled, aim, guest, &wants(Coding::Identity), wait, |_| false).await {
        Heard::Answered(reading) if reading.head.status != StatusCode::OK => None,
        Heard::Answered(reading) => Some(quiet_of(&reading)),
        Heard::Silent { alpn, waited, .. } => {
            let millis = millis(waited);
            Some(SeenQuiet { alpn, listened: millis, longest: millis, cut: None })
        }
        Heard::Failed(error) => return Err(error.into()),
    };
    let goaway = dialled.goaway().map(|goaway| (dialled.alpn, goaway));
    dialled.leave().await;
    Ok((seen, goaway))
}

fn quiet_of(reading: &Reading) -> SeenQuiet {
    let times: Vec<Duration> =
        std::iter::once(reading.headed).chain(reading.pieces.iter().map(|piece| piece.at)).collect();
    let last = times.last().copied().unwrap_or_default();
    let before_end = reading.took.saturating_sub(last);
    let longest =
        times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default().max(before_end);
    let how = match &reading.finish {
        Finish::Open | Finish::Enough => None,
        Finish::Ended => Some("it was ended in order".to_owned()),
        Finish::Broke(why) => Some(why.clone()),
    };
    let cut = how.map(|how| (millis(before_end), how));
    SeenQuiet { alpn: reading.alpn, listened: millis(reading.took), longest: millis(longest), cut }
}
