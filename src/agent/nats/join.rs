//! The agent's side: it says that it is there, and takes part in one run at a time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::{Message, RequestErrorKind, Subscriber};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::super::AgentError;
use super::super::lines::{Pipe, PipeError, WAITING, read, together};
use super::super::message::{AgentOrder, AgentSaid};
use super::super::serve::{Agent, SILENCE};
use super::{Numbering, Opened, Opening, Pieces, all_agents, clock, here, open, orders, piece_size, said};
use crate::broker::Broker;
use crate::text::chain;

/// How long another agent of the same name may take to say so.
const NAMESAKE: Duration = Duration::from_secs(1);
/// How often an agent asks for one again: one that hung, or was cut off, was not there to say so when the other came.
const NAMESAKES: Duration = Duration::from_secs(5);
/// How long it pauses before it says again what JetStream did not take.
const AGAIN: Duration = Duration::from_millis(200);
/// How long it tries that: a node that is away, or a leader that is killed, has somebody in its place by then.
const PATIENCE: Duration = Duration::from_secs(2 * SILENCE.as_secs());

/// Takes part in runs until `interrupt` becomes true, or NATS denies something: one that can't hear or can't speak is no
/// agent.
pub async fn join(agent: Agent, broker: &Broker, interrupt: watch::Receiver<bool>) -> Result<(), AgentError> {
    broker.unless_denied(take_part(agent, broker, interrupt)).await?
}

async fn take_part(agent: Agent, broker: &Broker, mut interrupt: watch::Receiver<bool>) -> Result<(), AgentError> {
    let agent = Arc::new(agent);
    let (client, prefix, name) = (broker.client(), &broker.options().prefix, agent.hello().name.clone());
    let key = bytes::Bytes::from(agent.hello().key.clone());
    match timeout(NAMESAKE, client.request(here(prefix, &name), key.clone())).await {
        Ok(Ok(_)) => return Err(AgentError::NameTaken(name)),
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {}
        Ok(Err(source)) => return Err(AgentError::nats("look for an agent of the same name", source)),
        Err(_) => {}
    }
    let hear = |subject: String| async move {
        client.subscribe(subject).await.map_err(|source| AgentError::nats("listen", source))
    };
    let (mut hellos, mut namesakes) = (hear(all_agents(prefix)).await?, hear(here(prefix, &name)).await?);
    let mut openings = hear(open(prefix, &name)).await?;
    let inbox = client.new_inbox();
    let (mut others, mut again) = (hear(inbox.clone()).await?, interval(NAMESAKES));
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // From when on it takes part.
    let mut alone = Instant::now();
    let hello = bytes::Bytes::from(serde_json::to_vec(agent.hello()).unwrap_or_default());
    let mut session: Option<(String, JoinHandle<()>)> = None;
    loop {
        let asked = tokio::select! {
            // Who hung asks whether it still is who it was before it does what it was told meanwhile.
            biased;
            _ = interrupt.wait_for(|interrupted| *interrupted) => break,
            Some(asked) = hellos.next() => {
                answer(broker, &asked, hello.clone()).await;
                continue;
            }
            Some(asked) = namesakes.next() => {
                // It hears itself, too.
                if asked.payload != key {
                    answer(broker, &asked, key.clone()).await;
                }
                continue;
            }
            due = again.tick() => {
                if due.elapsed() > NAMESAKE {
                    alone = Instant::now() + NAMESAKE;
                }
                let _ = client.publish_with_reply(here(prefix, &name), inbox.clone(), key.clone()).await;
                continue;
            }
            Some(other) = others.next() => {
                // Both ask, and one of them stays.
                if other.status.is_none() && other.payload < key && under_way(session.as_ref()).is_none() {
                    return Err(AgentError::NameTaken(name));
                }
                continue;
            }
            () = sleep_until(alone), if Instant::now() < alone => continue,
            Some(asked) = openings.next(), if Instant::now() >= alone => asked,
        };
        let Ok(opening) = serde_json::from_slice::<Opening>(&asked.payload) else { continue };
        if let Some(run) = under_way(session.as_ref()) {
            say(broker, &asked, &Opened::Busy { run: run.to_owned() }).await;
            continue;
        }
        let Ok(taken) = client.subscribe(orders(prefix, &opening.session)).await else {
            say(broker, &asked, &Opened::Deaf).await;
            continue;
        };
        // The node knows of the subscription before the coordinator does of the session.
        let _ = client.flush().await;
        say(broker, &asked, &Opened::Yes).await;
        let run = opening.run.clone();
        let (agent, broker, interrupt) = (Arc::clone(&agent), broker.clone(), interrupt.clone());
        session = Some((run, tokio::spawn(serve(agent, broker, opening, taken, interrupt))));
    }
    if let Some((_, session)) = session {
        // It has seen the interrupt, too.
        let _ = session.await;
    }
    Ok(())
}

