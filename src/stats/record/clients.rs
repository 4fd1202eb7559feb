//! The clients of a trial, of which there may be several: their versions, and what each of them held.

use std::collections::BTreeMap;

use super::Record;
use crate::stats::versions;
use crate::trial::{PlannedTrial, clients};

/// The clients of one trial, each by its number: 0 of `client`, 1 of `client-1`.
#[derive(Debug, Default)]
pub(in crate::stats) struct Clients<'a> {
    /// What they are, in turn.
    kinds: Vec<&'a str>,
    versions: BTreeMap<u32, &'a str>,
}

/// What one of a trial's clients was and held.
#[derive(Debug)]
pub(in crate::stats) struct ClientSeen {
    pub(in crate::stats) client: String,
    /// Where it was started.
    pub(in crate::stats) version: Option<String>,
    /// How many of its subscriptions received the census event of their feed, where there was one.
    pub(in crate::stats) open: Option<usize>,
}

impl<'a> Clients<'a> {
    pub(super) fn of(planned: &'a PlannedTrial) -> Self {
        Self { kinds: clients::parts(&planned.settings.client).collect(), versions: BTreeMap::new() }
    }

    /// Notes the version of whoever has this role.
    pub(super) fn started(&mut self, role: &str, version: &'a str) {
        self.versions.extend(number(role).map(|number| (number, version)));
    }

    /// All versions, as one text.
    fn versions(&self) -> Option<String> {
        let mut of_kinds: Vec<Vec<&str>> = vec![Vec::new(); self.kinds.len()];
        for (number, version) in &self.versions {
            let of_kind = &mut of_kinds[*number as usize % self.kinds.len()];
            if !of_kind.contains(version) {
                of_kind.push(version);
            }
        }
        versions::together(&of_kinds)
    }
}

/// The number of the client that has this role; `None` where that is no client's.
pub(in crate::stats) fn number(role: &str) -> Option<u32> {
    match role.strip_prefix("client")? {
        "" => Some(0),
        more => more.strip_prefix('-')?.parse().ok(),
    }
}

impl Record<'_> {
    /// The client's version; of several clients, those that there are.
    pub(in crate::stats) fn client_version(&self) -> Option<String> {
        self.clients.versions()
    }

    /// Each of the trial's clients, by its number.
    pub(in crate::stats) fn each_client(&self, planned: &PlannedTrial) -> Vec<ClientSeen> {
        let workload = &planned.settings.workload;
        let open = self.last_census().map(|_| self.open());
        let seen = |(number, kind): (u32, &&str)| ClientSeen {
            client: (*kind).to_owned(),
            version: self.clients.versions.get(&number).map(|&version| version.to_owned()),
            open: open.as_ref().map(|open| open.iter().filter(|sub| workload.client_of(**sub) == number).count()),
        };
        (0..workload.agents.max(1)).zip(self.clients.kinds.iter().cycle()).map(seen).collect()
    }
}
