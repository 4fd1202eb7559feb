use serde_json::json;

use super::*;

pub(super) fn complaint(settings: serde_json::Value) -> String {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    check(&settings, &*crate::transport::of(&settings).unwrap().1)
        .map_or_else(|c| format!("{}: {}", c.setting, c.says), |()| "fine".to_owned())
}

#[test]
fn a_number_out_of_bounds_is_refused_with_the_bounds() {
    let refused = |name: &str, value: u32, bounds: &str| {
        let says = complaint(json!({ "workload": { (name): value } }));
        assert_eq!(
            says,
            format!("workload.{name}: `workload.{name}` can't be {value}: write a whole number from {bounds}")
        );
    };
    refused("subscribers", 0, "1 to 20000");
    refused("subscribers", 20_001, "1 to 20000");
    refused("pages", 17, "1 to 16");
    refused("hosts", 5, "1 to 4");
    refused("ports", 0, "1 to 16");
    refused("feeds", 17, "1 to 16");
    let size = complaint(json!({ "workload": { "events": { "size": "15 B" } } }));
    assert_eq!(size, "workload.events.size: `workload.events.size` can't be 15 B: write 16 B to 1 MiB");
    assert_eq!(complaint(json!({ "workload": { "subscribers": 20000, "events": { "size": "16 B" } } })), "fine");
}

#[test]
fn a_drain_shorter_than_what_a_poll_waits_for_is_refused() {
    let with = |protocol: &str, drain: &str| {
        complaint(json!({
            "protocol": protocol, "polling": { "interval": "700ms" }, "long-polling": { "gather": "400ms" },
            "workload": { "drain": drain } }))
    };
    for (protocol, enough, short) in
        [("polling/h2", "900ms", "899ms"), ("long-polling/h1", "600ms", "599ms"), ("sse/h1", "1ms", "")]
    {
        assert_eq!(with(protocol, enough), "fine");
        if !short.is_empty() {
            let says = with(protocol, short);
            assert!(says.starts_with("workload.drain: `workload.drain` can't be") && says.contains(enough), "{says}");
        }
    }
    assert!(complaint(json!({ "protocol": "polling/h1" })).contains("write 1200ms or more"));
    assert_eq!(complaint(json!({ "protocol": "long-polling/h1", "workload": { "drain": "1ms" } })), "fine");
}

#[test]
fn a_link_that_no_packet_could_pass_and_a_drain_shorter_than_its_way_are_refused() {
    let with = |link: serde_json::Value| complaint(json!({ "link": link }));
    assert_eq!(with(json!({})), "fine");
    assert_eq!(with(json!({ "loss": "100%", "rate": "1 kbit/s", "delay": "400ms", "jitter": "100ms" })), "fine");
    assert_eq!(with(json!({ "loss": "101%" })), "link.loss: `link.loss` can't be 101%: write 0% to 100%");
    assert_eq!(
        with(json!({ "rate": "0 bit/s" })),
        "link.rate: `link.rate` can't be 0 bit/s: write 1 kbit/s to 100 Gbit/s"
    );
    assert_eq!(with(json!({ "queue": "1499 B" })), "link.queue: `link.queue` can't be 1499 B: write 1500 B to 64 MiB");
    assert_eq!(with(json!({ "delay": "11s" })), "link.delay: `link.delay` can't be 11s: write 0s to 10s");
    assert_eq!(
        with(json!({ "delay": "400ms", "jitter": "101ms" })),
        "workload.drain: `workload.drain` can't be 500ms: over this link the census is 501ms under way; write 501ms or \
         more"
    );
}

#[test]
fn a_nat_keeps_mappings_for_a_while_and_less_than_a_day() {
    let with = |nat: serde_json::Value| complaint(json!({ "link": { "nat": nat } }));
    assert_eq!(with(json!({ "udp": "30s", "tcp": "124min" })), "fine");
    assert_eq!(with(json!({ "udp": "never" })), "fine");
    let least = "link.nat.udp: `link.nat.udp` can't be 99ms: write 100ms to 86400s";
    assert_eq!(with(json!({ "udp": "99ms" })), least);
    assert!(with(json!({ "tcp": "1441min" })).contains("write 100ms to 86400s"));
    let read = serde_json::from_value::<LinkSettings>(json!({ "nat": { "udp": "soon" } })).unwrap_err().to_string();
    assert!(read.contains("`soon`") && read.contains("or \"never\""), "{read}");
}

#[test]
fn an_intermediary_that_nobody_knows_is_refused_with_the_nearest() {
    let with = |name: &str| complaint(json!({ "between": { "intermediary": name } }));
    assert_eq!(with("none"), "fine");
    assert_eq!(with("ngnix"), "between.intermediary: unknown intermediary `ngnix`; did you mean `nginx`?");
    assert!(with("squid").contains("write `none`"), "{}", with("squid"));
}

#[test]
fn a_configuration_of_ones_own_is_not_told_to_compress() {
    let with = |config: &str, compression: &str| {
        complaint(json!({ "between": { "intermediary": "nginx", "config": config, "compression": compression } }))
    };
    assert_eq!((with("default", "gzip").as_str(), with("./nginx.conf", "off").as_str()), ("fine", "fine"));
    assert!(with("./nginx.conf", "gzip").starts_with("between.compression: a configuration of one's own says"));
}

#[test]
fn events_that_are_not_all_due_before_the_census_are_refused() {
    let with = |arrival: &str, hold: &str| {
        complaint(json!({ "workload": {
            "settle": "1s", "hold": hold, "events": { "count": 4, "rate": "2/s", "arrival": arrival } } }))
    };
    for (arrival, enough, short) in [
        ("periodic", "2500ms", "2499ms"),
        ("poisson", "3s", "2999ms"),
        ("pairs", "2001ms", "2s"),
        ("burst", "1s", "999ms"),
    ] {
        assert_eq!(with(arrival, enough), "fine", "{arrival}");
        assert!(with(arrival, short).starts_with("workload.hold: the last event can be due"), "{arrival}");
    }
}

