//! Bytes from nowhere: lengths that lie, flipped bits, messages of no IKE SA, cookies, answers that anybody could send.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Datagram, Input, Output, Transmit, limits};
use ravelin_testkit::SeededRandom;
use ravelin_types::sa::Direction::Inbound;
use ravelin_types::transform::{KeMethod, Transform};
use ravelin_types::{IkeSpi, Spi, Way};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{Chain, Message, Nonce, Notify, NotifyType, Payload, emit};

use super::{fresh, state};
use crate::lab::*;
use crate::v2::peer::Peer;

// Rows 22, 36, 12: every length, and a length field that lies.
#[test]
fn messages_of_any_length_are_counted_and_dropped() {
    let mut lab = Lab::up();
    let view = state(&lab.b);
    lab.a.command(Command::CheckLiveness("peer".into()));
    let real = lab.a.take();
    for len in 0..real.data.len() {
        let cut = Transmit { data: real.data[..len].to_vec(), ..real.clone() };
        lab.b.receive(&cut);
        let mut mended = cut.clone();
        if len >= 28 {
            mended.data[24..28].copy_from_slice(&(len as u32).to_be_bytes());
            lab.b.receive(&mended);
        }
    }
    for length in [0u32, 27, 28, real.data.len() as u32 - 1, real.data.len() as u32 + 1, u32::MAX] {
        let mut lying = real.clone();
        lying.data[24..28].copy_from_slice(&length.to_be_bytes());
        lab.b.receive(&lying);
    }
    assert!(lab.b.sent.is_empty());
    assert_eq!(state(&lab.b), view);
    assert!(lab.b.endpoint.counters().malformed > 0);
    // The real one still counts.
    lab.b.receive(&real);
    assert_eq!(lab.b.sent.len(), 1);
}

