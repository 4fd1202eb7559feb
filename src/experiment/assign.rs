//! Who subscribes to what, and when: a trial's subscriptions assigned in turn to pages, hosts, ports and feeds, and to
//! them what clients publish.

use super::plan::is_native;
use crate::transport;
use crate::trial::contract::ServerAddress;
use crate::trial::schedule;
use crate::trial::settings::{Direction, HostOrder, StuckDirection, Urls, Workload};
use crate::trial::{PlannedSend, Settings, SubscriptionPlan};

/// The host names under test, in the order in which they are opened: `localhost` alone, or `a.localhost`,
/// `b.localhost`, … or the other way round.
pub fn hosts(workload: &Workload) -> Vec<String> {
    let mut hosts = match workload.hosts {
        0 | 1 => vec!["localhost".to_owned()],
        hosts => ('a'..='z').take(hosts as usize).map(|letter| format!("{letter}.localhost")).collect(),
    };
    if workload.host_order == HostOrder::Reverse {
        hosts.reverse();
    }
    hosts
}

/// A server, as clients ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedServer {
    /// The host names under test.
    pub hosts: Vec<String>,
    /// Its ports of the protocol's ALPN.
    pub ports: Vec<u16>,
}

/// The feeds that are published to: `f0`, `f1`, ….
pub fn feeds(workload: &Workload) -> Vec<String> {
    (0..workload.feeds.max(1)).map(|feed| format!("f{feed}")).collect()
}

/// Every subscription of a trial, in the order of their numbers, which is the order they open in.
///
/// Each client, server, page, host, port and feed gets its share to within one, and so does each combination of them.
/// Dealing each round on its own would not do that: with two pages and two hosts page 0 would only ever see host 0.
///
/// All `servers` have as many hosts and as many ports; without any there is nothing to subscribe to. The client of a
/// subscription is the remainder of its number ([`of_client`]).
pub fn assign(
    settings: &Settings,
    trial: u32,
    seed: u64,
    clients: u32,
    servers: &[AskedServer],
) -> Vec<SubscriptionPlan> {
    let Settings { workload, protocol, .. } = settings;
    let feeds = feeds(workload);
    let least = |count: fn(&AskedServer) -> usize| servers.iter().map(count).min().unwrap_or(0);
    let (hosts, ports) = (least(|server| server.hosts.len()), least(|server| server.ports.len()));
    if hosts == 0 || ports == 0 {
        return Vec::new();
    }
    let [clients, pages] = [clients, workload.pages].map(|size| size.max(1) as usize);
    let sizes = [clients, servers.len(), pages, hosts, ports, feeds.len()];
    let total = u128::from(workload.subscribers.max(1));
    let subscription = |sub: u32| {
        let [_, server, page, host, port, feed] = digits(sub as usize, sizes);
        let own = match workload.urls {
            Urls::Distinct => format!("&sub={sub}"),
            Urls::Identical => String::new(),
        };
        let path = format!("/feeds/{}/{}?trial={trial}{own}", feeds[feed], protocol.transport);
        let open_at = u128::from(sub) * u128::from(workload.ramp.nanos()) / total;
        let at = |server: &AskedServer| ServerAddress { host: server.hosts[host].clone(), port: server.ports[port] };
        let ServerAddress { host, port } = at(&servers[server]);
        let (before, after) = servers.split_at(server);
        SubscriptionPlan {
            sub,
            page: u32::try_from(page).unwrap_or(0),
            host,
            port,
            others: after.iter().skip(1).chain(before).map(at).collect(),
            path,
            // Less than the ramp, which is 64 bits.
            open_at: u64::try_from(open_at).unwrap_or(u64::MAX),
            sends: Vec::new(),
        }
    };
    let mut plans: Vec<_> = (0..workload.subscribers).map(subscription).collect();
    if workload.direction != Direction::Down && !plans.is_empty() {
        let all = plans.len();
        for due in schedule(workload, seed) {
            plans[due.event as usize % all].sends.push(PlannedSend { event: due.event, at: due.at });
        }
    }
    plans
}

/// Those of one client of so many.
pub fn of_client(client: u32, clients: u32, all: Vec<SubscriptionPlan>) -> Vec<SubscriptionPlan> {
    all.into_iter().filter(|plan| plan.sub % clients.max(1) == client).collect()
}

/// The stuck: where the first subscriptions are, but of no trial, so that no count takes them for its own. What a
/// browser's page can leave unread is the content of a response: of a `WebSocket` it is given every message, and sessions
/// have connections of their own.
pub fn stuck(settings: &Settings, subscriptions: &[SubscriptionPlan]) -> Vec<SubscriptionPlan> {
    let by_page = !is_native(settings);
    let of = |(number, plan): (u32, &SubscriptionPlan)| {
        let own = plan.path.split('?').next().unwrap_or_default();
        let feed = own.rsplit_once('/').map_or(own, |(feed, _)| feed);
        let path = match settings.workload.stuck_direction {
            StuckDirection::Down if by_page => format!("{feed}/{}?stuck={number}", transport::PLAIN_STREAM.name),
            StuckDirection::Down => format!("{own}?stuck={number}"),
            StuckDirection::Up => format!("{feed}?stuck={number}"),
        };
        SubscriptionPlan { sub: number, open_at: 0, path, sends: Vec::new(), ..plan.clone() }
    };
    (0..settings.workload.stuck).zip(subscriptions.iter().cycle()).map(of).collect()
}

