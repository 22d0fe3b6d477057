//! Quick crash detection (RFC 6290): the tokens of a host, what becomes of the peer that is shown one, and what nobody can do
//! with them.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Endpoint, Event, Transmit, limits};
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header};
use ravelin_wire::ike::v2::{AnySpi, Message, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;
const TOKEN: NotifyType = NotifyType::QUICK_CRASH_DETECTION;
/// What the peer of a test gives.
const THEIRS: &[u8; 16] = b"a token of peers";
const SECOND: Duration = Duration::from_secs(1);

/// Starts a host with this secret, or again: what it had is gone.
fn start(host: &mut Host, seed: u64, secret: u8) {
    let rng = Box::new(SeededRandom::new(seed));
    let endpoint = Endpoint::new(Arc::new(host.config.clone()), provider(), rng, host.now);
    host.endpoint = endpoint.with_crash_secret(Secret::new(vec![secret; 32]));
    host.sas.clear();
    host.sent.clear();
    host.events.clear();
}

/// Two hosts with tokens and an IKE SA that is not too young.
fn lab() -> Lab {
    let mut lab = Lab::with(|a, b| {
        for config in [a, b] {
            config.remotes[0].extensions.crash_detection = true;
        }
    });
    start(&mut lab.a, 1, 1);
    start(&mut lab.b, 2, 2);
    lab.establish();
    lab.sleep(limits::CRASH_PAUSE);
    lab
}

/// A host with tokens, and a peer with an IKE SA that gave it this one.
fn opposite(token: &[u8]) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.crash_detection = true;
    let mut host = Host::new(config, 2);
    start(&mut host, 2, 2);
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.insert(2, peer::notify(TOKEN, token));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    // RFC 6290 §4.2: behind AUTH and before all that is about the Child SA.
    let names: Vec<String> = answer.iter().map(peer::name).collect();
    assert_eq!(names[..4], ["IDr", "AUTH", "N", "SA"]);
    // RFC 6290 §4.1 and §5.
    let Payload::Notify(own) = &answer[2] else { panic!("{answer:?}") };
    assert_eq!((own.kind, own.protocol, &own.spi, own.data.len()), (TOKEN, ProtocolId::IKE, &AnySpi::None, 16));
    host.sleep(limits::CRASH_PAUSE);
    (host, peer)
}

/// `HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN)+` in the name of a peer.
fn shown(peer: &Peer, tokens: &[&[u8]]) -> Vec<u8> {
    let tokens = tokens.iter().map(|token| peer::notify(TOKEN, token));
    let payloads: Vec<Payload> = [peer::notify(NotifyType::INVALID_IKE_SPI, &[])].into_iter().chain(tokens).collect();
    peer::clear(&peer.header(INFORMATIONAL, true, 0), &payloads)
}

/// What a message in clear says.
fn said(message: &Transmit) -> (Header, Vec<NotifyType>, Vec<u8>) {
    let parsed = Message::parse(&message.data).unwrap();
    assert!(parsed.protected.is_none());
    let token = parsed.payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == TOKEN => Some(notify.data.clone()),
        _ => None,
    });
    (parsed.header, peer::notifies(&parsed.payloads), token.unwrap_or_default())
}

fn crashes(host: &Host) -> usize {
    let crashed = |event: &&Event| matches!(event, Event::IkeDown { reason: DownReason::PeerCrashed, .. });
    host.events.iter().filter(crashed).count()
}

/// What a host that lost everything says to this request from here.
fn after_crash(host: &mut Host, request: &Transmit) -> Transmit {
    start(host, 77, 2);
    host.receive(request);
    host.take()
}

