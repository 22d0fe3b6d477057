//! Remotes that stand for several peers: addresses, identities, keys and selectors that are found when a peer comes.

use std::sync::Arc;

use crate::lab::*;
use crate::v2::peer::{Peer, notify, sa_of};
use ravelin_ike::Command;
use ravelin_ike::config::{Config, DynamicTs, IdPattern, Open, OwnedKey};
use ravelin_ike::explain::Part;
use ravelin_types::identity::IdType;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::NotifyType;

fn key(owner: &str, secret: &[u8]) -> OwnedKey {
    OwnedKey { owners: vec![IdPattern::Exactly(ip(owner).into())], secret: secret.into() }
}

/// A gateway for anybody: no address, no identity, a key for each peer, and each peer's own address as its selector.
fn gateway(config: &mut Config) {
    let remote = &mut config.remotes[0];
    remote.local = None;
    remote.remote = ip("0.0.0.0");
    share(remote, b"");
    remote.open = Open {
        alternates: Vec::new(),
        from: vec![ip("192.0.2.0")..=ip("192.0.2.255"), ip("::")..=ip("ffff::")],
        own_names: Vec::new(),
        at: Vec::new(),
        peers: Some(IdPattern::Any),
        own_address: true,
        keys: Some(Arc::from([key("192.0.2.9", b"of somebody else, long enough"), key(A, SECRET)])),
    };
    let child = &mut config.policies[0];
    child.policy.local = vec![TrafficSelector::prefix(ip("10.0.0.0"), 8).unwrap()];
    child.policy.remote = Vec::new();
    child.dynamic = DynamicTs { local: Vec::new(), remote: vec![TrafficSelector::any_v4()] };
}

/// A road warrior that says nothing but where the gateway is.
fn road_warrior(config: &mut Config) {
    let remote = &mut config.remotes[0];
    remote.open = Open { peers: Some(IdPattern::Any), own_address: true, ..Open::default() };
    let child = &mut config.policies[0];
    child.policy.remote = vec![TrafficSelector::prefix(ip("10.0.0.0"), 8).unwrap()];
    child.policy.local = Vec::new();
    child.dynamic = DynamicTs { local: vec![TrafficSelector::any_v4()], remote: Vec::new() };
}

#[test]
fn a_gateway_finds_key_identities_and_selectors_of_whoever_comes() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a);
        gateway(b);
    });
    lab.establish();
    lab.assert_mirrored();
    let (here, there) = (Identity::from(ip(A)), Identity::from(ip(B)));
    assert_eq!(lab.a.ike().identities, Some((here.clone(), there.clone())));
    assert_eq!(lab.b.ike().identities, Some((there, here)));
    assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(ip(A))]);
    assert_eq!(lab.a.child().local_ts, [TrafficSelector::host(ip(A))]);
    assert_eq!(lab.a.child().remote_ts[0].to_string(), "10.0.0.0/8");
    // Both survive a rekey, which finds nothing anew.
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert_eq!(lab.b.ike().identities, Some((Identity::from(ip(B)), Identity::from(ip(A)))));
}

#[test]
fn a_peer_without_a_key_of_its_own_is_refused() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a);
        gateway(b);
        b.remotes[0].open.keys = Some(Arc::from([key("192.0.2.9", SECRET)]));
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Authentication);
    assert!(lab.b.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
    assert!(lab.b.sas.is_empty());
}

#[test]
fn a_peer_from_elsewhere_or_with_another_name_is_refused() {
    let mut lab = Lab::with(|a, b| {
        road_warrior(a);
        gateway(b);
        b.remotes[0].open.from = vec![ip("198.51.100.0")..=ip("198.51.100.255")];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::NoRemote);
    let mut lab = Lab::with(|a, b| {
        road_warrior(a);
        gateway(b);
        b.remotes[0].open.peers = Some(IdPattern::Ending(IdType::FQDN, ".example.org".into()));
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::Identity);
    assert!(failure.to_string().contains("*.example.org"), "{failure}");
}

// RFC 4945 §3.1.2: a name in other case is the same, for who is expected and for who was there before.
#[test]
fn who_writes_its_name_in_other_case_is_the_same_peer() {
    let named = Identity::Fqdn(format!("{A}.example.org"));
    for pattern in [None, Some(IdPattern::Exactly(named)), Some(IdPattern::Ending(IdType::FQDN, ".example.org".into()))]
    {
        let mut host = Host::new(config(B, A), 2);
        host.configure(|config| config.remotes[0].open.peers = pattern.clone());
        let up = |host: &mut Host, seed, name: &str| {
            let mut peer = Peer::new(seed);
            peer.id = Identity::Fqdn(format!("{A}.{name}"));
            let request = peer.init_request();
            peer.send(host, &request);
            let answer = host.take();
            peer.init_answered(&answer.data);
            let mut payloads = peer.auth_request();
            payloads[2] = sa_of(esp_proposal(), Spi(0x0abc_0000 + seed as u32).into());
            payloads.push(notify(NotifyType::INITIAL_CONTACT, &[]));
            peer.ask(host, ExchangeType::IKE_AUTH, &payloads);
            assert_eq!(host.failures(), [], "{pattern:?}");
        };
        up(&mut host, 1, "example.org");
        let first = host.ike().spis;
        up(&mut host, 2, "Example.ORG");
        // It says that it has no other, so the first is over.
        assert_ne!(host.ike().spis, first, "{pattern:?}");
        assert_eq!(host.children().len(), 1);
        up(&mut host, 3, "example.org");
        assert_eq!((host.endpoint.ike_sas().len(), host.children().len()), (1, 1));
    }
}

#[test]
fn one_ike_sa_or_child_sa_is_rekeyed_or_ended_by_its_spi() {
    let mut lab = Lab::new();
    lab.establish();
    let (ike, child) = (lab.a.ike(), lab.a.child());
    lab.a.command(Command::RekeyChildSa(child.inbound));
    lab.settle();
    assert_ne!(lab.a.child().inbound, child.inbound);
    lab.a.command(Command::RekeyIkeSa(ike.spis.0));
    lab.settle();
    assert!(lab.a.endpoint.ike_sa(ike.spis.0).is_none());
    let (ike, child) = (lab.a.ike(), lab.a.child());
    assert_eq!(lab.a.endpoint.remote_of(ike.spis.0), Some(("peer", ike.serial)));
    assert_eq!(lab.a.endpoint.ike_sa_of(child.inbound).map(|sa| sa.serial), Some(ike.serial));
    lab.a.command(Command::TerminateChildSa(child.inbound));
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    lab.a.command(Command::TerminateIkeSa(ike.spis.0));
    lab.settle();
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
}
