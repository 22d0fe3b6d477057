//! Policies that populate selectors from packets (RFC 4301 §4.4.1.2): a Child SA for each flow.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::limits;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event};
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::{Side, TrafficSelector};

use crate::lab::*;

fn net(text: &str) -> TrafficSelector {
    TrafficSelector::prefix(ip(text), 16).unwrap()
}

fn fill(config: &mut ravelin_ike::Config, pfp: Pfp, idle: Option<Duration>) {
    let protection = protection(config);
    protection.pfp = pfp;
    protection.lifetime.idle = idle;
}

/// Networks behind A and B, and what each of the two fills from packets.
fn lab(a: Pfp, b: Pfp) -> Lab {
    lab_with_idle(a, b, None)
}

fn lab_with_idle(pfp_a: Pfp, pfp_b: Pfp, idle: Option<Duration>) -> Lab {
    Lab::with(|a, b| {
        for (config, pfp, here, there) in [(a, pfp_a, "10.1.0.0", "10.2.0.0"), (b, pfp_b, "10.2.0.0", "10.1.0.0")] {
            config.policies[0].policy.local = vec![net(here)];
            config.policies[0].policy.remote = vec![net(there)];
            fill(config, pfp, idle);
        }
    })
}

/// The n-th client of a server on port 5001.
fn client(n: u16) -> Flow {
    Flow { src: ip("10.1.0.1"), dst: ip("10.2.0.1"), protocol: 6, src_port: Some(20_000 + n), dst_port: Some(5001) }
}

fn acquire(host: &mut Host, flow: Flow) {
    host.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
}

fn only(address: &str, port: u16) -> Side {
    [TrafficSelector::host(ip(address)).with(6, port..=port).unwrap()].into()
}

/// The outbound SAs that carry the flow.
fn senders(host: &Host, flow: Flow) -> Vec<&SaParams> {
    let carries = |sa: &&SaParams| {
        sa.direction == Direction::Outbound
            && sa.local_ts.iter().any(|ts| ts.matches(flow.src, flow.protocol, flow.src_port))
            && sa.remote_ts.iter().any(|ts| ts.matches(flow.dst, flow.protocol, flow.dst_port))
    };
    host.sas.values().filter(carries).collect()
}

// RFC 4301 §4.4.1.2; S-281.
#[test]
fn each_flow_gets_a_child_sa_of_exactly_its_selectors() {
    const FLOWS: u16 = 50;
    let mut lab = lab(Pfp::ALL, Pfp::ALL);
    // All before the IKE SA stands, some twice.
    for n in (0..FLOWS).chain(0..10) {
        acquire(&mut lab.a, client(n));
    }
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!(lab.a.children().len(), usize::from(FLOWS));
    assert_eq!(lab.a.endpoint.ike_sas().len(), 1);
    lab.assert_mirrored();
    for n in 0..FLOWS {
        let [sa] = senders(&lab.a, client(n))[..] else { panic!("flow {n}") };
        assert_eq!((&sa.local_ts, &sa.remote_ts), (&only("10.1.0.1", 20_000 + n), &only("10.2.0.1", 5001)));
        let there = lab.b.sa(Direction::Inbound, sa.spi);
        assert_eq!((&there.local_ts, &there.remote_ts), (&sa.remote_ts, &sa.local_ts));
    }
    // What is there is not asked for again.
    acquire(&mut lab.a, client(7));
    assert!(lab.a.sent.is_empty());
}

#[test]
fn a_rekey_keeps_the_selectors_of_its_flow() {
    for by_b in [false, true] {
        let mut lab = lab(Pfp::ALL, Pfp::ALL);
        for n in 0..3 {
            acquire(&mut lab.a, client(n));
        }
        lab.settle();
        let old: Vec<_> = lab.a.children().iter().map(|child| child.inbound).collect();
        let host = if by_b { &mut lab.b } else { &mut lab.a };
        host.command(Command::RekeyChild(POLICY));
        lab.settle();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        lab.assert_mirrored();
        assert_eq!(lab.a.children().len(), 3);
        assert!(lab.a.children().iter().all(|child| !old.contains(&child.inbound)));
        for n in 0..3 {
            let [sa] = senders(&lab.a, client(n))[..] else { panic!("flow {n}") };
            assert_eq!((&sa.local_ts, &sa.remote_ts), (&only("10.1.0.1", 20_000 + n), &only("10.2.0.1", 5001)));
        }
    }
}

// RFC 7296 §2.9: the packet comes first, and the responder takes it from there.
#[test]
fn a_responder_takes_the_flow_out_of_a_wider_offer() {
    let by_port = Pfp { protocol: true, remote_port: true, local_port: true, ..Pfp::NONE };
    for (pfp, local, remote) in [
        (Pfp::ALL, only("10.2.0.1", 5001), only("10.1.0.1", 20_003)),
        (
            by_port,
            [net("10.2.0.0").with(6, 5001..=5001).unwrap()].into(),
            [net("10.1.0.0").with(6, 20_003..=20_003).unwrap()].into(),
        ),
        (Pfp { remote: true, ..Pfp::NONE }, [net("10.2.0.0")].into(), [TrafficSelector::host(ip("10.1.0.1"))].into()),
    ] {
        let mut lab = lab(Pfp::NONE, pfp);
        acquire(&mut lab.a, client(3));
        lab.settle();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        let child = lab.b.child();
        assert_eq!((child.local_ts.into(), child.remote_ts.into()), (local, remote), "{pfp:?}");
        lab.assert_mirrored();
        // The initiator's next flow asks again, and gets another.
        let other = Flow { src: ip("10.1.9.9"), ..client(4) };
        acquire(&mut lab.a, other);
        lab.settle();
        assert_eq!(lab.b.children().len(), 2, "{pfp:?}");
    }
}

