//! Both sides do everything at once over a network that loses, repeats and reorders; then it grows quiet, and the two
//! must hold the same. The seed is the test's name for a run.

use std::collections::VecDeque;
use std::time::Duration;

use ravelin_ike::config::Liveness;
use ravelin_ike::{Command, Transmit};
use ravelin_testkit::SeededRandom;
use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::transform::KeMethod;

use crate::lab::*;

const SECOND: PolicyId = PolicyId(8);

fn lab(seed: u64) -> Lab {
    let mut lab = Lab::with(|a, b| {
        for (config, here, there) in [(a, A, B), (b, B, A)] {
            config.policies.push(policy(SECOND, Mode::Transport, here, there));
            config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)];
            config.remotes[0].liveness = Liveness::Regular(Duration::from_secs(20));
        }
    });
    lab.a = Host::new(lab.a.config.clone(), seed * 2);
    lab.b = Host::new(lab.b.config.clone(), seed * 2 + 1);
    lab
}

/// One thing that an operator, a packet or a clock may do to a host.
fn disturb(host: &mut Host, rng: &mut SeededRandom) {
    let policy = if rng.below(2) == 0 { POLICY } else { SECOND };
    match rng.below(12) {
        0..4 => host.command(Command::RekeyChild(policy)),
        4..6 => host.command(Command::RekeyIke("peer".into())),
        6 => host.command(Command::TerminateChild(Some(policy))),
        7..9 => host.command(Command::Initiate(policy)),
        9 => host.command(Command::CheckLiveness("peer".into())),
        10 if rng.below(6) == 0 => host.command(Command::TerminateIke(None)),
        _ => {
            let ids: Vec<_> = host.sas.keys().copied().collect();
            if !ids.is_empty() {
                let id = ids[rng.below(ids.len() as u64) as usize];
                host.event(DataPlaneEvent::SoftExpire(id));
            }
        }
    }
}

/// Messages under way, and what the network does to them.
fn carry(wire: &mut VecDeque<(bool, Transmit)>, lab: &mut Lab, rng: &mut SeededRandom, bad: bool) {
    wire.extend(lab.a.sent.drain(..).map(|message| (true, message)));
    wire.extend(lab.b.sent.drain(..).map(|message| (false, message)));
    let Some((from_a, message)) = wire.pop_front() else { return };
    match if bad { rng.below(10) } else { 9 } {
        0 | 1 => return,
        2 => wire.push_back((from_a, message.clone())),
        3 | 4 => {
            wire.push_back((from_a, message));
            return;
        }
        _ => {}
    }
    if from_a { lab.b.receive(&message) } else { lab.a.receive(&message) }
}

fn run(seed: u64) {
    let mut lab = lab(seed);
    let mut rng = SeededRandom::new(seed);
    let mut wire = VecDeque::new();
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..300 {
        if rng.below(6) == 0 {
            disturb(&mut lab.a, &mut rng);
        }
        if rng.below(6) == 0 {
            disturb(&mut lab.b, &mut rng);
        }
        for _ in 0..rng.below(4) {
            carry(&mut wire, &mut lab, &mut rng, true);
        }
        if rng.below(3) == 0 {
            lab.sleep(Duration::from_millis(rng.below(900)));
        }
    }
    // Long enough for every retransmission, every wait and every replaced IKE SA to end.
    for _ in 0..1200 {
        for _ in 0..40 {
            carry(&mut wire, &mut lab, &mut rng, false);
        }
        lab.sleep(Duration::from_millis(500));
    }
    let established = |host: &Host| {
        let mut spis: Vec<_> = host.endpoint.ike_sas().iter().map(|sa| (sa.spis, sa.state)).collect();
        spis.sort_by_key(|(spis, _)| *spis);
        spis
    };
    let list = |host: &Host| {
        let children = host.children();
        let lines = children.iter().map(|c| format!("{} {} {} {}", c.policy.0, c.inbound, c.outbound, c.state));
        lines.collect::<Vec<_>>()
    };
    let lists = format!("seed {seed}\n{:#?}\n{:#?}", list(&lab.a), list(&lab.b));
    assert_eq!(established(&lab.a), established(&lab.b), "{lists}");
    assert_eq!(lab.a.sas.len(), lab.b.sas.len(), "{lists}");
    assert_eq!(lab.a.sas.len(), lab.a.children().len() * 2, "{lists}");
    let settled = |host: &Host| host.children().iter().all(|child| child.state == "INSTALLED");
    assert!(settled(&lab.a) && settled(&lab.b), "{lists}");
    lab.assert_mirrored();
}

#[test]
fn after_a_storm_both_hold_the_same() {
    for seed in 0..60 {
        run(seed);
    }
}
