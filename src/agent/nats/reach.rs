//! The coordinator's side: who there is, and a session with one of them.

use std::ops::ControlFlow;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::{Message, RequestErrorKind};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::address::is_name;
use super::super::lines::{Pipe, PipeError, WAITING, read, together};
use super::super::message::{AgentHello, AgentOrder, AgentSaid};
use super::super::serve::SILENCE;
use super::super::{AgentError, Carriage};
use super::{Numbering, Opened, Opening, Pieces, RunStream, all_agents, clock, open, orders, piece_size, said};
use crate::broker::Broker;

/// How long agents may take to say that they are there.
const ASKED: Duration = Duration::from_millis(1500);
/// How many agents are listed at most.
const MOST: usize = 1000;
/// How long an agent may still be busy with a coordinator that is gone.
const BUSY: Duration = Duration::from_secs(2 * SILENCE.as_secs());
/// How often it is asked again meanwhile.
const AGAIN: Duration = Duration::from_millis(500);

/// The agents that have joined, in the order of their names.
pub async fn list(broker: &Broker) -> Result<Vec<AgentHello>, AgentError> {
    broker.unless_denied(ask(broker)).await?
}

async fn ask(broker: &Broker) -> Result<Vec<AgentHello>, AgentError> {
    let client = broker.client();
    let inbox = client.new_inbox();
    let failed = |source| AgentError::nats("ask for agents", source);
    let mut answers = client.subscribe(inbox.clone()).await.map_err(failed)?;
    let asked = client.publish_with_reply(all_agents(&broker.options().prefix), inbox, bytes::Bytes::new()).await;
    asked.map_err(|source| AgentError::nats("ask for agents", source))?;
    let until = Instant::now() + ASKED;
    let mut agents: Vec<AgentHello> = Vec::new();
    while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
        // Where there are none, the node says so at once.
        if answer.status.is_some() || agents.len() >= MOST {
            break;
        }
        // Whoever is called otherwise can't be asked for.
        agents.extend(serde_json::from_slice::<AgentHello>(&answer.payload).ok().filter(|agent| is_name(&agent.name)));
    }
    agents.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(agents)
}

/// Opens a session with the agent of this name.
pub(in crate::agent) async fn reach(
    name: &str,
    stream: &RunStream,
) -> Result<(Pipe<AgentSaid, AgentOrder>, Carriage), AgentError> {
    let (client, prefix) = (stream.broker.client().clone(), stream.broker.options().prefix.clone());
    // What ends an inbox is drawn anew for each.
    let session = client.new_inbox().rsplit('.').next().unwrap_or_default().to_owned();
    // Listens before anything can be said.
    let stated = client.subscribe(clock(&prefix, &session)).await;
    let mut stated = stated.map_err(|source| AgentError::nats("hear an agent's clock", source))?;
    let filter_subject = said(&prefix, &stream.run, name, &session);
    let config = OrderedConfig { filter_subject, ..OrderedConfig::default() };
    let consumer = stream.broker.jetstream().create_consumer_on_stream(config, stream.name()).await;
    let consumer = consumer.map_err(|source| AgentError::nats("read the run's stream", source))?;
    let messages = consumer.messages().await;
    let mut messages = messages.map_err(|source| AgentError::nats("read the run's stream", source))?;

    begin(name, stream, &session).await?;

    let (out, mut waiting) = mpsc::channel::<AgentOrder>(WAITING);
    let (to, ordering, size) = (orders(&prefix, &session), client.clone(), piece_size(&client));
    let flushed = tokio::spawn(async move {
        let mut numbering = Numbering::default();
        while let Some(lines) = together(&mut waiting).await {
            for (headers, piece) in numbering.pieces(lines, size) {
                if ordering.publish_with_headers(to.clone(), headers, piece).await.is_err() {
                    return;
                }
            }
        }
        let _ = ordering.publish_with_headers(to, numbering.last(), bytes::Bytes::new()).await;
        let _ = ordering.flush().await;
    });

    let (lines, incoming) = mpsc::channel::<Result<AgentSaid, PipeError>>(WAITING);
    let mut tasks = JoinSet::new();
    let quick = lines.clone();
    tasks.spawn(async move {
        while let Some(message) = stated.next().await {
            // Others may say something there as well; all else that an agent says comes over the stream.
            if let Ok(said @ AgentSaid::Clock { .. }) = serde_json::from_slice(&message.payload)
                && quick.send(Ok(said)).await.is_err()
            {
                return;
            }
        }
    });
    let (writer, bytes) = tokio::io::duplex(2 * super::PIECE);
    let broken = lines.clone();
    tasks.spawn(async move {
        let mut pieces = Pieces::new(writer);
        while let Some(message) = messages.next().await {
            let message: Message = match message {
                Ok(message) => message.into(),
                Err(error) => {
                    // The consumer makes itself anew where it can.
                    tracing::debug!(%error, "the stream of a run");
                    continue;
                }
            };
            if let ControlFlow::Break(why) = pieces.take(&message).await {
                if let Some(why) = why {
                    let _ = broken.send(Err(why)).await;
                }
                return;
            }
        }
    });
    let mut read = read::<AgentSaid>(bytes);
    tasks.spawn(async move {
        while let Some(said) = read.recv().await {
            if lines.send(said).await.is_err() {
                return;
            }
        }
        // Whoever said that was the last has closed the session, whatever its clock says.
        let _ = lines.send(Err(PipeError::Closed)).await;
    });
    let carried = Carriage { address: name.to_owned(), starter: None, tasks, flushed: Some(flushed) };
    Ok((Pipe { now: out.clone(), out, incoming }, carried))
}

/// Asks the agent for a session. One that is busy with a coordinator that is gone is free again soon.
async fn begin(name: &str, stream: &RunStream, session: &str) -> Result<(), AgentError> {
    let (client, prefix) = (stream.broker.client(), &stream.broker.options().prefix);
    let opening = Opening { session: session.to_owned(), run: stream.run.clone() };
    let opening = bytes::Bytes::from(serde_json::to_vec(&opening).unwrap_or_default());
    let until = Instant::now() + BUSY;
    loop {
        let answer = match client.request(open(prefix, name), opening.clone()).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                let there = list(&stream.broker).await?.into_iter().map(|agent| agent.name).collect();
                return Err(AgentError::NotJoined { agent: name.to_owned(), there });
            }
            Err(source) => return Err(AgentError::nats("open a session with an agent", source)),
        };
        match serde_json::from_slice(&answer.payload) {
            Ok(Opened::Yes) => return Ok(()),
            Ok(Opened::Busy { .. }) if Instant::now() < until => sleep(AGAIN).await,
            Ok(Opened::Busy { run }) => return Err(AgentError::Busy { agent: name.to_owned(), run }),
            Ok(Opened::Deaf) | Err(_) => {
                let why = "it could not open a session".to_owned();
                return Err(AgentError::Lost { agent: name.to_owned(), why });
            }
        }
    }
}
