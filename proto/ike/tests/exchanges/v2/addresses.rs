//! Internal addresses: who asks for one gets one, and nothing but its traffic.

use ravelin_ike::address::pool::{Attribute, LeaseView};
use ravelin_ike::address::{DnsDigest, EncryptedDns, SvcParams};
use ravelin_ike::config::{DynamicTs, Pool};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Event};
use ravelin_types::Identity;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Cfg, CfgAttribute, CfgAttributeType, CfgType, NotifyType, Payload, Ts};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

fn net(text: &str) -> TrafficSelector {
    let (base, len) = text.split_once('/').unwrap();
    TrafficSelector::prefix(ip(base), len.parse().unwrap()).unwrap()
}

fn pool(name: &str, first: &str, last: &str) -> Pool {
    let attributes = vec![
        Attribute { kind: CfgAttributeType::INTERNAL_IP4_DNS, value: CfgValue::Address(ip("10.1.0.53")) },
        Attribute { kind: CfgAttributeType::INTERNAL_IP4_SUBNET, value: CfgValue::Subnet(ip("10.1.0.0"), 16) },
        Attribute { kind: CfgAttributeType::INTERNAL_DNS_DOMAIN, value: CfgValue::Domain("corp.example".into()) },
    ];
    Pool { name: name.into(), addresses: ip(first)..=ip(last), prefix: None, fixed: vec![], attributes }
}

/// A wants an address, B has a pool: A's dynamic side is its address, B's the network behind it.
fn road_warrior(a: &mut Config, b: &mut Config) {
    a.remotes[0].internal.ask = vec![ip("0.0.0.0")];
    b.remotes[0].internal.pools = vec!["rw".into()];
    b.pools = vec![pool("rw", "10.3.0.1", "10.3.0.2")];
    let any = vec![TrafficSelector::any_v4()];
    let (client, server) = (&mut a.policies[0], &mut b.policies[0]);
    client.policy.local.clear();
    client.policy.remote = vec![net("10.1.0.0/16")];
    client.dynamic = DynamicTs { local: any.clone(), remote: vec![] };
    server.policy.local = vec![net("10.1.0.0/16")];
    server.policy.remote.clear();
    server.dynamic = DynamicTs { local: vec![], remote: any };
}

fn leases(host: &Host) -> Vec<LeaseView> {
    host.endpoint.pools().into_iter().flat_map(|pool| pool.leases).collect()
}

// RFC 7296 §2.19 and §3.15: CP before SA in IKE_AUTH, a reply to a request alone.
#[test]
fn a_client_gets_an_address_and_sas_for_it_alone() {
    let mut lab = Lab::with(road_warrior);
    lab.establish();
    lab.assert_mirrored();
    let address = ip("10.3.0.1");
    assert_eq!(lab.a.ike().inside, (vec![address], vec![]));
    assert_eq!(lab.b.ike().inside, (vec![], vec![address]));
    assert_eq!(lab.a.child().local_ts, [TrafficSelector::host(address)]);
    assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(address)]);
    let Some(Event::Granted { grant, .. }) = lab.a.events.first() else { panic!("{:?}", lab.a.events) };
    assert_eq!(grant.addresses, [address]);
    assert_eq!(grant.dns().collect::<Vec<_>>(), [ip("10.1.0.53")]);
    assert_eq!(grant.domains().collect::<Vec<_>>(), ["corp.example"]);
    assert_eq!(grant.subnets().collect::<Vec<_>>(), [net("10.1.0.0/16")]);
    assert_eq!(grant.attributes.len(), 3);
    let mine = Identity::Fqdn(format!("{A}.example.org"));
    assert_eq!(leases(&lab.b), [LeaseView { address, identity: mine.clone(), online: true }]);

    // A rekeyed IKE SA has the same, and its later Child SAs are for the same address.
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert_eq!(lab.b.ike().inside.1, [address]);
    lab.a.command(Command::TerminateChild(None));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.a.child().local_ts, [TrafficSelector::host(address)]);
    assert!(!lab.a.events.iter().any(|event| matches!(event, Event::GrantEnded { .. })));

    // The end gives it back; who returns has it again.
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    assert!(
        matches!(lab.a.events.iter().rev().nth(1), Some(Event::GrantEnded { grant, .. }) if grant.addresses == [address])
    );
    assert_eq!(leases(&lab.b), [LeaseView { address, identity: mine, online: false }]);
    lab.establish();
    assert_eq!(lab.a.ike().inside.0, [address]);
}

