//! A transport with its table of settings, read once: all that anybody else has to know of it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error};
use serde_json::Value;

use super::{ALL, BoxFuture, ClientSubscription, EndReason, Reply, SubscriptionRequest, Transport, find};
use crate::feed::After;
pub(super) use crate::trial::schema::schema_of;
use crate::trial::schema::{OutOfBounds, check_bounds};
use crate::trial::{Dialects, Promises, Settings, Unsupported};
use crate::units::Span;

/// A transport with its settings. Its type is the transport's own table, which is checked when it is read. What is not
/// said here is as it is with a stream whose events come in order, all of them, and at once.
pub trait Configured: fmt::Debug + Send + Sync {
    /// The table with its defaults filled in.
    fn table(&self) -> Value;

    /// Where a reader begins whose address says `after`.
    fn begins(&self, _fields: &http::HeaderMap, after: After) -> After {
        after
    }

    /// The server's side: answers a reader.
    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply;

    /// The native client's side: reads until the subscription ends, and says why it did.
    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason>;

    /// Which of its settings makes that events may be lost on their way, and why.
    fn may_lose(&self) -> Option<Because> {
        None
    }

    /// Whether one event may overtake another on its way.
    fn may_reorder(&self) -> bool {
        self.may_lose().is_some()
    }

    /// How long after it was published an event may wait to be handed to a subscription, and which of its settings says
    /// so; `None`: it is handed to all at once.
    fn waits(&self) -> Option<(&'static str, Span)> {
        None
    }

    /// Whether a trial is any different for this setting of the table, where that depends on what else is set.
    /// `by_page`: a browser's page subscribes.
    fn reads(&self, _setting: &str, _trial: &Settings, _by_page: bool) -> bool {
        true
    }

    /// Whether a page can subscribe in a trial with these settings, and if not, why no browser can.
    fn in_page(&self, _trial: &Settings) -> Result<(), Unsupported> {
        Ok(())
    }

    /// Whether what reads in a page comes back by itself when it was cut off, in the browser's own way.
    fn browser_reconnects(&self) -> bool {
        false
    }

    /// The dialects of WebTransport that a server is to offer, where that is this transport's to say.
    fn dialects(&self) -> Option<Dialects> {
        None
    }
}

/// Which setting is to blame, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Because {
    /// Its name in the transport's table.
    pub setting: &'static str,
    /// `datagrams may be lost on their way`.
    pub says: &'static str,
}

/// What every row has as `configure`: reads a table of settings, and checks what it holds against its bounds.
pub(super) fn read<S>(table: &Value) -> Result<Box<dyn Configured>, serde_json::Error>
where
    S: Configured + JsonSchema + DeserializeOwned + 'static,
{
    let settings = S::deserialize(table)?;
    check_bounds::<S>(table).map_err(|OutOfBounds { value, least, most, .. }| {
        serde_json::Error::custom(format!("`{value}` is out of its bounds; write {least} to {most}"))
    })?;
    Ok(Box::new(settings))
}

/// A table with its defaults filled in, which are texts, numbers and lists of them.
pub(super) fn table(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

impl Transport {
    /// What it promises with these settings.
    pub fn promises(&self, configured: &dyn Configured) -> Promises {
        Promises {
            in_order: !configured.may_reorder(),
            without_loss: configured.may_lose().is_none(),
            exchanges: self.exchanges,
        }
    }

    /// This transport with what these settings say of it.
    ///
    /// # Errors
    /// Its table isn't one: an unknown name, or a value out of its bounds.
    pub fn of(&self, settings: &Settings) -> Result<Box<dyn Configured>, serde_json::Error> {
        (self.configure)(settings.transports.get(self.name).unwrap_or(&Value::Object(serde_json::Map::new())))
    }
}

/// Why a trial's settings name no transport that works.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    #[error("there is no transport `{0}`")]
    Unknown(String),
    #[error("[{transport}] can't be read")]
    Table {
        /// Whose.
        transport: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The transport that a trial's settings name, and the same with its table.
pub fn of(settings: &Settings) -> Result<(&'static Transport, Box<dyn Configured>), ConfigureError> {
    let name = &settings.protocol.transport;
    let row = find(name).ok_or_else(|| ConfigureError::Unknown(name.clone()))?;
    let configured = row.of(settings).map_err(|source| ConfigureError::Table { transport: name.clone(), source })?;
    Ok((row, configured))
}

/// Every transport with its settings, as a server serves them.
#[derive(Debug)]
pub struct Configuration(Vec<(&'static Transport, Box<dyn Configured>)>);

impl Default for Configuration {
    /// Each with its defaults.
    fn default() -> Self {
        let configured =
            |row: &&'static Transport| Some((*row, (row.configure)(&Value::Object(serde_json::Map::new())).ok()?));
        Self(ALL.iter().filter_map(configured).collect())
    }
}

impl Configuration {
    /// Reads one table for each transport; one that is left out has its defaults.
    pub fn read(tables: &BTreeMap<String, Value>) -> Result<Self, ConfigureError> {
        let empty = Value::Object(serde_json::Map::new());
        let configured = |row: &&'static Transport| {
            let configured = (row.configure)(tables.get(row.name).unwrap_or(&empty));
            let configured = configured.map(|configured| (*row, configured));
            configured.map_err(|source| ConfigureError::Table { transport: row.name.to_owned(), source })
        };
        Ok(Self(ALL.iter().map(configured).collect::<Result<_, _>>()?))
    }

    /// The transport of this name.
    pub fn find(&self, name: &str) -> Option<(&'static Transport, &dyn Configured)> {
        self.0.iter().find(|(row, _)| row.name == name).map(|(row, configured)| (*row, &**configured))
    }

    /// The dialects of WebTransport that the server is to offer.
    pub fn dialects(&self) -> Dialects {
        self.0.iter().find_map(|(_, configured)| configured.dialects()).unwrap_or(Dialects::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_can_be_read_and_reads_back_as_it_was_filled_in() {
        for row in ALL {
            assert!(!row.variants.is_empty(), "{}: one way at least, be it the plain one", row.name);
            for variant in row.variants {
                let table: toml::Table = variant.parse().unwrap();
                let configured = (row.configure)(&serde_json::to_value(table).unwrap()).unwrap();
                let filled = configured.table();
                assert_eq!((row.configure)(&filled).unwrap().table(), filled, "{}", row.name);
            }
        }
    }

    #[test]
    fn what_a_server_serves_is_every_transport_and_a_wrong_table_is_named() {
        let all = Configuration::read(&BTreeMap::new()).unwrap();
        assert!(ALL.iter().all(|row| all.find(row.name).is_some_and(|(found, _)| std::ptr::eq(found, *row))));
        let wrong = BTreeMap::from([(ALL[0].name.to_owned(), serde_json::json!({ "no-such": 1 }))]);
        let error = Configuration::read(&wrong).unwrap_err().to_string();
        assert_eq!(error, format!("[{}] can't be read", ALL[0].name));
    }
}
