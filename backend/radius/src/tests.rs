//! Servers that answer, are slow, lie or are gone.

mod accounts;
mod door;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use ravelin_eap::relay::{Aaa, Relay};
use ravelin_eap::{Conversation, Server, Step};
use ravelin_radius::{Attribute, Code, Packet};
use ravelin_types::{Identity, Instant, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::desk::{Desk, Output};
use crate::table::{DEAD, Lane, TRIES, WAIT};

const ONE: &str = "192.0.2.1:1812";
const TWO: &str = "192.0.2.2:1812";
const SECRET: &[u8] = b"testing123";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn relay(servers: &[&str]) -> Relay {
    let servers = servers.iter().map(|server| address(server)).collect();
    let aaa =
        Arc::new(Aaa { servers, secret: Secret::from(SECRET), accounting: vec![], authorizers: vec![], names: vec![] });
    let server = Server { relay: Some(aaa), name: b"gw".to_vec(), ..Server::default() };
    match Conversation::with(&server, &Identity::Fqdn("carol".into()), 0xabc) {
        Conversation::Relay(relay) => relay,
        other => panic!("{other:?}"),
    }
}

fn table() -> Desk<u32> {
    Desk::new(|out| out.fill(5))
}

fn sent(table: &mut Desk<u32>) -> (Lane, Vec<u8>) {
    match table.poll(Instant::ZERO) {
        Some(Output::Send(lane, packet)) => (lane, packet),
        Some(Output::Turned(tag, _, step)) => panic!("{tag} is done: {step:?}"),
        Some(Output::Trouble(trouble)) => panic!("{trouble}"),
        None => panic!("nothing is sent"),
    }
}

fn done(table: &mut Desk<u32>) -> (u32, Relay, Step) {
    match table.poll(Instant::ZERO) {
        Some(Output::Turned(tag, relay, step)) => (tag, relay, step),
        Some(Output::Trouble(trouble)) => panic!("{trouble}"),
        Some(Output::Send(lane, _)) => panic!("to {lane:?}"),
        None => panic!("nothing is done"),
    }
}

fn failure(table: &mut Desk<u32>) -> String {
    match done(table).2 {
        Step::Done { last: Some(last), outcome: Err(why) } if last.code == EapCode::FAILURE => why,
        other => panic!("{other:?}"),
    }
}

/// The reply of a server to a request.
fn answer(request: &[u8], code: Code, attributes: &[Value<'_>], secret: &[u8]) -> Vec<u8> {
    let mut body = [&[80, 18][..], &[0; 16]].concat();
    for (kind, value) in attributes {
        body.extend_from_slice(&[*kind, value.len() as u8 + 2]);
        body.extend_from_slice(value);
    }
    let mut packet = vec![code.0, request[1], 0, 20 + body.len() as u8];
    packet.extend_from_slice(&request[4..20]);
    packet.extend_from_slice(&body);
    let mac = Hmac::<Md5>::new_from_slice(secret).unwrap().chain_update(&packet).finalize();
    packet[22..38].copy_from_slice(&mac.into_bytes());
    let proof = Md5::new().chain_update(&packet).chain_update(secret).finalize();
    packet[4..20].copy_from_slice(&proof);
    packet
}

/// An attribute: what it is, and its value.
type Value<'a> = (u8, &'a [u8]);

const STATE: Value<'static> = (24, b"state");
const ASK: Value<'static> = (79, &[1, 9, 0, 6, 4, 7]);
const SUCCESS: Value<'static> = (79, &[3, 9, 0, 4]);

fn response() -> Eap {
    Eap { code: EapCode::RESPONSE, identifier: 9, data: vec![4, 1] }
}

/// A conversation with which the first server has begun.
fn begun(table: &mut Desk<u32>, now: Instant) -> Relay {
    table.ask(1, relay(&[ONE, TWO]), None, now);
    let (lane, request) = sent(table);
    table.hear(lane, &answer(&request, Code::ACCESS_CHALLENGE, &[ASK, STATE], SECRET));
    match done(table) {
        (1, relay, Step::Say(_)) => relay,
        (_, _, step) => panic!("{step:?}"),
    }
}

// RFC 3579 §2.1 and RFC 2865 §5.24.
#[test]
fn a_conversation_goes_to_the_server_and_back() {
    let (mut table, now) = (table(), Instant::ZERO);
    let relay = begun(&mut table, now);
    table.ask(2, relay, Some(&response()), now);
    let (lane, request) = sent(&mut table);
    let packet = Packet::parse(&request).unwrap();
    assert_eq!(packet.first(Attribute::STATE), Some(STATE.1));
    assert_eq!(packet.first(Attribute::USER_NAME), Some(&b"carol"[..]));
    assert_eq!(packet.eap().unwrap(), [2, 9, 0, 6, 4, 1]);
    table.hear(lane, &answer(&request, Code::ACCESS_ACCEPT, &[SUCCESS, (1, b"carol@example.org")], SECRET));
    let (2, _, Step::Done { last: Some(last), outcome: Ok(proven) }) = done(&mut table) else { panic!() };
    assert_eq!((last.code, proven.user.as_slice()), (EapCode::SUCCESS, &b"carol@example.org"[..]));
    assert_eq!((table.deadline(), table.uses(lane)), (None, false));
}

// RFC 2865 §2.5, RFC 5080 §2.2.1.
#[test]
fn what_is_not_answered_is_repeated_and_then_goes_to_the_next_server() {
    let (mut table, start) = (table(), Instant::ZERO);
    table.ask(1, relay(&[ONE, TWO]), None, start);
    let first = sent(&mut table);
    let mut now = start;
    for _ in 1..TRIES {
        now = table.deadline().unwrap();
        table.expire(now);
        assert_eq!(sent(&mut table).1, first.1);
    }
    assert_eq!(now - start, WAIT * 7);
    now = table.deadline().unwrap();
    table.expire(now);
    let second = sent(&mut table);
    assert_eq!((second.0.server, now - start), (address(TWO), WAIT * 15));
    // The first is left out for a while, and then tried again.
    table.ask(2, relay(&[ONE, TWO]), None, now);
    assert_eq!(sent(&mut table).0.server, address(TWO));
    table.ask(3, relay(&[ONE, TWO]), None, now + DEAD);
    assert_eq!(sent(&mut table).0.server, address(ONE));
    // A reply to what was given up comes to nobody.
    table.hear(first.0, &answer(&first.1, Code::ACCESS_REJECT, &[], SECRET));
    assert!(table.poll(Instant::ZERO).is_none());
    table.hear(second.0, &answer(&second.1, Code::ACCESS_REJECT, &[(18, b"no\n")], SECRET));
    assert_eq!(failure(&mut table), "the RADIUS server refuses fqdn:carol (no\\n)");
}

#[test]
fn a_server_that_is_not_there_is_given_up_at_once_and_nobody_waits_for_ever() {
    let (mut table, now) = (table(), Instant::ZERO);
    table.ask(1, relay(&[ONE, TWO]), None, now);
    let (lane, _) = sent(&mut table);
    table.unreachable(lane.server, now);
    assert_eq!(sent(&mut table).0.server, address(TWO));
    table.unreachable(address(TWO), now);
    assert_eq!(failure(&mut table), "no answer from the RADIUS server 192.0.2.1:1812 or 192.0.2.2:1812");
    // What one server has begun, no other can go on with.
    let relay = begun(&mut table, now + DEAD);
    table.ask(2, relay, Some(&response()), now + DEAD);
    let (lane, _) = sent(&mut table);
    table.unreachable(lane.server, now + DEAD);
    assert_eq!(failure(&mut table), "no answer from the RADIUS server 192.0.2.1:1812");
}

#[test]
fn forged_replies_change_nothing_and_the_right_one_still_counts() {
    let (mut table, now) = (table(), Instant::ZERO);
    table.ask(1, relay(&[ONE]), None, now);
    let (lane, request) = sent(&mut table);
    let good = answer(&request, Code::ACCESS_CHALLENGE, &[ASK, STATE], SECRET);
    let mut unproven = vec![Code::ACCESS_ACCEPT.0, request[1], 0, 26];
    unproven.extend_from_slice(&request[4..20]);
    unproven.extend_from_slice(&[79, 6, 3, 9, 0, 4]);
    let proof = Md5::new().chain_update(&unproven).chain_update(SECRET).finalize();
    unproven[4..20].copy_from_slice(&proof);
    for bad in [&answer(&request, Code::ACCESS_ACCEPT, &[SUCCESS], b"other")[..], &unproven, &good[..30], &[], &[2]] {
        table.hear(lane, bad);
        assert!(table.poll(Instant::ZERO).is_none());
    }
    table.hear(lane, &good);
    assert!(matches!(done(&mut table).2, Step::Say(_)));
    // The same again is nobody's.
    table.hear(lane, &good);
    assert!(table.poll(Instant::ZERO).is_none());
}

// RFC 3579 §2.6.3, and success before anything was asked.
#[test]
fn replies_that_contradict_themselves_let_nobody_in() {
    let cases: [(Code, &[Value<'_>], &str); 6] = [
        (Code::ACCESS_ACCEPT, &[SUCCESS], "accepts before any method"),
        (Code::ACCESS_ACCEPT, &[], "another EAP message, or none"),
        (Code::ACCESS_ACCEPT, &[(79, &[4, 9, 0, 4])], "another EAP message, or none"),
        (Code::ACCESS_CHALLENGE, &[SUCCESS], "another EAP message, or none"),
        (Code::ACCESS_CHALLENGE, &[(79, &[1, 9, 0, 9, 4])], "another EAP message, or none"),
        (Code(5), &[SUCCESS], "RADIUS code 5"),
    ];
    for (code, attributes, words) in cases {
        let (mut table, now) = (table(), Instant::ZERO);
        table.ask(1, relay(&[ONE]), None, now);
        let (lane, request) = sent(&mut table);
        table.hear(lane, &answer(&request, code, attributes, SECRET));
        let why = failure(&mut table);
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_slow_server_stops_nobody_and_takes_what_its_numbers_allow() {
    let (mut table, now) = (table(), Instant::ZERO);
    for tag in 0..4096 {
        table.ask(tag, relay(&[ONE]), None, now);
        let (lane, request) = sent(&mut table);
        assert_eq!((lane.server, request.len() > 20), (address(ONE), true));
    }
    table.ask(5000, relay(&[ONE]), None, now);
    assert!(failure(&mut table).contains("more than a RADIUS server"));
    table.ask(5001, relay(&[TWO]), None, now);
    let (lane, request) = sent(&mut table);
    table.hear(lane, &answer(&request, Code::ACCESS_CHALLENGE, &[ASK], SECRET));
    assert_eq!(done(&mut table).0, 5001);
    assert_eq!(table.deadline(), Some(now + Duration::from_secs(1)));
}