#[test]
fn a_client_that_lost_its_state_has_its_address_again() {
    let mut lab = Lab::with(road_warrior);
    lab.establish();
    lab.a = Host::new(lab.a.config.clone(), 99);
    // HDR, SK {IDi, N(INITIAL_CONTACT), ...} -->
    lab.establish();
    assert_eq!(lab.b.ike().inside.1, [ip("10.3.0.1")]);
    assert_eq!(leases(&lab.b).len(), 1);
}

#[test]
fn both_families_come_at_once() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a, b);
        a.remotes[0].internal.ask = vec![ip("10.3.0.2"), ip("::")];
        a.policies[0].policy.remote.push(net("2001:db8:1::/48"));
        b.policies[0].policy.local.push(net("2001:db8:1::/48"));
        b.remotes[0].internal.pools.push("rw6".into());
        b.pools.push(Pool { attributes: vec![], ..pool("rw6", "2001:db8:3::1", "2001:db8:3::ff") });
    });
    lab.establish();
    let addresses = [ip("10.3.0.2"), ip("2001:db8:3::1")];
    assert_eq!(lab.a.ike().inside.0, addresses);
    assert_eq!(lab.a.child().local_ts, addresses.map(TrafficSelector::host));
}

#[test]
fn a_client_without_a_request_gets_no_child_sa() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a, b);
        a.remotes[0].internal.ask.clear();
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    // <-- HDR, SK {IDr, AUTH, N(FAILED_CP_REQUIRED)}
    assert!(lab.a.failure(Part::InternalAddress).theirs[0].contains("FAILED_CP_REQUIRED"));
    lab.b.failure(Part::InternalAddress);
    assert_eq!((lab.a.ike().state, lab.a.children().len()), ("ESTABLISHED", 0));
}

#[test]
fn without_an_address_there_is_no_child_sa() {
    for empty in [false, true] {
        let mut lab = Lab::with(|a, b| {
            road_warrior(a, b);
            match empty {
                // The only address is another's.
                true => b.pools[0].fixed = vec![(Identity::Fqdn("carol".into()), ip("10.3.0.1"))],
                false => b.remotes[0].internal.pools.clear(),
            }
            b.pools[0].addresses = ip("10.3.0.1")..=ip("10.3.0.1");
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        // <-- HDR, SK {IDr, AUTH, N(INTERNAL_ADDRESS_FAILURE)}
        assert!(lab.a.failure(Part::InternalAddress).theirs[0].contains("INTERNAL_ADDRESS_FAILURE"));
        lab.b.failure(Part::InternalAddress);
        assert!(lab.a.children().is_empty() && lab.b.children().is_empty() && leases(&lab.b).is_empty());
        // Nor later: the policy is for an address that the peer gives.
        lab.a.events.clear();
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab.a.failure(Part::Configuration);
    }
}

/// `CP(CFG_REQUEST)` and the like.
fn cp(kind: CfgType, attributes: &[(CfgAttributeType, &[u8])]) -> Payload {
    let attribute = |(kind, value): &(CfgAttributeType, &[u8])| CfgAttribute { kind: *kind, value: value.to_vec() };
    Payload::Cfg(Cfg { kind, attributes: attributes.iter().map(attribute).collect() })
}

/// `TSi, TSr`
fn everything() -> [Payload; 2] {
    let any = || Ts::new(&[TrafficSelector::any_v4()]);
    [Payload::TsI(any()), Payload::TsR(any())]
}

/// A host at B that gives addresses.
fn server() -> Host {
    let (mut a, mut b) = (config(A, B), config(B, A));
    road_warrior(&mut a, &mut b);
    Host::new(b, 2)
}

fn reply(payloads: &[Payload]) -> Option<&Cfg> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Cfg(cfg) => Some(cfg),
        _ => None,
    })
}