// RFC 7296 §2.9: SINGLE_PAIR_REQUIRED.
#[test]
fn an_offer_without_a_packet_is_refused_by_a_responder_that_needs_one() {
    let mut lab = lab(Pfp::NONE, Pfp::ALL);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    // The IKE SA stands, without a Child SA.
    assert_eq!(lab.a.failure(Part::TrafficSelectors).theirs, ["SINGLE_PAIR_REQUIRED"]);
    assert_eq!(lab.b.failure(Part::TrafficSelectors).ours, ["each flow on a Child SA of its own"]);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    // And one that populates from packets has nothing to offer before one came.
    let mut lab = self::lab(Pfp::ALL, Pfp::ALL);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Configuration);
}

#[test]
fn flows_wait_for_the_window_one_after_the_other_and_are_bounded() {
    let mut lab = lab(Pfp::ALL, Pfp::ALL);
    acquire(&mut lab.a, client(0));
    lab.settle();
    for n in 1..=limits::WANTS as u16 + 50 {
        acquire(&mut lab.a, client(n));
    }
    assert_eq!(lab.a.sent.len(), 1, "one request at a time");
    // Deleting and closing find their way past the flows that wait.
    lab.settle();
    assert_eq!(lab.a.children().len(), 2 + limits::WANTS, "the first, the open one, and those that waited");
    lab.assert_mirrored();
    lab.a.command(Command::TerminateChild(Some(POLICY)));
    for _ in 0..3 {
        lab.settle();
    }
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn idle_child_sas_go_and_the_others_stay() {
    let idle = Duration::from_secs(60);
    let mut lab = lab_with_idle(Pfp::ALL, Pfp::ALL, Some(idle));
    for n in 0..3 {
        acquire(&mut lab.a, client(n));
    }
    lab.settle();
    let pair = |lab: &Lab, n| {
        let out = senders(&lab.a, client(n))[0];
        (out.id(), lab.a.sa(Direction::Inbound, out.pair).id())
    };
    let ((out, back), (other_out, _)) = (pair(&lab, 1), pair(&lab, 2));
    lab.sleep(idle);
    lab.a.event(DataPlaneEvent::Idle(out));
    lab.a.event(DataPlaneEvent::Idle(other_out));
    lab.settle();
    assert_eq!(lab.a.children().len(), 3, "the other direction is in use");
    lab.a.event(DataPlaneEvent::Idle(back));
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2));
    assert!(senders(&lab.a, client(1)).is_empty());
    assert!(lab.a.events.iter().any(|event| matches!(event, Event::ChildDown { reason: DownReason::Idle, .. })));
    lab.assert_mirrored();
    // A packet brings it back.
    acquire(&mut lab.a, client(1));
    lab.settle();
    assert_eq!(senders(&lab.a, client(1)).len(), 1);
}

// The policy of A is for whomever a packet is to (transport mode): the packet says with whom to negotiate.
#[test]
fn a_remote_that_is_anybody_is_reached_where_the_packet_goes() {
    let mut lab = Lab::with(|a, b| {
        for (config, here, there) in [(&mut *a, A, B), (&mut *b, B, A)] {
            set_mode(config, Mode::Transport);
            config.policies[0].policy.local = vec![TrafficSelector::host(ip(here))];
            config.policies[0].policy.remote = vec![TrafficSelector::host(ip(there))];
        }
        a.remotes[0].remote = ip("0.0.0.0");
        a.policies[0].policy.local = vec![TrafficSelector::any_v4()];
        a.policies[0].policy.remote = vec![TrafficSelector::any_v4()];
        protection(a).remote = ip("0.0.0.0");
        fill(a, Pfp { local: true, remote: true, ..Pfp::NONE }, None);
    });
    let flow = |dst: &str| Flow { src: ip(A), dst: ip(dst), protocol: 17, src_port: Some(1), dst_port: Some(2) };
    acquire(&mut lab.a, flow(B));
    lab.settle();
    let child = lab.a.child();
    assert_eq!(
        (child.local_ts, child.remote_ts),
        (vec![TrafficSelector::host(ip(A))], vec![TrafficSelector::host(ip(B))])
    );
    lab.assert_mirrored();
    // Another host is another peer; and nobody answers for many.
    acquire(&mut lab.a, flow("192.0.2.77"));
    let sent = lab.a.take();
    assert_eq!(sent.remote.ip(), ip("192.0.2.77"));
    for (n, nobody) in ["224.0.0.1", "255.255.255.255", "127.0.0.1"].into_iter().enumerate() {
        acquire(&mut lab.a, flow(nobody));
        assert!(lab.a.sent.is_empty(), "{nobody}");
        assert_eq!(lab.a.failures().len(), n + 1, "{nobody}");
    }
    // Who is known is authenticated anew where it is, packet or not.
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    let twenty = Duration::from_secs(1200);
    lab.a.configure(|config| config.remotes[0].extensions.reauth = Some(twenty));
    acquire(&mut lab.a, flow(B));
    lab.settle();
    let first = lab.a.ike().spis;
    lab.sleep(twenty);
    lab.settle();
    assert!(lab.a.endpoint.ike_sas().iter().any(|sa| sa.spis != first), "{:?}", lab.a.failures());
    lab.traffic();
    lab.assert_mirrored();
}
