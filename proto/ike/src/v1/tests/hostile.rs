//! What broke other implementations, from a peer that has the keys. The numbers are rows of docs/HISTORY.md.

use ravelin_types::{IdType, Spi};
use ravelin_wire::ike::header::{Flags, Header};
use ravelin_wire::ike::v1::{AnySpi, Chain, Delete, Doi, Id, Nonce, Notify, OfferedProposal, Opaque, Sa, emit};

use super::*;
use crate::v1::ipsec::{self, Common};

const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL_V1;
const QUICK: ExchangeType = ExchangeType::QUICK_MODE;

fn delete_ike(ends: &Ends) -> Payload {
    Payload::Delete(Delete::Ike(vec![ends.spis()]))
}

fn delete_child(_: &Ends) -> Payload {
    Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: vec![Spi(0x1234_5678)] })
}

fn are_you_there(ends: &Ends) -> Payload {
    about_ike(ends, NotifyType::R_U_THERE, vec![0, 0, 0, 1])
}

fn initial_contact(ends: &Ends) -> Payload {
    about_ike(ends, NotifyType::INITIAL_CONTACT, Vec::new())
}

/// What waits at A goes to B; how many answers there are.
fn heard(a: &mut Side, b: &mut Side) -> usize {
    for Transmit { local, remote, data, .. } in core::mem::take(&mut a.sent) {
        let datagram = Datagram { local: remote, remote: local, carrier: Carrier::Udp, data: &data };
        b.input(Input::Datagram(datagram), b.now);
    }
    core::mem::take(&mut b.sent).len()
}

/// The two still make a Child SA, their first.
fn assert_goes_on(a: &mut Side, b: &mut Side) {
    assert_eq!((b.endpoint.ike_sas().len(), b.sas), (1, 0));
    a.input(Input::Command(Command::Initiate(POLICY)), a.now);
    settle(a, b, at(1000));
    assert_eq!((a.sas, b.sas), (2, 2));
}

/// AES-GCM for the policy.
fn offer() -> Sa {
    let common = Common { mode: Mode::Tunnel, udp: None, lifetime: None, group: None };
    ipsec::sa(&[esp()], (&[], None), Spi(0x1234_5678), common, &ravelin_crypto_aws_lc::provider())
}

fn with_key_length(bits: Option<u32>) -> Sa {
    let mut sa = offer();
    let attributes = &mut sa.0[0].transforms[0].attributes;
    attributes.retain(|attribute| attribute.kind != IpsecAttribute::KEY_LENGTH.0);
    attributes.extend(bits.map(|bits| Attribute::number(IpsecAttribute::KEY_LENGTH.0, bits)));
    sa
}

fn host(end: usize) -> Id {
    let address: core::net::Ipv4Addr = ENDS[end].parse().unwrap();
    Id { kind: IdType::IPV4_ADDR, protocol: 0, port: 0, data: address.octets().into() }
}

/// `SA, Ni, IDci, IDcr`
fn quick_mode(sa: &Sa, ids: impl IntoIterator<Item = Id>) -> Vec<Payload> {
    let own = [Payload::Sa(sa.clone()), Payload::Nonce(Nonce::new([7; 32]).unwrap())];
    own.into_iter().chain(ids.into_iter().map(Payload::Id)).collect()
}

/// B refuses it and makes nothing.
fn assert_refused(a: &mut Side, b: &mut Side, payloads: Vec<Payload>, what: &str) {
    a.say_in(QUICK, |_| payloads);
    assert_eq!((heard(a, b), b.sas), (1, 0), "{what}");
}