// RFC 7296 §3.15.1: what is not known is ignored.
#[test]
fn hostile_requests_get_no_more_than_is_due() {
    let mut host = server();
    let mut peer = Peer::keyed(&mut host);
    // A hundred addresses are asked for, in every bad form.
    let mut asked: Vec<(CfgAttributeType, &[u8])> = vec![(CfgAttributeType::INTERNAL_IP4_ADDRESS, &[9; 3]); 100];
    asked.push((CfgAttributeType::INTERNAL_IP4_ADDRESS, &[0; 4]));
    asked.push((CfgAttributeType(0x7fff), &[1; 200]));
    let mut payloads = peer.auth_request();
    payloads.retain(|payload| !matches!(payload, Payload::TsI(_) | Payload::TsR(_)));
    payloads.push(cp(CfgType::REQUEST, &asked));
    payloads.extend(everything());
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    let cfg = reply(&answer).unwrap();
    let granted = cfg.attributes.iter().filter(|a| a.kind == CfgAttributeType::INTERNAL_IP4_ADDRESS).count();
    // The pool has no more.
    assert_eq!((cfg.kind, granted), (CfgType::REPLY, 2));
    assert_eq!(host.child().remote_ts.len(), 2);
    host.command(Command::TerminateIke(None));
    assert!(!leases(&host).is_empty());
}

#[test]
fn later_questions_are_answered_without_addresses() {
    let mut host = server();
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.retain(|payload| !matches!(payload, Payload::TsI(_) | Payload::TsR(_)));
    payloads.push(cp(CfgType::REQUEST, &[(CfgAttributeType::INTERNAL_IP4_ADDRESS, &[])]));
    payloads.extend(everything());
    peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    let asked = [
        (CfgAttributeType::INTERNAL_IP4_ADDRESS, &[][..]),
        (CfgAttributeType::INTERNAL_IP4_DNS, &[]),
        (CfgAttributeType::SUPPORTED_ATTRIBUTES, &[]),
    ];
    // HDR, SK {CP(CFG_REQUEST)} -->   <-- HDR, SK {CP(CFG_REPLY)}
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[cp(CfgType::REQUEST, &asked)]);
    let cfg = reply(&answer).unwrap();
    let kinds: Vec<CfgAttributeType> = cfg.attributes.iter().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [CfgAttributeType::INTERNAL_IP4_DNS, CfgAttributeType::SUPPORTED_ATTRIBUTES]);
    assert_eq!(cfg.attributes[1].value[..4], [0, 1, 0, 3]);
    // HDR, SK {CP(CFG_SET)} -->   <-- HDR, SK {CP(CFG_ACK)}
    let set = cp(CfgType::SET, &[(CfgAttributeType::INTERNAL_IP4_DNS, &[6; 4])]);
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[set]);
    assert_eq!(reply(&answer), Some(&Cfg { kind: CfgType::ACK, attributes: vec![] }));
    assert_eq!(leases(&host).len(), 1);
}

fn resolver(priority: u16, address: &str, name: &str) -> Attribute {
    let params = SvcParams { alpn: vec!["dot".into()], ..SvcParams::default() };
    let (kind, addresses) = (CfgAttributeType::encrypted_dns(ip(address).is_ipv4()), vec![ip(address)]);
    let resolver = EncryptedDns { priority, addresses, name: name.into(), parameters: params.emit() };
    Attribute { kind, value: CfgValue::EncryptedDns(resolver) }
}

fn digest(name: &str, hash: u16) -> Attribute {
    let digest = DnsDigest { hashes: vec![hash], name: name.into(), digest: vec![hash as u8; 32] };
    Attribute { kind: CfgAttributeType::ENCDNS_DIGEST_INFO, value: CfgValue::DnsDigest(digest) }
}

/// The encrypted resolvers that A is told of: priority, name and first octet of the digest.
fn told(attributes: Vec<Attribute>) -> Vec<(u16, String, Option<u8>)> {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a, b);
        b.pools[0].attributes = attributes;
    });
    lab.establish();
    let Some(Event::Granted { grant, .. }) = lab.a.events.first() else { panic!("{:?}", lab.a.events) };
    let all = grant.encrypted_dns();
    all.iter().map(|(it, digest)| (it.priority, it.name.clone(), digest.map(|digest| digest[0]))).collect()
}

