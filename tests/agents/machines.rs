//! Machines of their own, as far as networks go: this test's, and others at the end of a cable each. They share nothing with
//! the network that everybody else here is in, so that no browser's changes.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};

use crate::PROGRAM;

/// Gone when they are dropped, or with the test, however that ends: they have no names, and go with what is in them.
pub(crate) struct Machines {
    /// What each is kept by, until this lets go of its input.
    others: Vec<Child>,
    /// The network that this test came from.
    before: File,
}

impl Machines {
    /// Moves this test, and all that it starts from now on, to a machine of its own, with so many others, numbered from 1.
    /// `None`: it takes root's rights and iproute2.
    pub(crate) fn new(others: usize) -> Option<Self> {
        let before = File::open("/proc/thread-self/ns/net").unwrap();
        let iproute = Command::new("ip").arg("-Version").stdout(Stdio::null()).status().is_ok();
        if !iproute || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("skipped: no network namespaces here (they take root's rights and iproute2)");
            return None;
        }
        let mut machines = Self { others: Vec::new(), before };
        run("ip link set lo up");
        // They reach each other through this one.
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        for number in 1..=others {
            machines.add(number);
        }
        Some(machines)
    }

    fn add(&mut self, number: usize) {
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "sh", "-c", "echo; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        self.others.push(keeper.spawn().unwrap());
        let keeper = self.others.last_mut().unwrap();
        // Once it says something it is in its network.
        keeper.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let (pid, there) = (keeper.id(), self.on(number));
        let (near, far) = (Self::own_address(number), Self::address(number));
        // Of IPv6's addresses each becomes usable a moment later, which a browser takes for a change of networks.
        for step in [
            format!("ip link add cable{number} type veth peer name cable netns {pid}"),
            format!("ip link set cable{number} addrgenmode none"),
            format!("ip addr add {near}/24 dev cable{number}"),
            format!("ip link set cable{number} up"),
            format!("{there} ip link set lo up"),
            format!("{there} ip link set cable addrgenmode none"),
            format!("{there} ip addr add {far}/24 dev cable"),
            format!("{there} ip link set cable up"),
            format!("{there} ip route add default via {near}"),
        ] {
            run(&step);
        }
    }

    /// What a command line begins with that is for another machine.
    pub(crate) fn on(&self, number: usize) -> String {
        format!("nsenter --net=/proc/{}/ns/net", self.others[number - 1].id())
    }

    /// An agent there, to be started by the coordinator, with these further words.
    pub(crate) fn agent(&self, number: usize, name: &str, more: &str) -> String {
        format!("exec:exec {} {PROGRAM} agent --stdio --name {name} {more}", self.on(number)).trim_end().to_owned()
    }

    /// The other machine's address.
    pub(crate) fn address(number: usize) -> String {
        format!("10.9.{number}.2")
    }

    /// This machine's address on the cable to another. All others reach any of them.
    pub(crate) fn own_address(number: usize) -> String {
        format!("10.9.{number}.1")
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for keeper in &mut self.others {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        let _ = setns(&self.before, CloneFlags::CLONE_NEWNET);
    }
}

#[track_caller]
fn run(command: &str) {
    let mut words = command.split(' ');
    let ran = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}