// Row 9: what stands behind the delete of the ISAKMP SA is not looked at, and what stands before it is done.
#[test]
fn a_delete_of_the_isakmp_sa_with_more_around_it() {
    let more: [fn(&Ends) -> Payload; 6] = [
        are_you_there,
        delete_ike,
        delete_child,
        initial_contact,
        |ends| about_ike(ends, NotifyType::RESPONDER_LIFETIME, vec![0x80]),
        |ends| about_ike(ends, NotifyType::PAYLOAD_MALFORMED, Vec::new()),
    ];
    for (which, more) in more.into_iter().enumerate() {
        for behind in [true, false] {
            let (mut a, mut b) = up();
            a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
            settle(&mut a, &mut b, at(1000));
            assert_eq!((a.sas, b.sas), (2, 2));
            a.say_in(INFORMATIONAL, |ends| match behind {
                true => vec![delete_ike(ends), more(ends), more(ends)],
                false => vec![more(ends), more(ends), delete_ike(ends)],
            });
            let answers = if which == 0 && !behind { 2 } else { 0 };
            assert_eq!(heard(&mut a, &mut b), answers, "{which} {behind}");
            assert_eq!((b.endpoint.ike_sas().len(), b.sas), (0, 0), "{which} {behind}");
            // The next message is of no SA, and another phase 1 makes one.
            a.say(are_you_there);
            assert_eq!(heard(&mut a, &mut b), 0);
            a.input(Input::Command(Command::RekeyIke("peer".into())), at(1000));
            settle(&mut a, &mut b, at(1000));
            assert_eq!(b.endpoint.ike_sas().len(), 1);
        }
    }
}

// Row 8: IDci and IDcr of every type and many lengths, where only addresses mean anything.
#[test]
fn clients_of_quick_mode_that_are_no_traffic_of_the_policy_get_nothing() {
    let (mut a, mut b) = up();
    for kind in 0..=u8::MAX {
        for len in [0, 1, 3, 4, 5, 8, 16, 32, 255] {
            let bad = || Id { kind: IdType(kind), protocol: 0, port: 0, data: vec![b'a'; len] };
            for ids in [[bad(), host(1)], [host(0), bad()]] {
                let what = alloc::format!("type {kind} of {len} octets");
                assert_refused(&mut a, &mut b, quick_mode(&offer(), ids), &what);
            }
        }
    }
    for ids in [vec![host(0)], vec![host(0), host(1), host(1)]] {
        assert_refused(&mut a, &mut b, quick_mode(&offer(), ids), "not two of them");
    }
    assert_goes_on(&mut a, &mut b);
}

// Rows 5 and 35: keys of no length, ciphers that protect nothing, unknown numbers, and offers of nothing.
#[test]
fn offers_of_quick_mode_that_protect_nothing_are_refused() {
    type Change = fn(&mut OfferedProposal);
    let changes: [(&str, Change); 14] = [
        ("no transform", |offer| offer.transforms.clear()),
        ("no attribute", |offer| offer.transforms[0].attributes.clear()),
        ("transform 0", |offer| offer.transforms[0].id = 0),
        ("an unknown transform", |offer| offer.transforms[0].id = 200),
        ("NULL alone", |offer| offer.transforms[0].id = 11),
        ("NULL with no authentication by number", |offer| {
            offer.transforms[0].id = 11;
            offer.transforms[0].attributes.push(Attribute::number(IpsecAttribute::AUTHENTICATION.0, 0));
        }),
        ("AES-CBC alone", |offer| offer.transforms[0].id = 12),
        ("NULL_AUTH_AES_GMAC", |offer| offer.transforms[0].id = 23),
        ("AH", |offer| offer.protocol = ProtocolId::AH),
        ("ISAKMP", |offer| offer.protocol = ProtocolId::IKE),
        ("an unknown protocol", |offer| offer.protocol = ProtocolId(255)),
        ("no SPI", |offer| offer.spi = AnySpi::None),
        ("SPI 0", |offer| offer.spi = AnySpi::Child(Spi(0))),
        ("a long SPI", |offer| offer.spi = AnySpi::Other(vec![7; 255])),
    ];
    let (mut a, mut b) = up();
    for (what, change) in changes {
        for bits in [None, Some(0), Some(1), Some(128), Some(65_535)] {
            let mut sa = with_key_length(bits);
            change(&mut sa.0[0]);
            let what = alloc::format!("{what}, a key of {bits:?} bits");
            assert_refused(&mut a, &mut b, quick_mode(&sa, [host(0), host(1)]), &what);
        }
    }
    for bits in [None, Some(0), Some(1), Some(127), Some(129), Some(65_535)] {
        let sa = with_key_length(bits);
        assert_refused(&mut a, &mut b, quick_mode(&sa, [host(0), host(1)]), "a key of no length of the cipher");
    }
    assert_goes_on(&mut a, &mut b);
}