// RFC 9464 §3.1: by priority, and of the families that were asked for. RFC 9464 §3.2: a digest by a hash that the client knows,
// of the name that it goes with.
#[test]
fn encrypted_resolvers_come_best_first_with_their_digests() {
    let two = vec![
        resolver(2, "10.1.0.54", "b.test"),
        resolver(1, "10.1.0.53", "a.test"),
        resolver(1, "2001:db8::53", "six.test"),
        digest("b.test", 2),
        digest("a.test", 4),
        digest("c.test", 2),
    ];
    assert_eq!(told(two), [(1, "a.test".into(), None), (2, "b.test".into(), Some(2))]);
    // With one name the digest does without.
    let one = vec![resolver(1, "10.1.0.53", "a.test"), digest("a.test", 2)];
    assert_eq!(told(one), [(1, "a.test".into(), Some(2))]);
    // What no resolver can be is passed over.
    let mut bad = vec![resolver(0, "10.1.0.53", "zero.test"), resolver(1, "10.1.0.53", "")];
    for (addresses, parameters) in [(vec![], vec![]), (vec![ip("10.1.0.53")], vec![0, 3, 0, 1, 9])] {
        let value = CfgValue::EncryptedDns(EncryptedDns { priority: 1, addresses, name: "a.test".into(), parameters });
        bad.push(Attribute { kind: CfgAttributeType::ENCDNS_IP4, value });
    }
    assert_eq!(told(bad), []);
}

// RFC 9464 §4: for who asks for them alone; and domains with a resolver of either kind (RFC 8598 §3.2).
#[test]
fn encrypted_resolvers_are_for_who_asks_for_them() {
    use CfgAttributeType as Kind;
    let domain = Attribute { kind: Kind::INTERNAL_DNS_DOMAIN, value: CfgValue::Domain("corp.example".into()) };
    let attributes = vec![domain, resolver(1, "10.1.0.53", "a.test"), digest("a.test", 2)];
    let address = (Kind::INTERNAL_IP4_ADDRESS, &[][..]);
    let with = |more: &[(Kind, &[u8])]| {
        let (mut a, mut b) = (config(A, B), config(B, A));
        road_warrior(&mut a, &mut b);
        b.pools[0].attributes = attributes.clone();
        let mut host = Host::new(b, 2);
        let mut peer = Peer::keyed(&mut host);
        let mut payloads = peer.auth_request();
        payloads.retain(|payload| !matches!(payload, Payload::TsI(_) | Payload::TsR(_)));
        payloads.push(cp(CfgType::REQUEST, &[&[address], more].concat()));
        payloads.extend(everything());
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        let kinds: Vec<Kind> = reply(&answer).unwrap().attributes.iter().map(|attribute| attribute.kind).collect();
        kinds[1..].to_vec()
    };
    let (domain, plain, digest) = (Kind::INTERNAL_DNS_DOMAIN, Kind::ENCDNS_IP4, Kind::ENCDNS_DIGEST_INFO);
    assert_eq!(with(&[]), []);
    assert_eq!(with(&[(domain, &[]), (digest, &[1, 0, 0, 2])]), []);
    assert_eq!(with(&[(domain, &[]), (plain, &[])]), [domain, plain]);
    assert_eq!(with(&[(plain, &[]), (digest, &[2, 0, 0, 3, 0, 2])]), [plain, digest]);
    // Hashes that are not known here; a list that is not what it says.
    assert_eq!(with(&[(plain, &[]), (digest, &[1, 0, 0, 3])]), [plain]);
    assert_eq!(with(&[(plain, &[1, 2, 3]), (digest, &[200, 0, 0, 2])]), [plain]);
}

#[test]
fn pools_may_change_under_their_leases() {
    let mut lab = Lab::with(road_warrior);
    lab.establish();
    lab.b.configure(|b| b.pools.clear());
    assert!(leases(&lab.b).is_empty());
    // The peer keeps what it was given as long as its IKE SA stands.
    assert_eq!(lab.b.ike().inside.1, [ip("10.3.0.1")]);
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.a.failure(Part::InternalAddress);
    assert!(failure.theirs[0].contains(&NotifyType::INTERNAL_ADDRESS_FAILURE.to_string()));
}

