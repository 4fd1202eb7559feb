//! What the client does beside its subscriptions.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, millis};

/// Per actor of `[[beside]]`, answered − sent, whatever the answer was; where one had none at T: above the least
/// that one had waited by then. To let a claim name one of several, make it the only one and its kind a factor
/// (`"beside.0.kind"`).
pub(super) static BESIDE_WAIT: Metric = Metric {
    name: "beside-wait",
    unit: "ms",
    definition: "Per actor of `[[beside]]`, answered − sent, whatever the answer was; where one had none at T: above \
                 the least that one had waited by then.",
    phrase: "answered what else was asked in {}",
    only_longer: true,
    on_network: true,
    compute: beside_wait,
    ..PLAIN
};

fn beside_wait(record: &Record<'_>) -> Sample {
    if record.beside_sent.is_empty() {
        return Sample::absent("nothing was asked beside the subscriptions");
    }
    let end = record.last_census();
    let (mut answered, mut waiting) = (Vec::new(), Vec::new());
    for (actor, sent) in &record.beside_sent {
        // An answer after T came because streams were closed, not because there was room.
        let answers = record.beside_answered.get(actor).into_iter().flatten();
        let mut in_time = answers.filter(|&&t| t <= end.unwrap_or(u64::MAX));
        // Pages send one each; which answer belongs to which doesn't matter where they are sent at one instant.
        for &sent in sent {
            match in_time.next() {
                Some(&t) => answered.push(millis(sent, t)),
                None => waiting.push(sent),
            }
        }
    }
    if answered.iter().any(|&wait| wait < 0.0) {
        return Sample::absent("something was answered before it was sent");
    }
    if waiting.is_empty() {
        return Sample::Values(answered);
    }
    let Some(end) = end else { return Sample::absent("not everything was answered, and the census was never taken") };
    let least = waiting.iter().map(|&sent| millis(sent, end)).fold(f64::INFINITY, f64::min);
    if least > 0.0 { Sample::Above(least) } else { Sample::absent("it was sent after T") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;

    #[test]
    fn each_actor_gives_its_wait_whatever_the_answer_was() {
        let mut rig = RecordedTrial::new();
        rig.beside_sent(0)
            .wait(4)
            .beside_answered(0, "204")
            .beside_sent(1)
            .wait(6)
            .beside_answered(1, "error")
            .census();
        let entry = rig.metric(&BESIDE_WAIT);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(4.0), Some(6.0)));
    }

    #[test]
    fn an_actor_without_an_answer_by_the_census_is_above_what_it_waited() {
        let mut rig = RecordedTrial::new();
        rig.beside_sent(0).wait(4).beside_answered(0, "204").beside_sent(1).wait(700).census();
        rig.wait(3).beside_answered(1, "open");
        let entry = rig.metric(&BESIDE_WAIT);
        assert_eq!((entry.n, entry.median, entry.above), (0, None, Some(700.0)), "an answer after T is none");
    }

    #[test]
    fn with_nothing_beside_there_is_no_wait() {
        let mut rig = RecordedTrial::new();
        rig.request(0).census();
        assert_eq!(rig.metric(&BESIDE_WAIT).absent.as_deref(), Some("nothing was asked beside the subscriptions"));
        rig.beside_sent(0);
        assert_eq!(rig.metric(&BESIDE_WAIT).absent.as_deref(), Some("it was sent after T"));
    }
}
