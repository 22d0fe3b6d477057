//! Several Child SAs with the same selectors, each for one processor (RFC 9611).

use ravelin_ike::explain::Part;
use ravelin_ike::limits;
use ravelin_ike::{Command, Config};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::options::Processors;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{Peer, child_request, notifies, notify};

fn net(text: &str) -> TrafficSelector {
    TrafficSelector::prefix(ip(text), 16).unwrap()
}

/// Gives a host so many processors, each of which gets an SA; 0: it knows nothing of that.
fn give(config: &mut Config, processors: u32) {
    config.processors = processors;
    let protection = protection(config);
    protection.options.processors = if processors > 0 { Processors::Each } else { Processors::All };
}

/// Networks behind A and B, and how many processors each has.
fn lab_with(processors: (u32, u32), change: impl Fn(&mut Config)) -> Lab {
    Lab::with(|a, b| {
        for (config, count, here, there) in
            [(a, processors.0, "10.1.0.0", "10.2.0.0"), (b, processors.1, "10.2.0.0", "10.1.0.0")]
        {
            config.policies[0].policy.local = vec![net(here)];
            config.policies[0].policy.remote = vec![net(there)];
            give(config, count);
            change(config);
        }
    })
}

fn lab(a: u32, b: u32) -> Lab {
    lab_with((a, b), |_| ())
}

/// Packets of a processor, or of one that has no SA at all.
fn acquire(host: &mut Host, processor: Option<u32>) {
    let (a, b) = (ip("10.1.0.1"), ip("10.2.0.1"));
    let (src, dst) = if host.config.remotes[0].local == Some(ip(A)) { (a, b) } else { (b, a) };
    let flow = Flow { src, dst, protocol: 6, src_port: Some(20_000), dst_port: Some(5001) };
    host.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor });
}

/// Which processors have an SA, in the order in which they came; `None`: the one for all beside those.
fn processors(host: &Host) -> Vec<Option<u32>> {
    let mut children = host.children();
    children.sort_by_key(|child| (child.created, child.processors.one()));
    assert!(children.iter().all(|child| child.processors != Processors::All), "{children:#?}");
    let out = |host: &Host, child: &ravelin_ike::view::ChildSaView| {
        host.sa(ravelin_types::sa::Direction::Outbound, child.outbound).options.processors
    };
    assert!(children.iter().all(|child| out(host, child) == child.processors), "the data plane has it so");
    children.iter().map(|child| child.processors.one()).collect()
}

fn quiet(lab: &Lab) {
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    lab.assert_mirrored();
}

