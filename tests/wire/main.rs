//! Tunnels and sessions on HTTP/3 without a transport on them: our client, QUIC byte by byte, and Python's aioquic
//! against a server that sends everything back.

mod bytes;
mod critical;
mod dialects;
mod echo;
mod ending;
mod faults;
mod flood;
mod python;
mod requests;
mod sessions;
mod tunnels;
