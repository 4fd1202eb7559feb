//! The stream behind a feed: what it has to be like, how it stands, and how it is made.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt};

use super::cluster::Cluster;
use crate::feed::{Epoch, LogError, MAX_EVENT_BYTES, MAX_LOG_BYTES};
use crate::text::chain;

/// How many feeds may have a log in JetStream under one prefix: as many as a server has.
const MOST: usize = 64;
/// After how long an event goes, whatever else there is room for.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long the same message id isn't taken twice.
const DUPLICATES: Duration = Duration::from_secs(120);
/// How long who leads a stream may take to answer before it is asked for again, beside the question that it has.
const ASK: Duration = Duration::from_millis(200);
/// What headers may take beside the data.
const HEADER_BYTES: usize = 1024;
/// What a stream's metadata says of the lab that made it.
const FORMAT: (&str, &str) = ("transport-lab.format", "1");
const CLUSTER: &str = "transport-lab.prefix";

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// What its subject says.
    pub(super) epoch: Epoch,
    /// The last number that it gave out; 0 before the first.
    pub(super) last: u64,
    /// How many it holds.
    pub(super) messages: u64,
}

/// What the stream of a feed is called. A feed's name has no underscore.
pub(in crate::broker) fn stream_name(prefix: &str, feed: &str) -> String {
    format!("{prefix}_{feed}")
}

/// The subject of the events of a log.
pub(super) fn subject(prefix: &str, feed: &str, epoch: Epoch) -> String {
    format!("{prefix}.feeds.{feed}.{epoch}")
}

/// The epoch at the end of a subject.
pub(super) fn epoch_of(subject: &str) -> Option<Epoch> {
    Epoch::parse(subject.rsplit_once('.')?.1)
}

impl Cluster {
    /// How the stream of this feed stands; `None` where there is none.
    pub(super) async fn look(&self, feed: &str) -> Result<Option<Standing>, LogError> {
        let stream = self.permitted(self.broker.jetstream().get_stream(stream_name(self.prefix(), feed))).await?;
        self.stands(feed, stream)
    }

    /// The same of a stream that there is, or that somebody waits for. Nobody answers while nobody leads it, and who leads
    /// next answers only what comes from then on: so it is asked for again and again, and the first answer counts.
    pub(super) async fn look_for(&self, feed: &str) -> Result<Option<Standing>, LogError> {
        let ask = || self.broker.jetstream().get_stream(stream_name(self.prefix(), feed));
        let mut asked = FuturesUnordered::from_iter([ask()]);
        let answered = async {
            loop {
                tokio::select! {
                    Some(answer) = asked.next() => return answer,
                    () = tokio::time::sleep(ASK) => asked.push(ask()),
                }
            }
        };
        let stream = self.permitted(answered).await?;
        self.stands(feed, stream)
    }