#[test]
fn no_flipped_bit_disturbs_an_ike_sa() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyChild(POLICY));
    let request = lab.a.take();
    let view = state(&lab.b);
    for at in 0..request.data.len() {
        for bit in 0..8 {
            let mut flipped = request.clone();
            flipped.data[at] ^= 1 << bit;
            lab.b.receive(&flipped);
        }
    }
    assert_eq!(state(&lab.b), view);
    // Answers went to what named no IKE SA here, at their bounded rate and without protection.
    assert!(lab.b.sent.len() <= limits::UNPROTECTED_PER_SECOND as usize);
    assert!(lab.b.sent.iter().all(|message| message.data.len() == 36));
    lab.b.sent.clear();
    // The same for the answer.
    lab.b.receive(&request);
    let answer = lab.b.take();
    let view = state(&lab.a);
    for at in 0..answer.data.len() {
        let mut flipped = answer.clone();
        flipped.data[at] ^= 0x10;
        lab.a.receive(&flipped);
    }
    assert_eq!(state(&lab.a), view);
    lab.a.receive(&answer);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn no_flipped_bit_of_the_initial_exchanges_leads_to_an_ike_sa() {
    // Message by message: request and answer of IKE_SA_INIT, request and answer of IKE_AUTH.
    for message in 0..4 {
        let mut lab = Lab::new();
        lab.a.command(Command::Initiate(POLICY));
        for step in 0..message {
            if step % 2 == 0 {
                lab.a_to_b()
            } else {
                lab.b_to_a()
            };
        }
        let from_a = message % 2 == 0;
        let real = if from_a { lab.a.take() } else { lab.b.take() };
        for at in 0..real.data.len() {
            let mut flipped = real.clone();
            flipped.data[at] ^= 0x40;
            let host = if from_a { &mut lab.b } else { &mut lab.a };
            host.receive(&flipped);
            assert!(host.sas.is_empty());
            assert!(host.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
        }
    }
}

// Rows 12, 13: messages for IKE SAs that are not there.
#[test]
fn messages_for_no_ike_sa_get_a_bounded_number_of_short_answers() {
    let mut lab = Lab::up();
    let view = state(&lab.b);
    let mut count = 0;
    for exchange in 0..=255u8 {
        for flags in [0u8, 0x08, 0x20, 0x28] {
            for version in [0x10, 0x20, 0x2f, 0x30] {
                let mut data = vec![7; 16];
                data.extend([0, version, exchange, flags, 0, 0, 0, 0, 0, 0, 0, 28]);
                let message = Transmit::new(Way::udp(socket("192.0.2.1:500"), socket("192.0.2.2:500")), data);
                lab.b.receive(&message);
                count += 1;
            }
        }
    }
    // Nothing of 28 bytes can be answered without amplification.
    assert!(lab.b.sent.is_empty());
    assert_eq!(state(&lab.b), view);
    let counters = lab.b.endpoint.counters();
    assert!(counters.version + counters.unknown_spi + counters.malformed >= count / 2);
    // A response is never answered, and a request is, with INVALID_IKE_SPI and its own numbers.
    for (flags, answers) in [(0x28u8, 0), (0x08, 1)] {
        let mut data = vec![9; 16];
        data.extend([46, 0x20, INFO, flags, 0, 0, 0, 5, 0, 0, 0, 40, 0, 0, 0, 12, 0, 0, 0x9c, 0x40, 1, 2, 3, 4]);
        lab.b.sleep(Duration::from_secs(2));
        lab.b.receive(&Transmit::new(Way::udp(socket("192.0.2.1:500"), socket("192.0.2.2:500")), data));
        assert_eq!(lab.b.sent.len(), answers);
    }
    let answer = lab.b.take();
    assert_eq!(kind(&answer.data), (INFO, 5, true));
    assert_eq!(answer.data[34..36], NotifyType::INVALID_IKE_SPI.0.to_be_bytes());
}

// RFC 7296 §1.5: it is a hint that must not be answered.
#[test]
fn an_unprotected_invalid_spi_makes_us_ask_the_peer_once() {
    let mut lab = Lab::up();
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi(2),
        version: Version::V2,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags::INITIATOR,
        message_id: 0,
    };
    for (spi, asked) in [(Spi(0x5555_5555), 0), (lab.b.child().outbound, 1), (lab.b.child().outbound, 1)] {
        let notify = Payload::Notify(Notify::new(NotifyType::INVALID_SPI, spi.0.to_be_bytes()));
        let data = emit(&header, &Chain::new(&[notify]).unwrap());
        lab.b.receive(&Transmit::new(Way::udp(socket("192.0.2.1:500"), socket("192.0.2.2:500")), data));
        assert_eq!(lab.b.sent.len(), asked);
    }
    assert_eq!(lab.b.next(), Some((INFO, 0, false)));
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
}

#[test]
fn a_higher_major_version_is_told_ours() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let mut message = lab.a.take();
    message.data[17] = 0x30;
    lab.b.receive(&message);
    let answer = lab.b.take();
    assert_eq!(answer.data[17], 0x20);
    assert_eq!(answer.data[34..36], NotifyType::INVALID_MAJOR_VERSION.0.to_be_bytes());
    lab.b.failure(Part::Protocol);
    // A higher minor version is none of our business (RFC 7296 §2.5).
    message.data[17] = 0x2f;
    lab.b.receive(&message);
    assert_eq!(lab.b.endpoint.ike_sas().len(), 1);
}

