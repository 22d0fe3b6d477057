//! Records of accounts: servers take them, refuse to answer, or are there again later.

use ravelin_radius::Request;

use super::*;
use crate::accounts::{AGAIN, KEEP, RECORDS, Record, UNDER_WAY};

fn record(session: &str, about: &str) -> Record {
    let mut request = Request::default();
    request.add(Attribute::ACCT_SESSION_ID, session.as_bytes());
    request.add(Attribute::USER_NAME, about.as_bytes());
    let aaa = Arc::new(Aaa {
        servers: vec![],
        secret: Secret::from(SECRET),
        accounting: vec![address(ONE), address(TWO)],
        authorizers: vec![],
        names: vec![],
    });
    let update = about == "Interim-Update";
    Record { session: session.to_owned(), about: about.to_owned(), update, request, aaa }
}

/// What a server reads in a request, whose proof it checks.
fn read(packet: &[u8]) -> Packet {
    let mut blank = packet.to_vec();
    blank[4..20].fill(0);
    let proof = Md5::new().chain_update(&blank).chain_update(SECRET).finalize();
    assert_eq!((packet[0], &packet[4..20]), (Code::ACCOUNTING_REQUEST.0, proof.as_slice()));
    Packet::parse(packet).unwrap()
}

/// RFC 2866 §3: what a server says, without a Message-Authenticator.
fn taken(request: &[u8]) -> Vec<u8> {
    let mut packet = vec![Code::ACCOUNTING_RESPONSE.0, request[1], 0, 20];
    packet.extend_from_slice(&request[4..20]);
    let proof = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
    packet[4..20].copy_from_slice(&proof);
    packet
}

fn trouble(table: &mut Desk<u32>, now: Instant) -> String {
    match table.poll(now) {
        Some(Output::Trouble(trouble)) => trouble,
        Some(Output::Send(lane, _)) => panic!("to {lane:?}"),
        _ => panic!("no trouble"),
    }
}

fn delay(packet: &[u8]) -> u32 {
    read(packet).number(Attribute::ACCT_DELAY_TIME).unwrap()
}

// RFC 2866 §2, §5.2.
#[test]
fn a_record_goes_to_the_next_server_with_its_age() {
    let (mut table, start) = (table(), Instant::ZERO);
    table.record(record("1", "Start"), start);
    let first = sent_at(&mut table, start);
    assert_eq!((first.0.server, delay(&first.1)), (address(ONE), 0));
    let mut before = first.clone();
    for _ in 1..TRIES {
        let due = table.deadline().unwrap();
        table.expire(due);
        let again = sent(&mut table);
        assert_eq!((again.0, delay(&again.1)), (first.0, (due - start).as_secs() as u32));
        assert_ne!(again.1[1], before.1[1], "older, and so another request");
        before = again;
    }
    let now = table.deadline().unwrap();
    table.expire(now);
    let second = sent(&mut table);
    assert_eq!((second.0.server, delay(&second.1), now - start), (address(TWO), 15, WAIT * 15));
    assert_eq!(table.left(), None);
    // Neither a forged answer nor that to another request takes it off.
    let mut forged = taken(&second.1);
    forged[19] ^= 1;
    table.hear(second.0, &forged);
    table.hear(second.0, &answer(&second.1, Code::ACCESS_ACCEPT, &[], SECRET));
    assert!(table.poll(now).is_none() && table.left().is_none());
    table.hear(second.0, &taken(&second.1));
    assert!(table.poll(now).is_none());
    assert_eq!(table.left(), Some(0));
}

// RFC 2866 §2: a server may be slow, and answer what it had first.
#[test]
fn the_answer_to_any_repetition_will_do() {
    for answered in 0..3 {
        let (mut table, start) = (table(), Instant::ZERO);
        table.record(record("1", "Start"), start);
        let mut all = vec![sent_at(&mut table, start)];
        for _ in 0..2 {
            let due = table.deadline().unwrap();
            table.expire(due);
            all.push(sent(&mut table));
        }
        let (lane, packet) = &all[answered];
        table.hear(*lane, &taken(packet));
        assert!(table.poll(start).is_none());
        assert_eq!((table.left(), table.deadline()), (Some(0), None), "{answered}");
    }
}

#[test]
fn records_of_a_session_keep_their_order_and_other_sessions_do_not_wait() {
    let (mut table, now) = (table(), Instant::ZERO);
    table.record(record("1", "Start"), now);
    table.record(record("1", "Stop"), now);
    table.record(record("2", "Start"), now);
    let (one, two) = (sent(&mut table), sent(&mut table));
    let session = |packet: &[u8]| read(packet).first(Attribute::ACCT_SESSION_ID).unwrap().to_vec();
    assert_eq!((session(&one.1), session(&two.1)), (b"1".to_vec(), b"2".to_vec()));
    assert!(table.poll(now).is_none());
    table.hear(one.0, &taken(&one.1));
    let stop = sent(&mut table);
    assert_eq!(read(&stop.1).first(Attribute::USER_NAME), Some(&b"Stop"[..]));
}

#[test]
fn what_no_server_takes_is_tried_again_and_an_update_is_not() {
    let (mut table, mut now) = (table(), Instant::ZERO);
    let start = now;
    table.record(record("1", "Interim-Update"), now);
    table.record(record("1", "Stop"), now);
    let both_gone = |table: &mut Desk<u32>, now| {
        for _ in 0..2 {
            let (lane, _) = sent_at(table, now);
            table.unreachable(lane.server, now);
        }
    };
    both_gone(&mut table, now);
    assert!(
        trouble(&mut table, now).contains("Interim-Update is lost: no answer from the RADIUS server 192.0.2.1:1812 or")
    );
    both_gone(&mut table, now);
    assert!(trouble(&mut table, now).contains("the account of session 1 waits"));
    assert_eq!((table.left(), table.deadline()), (Some(1), Some(now + AGAIN)));
    now = now + AGAIN;
    let (lane, packet) = sent_at(&mut table, now);
    assert_eq!(u64::from(delay(&packet)), AGAIN.as_secs());
    table.unreachable(lane.server, now);
    let (lane, _) = sent_at(&mut table, now);
    table.unreachable(lane.server, now);
    assert!(trouble(&mut table, now).contains("waits"));
    now = start + KEEP;
    both_gone(&mut table, now);
    assert!(trouble(&mut table, now).contains("Stop is lost"));
    assert_eq!(table.left(), Some(0));
}

fn sent_at(table: &mut Desk<u32>, now: Instant) -> (Lane, Vec<u8>) {
    match table.poll(now) {
        Some(Output::Send(lane, packet)) => (lane, packet),
        Some(Output::Trouble(trouble)) => panic!("{trouble}"),
        _ => panic!("nothing is sent"),
    }
}

#[test]
fn many_records_leave_room_for_users_and_have_a_bound() {
    let (mut table, now) = (table(), Instant::ZERO);
    for session in 0..=RECORDS {
        table.record(record(&session.to_string(), "Start"), now);
    }
    assert!(trouble(&mut table, now).contains("too many records wait"));
    for _ in 0..UNDER_WAY {
        sent(&mut table);
    }
    assert!(table.poll(now).is_none());
    table.ask(1, relay(&[ONE]), None, now);
    assert_eq!(sent(&mut table).1[0], Code::ACCESS_REQUEST.0);
}