// Row 21: each payload of the first message of quick mode missing, and each there twice.
#[test]
fn quick_mode_needs_each_payload_once() {
    let (mut a, mut b) = up();
    let whole = quick_mode(&offer(), [host(0), host(1)]);
    for at in 0..whole.len() {
        for twice in [false, true] {
            let mut payloads = whole.clone();
            match twice {
                true => payloads.insert(at, whole[at].clone()),
                false => drop(payloads.remove(at)),
            }
            a.say_in(QUICK, |_| payloads);
            // Without an SA payload it is no message of quick mode.
            let answers = usize::from(at > 0 || twice);
            assert_eq!((heard(&mut a, &mut b), b.sas), (answers, 0), "{at} {twice}");
        }
    }
    assert_goes_on(&mut a, &mut b);
}

// Rows 15 and 39: without the right hash in front nothing is believed.
#[test]
fn nothing_is_believed_without_its_hash() {
    let (mut a, mut b) = up();
    let hash = |len| Payload::Hash(Opaque(vec![0; len]));
    let fronts: [Vec<Payload>; 6] =
        [vec![], vec![hash(0)], vec![hash(20)], vec![hash(32)], vec![hash(4096)], vec![hash(32), hash(32)]];
    let said: [fn(&Ends) -> Payload; 4] = [delete_ike, delete_child, initial_contact, are_you_there];
    let before = b.endpoint.counters().forged;
    for front in &fronts {
        for what in said {
            for exchange in [INFORMATIONAL, QUICK, ExchangeType::TRANSACTION] {
                a.say_bare(exchange, |ends| front.iter().cloned().chain([what(ends)]).collect());
                assert_eq!(heard(&mut a, &mut b), 0, "{exchange} {front:?}");
            }
        }
    }
    assert_eq!(b.endpoint.counters().forged - before, 6 * 4 * 3);
    // The right one, under another message ID.
    a.say(delete_ike);
    a.sent[0].data[23] ^= 0x40;
    assert_eq!(heard(&mut a, &mut b), 0);
    // In clear, with the cookies of the SA, and as if that were encrypted. It is a reason to ask once whether the peer lives.
    for what in said {
        for flags in [Flags::NONE, Flags::V1_ENCRYPTED] {
            let (ends, _) = a.newest();
            let header = Header { flags, ..ends.header_v1(INFORMATIONAL, 77) };
            let message = Transmit::new(ends.way(), emit(&header, &Chain::new([&what(ends)]).unwrap()));
            a.sent.push(message);
        }
    }
    assert!(heard(&mut a, &mut b) <= 1);
    assert_goes_on(&mut a, &mut b);
}

// Row 30: signs of life about other cookies, without any, and without a number.
#[test]
fn signs_of_life_are_about_their_sa_and_have_a_number() {
    let (mut a, mut b) = up();
    let cookies = |ends: &Ends| [ends.spi_i.0.to_be_bytes(), ends.spi_r.0.to_be_bytes()].concat();
    for kind in [NotifyType::R_U_THERE, NotifyType::R_U_THERE_ACK] {
        for len in [0, 1, 3, 5, 255] {
            a.say(|ends| about_ike(ends, kind, vec![1; len]));
            assert_eq!(heard(&mut a, &mut b), 0, "{len} octets");
        }
        let spis: [fn(&[u8]) -> AnySpi; 5] = [
            |_| AnySpi::None,
            |_| AnySpi::Other(vec![0; 16]),
            |cookies| AnySpi::Other(cookies[..15].into()),
            |cookies| AnySpi::Other([cookies, cookies].concat()),
            |_| AnySpi::Child(Spi(1)),
        ];
        for spi in spis {
            a.say(|ends| {
                let (spi, data) = (spi(&cookies(ends)), vec![0, 0, 0, 1]);
                Payload::Notify(Notify { doi: Doi::IPSEC, protocol: ProtocolId::IKE, spi, kind, data })
            });
            assert_eq!(heard(&mut a, &mut b), 0);
        }
    }
    a.say(are_you_there);
    assert_eq!(heard(&mut a, &mut b), 1);
    assert_goes_on(&mut a, &mut b);
}