// RFC 7296 §2.5, §2.21.1: who has not our version says so in its own. That is told of once, and anybody can say it, so the right
// answer still counts.
#[test]
fn an_answer_in_another_version_is_told_and_not_believed() {
    let first = |lab: &mut Lab| {
        lab.a.command(Command::Initiate(POLICY));
        lab.a.take()
    };
    let notify = Payload::Notify(Notify::new(NotifyType::INVALID_MAJOR_VERSION, []));
    let answer = |request: &Transmit, version, flags, from: &str| {
        let (header, _) = Header::parse(&request.data).unwrap();
        let header = Header { flags, version, ..header };
        let data = emit(&header, &Chain::new(core::slice::from_ref(&notify)).unwrap());
        Transmit::new(Way::udp(socket(from), request.local), data)
    };
    let (peer, elsewhere) = ("192.0.2.2:500", "203.0.113.66:500");
    for (version, flags, theirs) in [
        (Version(0x30), Flags::RESPONSE, "answers in version 3.0 of IKE"),
        (Version::V1, Flags::NONE, "answers in version 1.0 of IKE"),
        (Version::V2, Flags::RESPONSE, "INVALID_MAJOR_VERSION"),
    ] {
        let mut lab = Lab::new();
        let request = first(&mut lab);
        lab.a.receive(&answer(&request, version, flags, elsewhere));
        assert_eq!(lab.a.failures(), []);
        for _ in 0..3 {
            lab.a.receive(&answer(&request, version, flags, peer));
        }
        let failure = lab.a.failure(Part::Role);
        assert_eq!((failure.theirs, failure.ours), (vec![theirs.into()], vec!["asks in version 2.0 of IKE".into()]));
        assert_eq!((failure.exchange, failure.policy), ("IKE_SA_INIT", Some(POLICY)));
        assert!(lab.a.sent.is_empty());
        lab.a.sleep(Duration::from_secs(1));
        assert_eq!(lab.a.take().data, request.data, "it asks again");
        lab.b.receive(&request);
        lab.settle();
        lab.assert_mirrored();
        assert_eq!(lab.a.failures().len(), 1);
        // Nobody says more of it when the answer does not come.
        let mut lab = Lab::new();
        let request = first(&mut lab);
        lab.a.receive(&answer(&request, version, flags, peer));
        (0..10).for_each(|_| lab.a.sleep(Duration::from_secs(60)));
        assert_eq!((lab.a.failures().len(), lab.a.endpoint.ike_sas().len()), (1, 0));
    }
    // A request is none, whoever's SPIs it has.
    let mut lab = Lab::new();
    let request = first(&mut lab);
    lab.a.receive(&answer(&request, Version(0x30), Flags::NONE, peer));
    assert_eq!(lab.a.failure(Part::Protocol).policy, None);
}

