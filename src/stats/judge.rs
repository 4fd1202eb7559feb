//! The judgement of one trial: whether what must hold held. All else is a metric.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Record, millis};
use super::{metric, number};
use crate::trial::settings::{CountsRule, DeliveryRule};
use crate::trial::{JournalLine, PlannedTrial};

/// What must hold and didn't, with the numbers: a sentence for each rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct BrokenRules(Vec<String>);

/// Judges a trial that ran to its end by what was observed in it.
///
/// Wrong content, an id never published, a stream on another ALPN than the protocol's, a receipt that nobody asked
/// for and what was seen before its cause always break; counts and delivery as the trial's `expect` says.
pub fn judge(planned: &PlannedTrial, journal: &[JournalLine]) -> Result<(), BrokenRules> {
    let record = Record::new(planned, journal);
    let rules = [wrong_content, never_published, other_alpn, nobody_asked, before_published, before_asked];
    let mut broken: Vec<String> = rules.iter().filter_map(|rule| rule(planned, &record)).collect();
    if planned.settings.expect.counts == CountsRule::Equal {
        broken.extend(counts_differ(&record));
    }
    match planned.settings.expect.delivery {
        DeliveryRule::ExactlyOnce => broken.extend(delivery(&record, true, planned.promises.in_order)),
        DeliveryRule::AtMostOnce => broken.extend(delivery(&record, false, false)),
        DeliveryRule::Observe => {}
    }
    if broken.is_empty() { Ok(()) } else { Err(BrokenRules(broken)) }
}

fn wrong_content(_: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    let (sub, id) = record.wrong.first()?;
    let events = number::plural(record.wrong.len(), "event");
    Some(format!("{events} arrived with content that was not published, the first {id} at subscription {sub}"))
}

fn never_published(_: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    let begun = record.begun();
    let strange = |sub: u32, id: &str| match (record.published.get(id), begun.get(&sub)) {
        (None, _) => !untold(record, id),
        (Some(publication), Some(begun)) => publication.feed != begun.feed,
        (Some(_), None) => false,
    };
    let all = record.received.iter().flat_map(|(&sub, receipts)| receipts.iter().map(move |r| (sub, r.id)));
    let strange: Vec<(u32, &str)> = all.filter(|&(sub, id)| strange(sub, id)).collect();
    let (sub, id) = strange.first()?;
    let receipts = number::plural(strange.len(), "receipt");
    Some(format!("{receipts} of an event that was never published to that feed, the first {id} at subscription {sub}"))
}

/// Whether the server that publishes and was killed on purpose may have published this and not lived to say so: what follows the last
/// event that it told of, or anything where it told of none.
fn untold(record: &Record<'_>, id: &str) -> bool {
    let parts =
        |id: &str| id.rsplit_once('-').and_then(|(epoch, seq)| Some((epoch.to_owned(), seq.parse::<u64>().ok()?)));
    let Some((epoch, seq)) = parts(id).filter(|_| record.server_killed.iter().any(|(_, server)| *server == 0)) else {
        return false;
    };
    let told = record.published.keys().filter_map(|id| parts(id)).filter(|(other, _)| *other == epoch);
    record.published.is_empty() || told.map(|(_, seq)| seq).max().is_some_and(|last| seq > last)
}

fn other_alpn(planned: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    let alpn = planned.settings.origin_alpn();
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for attachment in record.attachments.iter().filter(|attachment| !planned.settings.may_arrive_on(attachment.alpn)) {
        *others.entry(attachment.alpn.title()).or_default() += 1;
    }
    let streams = others.values().sum::<usize>();
    let names = others.into_keys().collect::<Vec<_>>().join(" and ");
    let all = record.attachments.len();
    (streams > 0).then(|| format!("{streams} of {all} streams arrived on {names} instead of {}", alpn.title()))
}

fn nobody_asked(_: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    let strangers = |seen: Vec<u32>, what: &str| {
        let strangers: BTreeSet<u32> = seen.into_iter().filter(|sub| !record.requested.contains_key(sub)).collect();
        (!strangers.is_empty()).then(|| format!("{what} {} that nobody asked for", subs(&strangers)))
    };
    strangers(record.received.keys().copied().collect(), "events were received for")
        .or_else(|| strangers(record.opened.keys().copied().collect(), "an answer came to"))
}

