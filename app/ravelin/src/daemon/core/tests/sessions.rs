//! Sessions of users whom a RADIUS server let in. The lab has the servers; here their word is put into the mouth of nobody.

use ravelin_eap::relay::{Aaa, Admission};
use ravelin_ike::Event;
use ravelin_radius::{Attribute, Authorization, Code, Packet};
use ravelin_radius_client::{Demand, Record, Verdict};

use super::pair::Pair;
use super::*;

const HIM: [u8; 4] = [192, 0, 2, 7];

/// Two daemons, the second of which took the first for carol, on a server's word.
fn pair(name: &str, authorization: Authorization) -> Pair {
    let mut pair = Pair::new(name, ["-g fqdn:carol -f fqdn:gw", ""], ["-g fqdn:gw -f fqdn:carol", ""]);
    let aaa = Aaa {
        servers: vec![],
        secret: Secret::from(&b"testing123"[..]),
        accounting: vec!["192.0.2.9:1813".parse().unwrap()],
        authorizers: vec![HIM.into()],
        names: vec![],
    };
    let (user, name, session) = (b"carol".to_vec(), b"gw".to_vec(), "00112233445566ff".to_owned());
    let admission = Admission { authorization, user, name, session, aaa: Arc::new(aaa) };
    pair.initiate();
    let Bench { core, now, .. } = &mut pair.0[1];
    let view = core.endpoint.ike_sas().remove(0);
    core.open_session(&view, Arc::new(admission), *now);
    for child in &view.children {
        let (policy, inbound, outbound) = (child.policy, child.inbound, child.outbound);
        core.note_session(&Event::ChildUp { policy, inbound, outbound }, *now);
    }
    pair
}

fn read(record: &Record) -> Packet {
    Packet::parse(&record.request.seal_account(1, &record.aaa.secret).unwrap().0).unwrap()
}

/// The only new record, and that it is of this kind.
fn record(bench: &mut Bench, status: u32) -> Packet {
    let records = bench.core.records();
    assert_eq!(records.len(), 1, "{records:?}");
    let packet = read(&records[0]);
    assert_eq!(packet.number(Attribute::ACCT_STATUS_TYPE), Some(status));
    packet
}

/// Each SA has carried this.
fn carry(bench: &Bench, bytes: u64, packets: u64) {
    for sa in &mut bench.plane.0.borrow_mut().sas {
        let twice = if sa.params.direction == Direction::Outbound { 2 } else { 1 };
        sa.counters = SaCounters { bytes: bytes * twice, packets: packets * twice, ..SaCounters::default() };
    }
}

fn pass(bench: &mut Bench, seconds: u64) {
    bench.now = bench.now + Duration::from_secs(seconds);
    bench.core.timer(bench.now);
}

fn numbers(packet: &Packet, kinds: [Attribute; 4]) -> [Option<u32>; 4] {
    kinds.map(|kind| packet.number(kind))
}

const COUNTS: [Attribute; 4] = [
    Attribute::ACCT_INPUT_OCTETS,
    Attribute::ACCT_OUTPUT_OCTETS,
    Attribute::ACCT_INPUT_PACKETS,
    Attribute::ACCT_OUTPUT_PACKETS,
];

