//! `transport-lab diagnose`, run as a person runs it: against the lab's own servers, against servers that are rigged to
//! have one fault each, and against servers that nobody here wrote.

mod bad;
mod buffers;
mod healthy;
mod lab;
mod nginx;
mod node;
mod others;
mod protocols;
mod rigged;
mod said;
mod sockets;