/// Receipts of events that weren't published yet: the client's clock is not what it says. A page's may be off; beyond
/// three times its uncertainty something is wrong.
fn before_published(_: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    let allowed = record.uncertainty.unwrap_or(0).saturating_mul(3);
    let all = record.received.iter().flat_map(|(&sub, receipts)| receipts.iter().map(move |r| (sub, r)));
    let early = all.filter_map(|(sub, receipt)| {
        let published = record.published.get(receipt.id)?.t;
        (receipt.t.saturating_add(allowed) < published).then_some((sub, receipt, published))
    });
    let early: Vec<_> = early.collect();
    let (sub, receipt, published) = early.first()?;
    let line = serde_json::json!({ "kind": "received", "t": [receipt.t], "sub": sub, "ids": [receipt.id] });
    let before = number::with_unit(millis(receipt.t, *published), "ms");
    let receipts = number::plural(early.len(), "receipt");
    Some(format!("{receipts} of an event that was not published yet, the first {before} before it was: {line}"))
}

/// What comes of a subscription comes after it was asked for; one clock says both.
fn before_asked(_: &PlannedTrial, record: &Record<'_>) -> Option<String> {
    record.requested.iter().find_map(|(&sub, &asked)| {
        let opened = record.opened.get(&sub).map(|&t| (t, "opened"));
        let received = record.received.get(&sub).and_then(|all| all.iter().map(|r| r.t).min()).map(|t| (t, "received"));
        let closed = record.closed.get(&sub).map(|&(t, _)| (t, "closed"));
        let (t, kind) = [opened, received, closed].into_iter().flatten().find(|(t, _)| *t < asked)?;
        let before = number::with_unit(millis(t, asked), "ms");
        Some(format!("the client says `{kind}` of subscription {sub} at {t}, {before} before `requested` at {asked}"))
    })
}

fn counts_differ(record: &Record<'_>) -> Option<String> {
    if record.census.is_empty() {
        return Some("the census was never taken, so the counts of both ends can't be compared".to_owned());
    }
    let (client, server) = (record.open(), record.server_open());
    let count = record.server_open_count();
    let mut text = format!("the client counts {} and the server {count}", number::plural(client.len(), "open stream"));
    if record.identical {
        // Which is whose can't be told.
        return (client.len() != count).then_some(text);
    }
    if client == server {
        return None;
    }
    let only_client: BTreeSet<u32> = client.difference(&server).copied().collect();
    let only_server: BTreeSet<u32> = server.difference(&client).copied().collect();
    for (who, only) in [("client", only_client), ("server", only_server)] {
        if !only.is_empty() {
            text.extend(["; only the ", who, " has ", &subs(&only)]);
        }
    }
    Some(text)
}

fn delivery(record: &Record<'_>, exactly: bool, ordered: bool) -> Vec<String> {
    let say = |ids: BTreeMap<u32, Vec<&str>>, what: &str| {
        let count: usize = ids.values().map(Vec::len).sum();
        let (sub, first) = ids.iter().next()?;
        let (events, at) = (number::plural(count, "event"), number::plural(ids.len(), "subscription"));
        Some(format!("{events} {what} at {at}, the first {} at subscription {sub}", first.first()?))
    };
    let again = say(metric::delivery::duplicated(record), "received again");
    if !exactly {
        return again.into_iter().collect();
    }
    let lost = say(metric::delivery::lost(record), "lost");
    let unpublished = metric::delivery::unpublished(record);
    let unpublished = unpublished.first().map(|(event, sub)| {
        let events = number::plural(unpublished.len(), "event");
        format!("{events} sent and never published, the first number {event} by subscription {sub}")
    });
    let late = if ordered { say(metric::delivery::reordered(record), "out of order") } else { None };
    [lost, unpublished, again, late].into_iter().flatten().collect()
}

/// How many subscriptions a message lists.
const LISTED: usize = 8;