// Row 65: COOKIE and INVALID_KE_PAYLOAD by turns, for ever.
// RFC 7296 §2.6.1: COOKIE and INVALID_KE_PAYLOAD in any order.
#[test]
fn an_initiator_does_not_dance_for_ever() {
    let mut lab = Lab::with(|a, _| {
        a.remotes[0].proposals[0].transforms.push(Transform::Ke(KeMethod::ECP256));
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut asked = 0;
    while let Some(request) = lab.a.sent.pop_front() {
        asked += 1;
        assert!(asked < 100, "it dances");
        let (header, _) = Header::parse(&request.data).unwrap();
        let reply = Header { flags: Flags::RESPONSE, version: Version::V2, ..header };
        let group = if asked / 2 % 2 == 1 { KeMethod::ECP256 } else { KeMethod::CURVE25519 };
        let notify = match asked % 2 {
            0 => Notify::new(NotifyType::INVALID_KE_PAYLOAD, group.0.to_be_bytes()),
            _ => Notify::new(NotifyType::COOKIE, vec![asked; 16]),
        };
        let data = emit(&reply, &Chain::new(&[Payload::Notify(notify)]).unwrap());
        lab.a.receive(&Transmit::new(Way::udp(request.remote, request.local), data));
    }
    assert_eq!(u32::from(asked), limits::INIT_RESTARTS + 1);
    lab.a.failure(Part::Protocol);
}

// Row 64: cookies that are none.
// RFC 7296 §2.6: 1 to 64 octets.
#[test]
fn an_initiator_returns_only_cookies_of_the_allowed_size() {
    for len in [0usize, 65, 1000] {
        let mut lab = Lab::new();
        lab.a.command(Command::Initiate(POLICY));
        let request = lab.a.take();
        let (header, _) = Header::parse(&request.data).unwrap();
        let reply = Header { flags: Flags::RESPONSE, ..header };
        let cookie = Payload::Notify(Notify::new(NotifyType::COOKIE, vec![1; len]));
        let data = emit(&reply, &Chain::new(&[cookie]).unwrap());
        lab.a.receive(&Transmit::new(Way::udp(request.remote, request.local), data));
        assert!(lab.a.sent.is_empty());
        // The true answer is still welcome.
        lab.b.receive(&request);
        lab.settle();
        lab.assert_mirrored();
    }
}

// No amplification before a cookie: an answer longer than the request waits until the sender has shown that it
// receives.
#[test]
fn a_short_request_gets_a_cookie_first() {
    let (mut host, mut peer) = fresh();
    let mut payloads = peer.init_payloads();
    payloads.truncate(3);
    payloads[2] = Payload::Nonce(Nonce::new(vec![5; 16]).unwrap());
    let request = peer.init_message(&payloads);
    peer.send(&mut host, &request);
    assert!(host.endpoint.ike_sas().is_empty());
    let answer = host.take();
    assert!(answer.data.len() <= request.len());
    assert_eq!(host.endpoint.counters().cookies, 1);
    // With the cookie it goes on.
    let cookie = answer.data[28 + 8..].to_vec();
    payloads.insert(0, Payload::Notify(Notify::new(NotifyType::COOKIE, cookie)));
    let request = peer.init_message(&payloads);
    peer.send(&mut host, &request);
    assert_eq!(host.endpoint.ike_sas().len(), 1);
}

#[test]
fn no_answer_to_a_stranger_is_longer_than_its_question() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let real = lab.a.take();
    for at in 0..real.data.len() {
        for value in [0u8, 1, 0x41, 0xff] {
            lab.b.sleep(Duration::from_secs(1));
            let mut changed = real.clone();
            changed.data[at] = value;
            lab.b.receive(&changed);
            for answer in lab.b.sent.drain(..) {
                assert!(answer.data.len() <= changed.data.len());
            }
        }
    }
    // Of the first payloads alone, with a header of that length.
    let mut at = 28;
    let mut next = 16;
    while at < real.data.len() {
        let mut cut = Transmit { data: real.data[..at].to_vec(), ..real.clone() };
        (cut.data[next], next) = (0, at);
        cut.data[24..28].copy_from_slice(&(at as u32).to_be_bytes());
        lab.b.sleep(Duration::from_secs(1));
        lab.b.receive(&cut);
        assert!(lab.b.sent.drain(..).all(|answer| answer.data.len() <= cut.data.len()), "{at} octets");
        at += usize::from(u16::from_be_bytes([real.data[at + 2], real.data[at + 3]]));
    }
}

// An answer of IKE_SA_INIT comes from where the request went.
#[test]
fn an_answer_from_elsewhere_is_none() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    let answer = lab.b.take();
    lab.a.receive_from(&answer, answer.remote, socket("198.51.100.9:500"));
    assert!(lab.a.sent.is_empty() && lab.a.ike().state == "IKE_SA_INIT");
    lab.a.receive(&answer);
    lab.settle();
    lab.assert_mirrored();
}

#[test]
fn random_datagrams_never_panic_and_never_disturb() {
    let mut lab = Lab::up();
    let view = state(&lab.b);
    let mut rng = SeededRandom::new(99);
    lab.a.command(Command::CheckLiveness("peer".into()));
    let real = lab.a.take();
    for _ in 0..3000 {
        let mut data = real.data.clone();
        let (from, to) = (rng.below(80) as usize, rng.below(80) as usize);
        for at in from.min(to)..from.max(to).min(data.len()) {
            data[at] = rng.next_u64() as u8;
        }
        if rng.below(2) == 0 {
            data[17] = 0x20;
            let len = data.len() as u32;
            data[24..28].copy_from_slice(&len.to_be_bytes());
        }
        if data == real.data {
            continue;
        }
        let datagram =
            Datagram { local: real.remote, remote: real.local, carrier: ravelin_types::Carrier::Udp, data: &data };
        lab.b.endpoint.handle(Input::Datagram(datagram), lab.b.now);
        while !matches!(lab.b.endpoint.poll(), Output::Wait(_)) {}
    }
    let established = |view: &str| view.matches("ESTABLISHED").count();
    assert_eq!(established(&state(&lab.b)), established(&view));
    assert!(lab.b.has(Inbound, lab.b.children()[0].inbound));
    lab.b.receive(&real);
    lab.settle();
    lab.assert_mirrored();
}

