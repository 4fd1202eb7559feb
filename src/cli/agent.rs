//! `agent`: this machine's part in trials of a coordinator elsewhere. `agents`: which there are.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::list::write_columns;
use super::{CliError, Exit, NatsArgs, signals};
use crate::agent::{
    Agent, AgentAddress, AgentClient, AgentHello, AgentOptions, AgentRig, AgentSession, SessionEnd, join, list, open,
    own_stdio,
};
use crate::broker::Broker;
use crate::link::{Conditions, Link};
use crate::text::{chain, visible};
use crate::wire::descriptors;

/// `agent`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab agent --join nats://nats.example:4222 --name eu-1
  transport-lab agent --join tls://nats.example --nats-creds lab.creds --allow-exec
  transport-lab agent --join nats://nats.example:4222 --name us-2 --allow-servers
  transport-lab agent --stdio --allow-servers    what `run --agent ssh:HOST` starts at the other end
  ssh eu-1 transport-lab agent --stdio --allow-exec")]
pub struct AgentArgs {
    /// Take orders on standard input and answer on standard output, until the input ends.
    #[arg(long)]
    pub stdio: bool,
    /// Join NATS at `nats://HOST:4222` or `tls://HOST:4222`, several separated by commas, and take part in runs that name this
    /// agent, one at a time.
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        conflicts_with = "stdio",
        required_unless_present = "stdio"
    )]
    pub join: Vec<String>,
    /// What this agent is called: letters, digits, `-` and `_`. Without it: the machine's name.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
    /// Let coordinators run programs that are on this machine (`exec:PATH`), with all the rights of this user.
    #[arg(long)]
    pub allow_exec: bool,
    /// Let coordinators run servers here that other machines reach (`run --server-agent NAME=HOST`), while a trial takes: at the
    /// address that they name, if it is this machine's, or else at all of them. Without it servers are on loopback alone.
    /// `ssh:HOST` says this by itself, as whoever has an account can listen anyway; `exec:COMMAND` and who joins do not.
    #[arg(long)]
    pub allow_servers: bool,
    /// What surrounds NATS.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Make the agent lie, to see that a coordinator notices.
    #[arg(long, value_name = "WORD", value_enum, hide = true)]
    pub rig: Option<AgentRig>,
}

/// `agents`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab agents --join nats://nats.example:4222
  transport-lab agents --agent ssh:lab@eu-1:2222
  transport-lab agents --agent ssh:eu-1/opt/bin/transport-lab --agent ssh:us-2 --json")]
pub struct AgentsArgs {
    /// An agent that is started to be asked: ssh:HOST, ssh:USER@HOST:PORT, ssh:HOST/PATH/OF/transport-lab, or exec:COMMAND;
    /// may be given several times. `TRANSPORT_LAB_SSH` may say another command than `ssh`.
    #[arg(long, value_name = "ADDRESS")]
    pub agent: Vec<AgentAddress>,
    /// Those that have joined NATS at `nats://HOST:4222` or `tls://HOST:4222`.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub join: Vec<String>,
    /// What surrounds NATS.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Not an agent's name.
#[derive(Debug, thiserror::Error)]
#[error("write letters, digits, `-` and `_`, 64 at most")]
struct NotAName;

fn name(text: &str) -> Result<String, NotAName> {
    crate::agent::is_name(text).then(|| text.to_owned()).ok_or(NotAName)
}

/// Takes part until nobody wants it any more.
pub(super) async fn agent(args: &AgentArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let interrupt = signals::interrupt();
    descriptors::raise_descriptors();
    let AgentArgs { name, allow_exec, allow_servers, rig, .. } = args.clone();
    let broker = if args.stdio { None } else { Some(Broker::connect(args.nats.at(&args.join, 1)).await?) };
    let links = tokio::task::spawn_blocking(|| {
        let plain = Conditions::default();
        Link::start(&plain, &plain, 0, &[]).is_ok_and(|link| link.finish().is_ok())
    });
    let links = links.await.unwrap_or(false);
    let agent = Agent::new(AgentOptions { name, allow_exec, allow_servers, links, rig }).await?;
    if let Some(broker) = broker {
        let hello = agent.hello();
        writeln!(out, "{} has joined {}. Ctrl-C ends it.", hello.name, broker.options().addresses())?;
        out.flush()?;
        join(agent, &broker, interrupt).await?;
        return Ok(Exit::Good);
    }
    match agent.serve(own_stdio(), interrupt).await {
        SessionEnd::Closed => Ok(Exit::Good),
        SessionEnd::Interrupted => Ok(Exit::Interrupted),
        ended => Err(ended.into()),
    }
}

/// Lists those that there are.
pub(super) async fn agents(args: &AgentsArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (mut rows, mut all, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    if !args.join.is_empty() {
        let broker = Broker::connect(args.nats.at(&args.join, 1)).await?;
        for hello in list(&broker).await? {
            rows.push(columns(&hello));
            all.push(json!(hello));
        }
    }
    for address in &args.agent {
        match open(address, None).await {
            Ok(session) => {
                let hello = session.hello().clone();
                AgentSession::close(session).await;
                rows.push(columns(&hello));
                all.push(json!(hello));
            }
            Err(error) => {
                let says = chain(&error);
                all.push(json!({ "name": address.to_string(), "reason": says }));
                failed.push(says);
            }
        }
    }
    let exit = if failed.is_empty() { Exit::Good } else { Exit::Lab };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&all).unwrap_or_default())?;
        return Ok(exit);
    }
    if all.is_empty() {
        writeln!(out, "No agent: `transport-lab agent --join` joins NATS, and `--agent ssh:HOST` starts one.")?;
        return Ok(exit);
    }
    if !rows.is_empty() {
        let head = ["agent", "version", "cores", "kernel", "links", "exec", "servers", "clients"];
        let head = head.map(str::to_owned).to_vec();
        write_columns(&[vec![head], rows].concat(), out)?;
    }
    // A reason is longer than a column.
    for says in failed {
        writeln!(out, "{}", visible(&says))?;
    }
    Ok(exit)
}

fn columns(hello: &AgentHello) -> Vec<String> {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let client = |client: &AgentClient| Some(format!("{} {}", client.name, client.version.as_ref()?));
    let clients: Vec<String> = hello.clients.iter().filter_map(client).collect();
    vec![
        hello.name.clone(),
        hello.version.lab.clone(),
        hello.cores.to_string(),
        hello.kernel.clone(),
        yes(hello.links),
        yes(hello.exec),
        yes(hello.servers),
        clients.join(", "),
    ]
}