fn subs(all: &BTreeSet<u32>) -> String {
    let listed: Vec<String> = all.iter().take(LISTED).map(u32::to_string).collect();
    let rest = all.len().saturating_sub(LISTED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let word = if all.len() == 1 { "subscription" } else { "subscriptions" };
    format!("{word} {}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::{Alpn, ClientFact, LabFact};

    fn verdict(rig: &RecordedTrial) -> String {
        judge(&rig.planned, &rig.journal).err().map(|broken| broken.to_string()).unwrap_or_default()
    }

    fn held() -> RecordedTrial {
        RecordedTrial::held(7, 0, "chromium", Alpn::H2, 3, 5)
    }

    #[test]
    fn an_honest_trial_is_not_flagged() {
        assert_eq!(verdict(&held()), "");
    }

    #[test]
    fn corrupt_content_is_flagged() {
        let mut rig = held();
        let (ids, wrong) = (["k3f0-1"].iter().collect(), vec!["k3f0-1".to_owned()]);
        rig.planned.settings.expect.delivery = DeliveryRule::Observe;
        let times = vec![rig.now()];
        rig.fact(ClientFact::Received { times, sub: 2, ids, wrong });
        assert_eq!(
            verdict(&rig),
            "1 event arrived with content that was not published, the first k3f0-1 at subscription 2"
        );
    }

    #[test]
    fn an_invented_event_is_flagged() {
        let mut rig = held();
        rig.receive_id(1, "zzzz-9");
        assert!(verdict(&rig).contains("never published to that feed, the first zzzz-9 at subscription 1"));
    }

    #[test]
    fn what_a_killed_server_had_not_told_is_not_flagged() {
        let mut rig = held();
        rig.planned.settings.expect.delivery = DeliveryRule::Observe;
        rig.receive_id(1, "k3f0-2000");
        assert!(verdict(&rig).contains("never published"), "{}", verdict(&rig));
        rig.fact_at(1, LabFact::Fault { fault: "kill-server".to_owned() });
        assert_eq!(verdict(&rig), "");
        rig.receive_id(1, "zzzz-9");
        assert!(verdict(&rig).contains("1 receipt of an event that was never published"), "{}", verdict(&rig));
    }

    #[test]
    fn an_event_of_a_feed_that_was_not_asked_for_is_flagged() {
        let mut rig = held();
        rig.census_of("f1").receive_last(0);
        assert!(verdict(&rig).contains("never published to that feed"), "{}", verdict(&rig));
    }

    #[test]
    fn a_stream_on_another_alpn_is_flagged() {
        let mut rig = held();
        rig.request(9).attach_on(Alpn::H1, 9, 9);
        assert_eq!(verdict(&rig), "1 of 4 streams arrived on HTTP/1.1 instead of HTTP/2");
    }

    #[test]
    fn where_http_3_is_offered_a_stream_may_arrive_on_either() {
        let mut rig = held();
        rig.planned.settings.server.alt_svc = true;
        rig.request(8).attach_on(Alpn::H3, 8, 8);
        assert_eq!(verdict(&rig), "");
        rig.request(9).attach_on(Alpn::H1, 9, 9);
        assert_eq!(verdict(&rig), "1 of 5 streams arrived on HTTP/1.1 instead of HTTP/2");
        rig.planned.settings.protocol.alpn = Alpn::H1;
        assert_eq!(verdict(&rig), "4 of 5 streams arrived on HTTP/2 and HTTP/3 instead of HTTP/1.1");
    }

    #[test]
    fn behind_an_intermediary_streams_arrive_on_what_that_speaks() {
        let mut rig = held();
        rig.between(Alpn::H1, 1.1);
        assert_eq!(verdict(&rig), "3 of 3 streams arrived on HTTP/2 instead of HTTP/1.1");
        rig.between(Alpn::H2, 2.0);
        assert_eq!(verdict(&rig), "");
    }

    #[test]
    fn a_receipt_that_nobody_asked_for_is_flagged() {
        let mut rig = held();
        rig.receive(44, 0);
        assert!(verdict(&rig).contains("for subscription 44 that nobody asked for"));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_flagged() {
        let mut rig = held();
        rig.open(44);
        assert!(verdict(&rig).contains("an answer came to subscription 44 that nobody asked for"), "{}", verdict(&rig));
    }

    #[test]
    fn a_receipt_before_the_event_was_published_is_flagged_whatever_is_expected() {
        let early = |uncertainty: Option<u64>, before: i64| {
            let mut rig = held();
            rig.planned.settings.expect.delivery = DeliveryRule::Observe;
            uncertainty.map(|uncertainty| rig.clock(uncertainty).now());
            rig.publish(7).receive_at(0, 7, -before);
            verdict(&rig)
        };
        assert_eq!(early(None, 0), "");
        let said = early(None, 1);
        assert!(said.starts_with("1 receipt of an event that was not published yet, the first"), "{said}");
        assert!(said.contains("\"ids\":[\"k3f0-8\"]") && said.contains("\"sub\":0"), "the line is quoted: {said}");
        assert_eq!(early(Some(1000), 3000), "", "a page's clock may be off");
        assert!(early(Some(1000), 3001).contains("not published yet"));
    }

    #[test]
    fn what_comes_of_a_subscription_before_it_was_asked_for_is_flagged() {
        let mut rig = held();
        let asked = rig.now();
        rig.fact_at(asked - 1, ClientFact::Opened { sub: 9 }).request(9);
        assert!(verdict(&rig).contains("says `opened` of subscription 9"), "{}", verdict(&rig));
    }

    #[test]
    fn ends_that_disagree_are_flagged_with_who_differs() {
        let mut rig = RecordedTrial::new();
        for sub in 0..4 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        rig.planned.settings.expect.delivery = DeliveryRule::Observe;
        rig.census().write(&[0, 1, 2]).receive_all_census(&[0, 1, 3]);
        assert_eq!(
            verdict(&rig),
            "the client counts 3 open streams and the server 3; only the client has subscription 3; only the server \
             has subscription 2",
            "equal numbers of different streams are not equal"
        );
        rig.planned.settings.expect.counts = CountsRule::Observe;
        assert_eq!(verdict(&rig), "");
    }

    #[test]
    fn streams_of_one_address_are_counted_and_their_events_missed_from_their_opening_on() {
        let rig = |written: u64| {
            let mut rig = RecordedTrial::new();
            rig.planned.settings.workload.urls = crate::trial::settings::Urls::Identical;
            rig.request(0).request(1).attach_nameless(7, 1).attach_nameless(8, 1).publish(0);
            rig.wait(1).open(0).open(1).wait(1).publish(1).receive_all(1, &[0, 1]);
            rig.census().write_nameless(&[7, 8][..usize::try_from(written).unwrap()]).receive_all_census(&[0, 1]);
            rig
        };
        assert_eq!(verdict(&rig(2)), "", "event 0 came before the client says it was open");
        assert_eq!(verdict(&rig(1)), "the client counts 2 open streams and the server 1");
        let mut lost = rig(2);
        lost.publish(1001).receive(0, 1001);
        assert_eq!(verdict(&lost), "1 event lost at 1 subscription, the first k3f0-1002 at subscription 1");
    }

    #[test]
    fn a_census_that_was_never_taken_is_flagged() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0);
        assert!(verdict(&rig).contains("never taken"));
    }

    #[test]
    fn a_server_that_drops_is_flagged() {
        let mut rig = held();
        rig.publish(1001).receive(0, 1001).receive(1, 1001);
        assert_eq!(verdict(&rig), "1 event lost at 1 subscription, the first k3f0-1002 at subscription 2");
        rig.planned.settings.expect.delivery = DeliveryRule::AtMostOnce;
        assert_eq!(verdict(&rig), "");
    }

    #[test]
    fn what_came_before_a_first_answer_that_was_lost_is_not_missed() {
        let mut rig = RecordedTrial::new();
        // The first request's answer never came: the client knows its place from the second's.
        rig.request(0).attach(0, 1).detach(0, 1).publish(0).attach(0, 2).wait(1).open(0).wait(1);
        rig.attach(0, 2).census().write(&[0]).receive_last(0);
        assert_eq!(verdict(&rig), "");
        let mut lost = RecordedTrial::new();
        lost.request(0).attach(0, 1).wait(1).open(0).detach(0, 1).publish(0).attach(0, 1);
        lost.census().write(&[0]).receive_last(0);
        assert!(verdict(&lost).contains("1 event lost"), "between two requests nothing may be: {}", verdict(&lost));
    }

    #[test]
    fn a_server_that_repeats_is_flagged() {
        let mut rig = held();
        rig.receive(0, 0).receive(1, 0).receive(1, 0);
        let said = "3 events received again at 2 subscriptions, the first k3f0-1 at subscription 0";
        assert_eq!(verdict(&rig), said);
        rig.planned.settings.expect.delivery = DeliveryRule::AtMostOnce;
        assert_eq!(verdict(&rig), said);
        rig.planned.settings.expect.delivery = DeliveryRule::Observe;
        assert_eq!(verdict(&rig), "");
    }

    #[test]
    fn a_server_that_reorders_is_flagged() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).wait(1).publish(0).publish(1).receive(0, 1).receive(0, 0);
        rig.census().write(&[0]).receive_last(0);
        assert_eq!(verdict(&rig), "1 event out of order at 1 subscription, the first k3f0-1 at subscription 0");
    }

    #[test]
    fn a_long_list_of_subscriptions_is_cut() {
        let all: BTreeSet<u32> = (0..12).collect();
        assert_eq!(subs(&all), "subscriptions 0, 1, 2, 3, 4, 5, 6, 7 and 4 more");
    }
}
