//! Policies that populate selectors from packets (RFC 4301 §4.4.1.2): each flow on an SA pair of its own.

use core::time::Duration;

use ravelin_sim::{Faults, Sabotage, Scenario, run};

#[test]
fn each_of_many_flows_has_a_pair_of_its_own() {
    // Not one whose key exchanges are questions, which nobody may answer: what failed at one end is made again.
    for seed in [0, 1, 2, 4] {
        let mut scenario = Scenario::new(seed);
        scenario.faults = Faults::none();
        scenario.plan.clear();
        scenario.flows = 40;
        scenario.traffic_interval = 20;
        // Nothing comes in the place of another: each SA that sends is one of the first.
        scenario.child_lifetime = Default::default();
        scenario.ike_lifetime = [Duration::from_secs(100_000); 2];
        scenario.extensions = Default::default();
        let summary = run(scenario, Sabotage::None, false).unwrap_or_else(|failure| panic!("\n{failure}"));
        // The run itself fails when a packet is on the SA of another flow. Both ends may begin at once, and then there
        // are two pairs for a flow.
        assert!(summary.senders >= 2 * 40 && summary.senders <= 4 * 40, "seed {seed}: {summary:?}");
        assert!(summary.arrived > 40 * 40, "seed {seed}: {summary:?}");
    }
}