// RFC 2866 §4.1, RFC 2869 §2.1, RFC 2865 §5.25.
#[test]
fn an_account_has_a_start_updates_and_a_stop_with_all_that_was_carried() {
    let class = vec![b"gold".to_vec(), vec![0, 1]];
    let interim = Some(Duration::from_secs(600));
    let mut pair = pair("account", Authorization { class, interim, ..Authorization::default() });
    let start = record(&mut pair.0[1], 1);
    let id = start.first(Attribute::ACCT_SESSION_ID).unwrap().to_vec();
    assert_eq!((id.len(), start.first(Attribute::USER_NAME)), (16, Some(&b"carol"[..])));
    assert_eq!(start.first(Attribute::NAS_IP_ADDRESS), Some(&[10, 0, 0, 2][..]));
    assert_eq!(start.first(Attribute::CALLING_STATION_ID), Some(&b"10.0.0.1"[..]));
    assert_eq!(start.all(Attribute::CLASS).collect::<Vec<_>>(), [&b"gold"[..], &[0, 1]]);
    assert_eq!(numbers(&start, COUNTS), [None; 4]);

    carry(&pair.0[1], (3 << 32) + 7, 5);
    pass(&mut pair.0[1], 599);
    assert!(pair.0[1].core.records().is_empty());
    pass(&mut pair.0[1], 1);
    let update = record(&mut pair.0[1], 3);
    assert_eq!(numbers(&update, COUNTS), [Some(7), Some(14), Some(5), Some(10)]);
    assert_eq!(update.number(Attribute::ACCT_INPUT_GIGAWORDS), Some(3));
    assert_eq!(update.number(Attribute::ACCT_OUTPUT_GIGAWORDS), Some(6));
    assert_eq!(update.number(Attribute::ACCT_SESSION_TIME), Some(600));
    pair.exchange();

    // What the SAs carried that were rekeyed is not forgotten, nor the session when its IKE SA is.
    let id_of = |bench: &Bench| bench.core.model.find_policy("p1").unwrap().id;
    let now = pair.0[0].now;
    let listings = |bench: &Bench| bench.plane.0.borrow().listings;
    let before = listings(&pair.0[1]);
    let rekey = Command::RekeyChild(id_of(&pair.0[0]));
    pair.0[0].core.command(rekey, now);
    pair.exchange();
    pair.0[0].core.command(Command::RekeyIke("gw".into()), now);
    pair.exchange();
    assert_eq!(pair.0[1].core.endpoint.ike_sas().len(), 1);
    carry(&pair.0[1], 100, 1);
    pair.0[0].core.command(Command::TerminateIke(None), now);
    pair.exchange();
    assert_eq!(listings(&pair.0[1]), before, "no SA that goes has all others looked at");
    let stop = record(&mut pair.0[1], 2);
    assert_eq!(stop.first(Attribute::ACCT_SESSION_ID), Some(&id[..]));
    assert_eq!(numbers(&stop, COUNTS), [Some(107), Some(214), Some(6), Some(12)]);
    assert_eq!(stop.number(Attribute::ACCT_INPUT_GIGAWORDS), Some(3));
    assert_eq!(stop.number(Attribute::ACCT_TERMINATE_CAUSE), Some(1), "User Request");
    assert_eq!(stop.all(Attribute::CLASS).count(), 2);
    pass(&mut pair.0[1], 600);
    assert!(pair.0[1].core.records().is_empty());
}

#[test]
fn sessions_stop_with_the_daemon_though_no_peer_answers() {
    let mut pair = pair("stops", Authorization::default());
    record(&mut pair.0[1], 1);
    carry(&pair.0[1], 50, 2);
    let now = pair.0[1].now;
    pair.0[1].core.begin_stop(now);
    let records = pair.0[1].core.last_records(now);
    let stop = read(&records[0]);
    assert_eq!((records.len(), stop.number(Attribute::ACCT_STATUS_TYPE)), (1, Some(2)));
    assert_eq!(numbers(&stop, COUNTS), [Some(50), Some(100), Some(2), Some(4)]);
    assert_eq!(stop.number(Attribute::ACCT_TERMINATE_CAUSE), Some(7), "Admin Reboot");
}

// RFC 2865 §5.27, §5.28.
#[test]
fn a_session_ends_when_its_time_is_over_or_it_carries_nothing() {
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let mut timed = pair("timed", Authorization { session_timeout: minutes(10), ..Authorization::default() });
    record(&mut timed.0[1], 1);
    pass(&mut timed.0[1], 599);
    timed.exchange();
    assert_eq!(timed.0[1].core.endpoint.ike_sas().len(), 1);
    pass(&mut timed.0[1], 1);
    timed.exchange();
    assert!(timed.0.iter().all(|bench| bench.core.endpoint.ike_sas().is_empty()), "the peer heard of it");
    assert_eq!(record(&mut timed.0[1], 2).number(Attribute::ACCT_TERMINATE_CAUSE), Some(5));

    let mut idle = pair("idle", Authorization { idle_timeout: minutes(4), ..Authorization::default() });
    record(&mut idle.0[1], 1);
    for round in 1..10 {
        carry(&idle.0[1], 10 * round, round);
        pass(&mut idle.0[1], 60);
        idle.exchange();
    }
    assert_eq!(idle.0[1].core.endpoint.ike_sas().len(), 1);
    for _ in 0..4 {
        assert_eq!(idle.0[1].core.endpoint.ike_sas().len(), 1);
        pass(&mut idle.0[1], 60);
        idle.exchange();
    }
    assert_eq!(record(&mut idle.0[1], 2).number(Attribute::ACCT_TERMINATE_CAUSE), Some(4));
}

fn demand(code: Code, from: [u8; 4], attributes: &[(Attribute, &[u8])]) -> Demand {
    let attributes = attributes.iter().map(|(kind, value)| (*kind, value.to_vec())).collect();
    let packet = Packet { code, identifier: 1, authenticator: [0; 16], attributes };
    Demand { from: (from, 1700).into(), packet, secret: Secret::from(&b"testing123"[..]) }
}

