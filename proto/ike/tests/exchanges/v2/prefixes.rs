//! IPv6 prefixes of a client's own, on a virtual link (RFC 5739).

use std::time::Duration;

use ravelin_ike::config::{DynamicTs, Pool};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Event};
use ravelin_types::Identity;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Cfg, CfgAttribute, CfgAttributeType, CfgType, NotifyType, Payload, Ts};

use crate::lab::*;
use crate::v2::peer::{self, Peer, notify};

fn net(text: &str) -> TrafficSelector {
    let (base, len) = text.split_once('/').unwrap();
    TrafficSelector::prefix(ip(base), len.parse().unwrap()).unwrap()
}

fn pool(name: &str, first: &str, last: &str) -> Pool {
    Pool { name: name.into(), addresses: ip(first)..=ip(last), prefix: Some(64), fixed: vec![], attributes: vec![] }
}

/// A asks for prefixes, B has two pools of two each: A's dynamic side is what it gets, B's is everything.
fn linked(a: &mut Config, b: &mut Config) {
    a.remotes[0].internal.prefixes = true;
    server(b);
    let client = &mut a.policies[0];
    client.policy.local.clear();
    client.policy.remote = vec![TrafficSelector::any_v6()];
    client.dynamic = DynamicTs { local: vec![TrafficSelector::any_v6()], remote: vec![] };
}

fn server(b: &mut Config) {
    b.remotes[0].internal.pools = vec!["one".into(), "two".into()];
    b.pools = vec![
        pool("one", "2001:db8:1::", "2001:db8:1:1:ffff:ffff:ffff:ffff"),
        pool("two", "fd00:2::", "fd00:2:0:1:ffff:ffff:ffff:ffff"),
    ];
    let policy = &mut b.policies[0];
    policy.policy.local = vec![TrafficSelector::any_v6()];
    policy.policy.remote.clear();
    policy.dynamic = DynamicTs { local: vec![], remote: vec![TrafficSelector::any_v6()] };
}

fn prefixes(host: &Host) -> Vec<String> {
    let (ours, theirs) = host.ike().prefixes;
    ours.iter().chain(&theirs).map(ToString::to_string).collect()
}

// RFC 5739 §4.1: a prefix of each pool, and the link-local address that the client chose, are what its traffic is from.
#[test]
fn a_client_has_prefixes_of_its_own() {
    let mut lab = Lab::with(linked);
    lab.establish();
    lab.assert_mirrored();
    let expected = ["2001:db8:1::/64", "fd00:2::/64"];
    assert_eq!([prefixes(&lab.a), prefixes(&lab.b)], [expected, expected]);
    let ts = lab.a.child().local_ts;
    assert_eq!(ts.len(), 3, "{ts:?}");
    assert!(ts[0].to_string().starts_with("fe80::") && ts[1..] == expected.map(net));
    assert_eq!((lab.b.child().remote_ts, lab.b.child().local_ts), (ts, vec![TrafficSelector::any_v6()]));
    // An address in each, of the interface ID that its link-local address has.
    let Some(Event::Granted { grant, .. }) = lab.a.events.first() else { panic!("{:?}", lab.a.events) };
    let link = grant.link.clone().unwrap();
    assert!(link.own != link.peer && !link.id.is_empty());
    let hosts: Vec<std::net::IpAddr> = grant.prefixes.iter().map(|prefix| prefix.host(link.own).into()).collect();
    assert_eq!(grant.addresses, hosts);
    assert_eq!(lab.a.ike().inside.0, hosts);
    assert!(lab.b.ike().inside.1.is_empty());
    let leases: Vec<_> = lab.b.endpoint.pools().into_iter().flat_map(|pool| pool.leases).collect();
    assert!(leases.iter().all(|lease| lease.online) && leases.len() == 2);

    // What takes the place of the IKE SA and of its Child SA has the same.
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    for host in 0..2 {
        if host == 0 { &mut lab.a } else { &mut lab.b }.command(Command::RekeyChild(POLICY));
        lab.settle();
        lab.sleep(Duration::from_secs(10));
        lab.settle();
        assert_eq!(prefixes(&lab.b), expected);
        assert_eq!(lab.b.child().remote_ts[1..], expected.map(net));
    }
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    // The end gives them back; who returns has them again.
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    assert!(lab.b.endpoint.pools().iter().flat_map(|pool| &pool.leases).all(|lease| !lease.online));
    lab.establish();
    assert_eq!(prefixes(&lab.a), expected);
}

