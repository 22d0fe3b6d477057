//! Hosts that speak both versions, or not the one that they are spoken to in.

use ravelin_ike::Command;
use ravelin_ike::config::{Config, IkeVersion};
use ravelin_types::transform::KeMethod;

use crate::lab::{Lab, POLICY, ike_proposal};
use crate::v1;

// S-006, S-007: both versions at one port, told apart by the header; each host initiates the one it is told to.
#[test]
fn one_host_answers_both_versions() {
    let both = |config: &mut Config| {
        let mut v2 = config.remotes[0].clone();
        v2.version = IkeVersion::V2;
        v2.proposals = vec![ike_proposal(KeMethod::CURVE25519)];
        v2.initiate = false;
        config.remotes.push(v2);
    };
    let mut lab = v1::lab(|_, b| both(b));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.ike().version, lab.b.ike().version), (1, 1));
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    let mut v2 = lab.b.config.remotes[1].clone();
    lab.a.configure(|config| {
        v2.local_id = config.remotes[0].local_id.clone();
        v2.remote_id = config.remotes[0].remote_id.clone();
        v2.local = config.remotes[0].local;
        v2.remote = config.remotes[0].remote;
        v2.initiate = true;
        config.remotes = vec![v2];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.ike().version, lab.b.ike().version), (2, 2));
    // And B begins with version 1, which A does not accept any more.
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    let versions = lab.a.endpoint.counters().version;
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.a.endpoint.counters().version, versions + 1);
}

#[test]
fn nobody_who_does_not_ask_for_it_speaks_it() {
    let mut lab = Lab::with(|a, _| v1::v1(a, false));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.b.sent.is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert_eq!(lab.b.endpoint.counters().version, 1);
}
