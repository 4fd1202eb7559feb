//! The server against clients that others wrote (curl, aioquic, nghttp, h2load, openssl, npm's eventsource and ws,
//! Python's websockets), and against input that nobody should send.

mod asking;
mod bulk;
mod compression;
mod door;
mod early;
mod endings;
mod events;
mod eventsource;
mod frames;
mod framing;
mod head;
mod lab;
mod ledger;
mod limits;
#[path = "../nats/mod.rs"]
mod nats;
mod pages;
mod parting;
mod polls;
mod ports;
mod quic;
mod raw;
mod shared;
mod shared_outage;
mod shared_refusals;
mod stream;
mod streaming;
mod stuck;
#[path = "../until/mod.rs"]
mod until;
mod websocket;
mod websocket_frames;
mod websocket_opening;
