//! An event as a message of NATS: its data is the payload, the rest stands in headers, so that any server writes it to
//! its readers as the one did that it was published at.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;

use crate::feed::{Draft, DraftData, Patience, is_event_name};

/// The event's name, where it isn't `message`.
const NAME: &str = "Lab-Name";
/// When it was published, in microseconds since 1970.
const TIME: &str = "Lab-Time";
/// There when it is a trial's census.
const CENSUS: &str = "Lab-Census";
/// There when its data is bytes to its readers.
const BYTES: &str = "Lab-Bytes";

/// The headers of an event that is published.
pub(super) fn headers(draft: &Draft) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if draft.name != "message" {
        headers.insert(NAME, draft.name.as_str());
    }
    headers.insert(TIME, draft.time.to_string());
    if draft.census {
        headers.insert(CENSUS, "1");
    }
    if draft.binary {
        headers.insert(BYTES, "1");
    }
    if let Some(id) = &draft.message_id {
        headers.insert(NATS_MESSAGE_ID, id.as_str());
    }
    headers
}

/// The event of a message that came at this time, in microseconds since 1970; `None` where its payload is no text, which
/// no lab has published. Somebody else may have published it, without saying all that a lab says.
pub(super) fn event(message: &async_nats::Message, came: u64) -> Option<Draft> {
    let data = std::str::from_utf8(&message.payload).ok()?.to_owned();
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
    Some(Draft {
        name: header(NAME).filter(|name| is_event_name(name)).unwrap_or_else(|| "message".to_owned()),
        data: DraftData::Text(data),
        time: header(TIME).and_then(|time| time.parse().ok()).unwrap_or(came),
        census: header(CENSUS).is_some(),
        binary: header(BYTES).is_some(),
        message_id: None,
        patience: Patience::Refuse,
    })
}