// Row 63: a flood from everywhere, by hosts that even return their cookies. What is kept is bounded, and who is there
// stays; when the flood ebbs, everything is as before.
#[test]
fn a_flood_of_half_open_ike_sas_is_bounded() {
    let mut lab = Lab::with(|_, b| {
        let mut anybody = b.remotes[0].clone();
        anybody.name = "anybody".into();
        anybody.remote = ip("0.0.0.0");
        b.remotes.push(anybody);
    });
    lab.establish();
    let before = state(&lab.b);
    let mut peer = Peer::new(1);
    let mut payloads = peer.init_payloads();
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for n in 0..limits::HALF_OPEN as u32 + 50 {
        peer.spis.0 = IkeSpi(u64::from(n) + 1);
        peer.local = SocketAddr::new(IpAddr::from([10, (n >> 16) as u8, (n >> 8) as u8, n as u8]), 500);
        let first = peer.init_message(&payloads);
        peer.send(&mut lab.b, &first);
        bytes_in += first.len();
        let Some(answer) = lab.b.sent.pop_front() else { continue };
        bytes_out += answer.data.len();
        let message = Message::parse(&answer.data).unwrap();
        let [Payload::Notify(cookie)] = &message.payloads[..] else { continue };
        payloads.insert(0, Payload::Notify(Notify::new(NotifyType::COOKIE, cookie.data.clone())));
        let second = peer.init_message(&payloads);
        peer.send(&mut lab.b, &second);
        payloads.remove(0);
        lab.b.sent.clear();
    }
    assert!(bytes_out <= bytes_in);
    // The rest is for whoever is known (RFC 8019 §4.5).
    let most = limits::HALF_OPEN - limits::HALF_OPEN_RESERVE;
    assert_eq!(lab.b.endpoint.ike_sas().len(), most + 1);
    assert_eq!(lab.b.endpoint.counters().refused_half_open, 50 + limits::HALF_OPEN_RESERVE as u64);
    // The IKE SA that stands works on.
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.assert_mirrored();
    lab.b.sleep(limits::HALF_OPEN_LIFETIME);
    assert_eq!(lab.b.ike().state, "ESTABLISHED");
    assert_ne!(state(&lab.b), before, "the Child SA is another");
}

// Whatever an endpoint says, sent back to it, is nobody's message.
#[test]
fn reflected_messages_belong_to_no_ike_sa() {
    let mut lab = Lab::up();
    for by_a in [true, false] {
        let (host, other) = if by_a { (&mut lab.a, &mut lab.b) } else { (&mut lab.b, &mut lab.a) };
        for command in [Command::CheckLiveness("peer".into()), Command::RekeyChild(POLICY)] {
            host.command(command);
            let request = host.take();
            let before = (state(host), host.endpoint.counters().unknown_spi);
            host.receive_from(&request, request.local, request.remote);
            assert_eq!(host.sent.drain(..).map(|answer| answer.data.len()).collect::<Vec<_>>(), [36]);
            assert_eq!((state(host), host.endpoint.counters().unknown_spi), (before.0, before.1 + 1));
            other.receive(&request);
            let answer = other.take();
            other.receive_from(&answer, answer.local, answer.remote);
            assert!(other.sent.is_empty(), "a response is never answered");
            host.receive(&answer);
        }
        lab.settle();
        lab.assert_mirrored();
    }
}

// Row 45: an answer holds what it says and not a byte more.
#[test]
fn answers_in_clear_are_exactly_what_they_say() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let real = lab.a.take();
    let mut answers = 0;
    for at in 0..real.data.len() {
        lab.b.sleep(Duration::from_secs(1));
        let mut changed = real.clone();
        changed.data[at] ^= 0xff;
        lab.b.receive(&changed);
        for answer in lab.b.sent.drain(..) {
            let message = Message::parse(&answer.data).unwrap();
            assert_eq!(emit(&message.header, &Chain::new(&message.payloads).unwrap()), answer.data);
            let known = message.payloads.iter().all(|payload| match payload {
                Payload::Notify(notify) => notify.data.len() <= 33,
                Payload::Sa(_) | Payload::Ke(_) | Payload::Nonce(_) => true,
                _ => false,
            });
            assert!(known, "{message:?}");
            answers += 1;
        }
    }
    assert!(answers > 50);
}
