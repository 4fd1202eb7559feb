//! A name or address that a certificate can be valid for, and which of them the lab's CA may vouch for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::DnsName;

use super::CertsError;

/// What the lab itself uses: `workload.hosts` counts through these names.
const ALWAYS: [&str; 5] = ["localhost", "a.localhost", "b.localhost", "c.localhost", "d.localhost"];

/// The names that get a certificate of their own: those that `workload.hosts` counts through.
pub(super) const HOSTS: [&str; 5] = ALWAYS;

/// A DNS name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// `a.localhost`. As something permitted it stands for its subdomains too (RFC 5280 section 4.2.1.10).
    Dns(String),
    /// `127.0.0.1`.
    Address(IpAddr),
}

/// The lab's own names and the asked ones.
pub(super) fn wanted(hosts: &[String]) -> Result<BTreeSet<Name>, CertsError> {
    let mut names: BTreeSet<Name> = ALWAYS.iter().map(|&name| Name::Dns(name.to_owned())).collect();
    names.insert(Name::Address(Ipv4Addr::LOCALHOST.into()));
    names.insert(Name::Address(Ipv6Addr::LOCALHOST.into()));
    for host in hosts {
        names.insert(Name::parse(host).ok_or_else(|| CertsError::Host(host.clone()))?);
    }
    Ok(names)
}

/// The fewest subtrees that cover these names: a name covers its subdomains, 127.0.0.1 stands for 127.0.0.0/8.
pub(super) fn subtrees(names: &BTreeSet<Name>) -> BTreeSet<Name> {
    let covered = |name: &Name| names.iter().any(|other| other != name && other.covers(name));
    names.iter().filter(|name| !covered(name)).cloned().collect()
}

impl Name {
    /// `None` for what no client would connect to: wildcards, a trailing dot, 0.0.0.0, multicast.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return (!address.is_unspecified() && !address.is_multicast()).then_some(Self::Address(address));
        }
        let name = text.to_ascii_lowercase();
        // What ends in a number is read as an IPv4 address by browsers (WHATWG URL, "ends in a number").
        let numeric_end = name.rsplit('.').next().is_none_or(|label| label.bytes().all(|b| b.is_ascii_digit()));
        (!numeric_end && !name.ends_with('.') && DnsName::try_from(name.as_str()).is_ok()).then_some(Self::Dns(name))
    }

    /// Whether permitting `self` permits `name`.
    pub(super) fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Dns(tree), Self::Dns(name)) => {
                name.strip_suffix(tree.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)), Self::Address(IpAddr::V4(v4))) => v4.is_loopback(),
            (Self::Address(permitted), Self::Address(address)) => permitted == address,
            _ => false,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}
