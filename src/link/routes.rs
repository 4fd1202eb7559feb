//! Routes and devices within a thread's network namespace, told to the kernel by netlink.

use std::net::Ipv4Addr;

use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use rtnetlink::packet_route::{AddressFamily, IpProtocol};
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec, RouteMessageBuilder};

use super::{CLIENT, FlowTransport, LinkError, OwnPort, PREFIX};

/// The table that leads to the other end.
const OVER_THE_LINK: u32 = 100;
/// The priorities of rules (ip-rule(8)), the first of which is asked first: for ports that stay here, for what goes over the
/// link, for what is here.
const OWN_RULES: u32 = 10;
const OVER_RULE: u32 = 20;
const HERE_RULE: u32 = 30;
/// The kernel's own loopback device, in every namespace.
const LOOPBACK: u32 = 1;
/// What the kernel asks first unless it is told otherwise: the table of what is here (`RT_TABLE_LOCAL`, rtnetlink(7)).
const LOCAL: u8 = 255;

/// Brings loopback up.
pub(super) async fn loopback_up() -> Result<(), LinkError> {
    let up = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle()?.link().set(up).execute().await.map_err(failed("bring loopback up in a network namespace"))
}

/// Lets so many packets wait in a device. By netlink: asked for by `ioctl`, the kernel wants root's own rights for it.
pub(super) async fn make_room(device: u32, packets: u32) -> Result<(), LinkError> {
    let mut room = LinkUnspec::new_with_index(device).build();
    room.attributes.push(LinkAttribute::TxQueueLen(packets));
    handle()?.link().set(room).execute().await.map_err(failed("make room in a TUN device"))
}

/// Sends what is for 127.0.0.1 over this device, but for what goes to or comes from the ports `own`.
///
/// Tables of routes don't know ports; rules do, which choose the table (ip-rule(8)). The kernel's first rule is that what
/// is local is here, so a later one of the same kind takes its place.
pub(super) async fn loopback_over(device: u32, own: &[OwnPort]) -> Result<(), LinkError> {
    let handle = handle()?;
    lead_loopback(&handle, device, CLIENT).await?;
    let rules = own.iter().flat_map(|OwnPort { over, port }| {
        let protocol = match over {
            FlowTransport::Tcp => IpProtocol::Tcp,
            FlowTransport::Udp => IpProtocol::Udp,
        };
        let range = RulePortRange { start: *port, end: *port };
        let ports = [RuleAttribute::DestinationPortRange(range), RuleAttribute::SourcePortRange(range)];
        ports.map(|port| [RuleAttribute::IpProtocol(protocol), port])
    });
    for (priority, attributes) in (OWN_RULES..OVER_RULE).zip(rules) {
        let mut rule = handle.rule().add().v4().priority(priority).table_id(LOCAL.into()).action(RuleAction::ToTable);
        rule.message_mut().attributes.extend(attributes);
        rule.execute().await.map_err(failed("keep a port off the link"))?;
    }
    // `iif lo` is what is sent from here: what comes over the link is let in as ever.
    let over = handle.rule().add().v4().priority(OVER_RULE).table_id(OVER_THE_LINK).action(RuleAction::ToTable);
    let over = over.destination_prefix(Ipv4Addr::LOCALHOST, 32).input_interface("lo");
    over.execute().await.map_err(failed("lead loopback over the link"))?;
    let here = handle.rule().add().v4().priority(HERE_RULE).table_id(LOCAL.into()).action(RuleAction::ToTable);
    here.execute().await.map_err(failed("lead to what is here"))?;
    let mut first = RuleMessage::default();
    first.header.family = AddressFamily::Inet;
    first.header.table = LOCAL;
    first.header.action = RuleAction::ToTable;
    first.attributes.push(RuleAttribute::Priority(0));
    handle.rule().del(first).execute().await.map_err(failed("let loopback be led elsewhere"))
}

/// Takes one address from a device and gives it another. Without its last one a device loses its routes too.
pub(super) async fn change_address(device: u32, from: Ipv4Addr, to: Ipv4Addr) -> Result<(), LinkError> {
    let handle = handle()?;
    let old = AddressMessageBuilder::<Ipv4Addr>::new().index(device).address(from, PREFIX).build();
    handle.address().del(old).execute().await.map_err(failed("take an address from the link's device"))?;
    let new = handle.address().add(device, to.into(), PREFIX);
    new.execute().await.map_err(failed("give the link's device an address"))?;
    lead_loopback(&handle, device, to).await
}

/// The route that what is for 127.0.0.1 takes over the link, from this address.
async fn lead_loopback(handle: &Handle, device: u32, from: Ipv4Addr) -> Result<(), LinkError> {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(Ipv4Addr::LOCALHOST, 32)
        .output_interface(device)
        .pref_source(from)
        .scope(RouteScope::Link)
        .table_id(OVER_THE_LINK)
        .build();
    handle.route().add(route).replace().execute().await.map_err(failed("add a route over the link"))
}

/// A socket to the kernel in this thread's namespace, served by the runtime that this is called in.
fn handle() -> Result<Handle, LinkError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|source| LinkError::of("ask for routes", source))?;
    tokio::spawn(connection);
    Ok(handle)
}

fn failed(operation: &'static str) -> impl FnOnce(rtnetlink::Error) -> LinkError {
    move |source| LinkError::Netlink { operation, source }
}