// RFC 9611 §3 and §4.
#[test]
fn processors_get_child_sas_beside_the_one_for_all() {
    let mut lab = lab(4, 2);
    acquire(&mut lab.a, None);
    lab.settle();
    assert_eq!((processors(&lab.a), processors(&lab.b)), (vec![None], vec![None]));
    for (n, theirs) in [(3, vec![None, Some(1)]), (0, vec![None, Some(0), Some(1)])] {
        acquire(&mut lab.a, Some(n));
        acquire(&mut lab.a, Some(n));
        lab.settle();
        assert_eq!(processors(&lab.b), theirs, "B gives its half to the processor with the fewest");
    }
    assert_eq!(processors(&lab.a), [None, Some(0), Some(3)]);
    // More than B has processors: each of those has two in the end.
    acquire(&mut lab.a, Some(1));
    acquire(&mut lab.a, Some(2));
    lab.settle();
    assert_eq!(processors(&lab.a), [None, Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(processors(&lab.b), [None, Some(0), Some(0), Some(1), Some(1)]);
    let children = lab.a.children();
    assert!(children.iter().all(|child| child.local_ts == [net("10.1.0.0")] && child.remote_ts == [net("10.2.0.0")]));
    quiet(&lab);
    // What is there is not asked for again, and B's processors have theirs.
    acquire(&mut lab.a, Some(3));
    acquire(&mut lab.a, None);
    acquire(&mut lab.b, Some(1));
    assert!(lab.a.sent.is_empty() && lab.b.sent.is_empty());
}

#[test]
fn the_one_for_all_comes_first() {
    let mut lab = lab(2, 2);
    // A processor asks where there is no IKE SA, and where the one for all has gone.
    acquire(&mut lab.a, Some(1));
    lab.settle();
    assert_eq!(processors(&lab.a), [None]);
    let shared = lab.a.child().inbound;
    acquire(&mut lab.a, Some(1));
    lab.settle();
    lab.a.command(Command::TerminateChildSa(shared));
    lab.settle();
    assert_eq!((processors(&lab.a), processors(&lab.b)), (vec![Some(1)], vec![Some(1)]));
    acquire(&mut lab.a, Some(0));
    lab.settle();
    assert_eq!((processors(&lab.a), processors(&lab.b)), (vec![None, Some(1)], vec![None, Some(1)]));
    quiet(&lab);
}

// RFC 9611 §3: one that knows nothing of it answers without the notify.
#[test]
fn a_peer_without_it_gets_one_for_all() {
    for (a, b) in [(2, 0), (0, 2)] {
        let mut lab = lab(a, b);
        acquire(&mut lab.a, None);
        lab.settle();
        acquire(&mut lab.a, Some(1));
        assert!(lab.a.sent.is_empty(), "there is none to be had");
        for host in [&lab.a, &lab.b] {
            assert_eq!(host.child().processors, Processors::All);
            assert!(host.sas.values().all(|sa| sa.options.processors == Processors::All));
        }
        quiet(&lab);
    }
}

// RFC 9611 §3: a rekey stays with the resource.
#[test]
fn a_rekey_keeps_the_processor() {
    for pfs in [false, true] {
        let ke = |config: &mut Config| {
            if pfs {
                config.policies[0].proposals = vec![crate::lab::pfs(esp_proposal(), KeMethod::CURVE25519)];
            }
        };
        let mut lab = lab_with((2, 2), ke);
        acquire(&mut lab.a, None);
        lab.settle();
        for n in 0..2 {
            acquire(&mut lab.a, Some(n));
            lab.settle();
        }
        let before = (processors(&lab.a), processors(&lab.b));
        assert_eq!(before.0, [None, Some(0), Some(1)]);
        for by_b in [false, true] {
            let old: Vec<_> = lab.a.children().iter().map(|child| child.inbound).collect();
            let host = if by_b { &mut lab.b } else { &mut lab.a };
            host.command(Command::RekeyChild(POLICY));
            lab.settle();
            assert!(lab.a.children().iter().all(|child| !old.contains(&child.inbound)));
            assert_eq!((processors(&lab.a), processors(&lab.b)), before, "pfs: {pfs}, by B: {by_b}");
            quiet(&lab);
        }
        // They stay when they age, however alike they are.
        for child in lab.a.children() {
            let id = lab.a.sa(ravelin_types::sa::Direction::Inbound, child.inbound).id();
            lab.a.event(DataPlaneEvent::SoftExpire(id));
        }
        lab.settle();
        assert_eq!((processors(&lab.a), processors(&lab.b)), before);
        // And go along with the IKE SA.
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        assert_eq!((processors(&lab.a), processors(&lab.b)), before);
        quiet(&lab);
    }
}

// RFC 9611 §3: the same algorithms, whatever else the policy has.
#[test]
fn they_have_the_algorithms_of_the_first() {
    let mut lab = lab_with((2, 2), |config| config.policies[0].proposals = vec![esp_cbc(), esp_proposal()]);
    acquire(&mut lab.a, None);
    lab.settle();
    let suite = lab.a.child().suite;
    // B would now rather have the other.
    lab.b.configure(|config| config.policies[0].proposals.reverse());
    lab.a.configure(|config| config.policies[0].proposals.reverse());
    acquire(&mut lab.a, Some(0));
    lab.settle();
    assert_eq!(processors(&lab.a), [None, Some(0)]);
    assert!(lab.a.children().iter().all(|child| child.suite == suite));
    quiet(&lab);
}

// RFC 9611 §6: TS_MAX_QUEUE, which says nothing of other selectors.
#[test]
fn there_is_an_end_to_them() {
    let most = limits::RESOURCES as u32;
    let mut lab = lab(2 * most, 1);
    acquire(&mut lab.a, None);
    lab.settle();
    for n in 0..most + 3 {
        acquire(&mut lab.a, Some(n));
        lab.settle();
    }
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (limits::RESOURCES, limits::RESOURCES));
    assert_eq!(lab.a.failures(), [], "packets go over the one for all");
    assert_eq!(lab.a.endpoint.counters().refused_resources, 4);
    assert!(lab.b.failures().iter().all(|failure| failure.part == Part::Limit));
    assert_eq!(lab.b.failures().len(), 4);
    lab.assert_mirrored();
}

/// SA_RESOURCE_INFO and TS_MAX_QUEUE as they are on the wire: their numbers, neither protocol nor SPI, no data of ours.
const RESOURCE_INFO: NotifyType = NotifyType(16_444);
const MAX_QUEUE: NotifyType = NotifyType(48);

// RFC 9611 §5, by a peer that knows nothing of ours: its identifier, of whatever length, is looked at no further.
#[test]
fn the_notifies_of_a_responder_have_no_data() {
    let said = |data: &[u8]| notify(RESOURCE_INFO, data);
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| give(config, 1));
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.push(said(b"CPU all"));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(answer.contains(&said(&[])), "{answer:?}");
    assert_eq!(host.child().processors, Processors::Each);
    for n in 1..limits::RESOURCES as u32 + 2 {
        let mut payloads = child_request(Spi(0x0abc_1000 + n), n as u8);
        payloads.push(said(&[n as u8; 200]));
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
        if n < limits::RESOURCES as u32 {
            assert!(answer.contains(&said(&[])) && answer.iter().any(|it| matches!(it, Payload::Sa(_))), "{n}");
        } else {
            assert_eq!(answer, [notify(MAX_QUEUE, &[])], "{n}");
        }
    }
    assert_eq!(host.children().len(), limits::RESOURCES);
    // Who says nothing of it hears nothing of it.
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| give(config, 1));
    let mut peer = Peer::keyed(&mut host);
    let payloads = peer.auth_request();
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(!notifies(&answer).contains(&RESOURCE_INFO));
    assert_eq!(host.child().processors, Processors::All);
}

#[test]
fn the_notify_of_an_initiator_has_no_data_and_an_end_of_them_is_believed() {
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| give(config, 4));
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, asked) = peer.asked(&mut host);
    assert!(asked.contains(&notify(RESOURCE_INFO, &[])), "{asked:?}");
    let mut answer = peer.auth_answer();
    answer.push(notify(RESOURCE_INFO, b"of the peer"));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &answer);
    assert_eq!(host.child().processors, Processors::Each);
    let flow = Flow { src: ip(B), dst: ip(A), protocol: 6, src_port: Some(20_000), dst_port: Some(5001) };
    for processor in 0..2 {
        host.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: Some(processor) });
        let (id, asked) = peer.asked(&mut host);
        assert!(asked.contains(&notify(RESOURCE_INFO, &[])), "{asked:?}");
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[notify(MAX_QUEUE, &[])]);
    }
    assert_eq!((host.children().len(), host.endpoint.counters().refused_resources), (1, 2));
    assert_eq!(host.failures(), [], "the first goes on");
}