    fn stands(&self, feed: &str, stream: Result<Stream, GetStreamError>) -> Result<Option<Standing>, LogError> {
        match stream {
            Ok(stream) => self.standing(feed, stream.cached_info()).map(Some),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                GetStreamErrorKind::JetStream(error) => Err(refusal(&error)),
                _ => Err(LogError::Away),
            },
        }
    }

    /// The stream of this feed, made if there is none.
    pub(super) async fn make(&self, feed: &str) -> Result<Standing, LogError> {
        if let Some(standing) = self.look_for(feed).await? {
            return Ok(standing);
        }
        self.has_room().await?;
        let wanted = self.config(feed, Epoch::draw());
        let made = match self.permitted(self.broker.jetstream().create_stream(wanted)).await? {
            Ok(stream) => self.standing(feed, stream.cached_info()),
            Err(error) => match error.kind() {
                // Another server was faster.
                CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                    self.look(feed).await?.ok_or(LogError::Away)
                }
                CreateStreamErrorKind::JetStream(error) => Err(refusal(&error)),
                CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => Err(LogError::Away),
                _ => Err(LogError::Refused(chain(&error))),
            },
        }?;
        // Who doesn't hear of it looks for itself.
        let _ = self.broker.client().publish(self.births_subject(), feed.to_owned().into()).await;
        Ok(made)
    }

    /// Whether one more log may be made.
    async fn has_room(&self) -> Result<(), LogError> {
        let own = stream_name(self.prefix(), "");
        let mut names = self.broker.jetstream().stream_names();
        let mut count = 0;
        while let Some(name) = self.permitted(names.try_next()).await?.map_err(|_| LogError::Away)? {
            count += usize::from(name.starts_with(&own));
        }
        if count < MOST { Ok(()) } else { Err(LogError::Full(format!("there are {count} feeds already"))) }
    }

    fn config(&self, feed: &str, epoch: Epoch) -> Config {
        let prefix = self.prefix();
        Config {
            name: stream_name(prefix, feed),
            description: Some("The log of a feed of Transport Lab".to_owned()),
            subjects: vec![subject(prefix, feed, epoch)],
            max_messages: i64::try_from(self.events).unwrap_or(i64::MAX),
            max_bytes: i64::try_from(MAX_LOG_BYTES).unwrap_or(i64::MAX),
            max_age: MAX_AGE,
            max_message_size: i32::try_from(MAX_EVENT_BYTES + HEADER_BYTES).unwrap_or(i32::MAX),
            discard: DiscardPolicy::Old,
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: self.broker.options().replicas,
            duplicate_window: DUPLICATES,
            metadata: HashMap::from([
                (FORMAT.0.to_owned(), FORMAT.1.to_owned()),
                (CLUSTER.to_owned(), prefix.to_owned()),
            ]),
            ..Config::default()
        }
    }

    /// How a stream stands, if it is one that this lab would have made. What others made is left as it is.
    fn standing(&self, feed: &str, info: &Info) -> Result<Standing, LogError> {
        let epoch = info.config.subjects.first().and_then(|subject| epoch_of(subject));
        let wanted = self.config(feed, epoch.unwrap_or(Epoch::NEW));
        let differs = differs(&info.config, &wanted);
        let foreign = |what: String| {
            let name = &info.config.name;
            LogError::Foreign(format!(
                "the stream `{name}` in NATS {what}; give this lab another --nats-prefix, start it as the one that made the \
                 stream, or delete the stream (`nats stream rm {name}`) if nobody needs it"
            ))
        };
        match epoch {
            _ if info.config.metadata.get(FORMAT.0).map(String::as_str) != Some(FORMAT.1) => {
                Err(foreign("isn't one that this version of the lab has made".to_owned()))
            }
            Some(epoch) if differs.is_empty() => {
                Ok(Standing { epoch, last: info.state.last_sequence, messages: info.state.messages })
            }
            _ => Err(foreign(format!("was made otherwise than this lab makes it ({})", differs.join(", ")))),
        }
    }
}

/// In what a stream is otherwise than it should be: `replicas: 1 there, 3 here`.
fn differs(there: &Config, here: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, there: String, here: String| {
        if there != here {
            all.push(format!("{what}: {there} there, {here} here"));
        }
    };
    compare("subjects", there.subjects.join(" "), here.subjects.join(" "));
    compare("events", there.max_messages.to_string(), here.max_messages.to_string());
    compare("bytes", there.max_bytes.to_string(), here.max_bytes.to_string());
    compare("age", format!("{:?}", there.max_age), format!("{:?}", here.max_age));
    compare("replicas", there.num_replicas.to_string(), here.num_replicas.to_string());
    compare("storage", format!("{:?}", there.storage), format!("{:?}", here.storage));
    compare("retention", format!("{:?}", there.retention), format!("{:?}", here.retention));
    compare("discard", format!("{:?}", there.discard), format!("{:?}", here.discard));
    all
}

/// What JetStream's own error means to who publishes.
pub(super) fn refusal(error: &jetstream::Error) -> LogError {
    match error.error_code() {
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT
        | ErrorCode::STREAM_STORE_FAILED => LogError::Full(error.to_string()),
        // A code for whatever it is that no stream can be made for; a disk that is full is said so.
        ErrorCode::STREAM_CREATE if error.to_string().contains("creating store") => {
            LogError::Full(format!("{error}; the disk of NATS may be, as its log says"))
        }
        ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::STREAM_OFFLINE | ErrorCode::CLUSTER_NO_PEERS => LogError::Away,
        ErrorCode::STREAM_SUBJECT_OVERLAP => LogError::Foreign(format!(
            "a stream that isn't this lab's takes the subjects of this feed: {error}; give this lab another --nats-prefix"
        )),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            LogError::Refused(format!("{error}; --replicas 3 takes three nodes in a cluster"))
        }
        _ => LogError::Refused(error.to_string()),
    }
}