// HDR, SK {}  -->
//     <--  HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN)
// RFC 6290 §3 and §4.5: the IKE SA goes in silence, whatever address the answer comes from, and another begins at once.
#[test]
fn a_crash_of_either_side_is_noticed_with_the_next_request() {
    for responder_crashes in [true, false] {
        let mut lab = lab();
        let (crashed, secret, other) =
            if responder_crashes { (&mut lab.b, 2, &mut lab.a) } else { (&mut lab.a, 1, &mut lab.b) };
        start(crashed, 9, secret);
        other.command(Command::CheckLiveness("peer".into()));
        let request = other.take();
        let before = crashed.now;
        crashed.receive(&request);
        let answer = crashed.take();
        let (header, notifies, token) = said(&answer);
        assert_eq!((notifies, token.len()), (vec![NotifyType::INVALID_IKE_SPI, TOKEN], 16));
        // RFC 6290 §4.5: SPIs and message ID are those of the request.
        assert_eq!(answer.data[..16], request.data[..16]);
        assert_eq!(header.message_id.to_be_bytes(), request.data[20..24]);
        assert!(header.flags.is_response() && header.flags.is_initiator() != responder_crashes);
        // Hardly longer than what it answers.
        assert!(answer.data.len() <= request.data.len() + 3, "{} {}", answer.data.len(), request.data.len());

        other.receive_from(&answer, socket("192.0.2.9:4500"), socket("203.0.113.77:999"));
        assert_eq!((crashes(other), other.sas.len()), (1, 0));
        assert_eq!(other.next(), Some((SA_INIT, 0, false)), "no word more on the old one");
        assert_eq!((other.sent.len(), other.now), (1, before));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!((lab.a.child().policy, lab.b.child().policy), (POLICY, POLICY));
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (1, 1));

        // RFC 6290 §9.1: played back, it is about nothing that is there.
        let host = if responder_crashes { &mut lab.a } else { &mut lab.b };
        host.receive(&answer);
        assert!(host.sent.is_empty() && host.children().len() == 1);
    }
}

// HDR, SK {SA, Ni, KEi}     -->
//     <--  HDR, SK {SA, Nr, KEr, N(QCD_TOKEN)}
// HDR, SK {N(QCD_TOKEN)}    -->
// RFC 6290 §4.3: the tokens of an IKE SA that was rekeyed are its own, on both sides.
#[test]
fn an_ike_sa_that_took_over_has_tokens_of_both_sides() {
    for (rekeys, crashes_a) in [("a", true), ("a", false), ("b", true), ("b", false)] {
        let mut lab = lab();
        let old = lab.a.ike().spis;
        let host = if rekeys == "a" { &mut lab.a } else { &mut lab.b };
        host.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.sleep(limits::CRASH_PAUSE);
        lab.settle();
        let spis = lab.a.ike().spis;
        assert_ne!(spis, old);
        let (crashed, secret, other) =
            if crashes_a { (&mut lab.a, 1, &mut lab.b) } else { (&mut lab.b, 2, &mut lab.a) };
        start(crashed, 9, secret);
        other.command(Command::CheckLiveness("peer".into()));
        other.events.clear();
        lab.settle();
        let other = if crashes_a { &lab.b } else { &lab.a };
        assert_eq!(crashes(other), 1, "{rekeys} {crashes_a}");
        lab.assert_mirrored();
    }
}

// RFC 6290 §9.2: never while the IKE SA is there, whatever somebody who sees its SPIs makes of them.
#[test]
fn nobody_gets_the_token_of_an_ike_sa_that_is_there() {
    let mut lab = lab();
    lab.a.command(Command::CheckLiveness("peer".into()));
    let request = lab.a.take();
    let living: [u8; 16] = request.data[..16].try_into().unwrap();
    let (spi_i, spi_r) = living.split_at(8);
    let other = [0x55; 8];
    for initiator in [true, false] {
        for spis in [[spi_i, spi_r], [spi_r, spi_i], [spi_i, &other], [&other, spi_i], [spi_r, &other], [&other, spi_r]]
        {
            for host in [&mut lab.a, &mut lab.b] {
                let mut forged = request.clone();
                forged.data[..16].copy_from_slice(&spis.concat());
                forged.data[19] = if initiator { Flags::INITIATOR.0 } else { 0 };
                host.now = host.now + SECOND;
                host.receive_from(&forged, request.remote, request.local);
                let answers: Vec<Transmit> = host.sent.drain(..).collect();
                let tokens =
                    answers.iter().filter(|answer| answer.data.windows(2).any(|two| two == TOKEN.0.to_be_bytes()));
                // Where no SPI is that of the host itself, none of its IKE SAs is meant.
                let own = spis.iter().any(|spi| {
                    let ours = host.ike();
                    let ours = if ours.initiator { ours.spis.0 } else { ours.spis.1 };
                    *spi == ours.0.to_be_bytes()
                });
                assert!(!own || tokens.count() == 0, "{spis:?} {initiator}");
            }
        }
    }
    lab.b.receive(&request);
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
}

