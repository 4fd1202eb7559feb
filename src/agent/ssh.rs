//! Agents that ssh reaches: where they are, how ssh is asked, and what to do where it fails.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitStatus;

use crate::trial::contract::CONTRACT;

/// The command of a shell that takes the place of `ssh`, for options that no configuration of ssh's says.
const SSH: &str = "TRANSPORT_LAB_SSH";
/// The program at the other end, where an address doesn't say which.
const PROGRAM: &str = "transport-lab";
/// What ssh itself ends with where it fails (ssh(1), "EXIT STATUS"); all else is the program's there.
const OF_SSH: i32 = 255;
/// What a shell ends with that finds no such program, or may not run it (POSIX, "Exit Status for Commands").
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Where ssh leads, and the program there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshAddress {
    /// `HOST` or `USER@HOST`, an IPv6 address without its brackets: as ssh takes it.
    destination: String,
    /// `None`: what ssh's configuration says, or 22.
    port: Option<u16>,
    /// `None`: the one that the shell there finds.
    program: Option<String>,
}

impl SshAddress {
    /// Reads what follows `ssh:`, which may begin with two slashes, as an address that ssh takes does.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("//").unwrap_or(text);
        let (place, program) = match text.split_once('/') {
            Some((place, "")) => (place, None),
            Some((place, path)) => (place, Some(format!("/{path}"))),
            None => (text, None),
        };
        let (user, host) = match place.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), place),
        };
        let (host, port) = if let Some((host, after)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        } else {
            // Of several colons none begins a port: that is an IPv6 address.
            match host.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (host, None),
            }
        };
        let port = match port {
            // `u16::from_str` would take "+22".
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0)?)
            }
            Some(_) => return None,
            None => None,
        };
        let destination = format!("{user}{host}");
        // What begins so would be an option of ssh's.
        let good = !host.is_empty()
            && !destination.starts_with(['-', '@'])
            && !host.starts_with('-')
            && !destination.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']'));
        good.then_some(Self { destination, port, program })
    }

    /// The command that starts the agent there, with its input and output.
    pub(super) fn command(&self) -> Vec<OsString> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut command = match std::env::var(SSH) {
            Ok(own) if !own.trim().is_empty() => words(&["sh", "-c", &format!("exec {own} \"$@\""), "ssh"]),
            _ => words(&["ssh"]),
        };
        // Nobody is there to type a password; a host that doesn't answer is to be known soon.
        command.extend(words(&["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]));
        command.extend(self.port.into_iter().flat_map(|port| words(&["-p", &port.to_string()])));
        command.extend(words(&["--", &self.destination]));
        // Whoever is let in by ssh can listen there anyway. A key that is for one command alone has what that says.
        command.extend(words(&[&self.program(), "agent", "--stdio", "--allow-servers"]));
        command
    }

    /// The program as a word of the shell there. `/~/` stands for the home folder, which that shell knows.
    fn program(&self) -> String {
        let program = self.program.as_deref().unwrap_or(PROGRAM);
        match program.strip_prefix("/~/") {
            Some(path) => format!("~/{}", quoted(path)),
            None => quoted(program),
        }
    }

    /// What to do where it ended so, by what ssh or the shell there said.
    pub(super) fn advice(&self, status: ExitStatus, printed: &str) -> Option<String> {
        let by_hand = self.by_hand();
        let own = env!("CARGO_PKG_VERSION");
        match status.code()? {
            NOT_FOUND => Some(format!(
                "the shell there finds no such program: install Transport Lab {own} there, or say where it is, as \
                 ssh:HOST/PATH/OF/{PROGRAM} or ssh:HOST/~/.local/bin/{PROGRAM}"
            )),
            NOT_EXECUTABLE => {
                Some("the program there can't be run: it is of another machine or isn't executable".into())
            }
            // What clap ends with that knows no such command.
            2 if printed.contains("unrecognized subcommand") || printed.contains("unexpected argument") => {
                Some(format!(
                    "what is called so there is no Transport Lab that can be an agent: install version {own} (trial contract \
                 {CONTRACT}) there"
                ))
            }
            OF_SSH => Some(of_ssh(printed, &by_hand)),
            _ => None,
        }
    }

    /// What a person types to see the same.
    fn by_hand(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!("-p {port} "));
        format!("ssh {port}{}", self.destination)
    }
}

