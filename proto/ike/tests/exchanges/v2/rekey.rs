//! Rekeying of Child SAs, alone and colliding (RFC 7296 §2.8.1, §2.25), one message at a time.

use std::time::Duration;

use crate::lab::*;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event, limits};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::transform::KeMethod;

/// Inbound SPIs of the Child SAs, oldest first by appearance in `known`, new ones last.
fn spis(host: &Host) -> Vec<Spi> {
    host.children().iter().map(|child| child.inbound).collect()
}

fn new_spi(host: &Host, known: &[Spi]) -> Spi {
    let new: Vec<Spi> = spis(host).into_iter().filter(|spi| !known.contains(spi)).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    new[0]
}

pub fn assert_one_child(lab: &Lab) {
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

// RFC 7296 §2.9.2: the selectors of the new one are those of the old one.
#[test]
fn a_child_sa_is_rekeyed_and_the_old_one_sends_until_it_is_deleted() {
    let mut lab = Lab::up();
    let (old_a, old_b) = (lab.a.child().inbound, lab.b.child().inbound);
    lab.a.order.clear();
    lab.b.order.clear();
    let id = lab.a.sa(Inbound, old_a).id();
    lab.a.event(DataPlaneEvent::SoftExpire(id));
    // HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr} -->
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 2, false)));
    lab.a_to_b();
    let new_b = new_spi(&lab.b, &[old_b]);
    // B receives on both and goes on sending on the old one.
    assert_eq!(lab.b.order, ["in+", "send"]);
    assert!(lab.b.has(Inbound, old_b) && lab.b.has(Inbound, new_b) && lab.b.has(Outbound, old_a));
    // <-- HDR, SK {SA, Nr, TSi, TSr}
    lab.b_to_a();
    // A sends on the new one and deletes the old one.
    assert_eq!(lab.a.order, ["send", "in+", "out+", "send"]);
    assert!(lab.a.has(Inbound, old_a));
    // HDR, SK {D(ESP, SPIa)} -->
    assert_eq!(lab.a.next(), Some((INFO, 3, false)));
    lab.a_to_b();
    // B sends on the new one before it gives up the old one.
    assert_eq!(lab.b.order, ["in+", "send", "out+", "in-", "out-", "send"]);
    // <-- HDR, SK {D(ESP, SPIb)}
    lab.b_to_a();
    assert!(!lab.a.has(Inbound, old_a));
    assert_one_child(&lab);
    assert_ne!(lab.a.child().inbound, old_a);
    let rekeyed = |event: &Event| matches!(event, Event::ChildRekeyed { old, .. } if *old == old_a);
    assert!(lab.a.events.iter().any(rekeyed));
}

#[test]
fn an_sa_that_the_data_plane_has_lost_is_replaced_once_and_not_waited_for_without_end() {
    let mut lab = Lab::up();
    let old = lab.a.child();
    let ids = [lab.a.sa(Inbound, old.inbound).id(), lab.a.sa(Outbound, old.outbound).id()];
    // Both halves, as when somebody removes all.
    for id in ids {
        lab.a.event(DataPlaneEvent::Lost(id));
    }
    lab.settle();
    assert_one_child(&lab);
    let new = lab.a.child();
    assert!(new.inbound != old.inbound && new.outbound != old.outbound);
    let rekeyed = |event: &&Event| matches!(event, Event::ChildRekeyed { .. });
    assert_eq!(lab.a.events.iter().filter(rekeyed).count(), 1);

    // The peer is silent, and the data plane has waited enough.
    let id = lab.a.sa(Outbound, new.outbound).id();
    lab.a.event(DataPlaneEvent::Lost(id));
    assert_eq!(lab.a.next().map(|(exchange, ..)| exchange), Some(CREATE_CHILD));
    lab.a.event(DataPlaneEvent::HardExpire(id));
    lab.settle();
    let left = lab.a.children();
    assert!(left.iter().all(|child| child.inbound != new.inbound), "{left:?}");
}

#[test]
fn the_responder_of_a_rekey_sends_on_the_new_one_once_it_receives_on_it() {
    let mut lab = Lab::up();
    let old = lab.b.child().inbound;
    lab.a.command(Command::RekeyChild(POLICY));
    lab.a_to_b();
    let new = new_spi(&lab.b, &[old]);
    lab.b.order.clear();
    lab.b.command(Command::Alive(new));
    assert_eq!(lab.b.order, ["out+"]);
    lab.settle();
    assert_one_child(&lab);
}