// The same of an IKE SA that is about to be: the peer has it already, and its first request overtakes its response.
#[test]
fn nobody_gets_the_token_of_an_ike_sa_that_is_being_made() {
    let (mut host, mut peer) = opposite(THEIRS);
    host.command(Command::RekeyIke("peer".into()));
    let (_, request) = peer.asked(&mut host);
    let own = peer::spi_of(&request).ike().unwrap();
    let theirs = IkeSpi(0x7000);
    let answer = ask_on(&mut peer, &mut host, (own, theirs), false);
    assert_eq!(said(&answer).1, [NotifyType::INVALID_IKE_SPI]);
    // Nor the other way round.
    let answer = ask_on(&mut peer, &mut host, (theirs, own), true);
    assert_eq!(said(&answer).1, [NotifyType::INVALID_IKE_SPI]);
    // One that nothing is about.
    let answer = ask_on(&mut peer, &mut host, (theirs, IkeSpi(0x7001)), true);
    assert_eq!(said(&answer).1, [NotifyType::INVALID_IKE_SPI, TOKEN]);
}

/// A protected request on other SPIs, and what the host says to it.
fn ask_on(peer: &mut Peer, host: &mut Host, spis: (IkeSpi, IkeSpi), initiator: bool) -> Transmit {
    let mut message = peer.seal(INFORMATIONAL, false, 0, &[]);
    message[..8].copy_from_slice(&spis.0.0.to_be_bytes());
    message[8..16].copy_from_slice(&spis.1.0.to_be_bytes());
    message[19] = if initiator { Flags::INITIATOR.0 } else { 0 };
    peer.send(host, &message);
    host.take()
}

// RFC 6290 §9.1: nothing but the token itself ends an IKE SA.
#[test]
fn what_is_not_quite_the_token_ends_nothing() {
    let (mut host, peer) = opposite(THEIRS);
    let mut refused = 0;
    for octet in 0..THEIRS.len() {
        for bit in 0..8 {
            let mut altered = *THEIRS;
            altered[octet] ^= 1 << bit;
            host.now = host.now + SECOND;
            peer.send(&mut host, &shown(&peer, &[&altered]));
            refused += 1;
        }
    }
    for other in [&THEIRS[..15], &[&THEIRS[..], &[0]].concat(), &[], &[0; 128]] {
        host.now = host.now + SECOND;
        peer.send(&mut host, &shown(&peer, &[other]));
        refused += 1;
    }
    assert_eq!((host.endpoint.counters().refused_tokens, host.sas.len(), crashes(&host)), (refused, 2, 0));
    // Its own token, reflected, is not that of the peer.
    let mut own = peer.header(INFORMATIONAL, true, 0);
    own.initiator_spi = IkeSpi(own.initiator_spi.0 ^ 1);
    host.now = host.now + SECOND;
    peer.send(&mut host, &peer::clear(&own, &[peer::notify(TOKEN, THEIRS)]));
    assert_eq!(host.sas.len(), 2);
    peer.send(&mut host, &shown(&peer, &[THEIRS]));
    assert_eq!((host.sas.len(), crashes(&host)), (0, 1));
}

