//! Requests to end sessions: whose they are, whether they are fresh, and what is answered.

use super::*;
use crate::door::{Authorizer, Demand, Door, Knock, REMEMBERED, Verdict, WINDOW};

const HIM: &str = "192.0.2.7:1700";
const CLOCK: u64 = 1_800_000_000;
const PROXY: Value<'static> = (33, b"proxy");

fn door() -> Door {
    let mut door = Door::default();
    let authorizer = |secret: &[u8]| Authorizer { address: address(HIM).ip(), secret: Secret::from(secret) };
    door.admit(vec![authorizer(b"another secret"), authorizer(SECRET)]);
    door
}

/// A request as RFC 5176 §2.3 and §3.4 have it; `proof`: with a Message-Authenticator.
fn demand(code: Code, at: Option<u64>, more: &[Value<'_>], secret: &[u8], proof: bool) -> Vec<u8> {
    let mut body: Vec<u8> = if proof { [&[80, 18][..], &[0; 16]].concat() } else { Vec::new() };
    let at = at.map(|at| (at as u32).to_be_bytes());
    let at = at.as_ref().map(|at| (55, &at[..]));
    for (kind, value) in at.iter().chain(more) {
        body.extend_from_slice(&[*kind, value.len() as u8 + 2]);
        body.extend_from_slice(value);
    }
    let mut packet = vec![code.0, 77, 0, 20 + body.len() as u8];
    packet.extend_from_slice(&[0; 16]);
    packet.extend_from_slice(&body);
    if proof {
        let mac = Hmac::<Md5>::new_from_slice(secret).unwrap().chain_update(&packet).finalize();
        packet[22..38].copy_from_slice(&mac.into_bytes());
    }
    let digest = Md5::new().chain_update(&packet).chain_update(secret).finalize();
    packet[4..20].copy_from_slice(&digest);
    packet
}

fn asked(knock: Knock) -> Demand {
    match knock {
        Knock::Ask(demand) => demand,
        other => panic!("{other:?}"),
    }
}

fn dropped(knock: Knock) -> String {
    match knock {
        Knock::Dropped(why) => why.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

// RFC 5176 §2.3, §3.1, §3.4, §3.5.
#[test]
fn a_request_that_is_proven_is_heard_and_its_answer_is_proven() {
    let (mut door, now) = (door(), Instant::ZERO);
    let request = demand(Code::DISCONNECT_REQUEST, Some(CLOCK), &[(1, b"carol"), PROXY], SECRET, true);
    let his = asked(door.knock(&request, address(HIM), CLOCK + 5, now));
    assert_eq!(his.packet.first(Attribute::USER_NAME), Some(&b"carol"[..]));
    // The same again, while it is worked on.
    assert!(dropped(door.knock(&request, address(HIM), CLOCK + 5, now)).is_empty());
    let said = door.answer(&his, Verdict::Refused(503)).unwrap();
    let sent: [u8; 16] = request[4..20].try_into().unwrap();
    let read = ravelin_radius::reply(&said, 77, &sent, &Secret::from(SECRET)).unwrap();
    assert_eq!((read.code, read.number(Attribute::ERROR_CAUSE)), (Code::DISCONNECT_NAK, Some(503)));
    assert_eq!(read.first(Attribute::PROXY_STATE), Some(PROXY.1));
    // RFC 5176 §2.3: a duplicate gets the same answer, and does nothing.
    let Knock::Again(again) = door.knock(&request, address(HIM), CLOCK + 9, now) else { panic!() };
    assert_eq!(again, said);
    let change = demand(Code::COA_REQUEST, Some(CLOCK), &[(27, &[0, 0, 0, 9]), (24, b"state")], SECRET, false);
    let his = asked(door.knock(&change, address("[::ffff:192.0.2.7]:1700"), CLOCK, now));
    let said = door.answer(&his, Verdict::Done).unwrap();
    let sent: [u8; 16] = change[4..20].try_into().unwrap();
    let read = ravelin_radius::reply(&said, 77, &sent, &Secret::from(SECRET)).unwrap();
    assert_eq!((read.code, read.first(Attribute::STATE)), (Code::COA_ACK, Some(&b"state"[..])));
}

// RFC 5176 §3.4, §6.1, §6.3.
#[test]
fn what_is_not_his_or_not_of_now_is_dropped_without_a_word() {
    let now = Instant::ZERO;
    let good = demand(Code::DISCONNECT_REQUEST, Some(CLOCK), &[(1, b"carol")], SECRET, true);
    let mut forged = good.clone();
    forged[19] ^= 1;
    // The authenticator is right, the Message-Authenticator is not.
    let half = demand(Code::DISCONNECT_REQUEST, Some(CLOCK), &[(80, &[7; 16])], SECRET, false);
    let of = |code, at| demand(code, at, &[], SECRET, true);
    let old = CLOCK - WINDOW - 1;
    for (packet, from, words) in [
        (good.as_slice(), "192.0.2.8:1700", "--radius-authorizers"),
        (&forged, HIM, "not by the shared secret"),
        (&half, HIM, "not by the shared secret"),
        (&demand(Code::DISCONNECT_REQUEST, Some(CLOCK), &[], b"guess", true), HIM, "not by the shared secret"),
        (&good[..30], HIM, "malformed"),
        (&[], HIM, "malformed"),
        (&of(Code::DISCONNECT_REQUEST, None), HIM, "expected an Event-Timestamp"),
        (&of(Code::DISCONNECT_REQUEST, Some(old)), HIM, "301 s from our clock"),
        (&of(Code::DISCONNECT_REQUEST, Some(CLOCK + WINDOW + 1)), HIM, "301 s from our clock"),
        (&of(Code::ACCESS_REQUEST, Some(CLOCK)), HIM, "not RADIUS code 1"),
    ] {
        let why = dropped(door().knock(packet, address(from), CLOCK, now));
        assert!(why.contains(words), "{why}");
    }
    // One line in a while.
    let mut door = door();
    assert!(!dropped(door.knock(&forged, address(HIM), CLOCK, now)).is_empty());
    assert!(dropped(door.knock(&forged, address(HIM), CLOCK, now)).is_empty());
    let later = now + Duration::from_secs(11);
    assert!(dropped(door.knock(&forged, address(HIM), CLOCK, later)).contains("1 more were dropped"));
    asked(door.knock(&good, address(HIM), CLOCK, later));
}

#[test]
fn none_is_forgotten_while_it_could_pass_again() {
    let (mut door, now) = (door(), Instant::ZERO);
    let request =
        |number: u32| demand(Code::DISCONNECT_REQUEST, Some(CLOCK), &[(44, &number.to_be_bytes())], SECRET, false);
    for number in 0..REMEMBERED as u32 {
        asked(door.knock(&request(number), address(HIM), CLOCK, now));
    }
    let beyond = request(u32::MAX);
    assert!(dropped(door.knock(&beyond, address(HIM), CLOCK, now)).contains("more than 4096 requests"));
    assert!(dropped(door.knock(&request(0), address(HIM), CLOCK, now)).is_empty(), "it is known");
    let later = now + Duration::from_secs(2 * WINDOW);
    assert!(dropped(door.knock(&request(0), address(HIM), CLOCK + 2 * WINDOW, later)).contains("from our clock"));
    let fresh = demand(Code::DISCONNECT_REQUEST, Some(CLOCK + 600), &[(1, b"carol")], SECRET, false);
    asked(door.knock(&fresh, address(HIM), CLOCK + 2 * WINDOW, later));
}