/// The run that it takes part in.
fn under_way(session: Option<&(String, JoinHandle<()>)>) -> Option<&str> {
    session.filter(|(_, task)| !task.is_finished()).map(|(run, _)| run.as_str())
}

async fn answer(broker: &Broker, asked: &Message, payload: bytes::Bytes) {
    if let Some(reply) = asked.reply.clone() {
        let _ = broker.client().publish(reply, payload).await;
    }
}

async fn say(broker: &Broker, asked: &Message, opened: &Opened) {
    answer(broker, asked, bytes::Bytes::from(serde_json::to_vec(opened).unwrap_or_default())).await;
}

async fn serve(
    agent: Arc<Agent>,
    broker: Broker,
    opening: Opening,
    taken: Subscriber,
    interrupt: watch::Receiver<bool>,
) {
    let Opening { session, run } = opening;
    let prefix = broker.options().prefix.clone();
    let (now, mut answers) = mpsc::channel::<AgentSaid>(WAITING);
    let (to, client) = (clock(&prefix, &session), broker.client().clone());
    let answering = tokio::spawn(async move {
        while let Some(said) = answers.recv().await {
            let said = bytes::Bytes::from(serde_json::to_vec(&said).unwrap_or_default());
            let _ = client.publish(to.clone(), said).await;
        }
    });
    let (out, waiting) = mpsc::channel::<AgentSaid>(WAITING);
    let subject = said(&prefix, &run, &agent.hello().name, &session);
    let speech = answering.abort_handle();
    let telling = tokio::spawn(async move {
        tell(broker, subject, session.clone(), waiting).await;
        // Whoever can't say what is observed is silent, and so lost to the coordinator, which then ends the session.
        speech.abort();
    });
    let ended = agent.serve(Pipe { out, now, incoming: take(taken) }, interrupt).await;
    tracing::warn!(run, why = chain(&ended), "a session has ended");
    let _ = telling.await;
}

/// The orders of a session.
fn take(mut taken: Subscriber) -> mpsc::Receiver<Result<AgentOrder, PipeError>> {
    let (writer, bytes) = tokio::io::duplex(2 * super::PIECE);
    let (lost, incoming) = mpsc::channel(WAITING);
    let mut read = read::<AgentOrder>(bytes);
    let lines = lost.clone();
    tokio::spawn(async move {
        while let Some(order) = read.recv().await {
            if lines.send(order).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        let mut pieces = Pieces::new(writer);
        loop {
            let message = tokio::select! {
                message = taken.next() => message,
                // The session is over.
                () = lost.closed() => None,
            };
            let Some(message) = message else { return };
            if let ControlFlow::Break(why) = pieces.take(&message).await {
                if let Some(why) = why {
                    let _ = lost.send(Err(why)).await;
                }
                return;
            }
        }
    });
    incoming
}

/// Has JetStream keep what the agent says, piece by piece, each acknowledged before the next.
async fn tell(broker: Broker, subject: String, session: String, mut waiting: mpsc::Receiver<AgentSaid>) {
    let mut numbering = Numbering::default();
    while let Some(lines) = together(&mut waiting).await {
        for (headers, piece) in numbering.pieces(lines, piece_size(broker.client())) {
            if let Err(error) = keep(&broker, &subject, &session, headers, piece).await {
                tracing::warn!(%error, "what was observed for a run can't be kept; its session ends");
                return;
            }
        }
    }
    let _ = keep(&broker, &subject, &session, numbering.last(), bytes::Bytes::new()).await;
}

async fn keep(
    broker: &Broker,
    subject: &str,
    session: &str,
    mut headers: async_nats::HeaderMap,
    piece: bytes::Bytes,
) -> Result<(), async_nats::jetstream::context::PublishError> {
    // Said again, it is not there twice.
    let number = headers.get(super::NUMBER).map(|number| number.as_str().to_owned()).unwrap_or_default();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, format!("{session}-{number}"));
    let until = Instant::now() + PATIENCE;
    loop {
        let sent = broker.jetstream().publish_with_headers(subject.to_owned(), headers.clone(), piece.clone()).await;
        let kept = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(_) => return Ok(()),
            // The run is over, and its stream removed.
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound || Instant::now() > until => {
                return Err(error);
            }
            Err(_) => sleep(AGAIN).await,
        }
    }
}