#[test]
fn both_directions_expire_and_one_rekey_follows() {
    let mut lab = Lab::up();
    let child = lab.a.child();
    let (inbound, outbound) = (lab.a.sa(Inbound, child.inbound).id(), lab.a.sa(Outbound, child.outbound).id());
    lab.a.event(DataPlaneEvent::SoftExpire(outbound));
    lab.a.event(DataPlaneEvent::SoftExpire(inbound));
    lab.settle();
    assert_one_child(&lab);
    assert_eq!(lab.a.failures(), []);
}

#[test]
fn soft_lifetimes_are_spread() {
    let mut times = Vec::new();
    for seed in 0..8 {
        let mut lab = Lab::new();
        lab.a = Host::new(lab.a.config.clone(), 50 + seed);
        lab.establish();
        let sa = lab.a.sas.values().next().unwrap();
        let soft = sa.lifetime.soft.time.unwrap();
        assert!(soft <= Duration::from_secs(1000) && soft >= Duration::from_secs(900));
        assert_eq!(sa.lifetime.hard.time, Some(Duration::from_secs(1100)));
        times.push(soft);
    }
    times.dedup();
    assert!(times.len() > 1);
}

// RFC 7296 §1.3: KEi is of a group that is offered; INVALID_KE_PAYLOAD names the one that is chosen.
#[test]
fn pfs_makes_keys_of_a_fresh_exchange_and_finds_the_group() {
    let mut lab = Lab::with(|a, b| {
        a.policies[0].proposals = vec![pfs(pfs(esp_proposal(), KeMethod::CURVE25519), KeMethod::ECP256)];
        b.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::ECP256)];
    });
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    // HDR, SK {N(REKEY_SA), SA, Ni, KEi(CURVE25519), TSi, TSr} -->
    lab.a_to_b();
    // <-- HDR, SK {N(INVALID_KE_PAYLOAD)}
    lab.b_to_a();
    // HDR, SK {N(REKEY_SA), SA, Ni, KEi(ECP256), TSi, TSr} -->
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 3, false)));
    lab.settle();
    assert_one_child(&lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn a_peer_that_asks_for_pfs_gets_it_from_one_that_does_not() {
    let mut lab = Lab::with(|a, _| a.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)]);
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_one_child(&lab);
    // The other way B offers no group, which A does not take.
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!(lab.a.failures()[0].part, Part::ChildProposal);
    assert_one_child(&lab);
}

#[test]
fn a_second_policy_gets_its_own_child_sa() {
    let second = PolicyId(8);
    let mut lab = Lab::with(|a, b| {
        a.policies.push(policy(second, Mode::Transport, A, B));
        b.policies.push(policy(second, Mode::Transport, B, A));
    });
    lab.establish();
    lab.a.command(Command::Initiate(second));
    // HDR, SK {N(USE_TRANSPORT_MODE), SA, Ni, TSi, TSr} -->
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 2, false)));
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (4, 4));
    lab.assert_mirrored();
    let of = |host: &Host| host.children().iter().find(|child| child.policy == second).unwrap().mode;
    assert_eq!((of(&lab.a), of(&lab.b)), (Mode::Transport, Mode::Transport));
    // Asked for again, nothing happens: it is there.
    lab.a.command(Command::Initiate(second));
    assert!(lab.a.sent.is_empty());
}

#[test]
fn what_is_wanted_while_the_ike_sa_is_being_made_follows() {
    let second = PolicyId(8);
    let mut lab = Lab::with(|a, b| {
        a.policies.push(policy(second, Mode::Transport, A, B));
        b.policies.push(policy(second, Mode::Transport, B, A));
    });
    lab.a.command(Command::Initiate(POLICY));
    let flow = Flow { src: ip(A), dst: ip(B), protocol: 17, src_port: Some(5), dst_port: Some(6) };
    lab.a.event(DataPlaneEvent::Acquire { policy: second, flow, processor: None });
    lab.a.event(DataPlaneEvent::Acquire { policy: second, flow, processor: None });
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2));
    lab.assert_mirrored();
}

// docs/HISTORY.md, row 74: no end of Child SAs on one IKE SA.
#[test]
fn the_number_of_child_sas_is_bounded() {
    let count = limits::CHILDREN_PER_IKE_SA as u32 + 1;
    let mut lab = Lab::with(|a, b| {
        a.policies = (0..count).map(|id| policy(PolicyId(id), Mode::Tunnel, A, B)).collect();
        b.policies = vec![policy(POLICY, Mode::Tunnel, B, A)];
    });
    for id in 0..count {
        lab.a.command(Command::Initiate(PolicyId(id)));
        lab.settle();
    }
    assert_eq!(lab.b.children().len(), limits::CHILDREN_PER_IKE_SA);
    // Not even asked for.
    lab.a.failure(Part::Limit);
    assert_eq!(lab.b.failures(), []);
    assert_eq!(lab.a.sas.len(), 2 * limits::CHILDREN_PER_IKE_SA);
}

