//! The control origin, from outside: real TLS, real requests, real browsers.

mod browser;
mod chat;
mod driven;
mod feed_server;
mod guests;
mod lab;
mod pages;
mod routes;
mod runs;
mod served;
mod strangers;
mod together;
mod visits;
