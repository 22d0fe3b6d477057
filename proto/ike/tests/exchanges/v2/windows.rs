//! Windows above one (RFC 7296 §2.3): several requests under way, answered in any order, repeated each by itself, and what has
//! to be alone all the same.

use std::time::Duration;

use ravelin_ike::{Command, Config, limits};
use ravelin_types::Spi;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::NotifyType;

use crate::lab::*;
use crate::v2::peer::{self, Peer};

/// Policies beside the first: as many Child SAs to make.
const MORE: std::ops::Range<u32> = 20..26;

fn net(id: u32) -> Vec<TrafficSelector> {
    vec![TrafficSelector::prefix(ip(&format!("10.{id}.0.0")), 16).unwrap()]
}

/// Both take so many requests at once, and there are [`MORE`] policies.
fn windows(ours: u32, theirs: u32) -> Lab {
    Lab::with(|a, b| {
        a.remotes[0].extensions.window = ours;
        b.remotes[0].extensions.window = theirs;
        for id in MORE {
            for (config, local, remote) in [(&mut *a, A, B), (&mut *b, B, A)] {
                let mut policy = policy(PolicyId(id), Mode::Tunnel, local, remote);
                let side = if local == A { &mut policy.policy.local } else { &mut policy.policy.remote };
                *side = net(id);
                config.policies.push(policy);
            }
        }
    })
}

/// A asks for all of them at once.
fn initiate(lab: &mut Lab) {
    for id in MORE {
        lab.a.command(Command::Initiate(PolicyId(id)));
    }
}

fn ids(host: &Host) -> Vec<u32> {
    host.sent.iter().map(|message| kind(&message.data).1).collect()
}

// HDR, SK {SA, Ni, TSi, TSr}, message ID 2  -->
// HDR, SK {SA, Ni, TSi, TSr}, message ID 3  -->
//     <--  HDR, SK {SA, Nr, TSi, TSr}, message ID 3
//     <--  HDR, SK {SA, Nr, TSi, TSr}, message ID 2
#[test]
fn several_requests_are_under_way_and_answered_in_any_order() {
    let mut lab = windows(4, 4);
    lab.establish();
    initiate(&mut lab);
    assert_eq!(ids(&lab.a), [2, 3, 4, 5]);
    while let Some(message) = lab.a.sent.pop_back() {
        lab.b.receive(&message);
    }
    assert_eq!(ids(&lab.b), [5, 4, 3, 2]);
    // RFC 7296 §2.3: request X waits for the responses to all up to X - N.
    for _ in 0..3 {
        lab.b_to_a();
        assert!(lab.a.sent.is_empty());
    }
    lab.b_to_a();
    assert_eq!(ids(&lab.a), [6, 7]);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.children().len(), lab.a.failures().len(), lab.b.failures().len()), (7, 0, 0));
}

// Each side's window is what the other may use, and what it does is its own choice: without the notify it is one.
#[test]
fn nobody_asks_for_more_than_the_other_takes() {
    for (ours, theirs, under_way) in [(4, 0, 1), (0, 4, 1), (1, 4, 1), (8, 3, 3), (3, 8, 3), (u32::MAX, u32::MAX, 6)] {
        let mut lab = windows(ours, theirs);
        lab.establish();
        initiate(&mut lab);
        assert_eq!(lab.a.sent.len(), under_way, "{ours} {theirs}");
        lab.settle();
        lab.assert_mirrored();
        assert_eq!(lab.b.children().len(), 7);
    }
}

// RFC 7296 §2.1: each request has a timer of its own, and its answer is kept as long as it can come again.
#[test]
fn each_request_is_repeated_by_itself() {
    let mut lab = windows(4, 4);
    lab.establish();
    initiate(&mut lab);
    let first: Vec<_> = lab.a.sent.drain(..).collect();
    // The second and the last get there, and the answer to the last is lost.
    lab.b.receive(&first[1]);
    lab.b.receive(&first[3]);
    lab.b_to_a();
    let lost = lab.b.take();
    lab.a.sleep(Duration::from_secs(1));
    assert_eq!(ids(&lab.a), [2, 4, 5]);
    assert!(lab.a.sent.iter().all(|again| first.iter().any(|message| message.data == again.data)));
    let again = lab.a.sent[2].clone();
    lab.b.receive(&again);
    assert_eq!(lab.b.take().data, lost.data);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.b.children().len(), 7);
}