// RFC 5176 §2.3, §3, §3.2, §3.5.
#[test]
fn what_is_not_understood_or_meant_for_another_changes_nothing() {
    let mut pair = pair("refused", Authorization::default());
    let start = record(&mut pair.0[1], 1);
    let id = start.first(Attribute::ACCT_SESSION_ID).unwrap().to_vec();
    let carol = (Attribute::USER_NAME, &b"carol"[..]);
    let (end, change) = (Code::DISCONNECT_REQUEST, Code::COA_REQUEST);
    let times = (Attribute::SESSION_TIMEOUT, &[0, 0, 0, 9][..]);
    let now = pair.0[1].now;
    for (code, attributes, cause) in [
        (end, vec![], 402),
        (end, vec![(Attribute::NAS_IDENTIFIER, &b"gw"[..])], 402),
        (end, vec![carol, (Attribute::NAS_IDENTIFIER, b"other")], 403),
        (end, vec![carol, (Attribute::NAS_IP_ADDRESS, &[10, 0, 0, 9])], 403),
        (end, vec![carol, (Attribute::NAS_IP_ADDRESS, &[10])], 407),
        (end, vec![(Attribute::USER_NAME, b"dave")], 503),
        (end, vec![carol, (Attribute::ACCT_SESSION_ID, b"0123456789abcdef")], 503),
        (end, vec![(Attribute::FRAMED_IP_ADDRESS, &[10, 3, 0, 1])], 503),
        (end, vec![carol, (Attribute::CLASS, b"gold")], 401),
        (end, vec![carol, times], 401),
        (end, vec![carol, (Attribute::SERVICE_TYPE, &[0, 0, 0, 17])], 401),
        (change, vec![carol], 402),
        (change, vec![carol, times, (Attribute(11), b"filter")], 401),
        (change, vec![carol, (Attribute::SESSION_TIMEOUT, &[0; 4])], 407),
        (change, vec![carol, (Attribute::SERVICE_TYPE, &[0, 0, 0, 17]), (Attribute::STATE, b"s")], 405),
    ] {
        let verdict = pair.0[1].core.demand(&demand(code, HIM, &attributes), now);
        assert_eq!(verdict, Verdict::Refused(cause), "{attributes:?}");
    }
    // Neither somebody of another remote, nor by another secret.
    let stranger = demand(end, [192, 0, 2, 8], &[carol]);
    assert_eq!(pair.0[1].core.demand(&stranger, now), Verdict::Refused(503));
    let other = Demand { secret: Secret::from(&b"other"[..]), ..demand(end, HIM, &[carol]) };
    assert_eq!(pair.0[1].core.demand(&other, now), Verdict::Refused(503));
    assert!(pair.0[1].core.records().is_empty() && pair.0[1].core.endpoint.ike_sas().len() == 1);

    let all = [
        carol,
        (Attribute::ACCT_SESSION_ID, &id),
        (Attribute::NAS_IDENTIFIER, b"gw"),
        (Attribute::NAS_IP_ADDRESS, &[10, 0, 0, 2]),
        (Attribute::CALLING_STATION_ID, b"10.0.0.1"),
        (Attribute::EVENT_TIMESTAMP, &[0; 4]),
        (Attribute::PROXY_STATE, b"p"),
    ];
    assert_eq!(pair.0[1].core.demand(&demand(end, HIM, &all), now), Verdict::Done);
    pair.exchange();
    assert!(pair.0.iter().all(|bench| bench.core.endpoint.ike_sas().is_empty()), "the peer heard of it");
    assert_eq!(record(&mut pair.0[1], 2).number(Attribute::ACCT_TERMINATE_CAUSE), Some(6));
    assert_eq!(pair.0[1].core.demand(&demand(end, HIM, &all), now), Verdict::Refused(503));
}

// RFC 5176 §3.6, note 3.
#[test]
fn a_session_may_be_given_another_time() {
    let hour = Some(Duration::from_secs(3600));
    let mut pair = pair("changed", Authorization { session_timeout: hour, ..Authorization::default() });
    pass(&mut pair.0[1], 60);
    pair.exchange();
    let longer = demand(
        Code::COA_REQUEST,
        HIM,
        &[(Attribute::USER_NAME, b"carol"), (Attribute::SESSION_TIMEOUT, &[0, 0, 0, 90])],
    );
    let now = pair.0[1].now;
    assert_eq!(pair.0[1].core.demand(&longer, now), Verdict::Done);
    pass(&mut pair.0[1], 29);
    pair.exchange();
    assert_eq!(pair.0[1].core.endpoint.ike_sas().len(), 1);
    pass(&mut pair.0[1], 1);
    pair.exchange();
    assert!(pair.0[1].core.endpoint.ike_sas().is_empty());
}