/// What to do where ssh itself failed. It says so in English, whatever the language is.
fn of_ssh(printed: &str, by_hand: &str) -> String {
    let said = |words: &str| printed.contains(words);
    if said("has changed") {
        format!(
            "another machine answers there than last time: see that it is the right one, have ssh forget the old key \
             (ssh-keygen -R, as it says above), and log in once by hand (`{by_hand}`)"
        )
    } else if said("Host key verification failed") {
        format!("this machine doesn't know that one's key yet: log in once by hand (`{by_hand}`) and confirm it")
    } else if said("Permission denied") || said("Too many authentication failures") {
        format!(
            "nobody is there to type a password: see that `{by_hand}` logs in by a key alone (ssh-copy-id puts one there; \
             `IdentityFile` in ~/.ssh/config says which)"
        )
    } else if said("Could not resolve hostname") {
        "no host is known by that name: see what is written behind ssh:, or give it a `HostName` in ~/.ssh/config"
            .to_owned()
    } else if said("Connection refused") {
        format!(
            "no sshd listens at that port: see that it runs there, or say which port (ssh:HOST:PORT); try `{by_hand}`"
        )
    } else {
        format!("see what `{by_hand}` says by hand")
    }
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+,:@%".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// As it is written, with an IPv6 address in brackets.
impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, host) = match self.destination.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), &*self.destination),
        };
        if host.contains(':') {
            write!(f, "ssh:{user}[{host}]")?;
        } else {
            write!(f, "ssh:{user}{host}")?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.program.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let command = SshAddress::parse(text).unwrap().command();
        let words: Vec<_> = command.iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        let place = words.iter().position(|word| word == "ConnectTimeout=20").unwrap();
        words[place + 1..].to_vec()
    }

    #[test]
    fn an_address_says_user_host_port_and_program() {
        let there = ["transport-lab", "agent", "--stdio", "--allow-servers"];
        assert_eq!(words("eu-1"), [&["--", "eu-1"][..], &there].concat());
        assert_eq!(words("lab@eu-1:2222"), [&["-p", "2222", "--", "lab@eu-1"][..], &there].concat());
        assert_eq!(words("//lab@eu-1:2222/"), words("lab@eu-1:2222"));
        assert_eq!(words("lab@[2001:db8::1]:22"), [&["-p", "22", "--", "lab@2001:db8::1"][..], &there].concat());
        assert_eq!(words("2001:db8::1"), words("[2001:db8::1]"));
        assert_eq!(words("eu-1/opt/bin/lab")[2], "/opt/bin/lab");
        assert_eq!(words("eu-1/~/my bin/it's")[2], r"~/'my bin/it'\''s'");
    }

    #[test]
    fn an_address_is_written_as_it_is_read_and_what_is_none_is_refused() {
        for text in ["eu-1", "lab@eu-1:2222", "eu-1:22/opt/bin/transport-lab", "lab@[2001:db8::1]:22", "[::1]"] {
            assert_eq!(SshAddress::parse(text).unwrap().to_string(), format!("ssh:{text}"));
        }
        for text in [
            "",
            "-oProxyCommand=x",
            "lab@-x",
            "@eu-1",
            "a b",
            "eu-1:",
            "eu-1:0",
            "eu-1:+22",
            "eu-1:99999",
            "eu-1:x",
            "[::1",
            "[::1]22",
            "//",
            "/opt",
        ] {
            assert_eq!(SshAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_failed_is_told_with_what_to_do() {
        let address = SshAddress::parse("lab@eu-1:2222").unwrap();
        let advice = |code: i32, printed: &str| address.advice(ExitStatus::from_raw(code << 8), printed);
        assert!(advice(127, "sh: 1: transport-lab: not found").unwrap().contains("ssh:HOST/PATH/OF/transport-lab"));
        assert!(advice(255, "Host key verification failed.").unwrap().contains("`ssh -p 2222 lab@eu-1`"));
        assert!(advice(255, "kex_exchange_identification").unwrap().contains("`ssh -p 2222 lab@eu-1`"));
        assert!(advice(2, "error: unrecognized subcommand 'agent'").unwrap().contains("install version"));
        assert_eq!(advice(4, "its own reason"), None);
        assert_eq!(address.advice(ExitStatus::from_raw(9), ""), None);
    }
}
