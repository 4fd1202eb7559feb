//! Agents that lie: the lab notices, and says who it was.

use crate::lab::Lab;
use crate::{clients, piped};

#[test]
fn an_agent_of_another_version_is_refused_with_both() {
    let lab = Lab::new();
    let ran = lab.run(&[&piped("eu-1", "--rig other-version")]).exits(4);
    let own = env!("CARGO_PKG_VERSION");
    ran.says(&[
        "the agent eu-1 is of version",
        &format!("{own}-other (trial contract "),
        &format!("this lab of version {own} "),
    ]);
    assert!(lab.runs().iter().all(|run| !run.join("trials").exists()), "no trial was begun");
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_keeps_a_fact_to_itself_fails_its_trial_by_name() {
    let lab = Lab::new();
    let (liar, honest) = (piped("us-2", "--rig missing-fact"), piped("eu-1", ""));
    let ran = lab.run(&[&honest, &liar]).exits(3);
    let outcomes = ran.outcomes();
    assert!(outcomes[0].starts_with("failed: the client-1 at us-2 said "), "{outcomes:?}");
    assert!(outcomes[0].ends_with(" arrived"), "{outcomes:?}");
    assert_eq!(clients(&lab), 0);
    lab.has_nothing_left();
}