/// The i-th combination of one digit below each size.
///
/// Each digit counts up by one, and skips one whenever it and the digits before it would begin to repeat
/// themselves: every `lcm` steps, of which `gcd` make a full round. So a digit's values are even over any stretch,
/// and every combination comes once in each product of the sizes.
fn digits<const N: usize>(i: usize, sizes: [usize; N]) -> [usize; N] {
    let mut before = 1;
    sizes.map(|size| {
        let gcd = gcd(before, size);
        let lcm = before / gcd * size;
        before *= size;
        (i + i / lcm % gcd) % size
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::trial::{Alpn, Protocol};
    use crate::units::Span;

    fn of(workload: &Workload, trial: u32, ports: &[u16]) -> Vec<SubscriptionPlan> {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        settings.workload = workload.clone();
        settings.protocol = Protocol::new("sse", Alpn::H2);
        assign(&settings, trial, 1, 1, &[asked(&settings, ports.to_owned())])
    }

    fn asked(settings: &Settings, ports: Vec<u16>) -> AskedServer {
        AskedServer { hosts: hosts(&settings.workload), ports }
    }

    fn assigned(subscribers: u32, [pages, hosts, ports, feeds]: [u32; 4]) -> Vec<SubscriptionPlan> {
        let workload = Workload { subscribers, pages, hosts, ports, feeds, ..Workload::default() };
        let ports: Vec<u16> = (9000..).take(ports as usize).collect();
        of(&workload, 7, &ports)
    }

    /// Whether no key occurs more often than any of `all` others by more than one.
    fn even<K: Ord>(keys: impl Iterator<Item = K>, all: usize) -> bool {
        let mut counts = BTreeMap::new();
        for key in keys {
            *counts.entry(key).or_insert(0usize) += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        let least = if counts.len() < all { 0 } else { counts.values().min().copied().unwrap_or(0) };
        most - least <= 1
    }

    #[test]
    fn every_page_host_port_feed_and_combination_gets_its_share_to_within_one() {
        for sizes in
            [[1, 1, 1, 1], [2, 2, 1, 1], [2, 4, 2, 4], [3, 2, 5, 7], [16, 4, 16, 1], [1, 4, 6, 16], [6, 4, 2, 3]]
        {
            let all = sizes.map(|size| size as usize);
            for subscribers in [1, 2, 3, 5, 16, 97, 150, 1000] {
                let subs = assigned(subscribers, sizes);
                let feed = |s: &SubscriptionPlan| s.path.split('/').nth(2).unwrap().to_owned();
                let what = format!("{subscribers} over {sizes:?}");
                assert_eq!(subs.len(), subscribers as usize);
                assert!(even(subs.iter().map(|s| s.page), all[0]), "pages: {what}");
                assert!(even(subs.iter().map(|s| &s.host), all[1]), "hosts: {what}");
                assert!(even(subs.iter().map(|s| s.port), all[2]), "ports: {what}");
                assert!(even(subs.iter().map(feed), all[3]), "feeds: {what}");
                let together = subs.iter().map(|s| (s.page, &s.host, s.port, feed(s)));
                assert!(even(together, all.iter().product()), "combinations: {what}");
            }
        }
    }

    #[test]
    fn each_client_has_the_subscriptions_that_the_workload_says_are_its() {
        let workload = Workload { subscribers: 11, agents: 3, ..Workload::default() };
        let all = of(&workload, 7, &[9000]);
        for client in 0..3 {
            let its = of_client(client, 3, all.clone());
            assert!(its.len() >= 3 && its.iter().all(|plan| workload.client_of(plan.sub) == client), "{its:?}");
        }
    }

    #[test]
    fn two_pages_and_two_hosts_meet_in_all_four_ways() {
        let met: BTreeSet<_> = assigned(4, [2, 2, 1, 1]).into_iter().map(|s| (s.page, s.host)).collect();
        assert_eq!(met.len(), 4);
    }

    #[test]
    fn each_client_meets_each_server_and_both_have_their_share() {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        for (clients, servers) in [(2u32, 2u16), (2, 4), (3, 2), (1, 4), (4, 1)] {
            settings.workload.subscribers = 97;
            // Each is on a machine of its own.
            let host = |server: u16| AskedServer { hosts: vec![format!("10.0.0.{server}")], ports: vec![server] };
            let all = assign(&settings, 7, 1, clients, &(1..=servers).map(host).collect::<Vec<_>>());
            let pairs = all.iter().map(|plan| (plan.sub % clients, plan.port));
            assert!(even(pairs.clone(), clients as usize * usize::from(servers)), "{clients} and {servers}");
            assert!(even(pairs.map(|(_, server)| server), usize::from(servers)));
            for plan in &all {
                let reached: BTreeSet<_> = plan.servers().collect();
                assert_eq!(reached.len(), usize::from(servers), "whoever comes back gets to every server");
                assert!(reached.iter().all(|at| at.host == format!("10.0.0.{}", at.port)), "{reached:?}");
            }
            let dealt: Vec<u32> =
                (0..clients).flat_map(|client| of_client(client, clients, all.clone())).map(|plan| plan.sub).collect();
            assert_eq!(dealt.iter().collect::<BTreeSet<_>>().len(), 97);
        }
    }

    #[test]
    fn a_subscription_has_its_own_address() {
        let subs = assigned(3, [1, 1, 1, 2]);
        let paths: Vec<&str> = subs.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/feeds/f0/sse?trial=7&sub=0", "/feeds/f1/sse?trial=7&sub=1", "/feeds/f0/sse?trial=7&sub=2"]
        );
        assert!(subs.iter().all(|s| s.host == "localhost" && s.port == 9000 && s.page == 0 && s.open_at == 0));
        assert_eq!(hosts(&Workload { hosts: 3, ..Workload::default() }), ["a.localhost", "b.localhost", "c.localhost"]);
    }

    #[test]
    fn identical_addresses_say_their_trial_and_nothing_of_the_subscription() {
        let workload = Workload { subscribers: 4, feeds: 2, urls: Urls::Identical, ..Workload::default() };
        let subs = of(&workload, 7, &[1]);
        let paths: Vec<&str> = subs.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(paths, [["/feeds/f0/sse?trial=7", "/feeds/f1/sse?trial=7"]; 2].concat());
    }

    #[test]
    fn hosts_open_in_the_order_that_was_asked_for() {
        let first = |host_order| {
            let workload = Workload { subscribers: 3, hosts: 2, host_order, ..Workload::default() };
            let subs = of(&workload, 0, &[1]);
            subs.into_iter().map(|s| s.host).collect::<Vec<_>>()
        };
        assert_eq!(first(HostOrder::Forward), ["a.localhost", "b.localhost", "a.localhost"]);
        assert_eq!(first(HostOrder::Reverse), ["b.localhost", "a.localhost", "b.localhost"]);
    }

    #[test]
    fn opens_are_spread_over_the_ramp_and_never_reach_its_end() {
        let workload = Workload { subscribers: 4, ramp: Span::from_secs(2), ..Workload::default() };
        let subs = of(&workload, 0, &[1]);
        let at: Vec<u64> = subs.iter().map(|s| s.open_at / 1_000_000).collect();
        assert_eq!(at, [0, 500, 1000, 1500]);
    }

    #[test]
    fn without_a_port_there_is_nothing_to_subscribe_to() {
        assert_eq!(of(&Workload::default(), 0, &[]), []);
    }

    #[test]
    fn what_clients_publish_is_dealt_round_and_in_the_order_it_is_due() {
        let mut workload = Workload { subscribers: 2, direction: Direction::Up, ..Workload::default() };
        workload.events.count = 5.into();
        let sent: Vec<Vec<u32>> =
            of(&workload, 0, &[1]).iter().map(|plan| plan.sends.iter().map(|s| s.event).collect()).collect();
        assert_eq!(sent, [vec![0, 2, 4], vec![1, 3]]);
        workload.direction = Direction::Down;
        assert!(of(&workload, 0, &[1]).iter().all(|plan| plan.sends.is_empty()));
    }

    #[test]
    fn the_stuck_say_no_trial() {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        (settings.workload.stuck, settings.workload.subscribers, settings.workload.feeds) = (3, 2, 2);
        let stuck = stuck(&settings, &assign(&settings, 7, 1, 1, &[asked(&settings, vec![1])]));
        let paths: Vec<&str> = stuck.iter().map(|plan| plan.path.as_str()).collect();
        assert_eq!(paths, ["/feeds/f0/sse?stuck=0", "/feeds/f1/sse?stuck=1", "/feeds/f0/sse?stuck=2"]);
    }

    #[test]
    fn a_page_leaves_a_response_unread_and_a_server_a_post() {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        (settings.workload.stuck, settings.protocol) = (1, Protocol::new("websocket", Alpn::H2));
        let path = |settings: &Settings| {
            stuck(settings, &assign(settings, 7, 1, 1, &[asked(settings, vec![1])]))[0].path.clone()
        };
        assert_eq!(path(&settings), "/feeds/f0/websocket?stuck=0");
        settings.client = "firefox".to_owned();
        assert_eq!(path(&settings), "/feeds/f0/streaming?stuck=0");
        settings.workload.stuck_direction = StuckDirection::Up;
        assert_eq!(path(&settings), "/feeds/f0?stuck=0");
    }
}