// RFC 6290 §4.5: of at least four generations of a secret, one; RFC 6290 §8.1: at a limited rate.
#[test]
fn four_tokens_are_looked_at_and_so_many_messages_a_second() {
    let (mut host, peer) = opposite(THEIRS);
    let wrong: &[u8] = &[7; 16];
    peer.send(&mut host, &shown(&peer, &[wrong, wrong, wrong, wrong, THEIRS]));
    assert_eq!((host.sas.len(), host.endpoint.counters().refused_tokens), (2, 1));
    for _ in 1..limits::CRASH_TOKENS_PER_SECOND {
        peer.send(&mut host, &shown(&peer, &[wrong]));
    }
    let limited = host.endpoint.counters().rate_limited;
    peer.send(&mut host, &shown(&peer, &[THEIRS]));
    assert_eq!((host.sas.len(), host.endpoint.counters().rate_limited), (2, limited + 1));
    host.now = host.now + SECOND;
    peer.send(&mut host, &shown(&peer, &[wrong, wrong, wrong, THEIRS]));
    assert_eq!(host.sas.len(), 0);
}

// RFC 6290 §9.3: whoever asks about SPIs of his choice gets no dictionary: at a limited rate, and only at the address of a peer
// that has tokens. No two are alike.
#[test]
fn tokens_of_chosen_spis_are_few_and_not_for_strangers() {
    let (mut host, mut peer) = opposite(THEIRS);
    let mut tokens = Vec::new();
    for number in 1..=100u64 {
        let mut message = peer.seal(INFORMATIONAL, false, 0, &[]);
        message[..16].copy_from_slice(&[number.to_be_bytes(), [9; 8]].concat());
        peer.send(&mut host, &message);
        tokens.extend(host.sent.drain(..).map(|answer| said(&answer).2));
    }
    assert_eq!(tokens.len(), limits::UNPROTECTED_PER_SECOND as usize);
    let given = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert!(tokens.len() == given && tokens.iter().all(|token| token.len() == 16));

    host.now = host.now + SECOND;
    let home = std::mem::replace(&mut peer.local, socket("198.51.100.1:500"));
    let answer = ask_on(&mut peer, &mut host, (IkeSpi(1), IkeSpi(2)), true);
    assert_eq!(said(&answer).1, [NotifyType::INVALID_IKE_SPI]);
    peer.local = home;
    host.configure(|config| config.remotes[0].extensions.crash_detection = false);
    let answer = ask_on(&mut peer, &mut host, (IkeSpi(1), IkeSpi(2)), true);
    assert_eq!(said(&answer).1, [NotifyType::INVALID_IKE_SPI]);
}

// RFC 6290 §5: the same ever after, by the same secret; RFC 6290 §9.1: by another it is another.
#[test]
fn a_token_is_made_of_the_secret_and_the_two_spis() {
    let (mut host, mut peer) = opposite(THEIRS);
    let request = Transmit {
        local: peer.local,
        remote: peer.remote,
        carrier: ravelin_types::Carrier::Udp,
        data: peer.seal(INFORMATIONAL, false, 2, &[]),
    };
    let first = after_crash(&mut host, &request);
    assert_eq!(said(&first).2, said(&after_crash(&mut host, &request)).2);
    start(&mut host, 77, 3);
    host.receive(&request);
    assert_ne!(said(&host.take()).2, said(&first).2);
    // A response is never answered, nor what is not protected.
    let mut response = request.clone();
    response.data[19] |= 0x20;
    host.receive(&response);
    peer.send(&mut host, &shown(&peer, &[THEIRS]));
    assert!(host.sent.is_empty());
}

// RFC 6290 §4.4: a token may be replaced in any protected message, and only there.
#[test]
fn the_last_token_of_a_length_that_there_is_counts() {
    for (token, kept) in [(&[8; 15][..], false), (&[8; 16], true), (&[8; 128], true), (&[8; 129], false), (&[], false)]
    {
        let (mut host, mut peer) = opposite(THEIRS);
        assert!(peer.ask(&mut host, INFORMATIONAL, &[peer::notify(TOKEN, token)]).is_empty());
        peer.send(&mut host, &shown(&peer, &[token]));
        assert_eq!(host.sas.is_empty(), kept, "{}", token.len());
        host.now = host.now + SECOND;
        peer.send(&mut host, &shown(&peer, &[THEIRS]));
        assert!(host.sas.is_empty());
    }
    // With a response of the peer.
    let (mut host, mut peer) = opposite(THEIRS);
    host.command(Command::CheckLiveness("peer".into()));
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, INFORMATIONAL, id, &[peer::notify(TOKEN, &[8; 16])]);
    peer.send(&mut host, &shown(&peer, &[&[8; 16]]));
    assert!(host.sas.is_empty());
}

