//! The stream that agents tell a run's facts over.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};

use super::super::AgentError;
use super::super::message::AgentSaid;
use super::{Numbering, token};
use crate::broker::Broker;

/// How long a stream is kept that no coordinator has removed: the one that made it was killed.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How much it holds, in bytes; who says more is told that it is full.
const MAX_BYTES: i64 = 4 << 30;

/// What one agent said in one session.
#[derive(Debug)]
pub struct AgentWords {
    pub agent: String,
    /// In the order in which it was said.
    pub said: Vec<AgentSaid>,
}

fn is_missing(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    }
}

fn not_made(error: CreateStreamError, replicas: usize) -> AgentError {
    match error.kind() {
        CreateStreamErrorKind::JetStream(source)
            if replicas > 1
                && matches!(
                    source.error_code(),
                    ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS
                ) =>
        {
            AgentError::Replicas { replicas, source: Box::new(source) }
        }
        CreateStreamErrorKind::JetStream(source) if source.error_code() == ErrorCode::STORAGE_RESOURCES_EXCEEDED => {
            AgentError::NoRoom { gibibytes: MAX_BYTES >> 30, source: Box::new(source) }
        }
        _ => AgentError::nats("make the run's stream", error),
    }
}

/// The stream of one run. It stays when this is dropped; [`RunStream::remove`] removes it.
#[derive(Debug, Clone)]
pub struct RunStream {
    pub(super) broker: Broker,
    pub(super) run: String,
}

impl RunStream {
    /// Makes it.
    pub async fn create(broker: Broker, run: &str) -> Result<Self, AgentError> {
        let this = Self { broker, run: token(run) };
        let prefix = &this.broker.options().prefix;
        let config = Config {
            name: this.name(),
            description: Some("What agents of Transport Lab said of the trials of one run".to_owned()),
            subjects: vec![format!("{prefix}.runs.{}.>", this.run)],
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            // What doesn't fit any more is refused, and a trial fails by it; nothing that was taken is lost.
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: this.broker.options().replicas,
            metadata: HashMap::from([("transport-lab.run".to_owned(), this.run.clone())]),
            ..Config::default()
        };
        let made = this.broker.unless_denied(this.broker.jetstream().create_stream(config)).await?;
        made.map_err(|source| not_made(source, this.broker.options().replicas))?;
        Ok(this)
    }

    /// The stream of a run whose coordinator was killed.
    pub fn left(broker: Broker, run: &str) -> Self {
        Self { broker, run: token(run) }
    }

    /// Does this, which takes what NATS may deny.
    pub(in crate::agent) async fn unless_denied<T>(
        &self,
        does: impl Future<Output = Result<T, AgentError>>,
    ) -> Result<T, AgentError> {
        self.broker.unless_denied(does).await?
    }

    /// All that agents have said in it, in one part for each session, in which it is in order. `None`: there is no such
    /// stream.
    pub async fn read(&self) -> Result<Option<Vec<AgentWords>>, AgentError> {
        self.unless_denied(self.read_all()).await
    }

    async fn read_all(&self) -> Result<Option<Vec<AgentWords>>, AgentError> {
        let failed = |source| AgentError::nats("read the run's stream", source);
        let stream = match self.broker.jetstream().get_stream(self.name()).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let state = &stream.cached_info().state;
        let mut sessions: BTreeMap<String, (Numbering, Vec<u8>)> = BTreeMap::new();
        for number in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(number).await;
            let message = message.map_err(|source| AgentError::nats("read the run's stream", source))?;
            let (numbering, bytes) = sessions.entry(message.subject.to_string()).or_default();
            // The stream takes nothing twice and loses nothing of what it took.
            if numbering.missing(Some(&message.headers)).is_some() {
                bytes.extend_from_slice(&message.payload);
            }
        }
        let words = sessions.into_iter().map(|(subject, (_, bytes))| {
            let agent = subject.rsplit('.').nth(1).unwrap_or_default().to_owned();
            let lines = bytes.split(|byte| *byte == b'\n');
            AgentWords { agent, said: lines.filter_map(|line| serde_json::from_slice(line).ok()).collect() }
        });
        Ok(Some(words.collect()))
    }

    /// What it is called.
    pub fn name(&self) -> String {
        format!("{}-run-{}", self.broker.options().prefix, self.run)
    }

    /// Removes it: all that was said has been taken.
    pub async fn remove(self) {
        let name = self.name();
        if let Err(error) = self.broker.jetstream().delete_stream(&name).await {
            tracing::warn!(%error, stream = name, "a run's stream could not be removed; it goes by itself in a week");
        }
    }
}