/// The families that a responder with such pools says it has, when it is asked for these addresses, and what it gives.
fn allowed(pools: &[&str], ask: &[&str]) -> (Vec<NotifyType>, usize) {
    let mut config = config(B, A);
    road_warrior(&mut crate::lab::config(A, B), &mut config);
    config.pools.push(Pool { attributes: vec![], ..pool("rw6", "2001:db8:3::1", "2001:db8:3::ff") });
    config.remotes[0].internal.pools = pools.iter().map(|name| (*name).to_owned()).collect();
    let mut host = Host::new(config, 2);
    let mut peer = Peer::keyed(&mut host);
    let asks = ask.iter().map(|family| CfgAttribute {
        kind: if *family == "4" {
            CfgAttributeType::INTERNAL_IP4_ADDRESS
        } else {
            CfgAttributeType::INTERNAL_IP6_ADDRESS
        },
        value: vec![],
    });
    let mut payloads = peer.auth_request();
    payloads.insert(2, Payload::Cfg(Cfg { kind: CfgType::REQUEST, attributes: asks.collect() }));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    let given = host.ike().inside.1.len();
    let kinds = peer::notifies(&answer).into_iter();
    (kinds.filter(|kind| [NotifyType::IP4_ALLOWED, NotifyType::IP6_ALLOWED].contains(kind)).collect(), given)
}

// RFC 8983 §4 and §5, table 1, row by row.
#[test]
fn a_peer_is_told_which_families_there_are() {
    let (v4, v6) = (NotifyType::IP4_ALLOWED, NotifyType::IP6_ALLOWED);
    for (ask, pools, told, given) in [
        (&["4"][..], &["rw6"][..], vec![v6], 0),
        (&["4"], &["rw"], vec![v4], 1),
        (&["4"], &["rw", "rw6"], vec![v4, v6], 1),
        (&["6"], &["rw6"], vec![v6], 1),
        (&["6"], &["rw"], vec![v4], 0),
        (&["6"], &["rw", "rw6"], vec![v4, v6], 1),
        (&["4", "6"], &["rw"], vec![v4], 1),
        (&["4", "6"], &["rw6"], vec![v6], 1),
        (&["4", "6"], &["rw", "rw6"], vec![v4, v6], 2),
        // Other cases are as they were.
        (&[], &["rw", "rw6"], vec![], 0),
        (&["4", "6"], &[], vec![], 0),
    ] {
        assert_eq!(allowed(pools, ask), (told, given), "{ask:?} {pools:?}");
    }
}

// RFC 8983 §5: who hears of one family alone does not ask for the other again.
#[test]
fn a_family_that_the_gateway_has_not_is_not_asked_for_again() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a, b);
        a.remotes[0].internal.ask = vec![ip("0.0.0.0"), ip("::")];
    });
    lab.establish();
    assert_eq!(lab.a.ike().inside.0, [ip("10.3.0.1")]);
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    // There is one now, but nobody has said so.
    lab.b.configure(|config| {
        config.pools.push(Pool { attributes: vec![], ..pool("rw6", "2001:db8:3::1", "2001:db8:3::ff") });
        config.remotes[0].internal.pools.push("rw6".into());
    });
    lab.establish();
    assert_eq!(lab.b.ike().inside.1, [ip("10.3.0.1")]);
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    // It said so then.
    lab.establish();
    assert_eq!(lab.a.ike().inside.0, [ip("10.3.0.1"), ip("2001:db8:3::1")]);
}

#[test]
fn a_client_that_wants_another_family_alone_is_told_why_it_gets_none() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a, b);
        a.remotes[0].internal.ask = vec![ip("::")];
        a.policies[0].policy.remote = vec![net("2001:db8:1::/48")];
    });
    for _ in 0..2 {
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let failure = lab.a.failure(Part::InternalAddress);
        assert_eq!(
            (failure.theirs[0].as_str(), failure.ours[0].as_str()),
            ("gives IPv4 addresses alone", "asks for IPv6 addresses alone")
        );
        lab.a.command(Command::TerminateIke(None));
        lab.settle();
        lab.a.events.clear();
    }
}

// Notifies that nobody asked for, or with something in them, are no harm.
#[test]
fn what_is_said_of_families_unasked_has_no_effect() {
    let mut host = Host::new(config(B, A), 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(5);
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    host.take();
    let mut payloads = peer.auth_answer();
    payloads.insert(2, peer::notify(NotifyType::IP6_ALLOWED, &[1; 300]));
    payloads.insert(2, peer::notify(NotifyType::IP4_ALLOWED, &[]));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!((host.failures(), host.children().len()), (vec![], 1));
}
