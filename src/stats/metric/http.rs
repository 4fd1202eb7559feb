//! Which version of HTTP carries subscriptions, where more than one may.

use std::collections::BTreeMap;

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, RecordedSubscription};

/// The version of HTTP of each subscription's first stream, as the server saw it: 1 (HTTP/1.0), 1.1, 2 or 3.
pub(super) static FIRST_HTTP: Metric = Metric {
    name: "first-http",
    unit: "version",
    definition: "The version of HTTP of each subscription's first stream, as the server saw it: 1 (HTTP/1.0), 1.1, 2 or 3.",
    phrase: "began on HTTP {}",
    compute: |record| {
        let mut first: BTreeMap<Option<u32>, f64> = BTreeMap::new();
        for (attachment, http) in versions(record, |_| true) {
            first.entry(attachment.sub).or_insert(http);
        }
        sample(record, first)
    },
    ..PLAIN
};

/// The version of HTTP of the last stream that the server saw of each subscription by T: 1 (HTTP/1.0), 1.1, 2 or 3.
pub(super) static LAST_HTTP: Metric = Metric {
    name: "last-http",
    unit: "version",
    definition: "The version of HTTP of the last stream that the server saw of each subscription by T: 1 (HTTP/1.0), 1.1, 2 \
                 or 3.",
    phrase: "ended on HTTP {}",
    compute: |record| {
        let census = record.last_census();
        let by_then = |attachment: &RecordedSubscription<'_>| census.is_none_or(|census| attachment.t <= census);
        let last = versions(record, by_then).map(|(attachment, http)| (attachment.sub, http)).collect();
        sample(record, last)
    },
    ..PLAIN
};

/// Streams with the version of HTTP that they are of, in the order in which they began.
fn versions<'r, 'a>(
    record: &'r Record<'a>,
    which: impl Fn(&RecordedSubscription<'a>) -> bool + 'r,
) -> impl Iterator<Item = (&'r RecordedSubscription<'a>, f64)> {
    record.attachments.iter().filter(move |attachment| which(attachment)).filter_map(|one| Some((one, one.http?)))
}

fn sample(record: &Record<'_>, by_subscription: BTreeMap<Option<u32>, f64>) -> Sample {
    if record.is_between {
        return Sample::absent("the server sees the intermediary's requests: `origin-http`");
    }
    if record.identical {
        return Sample::absent("all subscriptions have one address: which stream is whose can't be told");
    }
    Sample::values(by_subscription.into_values().collect(), || "no subscription reached the server by HTTP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::settings::Urls;
    use crate::trial::{Alpn, ServerFact};

    fn comes(rig: &mut RecordedTrial, sub: u32, stream: u64, http: f64) {
        let (alpn, feed) = (if http < 3.0 { Alpn::H2 } else { Alpn::H3 }, "f0".into());
        let tag = Some(rig.planned.trial);
        rig.wait(1).fact(ServerFact::Attached {
            conn: stream,
            stream,
            alpn,
            http: Some(http),
            tag,
            sub: Some(sub),
            feed,
        });
    }

    #[test]
    fn each_subscription_counts_by_its_first_stream_and_by_its_last_until_the_census() {
        let mut rig = RecordedTrial::new();
        assert!(rig.metric(&FIRST_HTTP).absent.unwrap().contains("no subscription reached"));
        comes(&mut rig, 0, 0, 2.0);
        comes(&mut rig, 1, 1, 2.0);
        comes(&mut rig, 1, 2, 3.0);
        rig.wait(1).census();
        comes(&mut rig, 0, 3, 3.0);
        let of = |metric: &Metric| {
            let entry = rig.metric(metric);
            (entry.n, entry.min, entry.max)
        };
        assert_eq!(of(&FIRST_HTTP), (2, Some(2.0), Some(2.0)));
        assert_eq!(of(&LAST_HTTP), (2, Some(2.0), Some(3.0)));
        rig.planned.settings.workload.urls = Urls::Identical;
        assert!(rig.metric(&LAST_HTTP).absent.unwrap().contains("can't be told"));
        rig.between(Alpn::H1, 1.1);
        assert!(rig.metric(&LAST_HTTP).absent.unwrap().contains("`origin-http`"));
    }
}