// HDR, N(INVALID_SPI), N(QCD_TOKEN), outside of any IKE SA
// RFC 6290 §8.2: as if it had come with the SPIs of the IKE SA; a wrong one shows nothing.
#[test]
fn a_token_may_come_with_the_spi_of_a_child_sa() {
    let (mut host, mut peer) = opposite(THEIRS);
    let outside = |peer: &Peer, token: &[u8]| {
        let header =
            Header { initiator_spi: IkeSpi::ZERO, responder_spi: IkeSpi::ZERO, ..peer.header(INFORMATIONAL, false, 0) };
        let spi = peer::notify(NotifyType::INVALID_SPI, &peer::FIRST.0.to_be_bytes());
        peer::clear(&header, &[spi, peer::notify(TOKEN, token)])
    };
    peer.send(&mut host, &outside(&peer, &[7; 16]));
    assert_eq!((host.sas.len(), host.endpoint.counters().refused_tokens), (2, 1));
    // The hint stands for itself (RFC 7296 §2.21.4).
    let (id, payloads) = peer.asked(&mut host);
    assert!(payloads.is_empty());
    peer.answer(&mut host, INFORMATIONAL, id, &[]);
    peer.send(&mut host, &outside(&peer, THEIRS));
    assert_eq!((host.sas.len(), crashes(&host)), (0, 1));
}

// RFC 6290 §8.1: the user has to ask for it; a host without a secret takes tokens and gives none.
#[test]
fn without_being_asked_for_there_are_no_tokens() {
    for (enabled, secret) in [(false, true), (true, false)] {
        let mut config = config(B, A);
        config.remotes[0].extensions.crash_detection = enabled;
        let mut host = Host::new(config, 2);
        if secret {
            start(&mut host, 2, 2);
        }
        let mut peer = Peer::keyed(&mut host);
        let mut payloads = peer.auth_request();
        payloads.push(peer::notify(TOKEN, THEIRS));
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert!(!peer::notifies(&answer).contains(&TOKEN));
        let unknown = ask_on(&mut peer, &mut host, (IkeSpi(1), IkeSpi(2)), true);
        assert_eq!(said(&unknown).1, [NotifyType::INVALID_IKE_SPI]);
        host.sent.clear();
        peer.send(&mut host, &shown(&peer, &[THEIRS]));
        assert_eq!(host.sas.is_empty(), enabled);
        // The IKE SA was too young, or is there: nothing begins.
        let begun = host.sent.iter().filter(|message| kind(&message.data).0 == SA_INIT).count();
        assert_eq!(begun, 0);
    }
}

// One that crashes as soon as it is back waits for a packet.
#[test]
fn a_peer_that_crashes_all_the_time_is_not_run_after() {
    let mut lab = lab();
    start(&mut lab.b, 9, 2);
    lab.a.command(Command::CheckLiveness("peer".into()));
    lab.settle();
    assert_eq!(crashes(&lab.a), 1);
    start(&mut lab.b, 10, 2);
    lab.a.command(Command::CheckLiveness("peer".into()));
    lab.settle();
    assert_eq!(crashes(&lab.a), 2);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.assert_mirrored();
}

// What only answers, only forgets.
#[test]
fn a_host_that_begins_nothing_begins_nothing_after_a_crash() {
    let (mut host, peer) = opposite(THEIRS);
    host.configure(|config| config.remotes[0].initiate = false);
    peer.send(&mut host, &shown(&peer, &[THEIRS]));
    assert!(host.sas.is_empty() && host.sent.is_empty() && host.failures().is_empty());
}
