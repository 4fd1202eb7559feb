//! Settings that tell limits apart, each true at both ends: whole runs with real browsers and the native client.

mod beginning;
mod certificates;
mod coming_back;
mod compression;
mod direction;
mod download;
mod hosts;
#[path = "../pace/mod.rs"]
mod pace;
mod page;
mod polling;
mod preparing;
mod refused;
mod requests;
mod returning;
mod run;
mod script;
mod sessions;
mod websocket;