#[test]
fn another_actor_acts_before_the_census() {
    let with = |at: &str| {
        complaint(json!({ "workload": { "hold": "3s" }, "beside": [
            { "at": "0s", "kind": "image" }, { "at": at, "kind": "fetch" }] }))
    };
    assert_eq!(with("2999ms"), "fine");
    assert_eq!(
        with("3s"),
        "beside.1.at: `beside.1.at` can't be 3s: the census is 3.000 s after `go`, and what comes later is not \
         measured"
    );
    let many = complaint(json!({ "beside": vec![json!({ "at": "0s", "kind": "fetch" }); 17] }));
    assert_eq!(many, "beside: `beside` can't have 17 entries: write 16 or fewer");
}

#[test]
fn nobody_expects_every_datagram_to_arrive() {
    let with = |mode: &str, delivery: &str, counts: &str| {
        complaint(json!({ "protocol": "quic/quic", "quic": { "mode": mode },
            "expect": { "delivery": delivery, "counts": counts } }))
    };
    assert_eq!(with("stream", "exactly-once", "equal"), "fine");
    assert_eq!(with("streams", "exactly-once", "equal"), "fine");
    assert_eq!(
        with("datagrams", "exactly-once", "observe"),
        "quic.mode: datagrams may be lost on their way: `expect.delivery = \"exactly-once\"` can't be expected; \
         write \"at-most-once\" or \"observe\""
    );
    assert!(with("datagrams", "at-most-once", "equal").contains("`expect.counts = \"equal\"` can't be expected"));
    assert_eq!(with("datagrams", "at-most-once", "observe"), "fine");
}

#[test]
fn the_second_of_a_pair_comes_before_the_next_pair() {
    let with = |gap: &str, arrival: &str| {
        let events = json!({ "rate": "5/s", "gap": gap, "arrival": arrival, "count": "fill" });
        complaint(json!({ "workload": { "events": events } }))
    };
    assert_eq!(with("400ms", "pairs"), "fine");
    assert_eq!(with("401ms", "periodic"), "fine");
    assert_eq!(
        with("401ms", "pairs"),
        "workload.events.gap: `workload.events.gap` can't be 401ms: at 5/s there is a pair every 0.400 s, and the \
         next would begin before it"
    );
}

#[test]
fn an_order_of_hosts_needs_two() {
    let with = |hosts: u32| complaint(json!({ "workload": { "hosts": hosts, "host-order": "reverse" } }));
    assert_eq!(with(2), "fine");
    assert!(with(1).starts_with("workload.host-order: one host has no order"));
    let per_host = json!({ "server": { "certificate": "per-host" } });
    assert_eq!(complaint(per_host), "fine", "one host can have a certificate of its own");
}

#[test]
fn a_client_never_floods_the_server_and_sends_no_more_than_it_takes() {
    let delay = complaint(json!({ "reconnect": { "delay": "0s" } }));
    assert_eq!(delay, "reconnect.delay: `reconnect.delay` can't be 0s: write 1ms to 3600s");
    assert!(complaint(json!({ "reconnect": { "tries": 1001 } })).starts_with("reconnect.tries"));
    let size =
        |direction: &str| complaint(json!({ "workload": { "direction": direction, "events": { "size": "65 KiB" } } }));
    assert_eq!(size("down"), "fine");
    assert!(size("up").ends_with("write 16 B to 64 KiB"), "{}", size("up"));
}

#[test]
fn servers_share_a_feed_through_nats_alone_and_nodes_are_a_majority() {
    let with =
        |server: serde_json::Value, broker: serde_json::Value| complaint(json!({ "server": server, "broker": broker }));
    let shared = |count: u32| json!({ "count": count, "feeds": "nats" });
    assert_eq!(with(shared(8), json!({})), "fine");
    assert_eq!(with(json!({ "count": 1 }), json!({ "nodes": 3, "replicas": 3 })), "fine", "nobody reads it");
    assert_eq!(
        with(json!({ "count": 2 }), json!({})),
        "server.count: 2 servers can't share a feed that is in the memory of one: write `server.feeds = \"nats\"`, or \
         `server.count = 1`"
    );
    assert!(with(shared(9), json!({})).starts_with("server.count: `server.count` can't be 9"));
    assert!(with(shared(2), json!({ "nodes": 2 })).contains("write 1 or 3"));
    assert_eq!(
        with(shared(2), json!({ "nodes": 1, "replicas": 3 })),
        "broker.replicas: 1 node can't keep 3 replicas: write `broker.nodes = 3`"
    );
}

#[test]
fn the_last_of_several_servers_is_killed_and_leaves_everything_possible() {
    let with = |count: u32, kind: &str| {
        complaint(json!({ "workload": { "hold": "2s", "drain": "1s" }, "server": { "count": count, "feeds": "nats" },
            "fault": [{ "at": "1s", "kind": kind }], "expect": { "delivery": "exactly-once", "counts": "equal" } }))
    };
    for kind in ["kill-last-server", "kill-leader"] {
        assert_eq!(with(2, kind), "fine", "{kind}");
    }
    assert!(with(1, "kill-last-server").contains("write `server.count = 2` or more"));
    assert!(with(2, "kill-server").contains("exactly-once"), "that is the one that publishes");
    assert!(with(2, "broker-away").contains("can't be counted"), "it is away at the census");
}