/// RFC 7296 §2.8.1, first sequence: both begin before either hears of it. Returns the old and the two new pairs.
fn collide(seed: u64) -> (Lab, Spi, Spi) {
    let mut lab = Lab::new();
    lab.a = Host::new(lab.a.config.clone(), seed);
    lab.establish();
    let (old_a, old_b) = (lab.a.child().inbound, lab.b.child().inbound);
    lab.a.command(Command::RekeyChild(POLICY));
    lab.b.command(Command::RekeyChild(POLICY));
    // send req1: N(REKEY_SA,SPIa1), SA(..,SPIa2,..), Ni1 -->   <-- send req2: N(REKEY_SA,SPIb1), SA(..,SPIb2,..), Ni2
    let (req1, req2) = (lab.a.take(), lab.b.take());
    lab.a.receive(&req2);
    lab.b.receive(&req1);
    (lab, old_a, old_b)
}

#[test]
fn colliding_child_rekeys_leave_the_one_without_the_lowest_nonce() {
    let (mut a_won, mut b_won) = (0, 0);
    for seed in 0..12 {
        let (mut lab, old_a, old_b) = collide(100 + seed);
        // --> send resp2: SA(..,SPIa3,..), Nr1    <-- send resp1: SA(..,SPIb3,..), Nr2
        let (resp2, resp1) = (lab.a.take(), lab.b.take());
        let a3 = new_spi(&lab.a, &[old_a]);
        let b3 = new_spi(&lab.b, &[old_b]);
        lab.a.receive(&resp1);
        lab.b.receive(&resp2);
        // Three pairs, and each side deletes one.
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (3, 3));
        assert_eq!(lab.a.next().map(|next| next.0), Some(INFO));
        assert_eq!(lab.b.next().map(|next| next.0), Some(INFO));
        // send req3: D -->    <-- send req4: D
        lab.settle();
        assert_one_child(&lab);
        assert!(!lab.a.has(Inbound, old_a) && !lab.b.has(Inbound, old_b));
        // The survivor is one that A made (B answered with SPIb3), or one that B made (A answered with SPIa3).
        match (lab.a.has(Inbound, a3), lab.b.has(Inbound, b3)) {
            (false, true) => a_won += 1,
            (true, false) => b_won += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
    assert!(a_won > 0 && b_won > 0, "the nonces decide: {a_won} to {b_won}");
}

#[test]
fn a_child_rekey_that_one_side_finishes_before_it_hears_of_the_other() {
    let mut lab = Lab::up();
    let old_a = lab.a.child().inbound;
    lab.a.command(Command::RekeyChild(POLICY));
    lab.b.command(Command::RekeyChild(POLICY));
    // send req1 --> (lost)    <-- send req2
    let req1 = lab.a.take();
    lab.b_to_a();
    // send resp2 -->
    lab.a_to_b();
    // <-- send req3: D(SPIb1)
    assert_eq!(lab.b.next().map(|next| next.0), Some(INFO));
    lab.b_to_a();
    // send resp3: D(SPIa1) -->
    lab.a_to_b();
    assert!(!lab.a.has(Inbound, old_a));
    // resend req1 -->
    lab.b.receive(&req1);
    // <-- send resp1: N(CHILD_SA_NOT_FOUND), which A ignores
    lab.b_to_a();
    assert_one_child(&lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert!(lab.a.sent.is_empty());
}

#[test]
fn a_request_to_rekey_a_child_sa_that_is_being_closed_is_put_off() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.b.command(Command::TerminateChild(None));
    let (rekey, delete) = (lab.a.take(), lab.b.take());
    lab.b.receive(&rekey);
    // <-- HDR, SK {N(TEMPORARY_FAILURE)}
    let answer = lab.b.take();
    lab.a.receive(&answer);
    assert!(lab.a.sent.is_empty(), "A must not retry at once");
    // <-- HDR, SK {D(ESP, SPIb)}
    lab.a.receive(&delete);
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    // When its time comes, there is nothing left to rekey.
    lab.a.sleep(limits::TEMPORARY_FAILURE_WAIT);
    assert!(lab.a.sent.is_empty());
    assert_eq!(lab.a.failures(), []);
}

#[test]
fn a_request_to_close_a_child_sa_that_is_being_rekeyed_is_obeyed() {
    let mut lab = Lab::up();
    let old_b = lab.b.child().inbound;
    lab.b.command(Command::TerminateChild(None));
    lab.a.command(Command::RekeyChild(POLICY));
    // <-- HDR, SK {D(ESP, SPIb)}: it reaches A first.
    lab.b_to_a();
    // HDR, SK {D(ESP, SPIa)}
    assert_eq!(lab.a.sent[1].data[18], INFO);
    assert!(lab.a.sas.is_empty());
    lab.settle();
    assert!(!lab.b.has(Inbound, old_b));
    // B had closed it by the time the rekey came, or put it off; either way both agree.
    lab.a.sleep(Duration::from_secs(60));
    lab.settle();
    assert_eq!(lab.a.sas.len(), lab.b.sas.len());
    lab.assert_mirrored();
}

#[test]
fn a_delete_that_overtakes_the_answer_leaves_no_child_sa_behind() {
    let mut lab = Lab::up();
    let (old_a, old_b) = (lab.a.child().inbound, lab.b.child().inbound);
    lab.a.command(Command::RekeyChild(POLICY));
    lab.b.refuse = true;
    // HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr} -->
    lab.a_to_b();
    // B agrees, cannot install the SA, and deletes it: <-- HDR, SK {SA, Nr, TSi, TSr}, <-- HDR, SK {D(ESP, SPIb)}
    let (answer, delete) = (lab.b.take(), lab.b.take());
    lab.a.receive(&delete);
    lab.a.receive(&answer);
    lab.settle();
    lab.b.refuse = false;
    assert_eq!(spis(&lab.a), [old_a]);
    assert_eq!(spis(&lab.b), [old_b]);
    lab.a.failure(Part::Refused);
    assert_one_child(&lab);
    // The rekey is tried again.
    lab.sleep(limits::REKEY_RETRY);
    lab.settle();
    assert_ne!(spis(&lab.a), [old_a]);
    assert_one_child(&lab);
}

#[test]
fn a_child_sa_whose_answer_is_still_on_its_way_is_not_found_later() {
    let mut lab = Lab::up();
    let old_a = lab.a.child().inbound;
    // <-- HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr}
    lab.b.command(Command::RekeyChild(POLICY));
    lab.b_to_a();
    let new_a = new_spi(&lab.a, &[old_a]);
    // The answer is late, and A wants to rekey what it made with it.
    let answer = lab.a.take();
    lab.a.command(Command::RekeyChild(POLICY));
    // HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr} -->
    lab.a_to_b();
    // <-- HDR, SK {N(TEMPORARY_FAILURE)}
    lab.b_to_a();
    assert!(lab.a.has(Inbound, new_a));
    lab.b.receive(&answer);
    lab.settle();
    assert_eq!(spis(&lab.a), [new_a]);
    assert_one_child(&lab);
    lab.sleep(2 * limits::TEMPORARY_FAILURE_WAIT);
    lab.settle();
    assert_ne!(spis(&lab.a), [new_a]);
    assert_one_child(&lab);
}

/// Two Child SAs for the same traffic.
fn twice() -> Lab {
    let mut lab = Lab::up();
    lab.a.command(Command::TerminateChild(None));
    lab.settle();
    // Both begin at once: HDR, SK {SA, Ni, TSi, TSr} --> and <--
    lab.a.command(Command::Initiate(POLICY));
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((spis(&lab.a).len(), spis(&lab.b).len()), (2, 2));
    lab
}

#[test]
fn of_two_child_sas_for_the_same_traffic_the_same_one_survives_on_both_sides() {
    let mut lab = twice();
    // Every SA of either side reaches its soft limit within the same instant.
    for host in [&mut lab.a, &mut lab.b] {
        for child in host.children() {
            let id = host.sa(Inbound, child.inbound).id();
            host.event(DataPlaneEvent::SoftExpire(id));
        }
    }
    lab.settle();
    lab.sleep(2 * limits::TEMPORARY_FAILURE_WAIT);
    lab.settle();
    assert_one_child(&lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// RFC 7296 §1.4.1: the peer closes its half when it is asked to; what is still sent on ours is for nobody. What the peer sent
// before still arrives.
#[test]
fn nothing_is_sent_on_a_child_sa_that_is_deleted_as_one_too_many() {
    let mut lab = twice();
    let children = lab.a.children();
    for child in &children {
        let id = lab.a.sa(Inbound, child.inbound).id();
        lab.a.event(DataPlaneEvent::SoftExpire(id));
    }
    let deleted = lab.a.children().into_iter().find(|child| child.state == "DELETING").expect("one is too many");
    assert!(lab.a.has(Inbound, deleted.inbound) && !lab.a.has(Outbound, deleted.outbound));
    assert_eq!(lab.a.sas.len(), 3);
    lab.settle();
    lab.sleep(2 * limits::TEMPORARY_FAILURE_WAIT);
    lab.settle();
    assert!(!lab.a.has(Inbound, deleted.inbound));
    assert_one_child(&lab);
}
