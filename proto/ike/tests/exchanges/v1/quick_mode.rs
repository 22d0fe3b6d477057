//! Child SAs: PFS, AH, transport mode, lifetimes, rekeying, refusals.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::limits::{SHORT_BLOCKS_HARD, SHORT_BLOCKS_SOFT, V1_RETIREMENT, V1_SWITCH};
use ravelin_ike::{Command, Event};
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{Proposal, ProtocolId, Suite};
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, SnId, Transform};

use super::{lab, up};
use crate::lab::{A, B, POLICY, esp_cbc, esp_proposal, ip, pfs, policy, protection, set_mode};

fn children(config: &mut ravelin_ike::Config, proposals: &[Proposal]) {
    config.policies.iter_mut().for_each(|child| child.proposals = proposals.to_vec());
}

fn establish_with(proposals: &[Proposal], mode: Mode) -> crate::lab::Lab {
    let mut lab = lab(|a, b| {
        for config in [a, b] {
            children(config, proposals);
            set_mode(config, mode);
        }
    });
    lab.establish();
    lab.assert_mirrored();
    lab
}

#[test]
fn every_kind_of_suite_is_negotiated_in_both_modes() {
    let ah = Proposal { protocol: ProtocolId::AH, transforms: vec![Transform::Integ(IntegId::HMAC_SHA2_256_128)] };
    let des3 = Proposal {
        protocol: ProtocolId::ESP,
        transforms: vec![Transform::Encr(EncrId::DES3, None), Transform::Integ(IntegId::HMAC_MD5_96)],
    };
    let null = Proposal {
        protocol: ProtocolId::ESP,
        transforms: vec![Transform::Encr(EncrId::NULL, None), Transform::Integ(IntegId::HMAC_SHA1_96)],
    };
    for proposal in [esp_proposal(), esp_cbc(), ah, des3, null] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let lab = establish_with(std::slice::from_ref(&proposal), mode);
            let child = lab.a.child();
            assert_eq!((child.mode, child.suite.protocol()), (mode, proposal.protocol));
            // docs/HISTORY.md, row 94: no key of a cipher with short blocks is for more than some gigabytes.
            let bounded = child.suite.esp().is_some_and(|esp| esp.encr == EncrId::DES3);
            let lifetime = lab.a.sa(Direction::Inbound, child.inbound).lifetime;
            let bounds = [SHORT_BLOCKS_SOFT, SHORT_BLOCKS_HARD].map(|bytes| bounded.then_some(bytes));
            assert_eq!([lifetime.soft.bytes, lifetime.hard.bytes], bounds);
        }
    }
}

fn around(config: &mut ravelin_ike::Config, ah: &[IntegId]) {
    config.policies.iter_mut().for_each(|child| child.ah = ah.to_vec());
}

