//! Runs as a person starts them: the real program in a folder of its own, its faults injected, its ends killed, its
//! disk filled, and nothing left behind.

mod between;
mod browsers;
mod calibration;
mod compare;
mod exec;
mod faults;
mod folders;
mod index;
mod interrupts;
mod lab;
mod leftovers;
mod new;
mod offers;
#[path = "../pace/mod.rs"]
mod pace;
mod reload;
mod report;
mod rigs;
mod servers;
mod shell;
mod soak;
mod statuses;
mod terminal;
