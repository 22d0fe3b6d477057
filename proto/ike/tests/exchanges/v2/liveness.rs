//! Whether the peer is alive (RFC 7296 §2.4, §2.21.4), and what happens when it is not.

use std::time::Duration;

use ravelin_ike::config::Liveness;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, limits};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

const AFTER: Duration = Duration::from_secs(20);

#[test]
fn a_packet_or_a_message_of_the_peer_shows_that_it_lives() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::Regular(AFTER));
    lab.establish();
    lab.a.sleep(AFTER / 2);
    let inbound = lab.a.child().inbound;
    lab.a.command(Command::Alive(inbound));
    lab.a.sleep(AFTER / 2);
    assert!(lab.a.sent.is_empty());
    lab.b.command(Command::CheckLiveness("peer".into()));
    lab.settle();
    lab.a.sleep(AFTER - Duration::from_millis(1));
    assert!(lab.a.sent.is_empty());
    lab.a.sleep(Duration::from_millis(1));
    assert_eq!(lab.a.sent.len(), 1);
}

#[test]
fn a_message_that_does_not_verify_shows_nothing() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::Regular(AFTER));
    lab.establish();
    lab.b.command(Command::CheckLiveness("peer".into()));
    let mut forged = lab.b.take();
    *forged.data.last_mut().unwrap() ^= 1;
    lab.a.sleep(AFTER / 2);
    lab.a.receive(&forged);
    lab.a.sleep(AFTER / 2);
    assert_eq!(lab.a.next(), Some((INFO, 2, false)));
}

// RFC 3706 §5: whoever sends nothing does not worry, for however long, and keeps no timer for it.
#[test]
fn a_host_that_sends_nothing_never_asks() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::WhenSending(AFTER));
    lab.establish();
    for _ in 0..100 {
        lab.a.sleep(AFTER);
    }
    assert!(lab.a.sent.is_empty());
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    // The first packet after that is one to worry about.
    assert!(lab.a.send_packet());
    assert_eq!(lab.a.next(), Some((INFO, 2, false)));
    lab.settle();
    assert!(!lab.a.send_packet(), "the answer is proof for the same time again");
    lab.a.sleep(AFTER - Duration::from_millis(1));
    assert!(!lab.a.send_packet());
    lab.a.sleep(Duration::from_millis(1));
    assert!(lab.a.send_packet());
    assert_eq!(lab.a.next(), Some((INFO, 3, false)));
}

#[test]
fn a_host_that_sends_into_silence_asks_and_finds_the_peer_dead() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::WhenSending(AFTER));
    lab.establish();
    let (mut asked, mut first) = (0, None);
    for second in 1..200 {
        lab.a.sleep(Duration::from_secs(1));
        if lab.a.sas.is_empty() {
            break;
        }
        lab.a.send_packet();
        asked += lab.a.sent.drain(..).count();
        first = first.or((asked > 0).then_some(second));
    }
    assert_eq!((asked, first), (7, Some(AFTER.as_secs())), "as often as any request, and from that time on");
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}

// Both began at once, and one IKE SA is gone at the peer: its traffic has gone over to the other, and no packet would tell.
#[test]
fn of_two_with_a_peer_an_idle_one_is_asked_about() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::WhenSending(AFTER));
    lab.a.command(Command::Initiate(POLICY));
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    let gone = lab.a.endpoint.ike_sas()[0].spis.0;
    assert_eq!(lab.a.endpoint.ike_sas().len(), 2);
    let mut asked = 0;
    for _ in 0..200 {
        lab.a.sleep(Duration::from_secs(1));
        let about_it = |message: &ravelin_ike::Transmit| message.data[..8] == gone.0.to_be_bytes();
        asked += lab.a.sent.iter().filter(|message| about_it(message)).count();
        lab.a.sent.retain(|message| !about_it(message));
        lab.settle();
    }
    assert_eq!(asked, 7, "as often as any request");
    let left = lab.a.endpoint.ike_sas();
    assert_eq!(left.len(), 1);
    assert_ne!(left[0].spis.0, gone);
}

// RFC 3706 §5.4: traffic in both directions is proof; a packet told of late, after one of the peer, is no reason to ask.
#[test]
fn a_host_that_is_answered_does_not_ask() {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::WhenSending(AFTER));
    lab.establish();
    let inbound = lab.a.child().inbound;
    for _ in 0..100 {
        lab.a.sleep(AFTER / 2);
        lab.a.send_packet();
        lab.a.command(Command::Alive(inbound));
    }
    lab.a.sleep(AFTER);
    lab.a.command(Command::Alive(inbound));
    assert!(lab.a.send_packet());
    assert!(lab.a.sent.is_empty());
}

// Each end has its own interval (RFC 3706 §5), and a new IKE SA in place of the old goes on with it.
#[test]
fn each_end_worries_for_itself_also_after_a_rekey() {
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].liveness = Liveness::WhenSending(AFTER);
        b.remotes[0].liveness = Liveness::WhenSending(AFTER * 30);
    });
    lab.establish();
    lab.sleep(AFTER);
    assert!(!lab.b.send_packet());
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert!(lab.a.send_packet(), "it was to be told of");
    assert!(lab.a.sent.is_empty(), "but meanwhile the peer was heard");
    lab.a.sleep(AFTER);
    assert!(lab.a.send_packet());
    assert_eq!(lab.a.next().map(|(kind, ..)| kind), Some(INFO));
}

// RFC 7296 §2.21.4: INVALID_IKE_SPI outside any IKE SA is a hint to ask, no more, and not at any rate.
#[test]
fn an_unprotected_invalid_ike_spi_only_makes_the_endpoint_ask() {
    let mut lab = Lab::up();
    lab.b = Host::new(lab.b.config.clone(), 77);
    lab.a.command(Command::CheckLiveness("peer".into()));
    lab.a_to_b();
    // <-- HDR, N(INVALID_IKE_SPI)
    let hint = lab.b.take();
    lab.a.sent.clear();
    for _ in 0..20 {
        lab.a.receive(&hint);
    }
    // The one that is open tells as much.
    assert!(lab.a.sent.is_empty());
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    assert_eq!(lab.a.sas.len(), 2);

    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let header = peer.header(ExchangeType::INFORMATIONAL, true, 0);
    let hint = peer::clear(&header, &[peer::notify(NotifyType::INVALID_IKE_SPI, &[])]);
    for _ in 0..20 {
        peer.send(&mut host, &hint);
    }
    assert_eq!(host.sent.len(), 1);
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(asked, []);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    peer.send(&mut host, &hint);
    assert!(host.sent.is_empty(), "not again so soon");
    host.sleep(limits::HINT_INTERVAL);
    peer.send(&mut host, &hint);
    assert_eq!(host.sent.len(), 1);
    assert_eq!(host.sas.len(), 2);
}

// As responder to an endpoint: what the endpoint sends first, and what it makes of the answer.
#[test]
fn an_endpoint_that_initiates_says_so_and_asks_for_nothing_else() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(id, 1);
    let kinds: Vec<String> = asked.iter().map(peer::name).collect();
    assert_eq!(kinds, ["IDi", "N", "IDr", "AUTH", "SA", "TSi", "TSr"]);
    assert_eq!(peer::notifies(&asked), [NotifyType::INITIAL_CONTACT]);
    let payloads = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!(host.ike().state, "ESTABLISHED");
    assert!(matches!(asked[0], Payload::IdI(_)));
    // Its own requests count from 2, those of the peer from 0.
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
    host.command(Command::CheckLiveness("peer".into()));
    assert_eq!(host.next(), Some((INFO, 2, false)));
}
