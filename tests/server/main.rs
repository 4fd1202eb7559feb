//! The server against clients that others wrote (curl, aioquic, nghttp, h2load, openssl), and against input that
//! nobody should send.

mod asking;
mod door;
mod events;
mod lab;
mod ledger;
mod limits;
mod ports;
mod raw;
mod stream;
mod stuck;