// RFC 7296 §2.8: a new IKE SA takes over what there is, so nothing is being made meanwhile; §1.3.2: it begins with a window of
// one.
#[test]
fn what_is_about_the_ike_sa_is_alone() {
    let mut lab = windows(4, 4);
    lab.establish();
    lab.a.command(Command::Initiate(PolicyId(20)));
    lab.a.command(Command::Initiate(PolicyId(21)));
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.a.command(Command::Initiate(PolicyId(22)));
    assert_eq!(ids(&lab.a), [2, 3]);
    lab.a_to_b();
    lab.b_to_a();
    assert_eq!(ids(&lab.a), [3], "nor does anything pass it that came after");
    lab.a_to_b();
    lab.b_to_a();
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 4, false)));
    lab.a_to_b();
    lab.b_to_a();
    // The heir has what was left to do, the old IKE SA its deletion.
    lab.settle();
    lab.sleep(Duration::from_millis(1));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.a.children().len(), 4);
    // Both have said anew how many they take.
    for id in 23..26 {
        lab.a.command(Command::Initiate(PolicyId(id)));
    }
    assert_eq!(lab.a.sent.len(), 3);
    lab.a.command(Command::TerminateIke(None));
    assert_eq!(lab.a.sent.len(), 3, "the end of the IKE SA comes after what is open");
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
}

// The lab holds a host to its deadlines: a timer that has run is not due again.
#[test]
fn what_waits_behind_a_rekey_of_the_ike_sa_waits_for_no_time() {
    let mut lab = windows(4, 4);
    lab.establish();
    // <--  HDR, SK {SA, Ni, TSi, TSr}, which is late; a rekey of the IKE SA is put off for it.
    lab.b.command(Command::Initiate(PolicyId(MORE.start)));
    let late = lab.b.take();
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.a_to_b();
    lab.b_to_a();
    // When its time comes another request is open, and one more is wanted behind it.
    lab.a.command(Command::Initiate(PolicyId(MORE.start + 1)));
    assert_eq!(lab.a.sent.len(), 1);
    lab.a.sleep(limits::TEMPORARY_FAILURE_WAIT);
    lab.a.command(Command::Initiate(PolicyId(MORE.start + 2)));
    lab.a.sleep(Duration::from_millis(1));
    lab.a.receive(&late);
    for _ in 0..10 {
        lab.settle();
        lab.sleep(Duration::from_secs(1));
    }
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (4, 4));
    assert_eq!((lab.a.endpoint.ike_sas().len(), lab.a.failures().len(), lab.b.failures().len()), (1, 0, 0));
}

#[test]
fn a_child_sa_is_not_rekeyed_and_deleted_at_once() {
    let mut lab = windows(4, 4);
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.a.command(Command::TerminateChild(Some(POLICY)));
    assert_eq!(lab.a.sent.len(), 1);
    lab.settle();
    lab.assert_mirrored();
}

/// A host that takes four requests at once, and a peer with an IKE SA that takes as many as it says.
fn opposite(said: &[u8]) -> (Host, Peer) {
    let mut config: Config = config(B, A);
    config.remotes[0].extensions.window = 4;
    for id in MORE {
        let mut policy = policy(PolicyId(id), Mode::Tunnel, B, A);
        policy.policy.remote = net(id);
        config.policies.push(policy);
    }
    let mut host = Host::new(config, 2);
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.push(peer::notify(NotifyType::SET_WINDOW_SIZE, said));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(peer::notifies(&answer).contains(&NotifyType::SET_WINDOW_SIZE));
    (host, peer)
}

