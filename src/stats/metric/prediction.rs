//! How far what was measured is from what theory says of it.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, millis};
use crate::trial::Exchanges;

/// Per (subscription, id) published after the subscription was attached and received, how much sooner or later it came than
/// the link's delay alone would bring it: on what stays open after one transit; by long polling (RFC 6202 section 2.2) after
/// one transit where a request waits for it, and where none does, with the answer to the next, which is asked for when the
/// one before is received.
pub(super) static PREDICTION_ERROR: Metric = Metric {
    name: "prediction-error",
    unit: "ms",
    definition: "Per (subscription, id) published after the subscription was attached and received, how much sooner or \
                 later it came than the link's delay alone would bring it: on what stays open after one transit; by \
                 long polling (RFC 6202 section 2.2) after one transit where a request waits for it, and where none \
                 does, with the answer to the next, which is asked for when the one before is received.",
    phrase: "came {} beside what the link's delay predicts",
    uncertainty: super::clocks,
    only_longer: true,
    on_network: true,
    compute: prediction_error,
    ..PLAIN
};

fn prediction_error(record: &Record<'_>) -> Sample {
    let Some([up, down]) = record.link.delays else { return Sample::absent(super::link::NO_LINK) };
    if record.exchanges == Exchanges::Periodic {
        return Sample::absent("when a poll goes out is its client's affair, and nothing here tells");
    }
    let begun = record.begun();
    let mut errors = Vec::new();
    for (sub, mut receipts) in record.live_receipts() {
        receipts.sort_unstable_by_key(|(_, publication)| publication.t);
        // The first answer says where the feed is; the request that waits comes after it.
        let mut asked = begun.get(&sub).map_or(0, |begun| begun.t + down + up);
        let mut answered = 0;
        for (receipt, publication) in receipts {
            let leaves = match record.exchanges {
                Exchanges::Hanging => {
                    // What is published before an answer leaves is in it.
                    if publication.t > answered {
                        answered = publication.t.max(asked);
                    }
                    asked = receipt.t + up;
                    answered
                }
                Exchanges::Persistent | Exchanges::Periodic => publication.t,
            };
            errors.push(millis(leaves + down, receipt.t).abs());
        }
    }
    Sample::values(errors, || "no event was received".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::settings::LinkSettings;
    use crate::units::Span;

    /// One reader, over a link of 20 ms to the server and 30 ms back, whose request waits from the 60th millisecond.
    fn reader(exchanges: Exchanges) -> RecordedTrial {
        let mut rig = RecordedTrial::new();
        let (up, down) = (Span::from_millis(20), Span::from_millis(30));
        let mut link = LinkSettings::default();
        (link.up.delay, link.down.delay) = (Some(up), Some(down));
        rig.planned.settings.link = Some(link);
        rig.planned.promises.exchanges = exchanges;
        rig.attach(0, 1).open(0).wait(60);
        rig
    }

    /// The least, the median and the most, in whole milliseconds: the rig's clock steps by a microsecond at each fact.
    fn errors(rig: &RecordedTrial) -> [String; 3] {
        let entry = rig.metric(&PREDICTION_ERROR);
        [entry.min, entry.median, entry.max].map(|value| format!("{:.0}", value.unwrap()))
    }

    #[test]
    fn a_second_event_waits_for_the_next_request() {
        let mut rig = reader(Exchanges::Hanging);
        // Published at 0 and 10; the next request is there at 50, and its answer arrives at 80.
        rig.publish(0).wait(10).publish(1).wait(20).receive(0, 0).wait(50).receive(0, 1);
        assert_eq!(errors(&rig), ["0", "0", "0"]);
        // The request after that is there at 100: what is published at 130 finds it waiting.
        rig.wait(50).publish(2).wait(30).receive(0, 2);
        assert_eq!(errors(&rig), ["0", "0", "0"]);
        // One more at once after it, which comes 5 ms later than it should, at 85 instead of 80.
        rig.wait(200).publish(3).wait(1).publish(4).wait(29).receive(0, 3).wait(55).receive(0, 4);
        assert_eq!(errors(&rig), ["0", "0", "5"]);
    }

    #[test]
    fn two_that_miss_the_same_request_come_with_one_answer() {
        let mut rig = reader(Exchanges::Hanging);
        rig.publish(0).wait(10).publish(1).wait(10).publish(2).wait(10).receive(0, 0);
        rig.wait(50).receive(0, 1).receive(0, 2);
        assert_eq!(errors(&rig), ["0", "0", "0"]);
    }

    #[test]
    fn what_stays_open_brings_each_after_one_transit() {
        let mut rig = reader(Exchanges::Persistent);
        rig.publish(0).wait(10).publish(1).wait(20).receive(0, 0).wait(10).receive(0, 1);
        assert_eq!(errors(&rig), ["0", "0", "0"]);
    }

    #[test]
    fn nothing_is_predicted_without_a_link_or_of_polls() {
        let mut rig = reader(Exchanges::Periodic);
        rig.publish(0).wait(30).receive(0, 0);
        assert!(rig.metric(&PREDICTION_ERROR).absent.unwrap().contains("when a poll goes out"));
        rig.planned.settings.link = None;
        assert!(rig.metric(&PREDICTION_ERROR).absent.unwrap().contains("no link"));
    }
}
