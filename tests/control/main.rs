//! The control origin, from outside: real TLS, real requests, real browsers.

mod browser;
mod chat;
mod driven;
mod feed_server;
mod guests;
mod lab;
#[path = "../nats/mod.rs"]
mod nats;
mod pages;
mod routes;
mod runs;
mod served;
mod strangers;
mod together;
#[path = "../until/mod.rs"]
#[allow(dead_code, reason = "not every test binary needs all of it")]
mod until;
mod visits;