// RFC 5739 §4.2: the link goes on under its name, beside the IKE SA that it was on until then.
#[test]
fn a_link_outlives_a_proof_of_who_the_two_are() {
    let mut lab = Lab::with(|a, b| {
        linked(a, b);
        a.remotes[0].extensions.reauth = Some(Duration::from_secs(100));
    });
    lab.establish();
    let link = |host: &Host| {
        let granted = host.events.iter().rev().find_map(|event| match event {
            Event::Granted { grant, .. } => Some((grant.link.clone().unwrap(), grant.prefixes.clone())),
            _ => None,
        });
        granted.unwrap()
    };
    let before = (link(&lab.a), lab.a.ike().spis);
    for _ in 0..110 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    assert_ne!(lab.a.ike().spis, before.1);
    assert_eq!(link(&lab.a), before.0);
    assert_eq!(prefixes(&lab.b), ["2001:db8:1::/64", "fd00:2::/64"]);
}

// RFC 5739 §4.5: with a gateway that has no prefixes an address does, and an IPv4 address comes beside them.
#[test]
fn addresses_and_prefixes_go_together() {
    let mut lab = Lab::with(|a, b| {
        linked(a, b);
        a.remotes[0].internal.ask = vec![ip("::"), ip("0.0.0.0")];
        b.remotes[0].internal.pools = vec!["rw".into(), "rw4".into()];
        b.pools = vec![
            Pool { prefix: None, ..pool("rw", "2001:db8:9::1", "2001:db8:9::9") },
            Pool { prefix: None, ..pool("rw4", "10.3.0.1", "10.3.0.9") },
        ];
    });
    lab.establish();
    assert_eq!(lab.a.ike().inside.0, [ip("2001:db8:9::1"), ip("10.3.0.1")]);
    let mut lab = Lab::with(|a, b| {
        linked(a, b);
        a.remotes[0].internal.ask = vec![ip("::"), ip("0.0.0.0")];
        b.remotes[0].internal.pools.push("rw4".into());
        b.pools.push(Pool { prefix: None, ..pool("rw4", "10.3.0.1", "10.3.0.9") });
    });
    lab.establish();
    assert_eq!(lab.b.ike().inside.1, [ip("10.3.0.1")]);
    assert_eq!(prefixes(&lab.b).len(), 2);
}

#[test]
fn where_none_is_left_there_is_no_child_sa() {
    let mut lab = Lab::with(|a, b| {
        linked(a, b);
        b.remotes[0].internal.pools = vec!["one".into()];
        let fixed = |name: &str, first: &str| (Identity::Fqdn(name.into()), ip(first));
        b.pools[0].fixed = vec![fixed("carol", "2001:db8:1::"), fixed("dave", "2001:db8:1:1::")];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::InternalAddress);
    assert!(failure.theirs[0].contains("prefixes"), "{failure}");
    lab.a.failure(Part::InternalAddress);
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    assert!(lab.a.children().is_empty());
}

/// A peer with an IKE SA at a gateway with prefixes, and what the gateway answered.
fn client(interface: u64, id: &[u8], host: &mut Host, seed: u64) -> (Peer, Vec<Payload>) {
    let mut peer = Peer::new(seed);
    let request = peer.init_request();
    peer.send(host, &request);
    let mut answer = host.take();
    if let Some(cookie) = cookie(&answer.data) {
        let mut payloads = vec![notify(NotifyType::COOKIE, &cookie)];
        payloads.extend(peer.init_payloads());
        let request = peer.init_message(&payloads);
        peer.send(host, &request);
        answer = host.take();
    }
    peer.init_answered(&answer.data);
    let mut payloads = peer.auth_request();
    let value = CfgValue::Link(interface, id.to_vec()).emit();
    let attributes = vec![CfgAttribute { kind: CfgAttributeType::INTERNAL_IP6_LINK, value }];
    payloads.insert(2, Payload::Cfg(Cfg { kind: CfgType::REQUEST, attributes }));
    set_ts(&mut payloads, TrafficSelector::any_v6());
    let answer = peer.ask(host, ExchangeType::IKE_AUTH, &payloads);
    (peer, answer)
}

fn cookie(answer: &[u8]) -> Option<Vec<u8>> {
    let message = ravelin_wire::ike::v2::Message::parse(answer).unwrap();
    message.payloads.into_iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::COOKIE => Some(notify.data),
        _ => None,
    })
}

fn set_ts(payloads: &mut [Payload], all: TrafficSelector) {
    for payload in payloads {
        match payload {
            Payload::TsI(ts) | Payload::TsR(ts) => *ts = Ts::new(&[all]),
            _ => {}
        }
    }
}

