//! Transport Lab: which transport should carry news from a server to many clients, and what will go wrong?
//!
//! ```text
//! experiments/x.toml -> experiment -> Plan -> run -> Trial … Trial
//! Trial:   server (transport, feed)  <- wire ->  client (transport, browser)
//!              \                                    /
//!               observations.jsonl  ->  stats (metrics, claims)  ->  report
//! ```
//!
//! The rooms, from the ground up; a room knows only those before it (`tests/rooms/` keeps that):
//!
//! | room | what it is about |
//! |---|---|
//! | [`text`] | text that others wrote, made fit to be shown |
//! | [`units`] | quantities as people write them |
//! | [`feed`] | bounded logs of events, cursors into them |
//! | [`trial`] | settings, schedules, contract, observations, journal, ledger: data without sockets |
//! | [`program`] | programs on this machine: where they are, and their versions |
//! | [`broker`] | NATS: the connection, the logs of feeds that servers share, how a node is started |
//! | [`certs`] | the lab's own certificate authority |
//! | [`wire`] | bytes to exchanges and back: TCP, TLS, QUIC; listen and dial |
//! | [`admission`] | who is let in, by one rule at every origin |
//! | [`transport`] | one file per transport, both directions |
//! | [`page`] | the trial page and what it loads |
//! | [`server`] | the server under test |
//! | [`client`] | who subscribes: browsers and the native client |
//! | [`control`] | the lab's own origin towards pages and people |
//! | [`stats`] | observations to metrics, groups, claims |
//! | [`report`] | a summary to text: terminal, JSON, HTML, CSV |
//! | [`browser`] | launching a browser, watching it, and ending all of it |
//! | [`intermediary`] | what stands between client and server: one file per proxy |
//! | [`participant`] | one end of a trial while it runs, and the contract with it |
//! | [`agent`] | the lab on another machine, which runs an end of a trial there |
//! | [`link`] | between server and client: packets delayed, lost and counted on purpose |
//! | [`dissect`] | recorded packets to the events that they carry |
//! | [`experiment`] | a file to a plan |
//! | [`run`] | a plan to results |
//! | [`diagnose`] | anybody's stream to findings |
//! | [`cli`] | the commands |
//!
//! `CONTRIBUTING.md` has a recipe each for a transport, a metric, a browser, an experiment and an output format.
//!
//! What must never happen: a number in a report that the journal can't rebuild; a trial that vanishes; a process,
//! profile or port left behind.

pub mod admission;
pub mod agent;
pub mod broker;
pub mod browser;
pub mod certs;
pub mod cli;
pub mod client;
pub mod control;
pub mod diagnose;
pub mod dissect;
pub mod experiment;
pub mod feed;
pub mod intermediary;
pub mod link;
pub mod page;
pub mod participant;
pub mod program;
pub mod report;
pub mod run;
pub mod server;
pub mod stats;
pub mod text;
pub mod transport;
pub mod trial;
pub mod units;
pub mod wire;