#[test]
fn a_peer_gets_no_further_than_the_window_and_no_more_is_kept() {
    let (mut host, mut peer) = opposite(&4u32.to_be_bytes());
    let liveness = |peer: &mut Peer, host: &mut Host, id: u32| {
        let message = peer.seal(ExchangeType::INFORMATIONAL, false, id, &[]);
        peer.send(host, &message);
        host.sent.pop_front().map(|answer| kind(&answer.data).1)
    };
    assert_eq!(liveness(&mut peer, &mut host, 6), None, "beyond the window");
    assert_eq!(liveness(&mut peer, &mut host, u32::MAX), None);
    assert_eq!(host.endpoint.counters().outside_window, 2);
    assert_eq!([5, 3, 2, 4].map(|id| liveness(&mut peer, &mut host, id)), [5, 3, 2, 4].map(Some));
    // Each has been answered, and is answered again.
    assert_eq!([2, 5, 4, 3].map(|id| liveness(&mut peer, &mut host, id)), [2, 5, 4, 3].map(Some));
    assert_eq!(host.endpoint.counters().repeated, 4);
    // Whoever asks for 6 has the answer to 2.
    assert_eq!(liveness(&mut peer, &mut host, 6), Some(6));
    assert_eq!(liveness(&mut peer, &mut host, 2), None);
    // One that is missing holds up those after the window alone.
    assert_eq!([8, 9, 10, 11].map(|id| liveness(&mut peer, &mut host, id)), [Some(8), Some(9), Some(10), None]);
    assert_eq!(liveness(&mut peer, &mut host, 7), Some(7));
    assert_eq!(liveness(&mut peer, &mut host, 11), Some(11));
}

#[test]
fn a_request_that_came_ahead_has_its_effect_once() {
    let (mut host, mut peer) = opposite(&4u32.to_be_bytes());
    let spis = [Spi(0x0abc_0010), Spi(0x0abc_0011)];
    let messages: Vec<Vec<u8>> = [3, 2]
        .into_iter()
        .zip(spis)
        .map(|(id, spi)| peer.seal(ExchangeType::CREATE_CHILD_SA, false, id, &peer::child_request(spi, id as u8)))
        .collect();
    for message in messages.iter().chain(&messages) {
        peer.send(&mut host, message);
    }
    assert_eq!(host.children().len(), 3);
    assert_eq!(ids(&host), [3, 2, 3, 2]);
    assert_eq!(host.sent[0].data, host.sent[2].data);
    // The deletion of the IKE SA ends it, whatever is missing before it.
    let (mut host, mut peer) = opposite(&4u32.to_be_bytes());
    let end = [ravelin_wire::ike::v2::Payload::Delete(ravelin_wire::ike::v2::Delete::Ike)];
    let message = peer.seal(ExchangeType::INFORMATIONAL, false, 4, &end);
    peer.send(&mut host, &message);
    assert!(host.sas.is_empty() && host.endpoint.ike_sas().is_empty());
}

// RFC 7296 §2.3: four octets, and no way to take it back.
#[test]
fn what_a_peer_says_of_its_window_is_read_with_care() {
    for (said, under_way) in
        [(&[0, 0, 0, 3][..], 3), (&[0xff; 4], 4), (&[0; 4], 1), (&[3], 1), (&[], 1), (&[0, 0, 0, 3, 0], 1)]
    {
        let (mut host, mut peer) = opposite(said);
        for id in MORE {
            host.command(Command::Initiate(PolicyId(id)));
        }
        assert_eq!(host.sent.len(), under_way, "{said:?}");
        assert!(under_way <= limits::WINDOW as usize);
        // It takes fewer now, says the peer; then more, which counts.
        let open = host.sent.len();
        for (size, now) in [(1u32, open), (64, 4)] {
            let payloads = [peer::notify(NotifyType::SET_WINDOW_SIZE, &size.to_be_bytes())];
            peer.request(&mut host, ExchangeType::INFORMATIONAL, &payloads);
            let requests = host.sent.iter().filter(|message| !kind(&message.data).2).count();
            assert_eq!(requests, now, "{said:?} {size}");
        }
    }
}

// What one peer has computed for it at a time is bounded, whatever its window. What is dropped comes again.
#[test]
fn so_many_requests_wait_for_key_exchanges_and_no_more() {
    let mut lab = windows(8, 8);
    for host in [&mut lab.a, &mut lab.b] {
        host.configure(|config| {
            config.policies.iter_mut().for_each(|it| it.proposals = vec![pfs(esp_proposal(), KeMethod::MODP1536)]);
        });
    }
    lab.establish();
    initiate(&mut lab);
    while lab.a.answer() {}
    assert_eq!(lab.a.sent.len(), MORE.len());
    while !lab.a.sent.is_empty() {
        lab.a_to_b();
    }
    assert_eq!(lab.b.asked.len(), limits::PUT_OFF);
    for _ in 0..4 {
        lab.settle();
        lab.a.sleep(Duration::from_secs(4));
    }
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1 + MORE.len(), 1 + MORE.len()));
}