// RFC 2408 §4.2: two proposals of one number, taken together. Each side has one SPI for both of its protocols, and each
// protocol has keys of its own (RFC 2409 §5.5).
#[test]
fn ah_around_esp_is_one_sa_of_both() {
    let ah = [IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA1_96];
    for (proposal, mode) in [(esp_proposal(), Mode::Tunnel), (esp_cbc(), Mode::Transport)] {
        let mut lab = lab(|a, b| {
            for config in [&mut *a, &mut *b] {
                children(config, std::slice::from_ref(&proposal));
                set_mode(config, mode);
            }
            around(a, &ah);
            // What both have.
            around(b, &ah[1..]);
        });
        lab.establish();
        lab.assert_mirrored();
        let (here, there) = (lab.a.child(), lab.b.child());
        let Suite::AhEsp { ah, ah_spi, .. } = here.suite else { panic!("{:?}", here.suite) };
        assert_eq!((ah.integ, ah_spi), (IntegId::HMAC_SHA1_96, here.outbound));
        assert_eq!(there.suite.ah(), Some(&ah));
        for sa in lab.a.sas.values().chain(lab.b.sas.values()) {
            let Suite::AhEsp { ah_spi, .. } = sa.suite else { panic!("{:?}", sa.suite) };
            assert_eq!(ah_spi, sa.spi);
            let keys = [&sa.keys.ah, &sa.keys.encr, &sa.keys.integ].map(|key| key.expose().to_vec());
            assert!(keys[0].len() == 20 && !keys[1].starts_with(&keys[0][..16]) && keys[2] != keys[0], "of their own");
        }
        lab.a.command(Command::TerminateChildSa(here.inbound));
        lab.settle();
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

#[test]
fn ah_around_esp_is_what_both_want_or_nobody_has() {
    let sha2 = [IntegId::HMAC_SHA2_256_128];
    for (here, there) in [(&sha2[..], &[][..]), (&[], &sha2), (&sha2, &[IntegId::HMAC_SHA1_96])] {
        let mut lab = lab(|a, b| {
            around(a, here);
            around(b, there);
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab.b.failure(Part::ChildProposal);
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

#[test]
fn extended_sequence_numbers_are_agreed_on() {
    let mut proposal = esp_proposal();
    proposal.transforms.push(Transform::Sn(SnId::PARTIAL_64));
    let lab = establish_with(&[proposal], Mode::Tunnel);
    assert_eq!(lab.b.child().suite.sn(), SnId::PARTIAL_64);
}

#[test]
fn pfs_is_what_both_policies_ask_for() {
    establish_with(&[pfs(esp_proposal(), KeMethod::ECP256)], Mode::Tunnel);
    establish_with(&[pfs(esp_cbc(), KeMethod::MODP2048)], Mode::Tunnel);
    // One side alone: the responder that asks for it refuses, the one that does not is content.
    let mut lab = lab(|_, b| children(b, &[pfs(esp_proposal(), KeMethod::ECP256)]));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::ChildProposal);
    lab.a.failure(Part::ChildProposal);
    let mut lab = super::lab(|a, _| children(a, &[pfs(esp_proposal(), KeMethod::ECP256)]));
    lab.establish();
    lab.assert_mirrored();
}

// RFC 2409 §5.5: one value, and its group for all that is offered: that of phase 1, which the other side has.
#[test]
fn of_several_groups_that_of_phase_1_is_offered() {
    let mut lab = lab(|a, b| {
        let phase_1 = a.remotes[0].proposals[0].transforms.iter().find_map(|transform| match transform {
            Transform::Ke(method) => Some(*method),
            _ => None,
        });
        let both = pfs(esp_cbc(), phase_1.unwrap());
        assert_ne!(phase_1, Some(KeMethod::ECP521));
        children(a, &[pfs(esp_proposal(), KeMethod::ECP521), both.clone()]);
        children(b, &[both]);
    });
    lab.establish();
    lab.assert_mirrored();
}

// S-008: the lifetimes of both ends are the same in the end.
#[test]
fn the_shorter_lifetime_is_that_of_both() {
    let hard = |lab: &crate::lab::Lab| {
        let all = |host: &crate::lab::Host| -> Vec<_> { host.sas.values().map(|sa| sa.lifetime.hard.time).collect() };
        (all(&lab.a), all(&lab.b))
    };
    let lasts = |config: &mut ravelin_ike::Config, seconds| {
        let protection = protection(config);
        protection.lifetime.hard.time = Some(Duration::from_secs(seconds));
    };
    for (a_lasts, b_lasts) in [(600, 900), (900, 600), (900, 900)] {
        let mut lab = lab(|a, b| {
            lasts(a, a_lasts);
            lasts(b, b_lasts);
        });
        lab.establish();
        let shorter = vec![Some(Duration::from_secs(a_lasts.min(b_lasts))); 2];
        assert_eq!(hard(&lab), (shorter.clone(), shorter));
        let soft = lab.a.sas.values().next().unwrap().lifetime.soft.time.unwrap();
        assert!(soft < Duration::from_secs(a_lasts.min(b_lasts)));
    }
}

#[test]
fn a_child_sa_is_replaced_when_it_ages() {
    let mut lab = up();
    let (old_a, old_b) = (lab.a.child(), lab.b.child());
    let id = SaId { direction: Direction::Outbound, dst: ip(B), src: None, spi: old_a.outbound };
    lab.a.event(DataPlaneEvent::SoftExpire(id));
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2));
    lab.sleep(V1_SWITCH);
    lab.assert_mirrored();
    assert!(lab.b.events.iter().any(|event| matches!(event, Event::ChildRekeyed { old, .. } if *old == old_b.inbound)));
    // What was on its way still arrives; then the old one goes, and only the new one is left at both ends.
    lab.sleep(V1_SWITCH + V1_RETIREMENT);
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    let (new_a, new_b) = (lab.a.child(), lab.b.child());
    assert_eq!((new_a.inbound, new_a.state), (new_b.outbound, "INSTALLED"));
    assert_ne!(new_a.inbound, old_a.inbound);
    lab.assert_mirrored();
}

// Many a responder installs nothing before the third message has arrived: what is sent on the new SA earlier is lost.
#[test]
fn the_old_child_sa_sends_until_the_peer_has_the_new_one() {
    for peer_sends in [true, false] {
        let mut lab = up();
        let old = lab.a.child();
        lab.a.command(Command::RekeyChild(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        let new = lab.a.children().into_iter().find(|child| child.inbound != old.inbound).unwrap();
        assert!(lab.a.has(Direction::Inbound, new.inbound));
        let sends = |lab: &crate::lab::Lab| [old.outbound, new.outbound].map(|spi| lab.a.has(Direction::Outbound, spi));
        assert_eq!(sends(&lab), [true, false], "the third message has not arrived");
        lab.settle();
        assert!(lab.b.has(Direction::Outbound, new.inbound));
        match peer_sends {
            true => lab.a.command(Command::Alive(new.inbound)),
            false => {
                assert_eq!(sends(&lab), [true, false]);
                lab.sleep(V1_SWITCH);
            }
        }
        // The old one receives for a while yet, at both ends.
        assert_eq!(sends(&lab), [true, true]);
        lab.sleep(V1_RETIREMENT - Duration::from_secs(1));
        lab.settle();
        assert!(lab.a.has(Direction::Inbound, old.inbound) && lab.b.has(Direction::Inbound, old.outbound));
        lab.sleep(V1_SWITCH + Duration::from_secs(1));
        lab.settle();
        assert_eq!((lab.a.child().inbound, lab.b.child().inbound), (new.inbound, new.outbound));
        lab.assert_mirrored();
    }
}

// Without an SA to send on meanwhile nothing is put off.
#[test]
fn the_new_child_sa_sends_when_the_old_one_goes() {
    let mut lab = up();
    let old = lab.a.child();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    let new = lab.a.children().into_iter().find(|child| child.inbound != old.inbound).unwrap();
    assert!(!lab.a.has(Direction::Outbound, new.outbound));
    let id = SaId { direction: Direction::Outbound, dst: ip(B), src: None, spi: old.outbound };
    lab.a.event(DataPlaneEvent::HardExpire(id));
    assert!(lab.a.has(Direction::Outbound, new.outbound));
}

// Whoever did not begin does not delete: what the peer replaced may outlive what took its place.
#[test]
fn what_was_replaced_twice_does_not_come_back() {
    let mut lab = up();
    let first = lab.a.child();
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    let second = lab.a.children().into_iter().find(|child| child.inbound != first.inbound).unwrap();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    let id = SaId { direction: Direction::Outbound, dst: ip(B), src: None, spi: second.outbound };
    lab.a.event(DataPlaneEvent::HardExpire(id));
    let states: Vec<_> =
        lab.a.children().into_iter().map(|child| (child.inbound == first.inbound, child.state)).collect();
    assert_eq!(states.len(), 2, "{states:?}");
    assert!(states.contains(&(true, "REKEYED")) && states.contains(&(false, "INSTALLED")), "{states:?}");
}

#[test]
fn the_responder_replaces_it_as_well() {
    let mut lab = up();
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.sleep(V1_SWITCH + V1_RETIREMENT);
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

#[test]
fn both_may_replace_it_at_once() {
    let mut lab = up();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.sleep(V1_SWITCH + V1_RETIREMENT);
    lab.settle();
    assert!(!lab.a.children().is_empty());
    assert_eq!(lab.a.children().len(), lab.b.children().len());
    lab.assert_mirrored();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn several_policies_have_their_own() {
    let second = PolicyId(8);
    let mut lab = lab(|a, b| {
        for (config, local, peer) in [(a, A, B), (b, B, A)] {
            let mut child = policy(second, Mode::Tunnel, local, peer);
            child.policy.local = vec![TrafficSelector::host(ip(local)).with(6, ANY_PORTS).unwrap()];
            child.policy.remote = vec![TrafficSelector::host(ip(peer)).with(6, ANY_PORTS).unwrap()];
            child.policy.priority = 5;
            config.policies.push(child);
        }
    });
    lab.establish();
    lab.a.command(Command::Initiate(second));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2));
    assert_eq!(lab.a.endpoint.ike_sas().len(), 1);
    assert_eq!(lab.b.children().iter().filter(|child| child.policy == second).count(), 1);
    lab.assert_mirrored();
}

// The first packet on the new SA may overtake the message that makes the responder send, and be answered at once.
#[test]
fn an_answer_waits_for_the_third_message_and_asks_for_nothing() {
    let mut lab = up();
    lab.a.command(Command::TerminateChildSa(lab.a.child().inbound));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    let new = lab.a.child();
    let flow = Flow { src: ip(B), dst: ip(A), protocol: 6, src_port: Some(80), dst_port: Some(40_000) };
    assert!(!lab.b.has(Direction::Outbound, new.inbound));
    lab.b.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
    assert!(lab.b.sent.is_empty(), "what is under way serves the packet");
    lab.settle();
    assert_eq!((lab.a.child().inbound, lab.b.child().outbound), (new.inbound, new.inbound));
    lab.assert_mirrored();
}

// S-284: a packet that asks for an SA of its own gets one for exactly its ports.
#[test]
fn quick_mode_converges_on_the_ports_of_the_packet() {
    let mut lab = lab(|a, b| {
        for config in [a, b] {
            let protection = protection(config);
            protection.pfp = Pfp::ALL;
        }
    });
    for (count, port) in [(1, 40_001), (2, 40_002)] {
        let flow = Flow { src: ip(A), dst: ip(B), protocol: 6, src_port: Some(port), dst_port: Some(80) };
        lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
        lab.settle();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (count, count));
        let own = |child: &ravelin_ike::view::ChildSaView| {
            child.remote_ts[0].ports() == (port..=port) && child.local_ts[0].ports() == (80..=80)
        };
        assert_eq!(lab.b.children().iter().filter(|child| own(child)).count(), 1);
    }
    lab.assert_mirrored();
}

// A peer may not keep the IVs of more (strongSwan has three), and then cannot read the last message of what it agreed to.
#[test]
fn one_quick_mode_is_under_way_at_a_time() {
    const FLOWS: u16 = 9;
    let mut lab = lab(|a, b| [a, b].into_iter().for_each(|config| protection(config).pfp = Pfp::ALL));
    let flow = |port| Flow { src: ip(A), dst: ip(B), protocol: 6, src_port: Some(port), dst_port: Some(80) };
    lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow: flow(40_000), processor: None });
    lab.settle();
    for port in 40_001..40_000 + FLOWS {
        lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow: flow(port), processor: None });
    }
    // The others wait.
    assert_eq!(lab.a.sent.len(), 1);
    let mut most = 0;
    while !lab.a.sent.is_empty() || !lab.b.sent.is_empty() {
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        most = most.max(lab.b.sent.len());
        while !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
    assert_eq!((most, lab.a.children().len()), (1, usize::from(FLOWS)));
    lab.assert_mirrored();
}

#[test]
fn selectors_are_granted_whole_or_not_at_all() {
    let mut lab = lab(|_, b| {
        b.policies[0].policy.local = vec![TrafficSelector::host(ip(B)).with(17, ANY_PORTS).unwrap()];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::TrafficSelectors);
    lab.a.failure(Part::TrafficSelectors);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    // The ISAKMP SA stands.
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
}

#[test]
fn modes_must_agree() {
    let mut lab = lab(|_, b| set_mode(b, Mode::Transport));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Mode);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn a_child_sa_goes_at_both_ends() {
    for from_a in [true, false] {
        let mut lab = up();
        let host = if from_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::TerminateChild(Some(POLICY)));
        lab.settle();
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (1, 1));
    }
}

