//! Network namespaces: a network of its own for each end, without a name, and so gone with the last that uses it.

use std::fs::File;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use tokio::runtime::Builder;
use tun_rs::DeviceBuilder;

use super::{LinkError, MTU, PREFIX, routes};

/// How many packets may wait in a device for the thread that carries them: what comes while it is not scheduled.
const DEVICE_QUEUE: u32 = 10_000;

/// What the device is called, in either namespace.
const DEVICE: &str = "link0";

/// A network namespace, held for as long as this lives and anybody is in it.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new one, whose only way out is a TUN device with this address, and with these routes, which are told the device's
    /// index.
    pub(super) fn with_device<R>(address: Ipv4Addr, to: impl FnOnce(u32) -> R + Send) -> Result<(Self, File), LinkError>
    where
        R: Future<Output = Result<(), LinkError>>,
    {
        // A namespace is a thread's; the thread that makes it must not be one that others' work is done on.
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| LinkError::of("make a network namespace", error.into()))?;
            let held = File::open("/proc/thread-self/ns/net")
                .map_err(|source| LinkError::of("open a network namespace", source))?;
            without_ipv6()?;
            let (device, index) = device(address)?;
            set("net/ipv4/conf/link0/route_localnet", "let loopback go over a link")?;
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.map_err(|source| LinkError::of("start a runtime", source))?.block_on(async {
                routes::loopback_up().await?;
                routes::make_room(index, DEVICE_QUEUE).await?;
                to(index).await
            })?;
            Ok((Self(held), device))
        })?
    }

    /// Takes this address from its device, gives it the other, and leads what is for loopback over the link from there.
    pub(super) fn change_address(&self, from: Ipv4Addr, to: Ipv4Addr) -> Result<(), LinkError> {
        self.within(|| {
            let index =
                if_nametoindex(DEVICE).map_err(|error| LinkError::of("find the link's device", error.into()))?;
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| LinkError::of("start a runtime", source))?;
            runtime.block_on(routes::change_address(index, from, to))
        })?
    }

    /// Does something in it, such as starting a process, which is then in it too. Waits until it is done.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, LinkError> {
        on_a_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET)
                .map_err(|error| LinkError::of("enter a network namespace", error.into()))?;
            Ok(act())
        })?
    }
}

/// Gives an ordinary user the rights that a link takes, where the system lets users have namespaces of their own
/// (`user_namespaces(7)`): in one of which this user is known by the same number and may make networks. What is started from
/// here on has no more rights than before. The process must have one thread yet. Where it can't be, a link says later what
/// it lacked.
pub fn gain_rights() {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        return;
    }
    let gain = || {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
    };
    if let Err(error) = gain() {
        tracing::debug!(%error, "no user namespace for a link");
    }
}

/// Does something on a thread of its own, and waits for it.
fn on_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> Result<T, LinkError> {
    thread::scope(|scope| {
        let started = thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, act);
        let thread = started.map_err(|source| LinkError::of("start a thread", source))?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

/// Takes IPv6 out of this thread's namespace: what it sends unasked (RFC 4861, RFC 3810) would be counted as the trial's.
fn without_ipv6() -> Result<(), LinkError> {
    for name in ["net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"] {
        match set(name, "switch IPv6 off in a network namespace") {
            // A kernel without it.
            Err(LinkError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

/// Switches a setting of this thread's namespace on.
fn set(name: &str, operation: &'static str) -> Result<(), LinkError> {
    std::fs::write(Path::new("/proc/sys").join(name), "1").map_err(|source| LinkError::of(operation, source))
}

/// A TUN device in this thread's namespace, up, whose packets are read one by one and without waiting; and its index.
fn device(address: Ipv4Addr) -> Result<(File, u32), LinkError> {
    let made = DeviceBuilder::new()
        .name(DEVICE)
        .ipv4(address, PREFIX, None)
        .mtu(MTU)
        .with(|builder| {
            builder.offload(false);
        })
        .build_sync();
    let device = made.map_err(|source| LinkError::of("make a TUN device (/dev/net/tun)", source))?;
    let set_up = || {
        device.set_nonblocking(true)?;
        // The device stays for as long as its file does.
        Ok((device.as_fd().try_clone_to_owned()?.into(), device.if_index()?))
    };
    set_up().map_err(|source| LinkError::of("set a TUN device up", source))
}