/// The gateway's interface ID, the name of the link, and the first prefix.
fn given(answer: &[Payload]) -> Option<(u64, Vec<u8>, CfgValue)> {
    let cfg = answer.iter().find_map(|payload| match payload {
        Payload::Cfg(cfg) => Some(cfg),
        _ => None,
    })?;
    let mut values = cfg.attributes.iter().map(|it| CfgValue::parse(it.kind, &it.value).unwrap().unwrap());
    match (values.next()?, values.next()?) {
        (CfgValue::Link(interface, id), prefix) => Some((interface, id, prefix)),
        other => panic!("{other:?}"),
    }
}

fn gateway() -> Host {
    let mut config = config(B, A);
    server(&mut config);
    Host::new(config, 2)
}

// RFC 5739 §4.1: the client's interface ID is taken as it is, and ours is another; one that no interface has is refused.
#[test]
fn the_gateway_takes_the_interface_id_of_the_client_and_has_another() {
    for interface in [1, 2, 3, u64::MAX] {
        let mut host = gateway();
        let (_, answer) = client(interface, b"", &mut host, 1);
        let (own, id, prefix) = given(&answer).unwrap();
        assert!(own != interface && own != 0 && !id.is_empty());
        assert_eq!(prefix, CfgValue::Prefix("2001:db8:1::".parse().unwrap(), 64));
    }
    let mut host = gateway();
    let (_, answer) = client(0, b"", &mut host, 1);
    assert!(peer::notifies(&answer).contains(&NotifyType::INTERNAL_ADDRESS_FAILURE));
    assert!(host.children().is_empty());
}

// RFC 5739 §4.2: whose link it is, is judged by the identity that was proven. RFC 5739 §4.1: nobody has the prefix of another.
#[test]
fn the_link_of_another_is_nobodys_else() {
    let mut host = gateway();
    host.configure(|config| {
        let mut other = config.remotes[0].clone();
        other.name = "other".into();
        other.remote_id = Identity::Fqdn("mallory".into());
        config.remotes.push(other);
        let mut policy = config.policies[0].clone();
        policy.remote = "other".into();
        policy.policy.id = ravelin_types::policy::PolicyId(8);
        config.policies.push(policy);
    });
    let (_, answer) = client(7, b"", &mut host, 1);
    let (own, id, first) = given(&answer).unwrap();
    // The same client again, beside the IKE SA that it has: the same link.
    let (_, answer) = client(7, &id, &mut host, 2);
    assert_eq!(given(&answer), Some((own, id.clone(), first.clone())));
    // Another, who says that it is his.
    let mut peer = Peer::new(3);
    peer.id = Identity::Fqdn("mallory".into());
    let request = peer.init_request();
    peer.send(&mut host, &request);
    let answer = host.take();
    peer.init_answered(&answer.data);
    let mut payloads = peer.auth_request();
    let value = CfgValue::Link(7, id.clone()).emit();
    let attributes = vec![CfgAttribute { kind: CfgAttributeType::INTERNAL_IP6_LINK, value }];
    payloads.insert(2, Payload::Cfg(Cfg { kind: CfgType::REQUEST, attributes }));
    set_ts(&mut payloads, TrafficSelector::any_v6());
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    let (_, other, prefix) = given(&answer).unwrap();
    assert!(other != id && prefix != first, "{prefix:?}");
}

// RFC 5739 §4.3: dynamic selectors are those of the link where its name is said, and of what is outside where it is not.
#[test]
fn a_child_sa_is_of_the_link_that_it_names() {
    let mut host = gateway();
    let (mut peer, answer) = client(7, b"", &mut host, 1);
    let (_, id, _) = given(&answer).unwrap();
    let mut ask = |name: Option<&[u8]>, spi: u32| {
        let [mut tsi, mut tsr] = peer::ts(A, B);
        for ts in [&mut tsi, &mut tsr] {
            set_ts(std::slice::from_mut(ts), TrafficSelector::any_v6());
        }
        let mut payloads: Vec<Payload> = name.map(|name| notify(NotifyType::LINK_ID, name)).into_iter().collect();
        let proposal = peer::sa(vec![esp_proposal()], ravelin_types::Spi(spi).into());
        payloads.extend([proposal, peer::nonce(&[spi as u8; 32]), tsi, tsr]);
        peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads)
    };
    let made = |answer: &[Payload]| answer.iter().any(|payload| matches!(payload, Payload::TsI(_)));
    assert!(made(&ask(Some(&id), 0x5000)));
    assert!(!made(&ask(None, 0x5001)) && !made(&ask(Some(b"another"), 0x5002)));
}