#[test]
fn what_the_data_plane_refuses_is_deleted() {
    let mut lab = lab(|_, _| ());
    lab.a.refuse = true;
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::DataPlane);
    assert!(!lab.a.events.iter().any(|event| matches!(event, Event::ChildUp { .. })), "{:?}", lab.a.events);
    assert!(lab.a.children().is_empty() && lab.b.children().is_empty());
}

#[test]
fn a_responder_forgets_what_is_not_confirmed() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..3 {
        lab.a_to_b();
        lab.b_to_a();
    }
    lab.a_to_b();
    // B has the inbound half, and does not send before it knows that A has it too.
    assert_eq!(lab.b.sas.values().map(|sa| sa.direction).collect::<Vec<_>>(), [Direction::Inbound]);
    // A has both, and what it says of it is lost.
    lab.b_to_a();
    lab.a.sent.clear();
    assert_eq!(lab.a.sas.len(), 2);
    for _ in 0..100 {
        lab.b.sleep(Duration::from_secs(1));
    }
    assert!(lab.b.sas.is_empty());
    assert_eq!(lab.b.failure(Part::NoAnswer).exchange, "Quick Mode");
    // So A hears that B does not receive any more.
    let last = lab.b.sent.pop_back().unwrap();
    lab.a.receive(&last);
    assert!(lab.a.sas.is_empty());
}
