//! Where agents are, as people write it.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use super::ssh::SshAddress;
use crate::certs::is_host;
use crate::client;

/// Options of an agent that have no value: a sign behind one is not theirs.
const FLAGS: [&str; 3] = ["--stdio", "--allow-exec", "--allow-servers"];

/// How an agent is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentAddress {
    /// By this name at the broker.
    Named(String),
    /// By ssh.
    Ssh(SshAddress),
    /// By a command of the shell, whose standard input and output are the agent's.
    Command(String),
}

/// Not an agent's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no agent: write a name, ssh:HOST (or ssh:USER@HOST:PORT, ssh:HOST/PATH/OF/transport-lab) or exec:COMMAND"
)]
pub struct AddressError(String);

impl FromStr for AgentAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(rest) = text.strip_prefix("ssh:") {
            return SshAddress::parse(rest).map(Self::Ssh).ok_or_else(wrong);
        }
        if let Some(command) = text.strip_prefix("exec:") {
            return (!command.trim().is_empty()).then(|| Self::Command(command.to_owned())).ok_or_else(wrong);
        }
        is_name(text).then(|| Self::Named(text.to_owned())).ok_or_else(wrong)
    }
}

/// Whether an agent can be called so: what is fit for a part of a subject of NATS.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// As it was written.
impl fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Ssh(address) => address.fmt(f),
            Self::Command(command) => write!(f, "exec:{command}"),
        }
    }
}

impl AgentAddress {
    /// The command that starts the agent and reaches it; `None`: it is there already, at the broker.
    pub(super) fn command(&self) -> Option<Vec<OsString>> {
        match self {
            Self::Named(_) => None,
            Self::Ssh(address) => Some(address.command()),
            Self::Command(command) => Some(["sh", "-c", command].map(OsString::from).to_vec()),
        }
    }
}

/// An agent that takes part in a run, and which client it is to start, where that isn't the trial's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPart {
    pub address: AgentAddress,
    pub client: Option<String>,
}

/// Not an agent that takes part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentPartError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("`{0}` is no client: behind the `=` write {all} or exec:PATH", all = clients())]
    Client(String),
}

fn clients() -> String {
    client::ALL.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// `eu-1`, `eu-1=firefox`, `ssh:HOST=chromium`.
impl FromStr for AgentPart {
    type Err = AgentPartError;

    fn from_str(text: &str) -> Result<Self, AgentPartError> {
        let part = text.rsplit_once('=');
        // A command may have the sign in it, and so may a path: what follows the last one must be a client.
        let is_client = |name: &str| client::find(name).is_some();
        if let Some((address, name)) = part.filter(|(_, name)| !is_client(name))
            && !text.starts_with("exec:")
            && !name.contains('/')
            && address.parse::<AgentAddress>().is_ok()
        {
            return Err(AgentPartError::Client(name.to_owned()));
        }
        let part = part.filter(|(_, client)| is_client(client));
        let (address, client) = part.map_or((text, None), |(address, client)| (address, Some(client.to_owned())));
        Ok(Self { address: address.parse()?, client })
    }
}

/// An agent that servers are run at, and by which name or address clients reach that machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAgentPart {
    pub address: AgentAddress,
    /// `None`: it is on this machine, and `localhost` will do.
    pub host: Option<String>,
}

/// Not a server's agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerPlaceError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("`{0}` is no host: behind the `=` write the name or address that clients reach the agent's machine by")]
    Host(String),
}

/// `eu-1`, `eu-1=lab.example`, `ssh:HOST=192.0.2.9`.
impl FromStr for ServerAgentPart {
    type Err = ServerPlaceError;

    fn from_str(text: &str) -> Result<Self, ServerPlaceError> {
        let is_command = text.starts_with("exec:");
        let part = text.rsplit_once('=').filter(|(address, host)| {
            // A command may have the sign in it: of an option, or before what is no host.
            let option = address.rsplit(' ').next().is_some_and(|word| word.starts_with('-') && !FLAGS.contains(&word));
            !is_command || (is_host(host) && !option)
        });
        let (address, host) = part.map_or((text, None), |(address, host)| (address, Some(host.to_owned())));
        if let Some(host) = host.as_ref().filter(|host| !is_host(host)) {
            return Err(ServerPlaceError::Host(host.clone()));
        }
        Ok(Self { address: address.parse()?, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "eu-1",
            "ssh:lab@eu-1:2222",
            "ssh:eu-1/opt/bin/transport-lab",
            "exec:docker exec -i a transport-lab agent --stdio",
        ] {
            assert_eq!(text.parse::<AgentAddress>().unwrap().to_string(), text);
        }
        for text in ["", "eu.1", "a b", "ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "exec: ", "-x y"] {
            assert!(text.parse::<AgentAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_client_follows_the_last_sign_that_names_one() {
        let part = |text: &str| text.parse::<AgentPart>().map(|part| (part.address.to_string(), part.client)).unwrap();
        assert_eq!(part("eu-1"), ("eu-1".to_owned(), None));
        assert_eq!(part("eu-1=firefox"), ("eu-1".to_owned(), Some("firefox".to_owned())));
        assert_eq!(part("exec:A=b run=native"), ("exec:A=b run".to_owned(), Some("native".to_owned())));
        assert_eq!(part("exec:A=b run"), ("exec:A=b run".to_owned(), None));
        assert_eq!(part("ssh:eu-1/opt/a=b/transport-lab"), ("ssh:eu-1/opt/a=b/transport-lab".to_owned(), None));
        for text in ["eu-1=netscape", "ssh:eu-1=netscape"] {
            let error = text.parse::<AgentPart>().unwrap_err();
            assert_eq!(error, AgentPartError::Client("netscape".to_owned()));
            assert!(error.to_string().contains("chromium, firefox"), "{error}");
        }
    }

    #[test]
    fn a_host_follows_the_last_sign_that_has_one_behind_it() {
        type Parts = Result<(String, Option<String>), ServerPlaceError>;
        let part =
            |text: &str| -> Parts { text.parse::<ServerAgentPart>().map(|part| (part.address.to_string(), part.host)) };
        let of = |address: &str, host: Option<&str>| -> Parts { Ok((address.to_owned(), host.map(str::to_owned))) };
        assert_eq!(part("eu-1"), of("eu-1", None));
        assert_eq!(part("eu-1=lab.example"), of("eu-1", Some("lab.example")));
        assert_eq!(part("ssh:lab@eu-1=2001:db8::1"), of("ssh:lab@eu-1", Some("2001:db8::1")));
        assert_eq!(part("exec:A=b run"), of("exec:A=b run", None));
        assert_eq!(part("exec:run --name=eu-1"), of("exec:run --name=eu-1", None));
        assert_eq!(part("exec:run --name=eu-1 x=127.0.0.2"), of("exec:run --name=eu-1 x", Some("127.0.0.2")));
        assert_eq!(part("exec:run --allow-servers=192.0.2.9"), of("exec:run --allow-servers", Some("192.0.2.9")));
        for host in ["0.0.0.0", "a b", "", "lab.example."] {
            assert_eq!(part(&format!("eu-1={host}")), Err(ServerPlaceError::Host(host.to_owned())));
        }
        assert!(matches!(part("ssh:=lab.example"), Err(ServerPlaceError::Address(_))));
    }
}
