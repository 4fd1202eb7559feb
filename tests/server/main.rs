//! The server against clients that others wrote (curl, aioquic, nghttp, h2load, openssl, eventsource), and against input that
//! nobody should send.

mod asking;
mod door;
mod events;
mod eventsource;
mod lab;
mod ledger;
mod limits;
mod polls;
mod ports;
mod raw;
mod stream;
mod streaming;
mod stuck;
