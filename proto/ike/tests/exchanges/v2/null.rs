//! NULL authentication (RFC 7619): who proves nothing is nobody, has the traffic of its own address alone, and takes nothing
//! from anybody who proves who he is.

use std::sync::Arc;

use ravelin_eap::tls::TlsSide;
use ravelin_eap::{Client, Method};
use ravelin_ike::config::{DynamicTs, IdPattern, IkeVersion, LocalAuth, Pool, RemoteAuth, V1};
use ravelin_ike::explain::{Means, Part};
use ravelin_ike::{Command, Config, Event, Mistake, Unique, limits};
use ravelin_testkit::papers::Kind;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, Spi, identity::IdType};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{
    AuthMethod, Cfg, CfgAttribute, CfgAttributeType, CfgType, Id, Notify, NotifyType, Payload,
};

use crate::lab::*;
use crate::papers::{NAME_A, NAME_B, Papers2};
use crate::v2::peer::Peer;

/// Neither side proves anything.
fn nobodies(a: &mut Config, b: &mut Config) {
    for config in [a, b] {
        config.remotes[0].local_auth = LocalAuth::Null;
        config.remotes[0].remote_auth = RemoteAuth::Null;
        config.remotes[0].local_id = Identity::Null;
    }
}

/// A host at B that takes peers that prove nothing, and a peer that has done IKE_SA_INIT with it and has the key of NULL
/// authentication.
fn stranger(seed: u64, host: &mut Host) -> Peer {
    let mut peer = Peer::new(seed);
    let request = peer.init_request();
    peer.send(host, &request);
    let answer = host.take();
    peer.init_answered(&answer.data);
    peer.secret = peer.own_sk_p();
    peer
}

/// Its IKE_AUTH request, with an SPI for the Child SA that no other has.
fn requests(peer: &Peer, seed: u64) -> Vec<Payload> {
    let mut payloads = peer.auth_request_as(Identity::Null, AuthMethod::NULL);
    if let Payload::Sa(sa) = &mut payloads[2] {
        sa.0[0].spi = Spi(0x1000 + u32::try_from(seed).unwrap()).into();
    }
    payloads
}

fn host(change: impl FnOnce(&mut Config)) -> Host {
    let mut config = config(B, A);
    nobodies(&mut config.clone(), &mut config);
    change(&mut config);
    Host::new(config, 2)
}

fn net(text: &str) -> TrafficSelector {
    TrafficSelector::prefix(ip(text), 24).unwrap()
}

// HDR, SK {IDi(ID_NULL), AUTH(NULL), SAi2, TSi, TSr}  -->
//     <--  HDR, SK {IDr(ID_NULL), AUTH(NULL), SAr2, TSi, TSr}
#[test]
fn two_that_prove_nothing_have_an_ike_sa() {
    let mut lab = Lab::with(nobodies);
    lab.establish();
    lab.assert_mirrored();
    for host in [&lab.a, &lab.b] {
        assert_eq!(host.ike().identities.unwrap(), (Identity::Null, Identity::Null));
        assert!(host.events.iter().any(|event| matches!(event, Event::IkeUp { peer: Identity::Null, .. })));
    }
    // All that follows is as ever.
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Null);
}

// RFC 7619 §1: the two methods are independent.
#[test]
fn one_proves_nothing_and_the_other_has_a_certificate_or_a_key() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| {
        a.remotes[0].local_auth = LocalAuth::Null;
        a.remotes[0].local_id = Identity::Null;
        b.remotes[0].remote_auth = RemoteAuth::Null;
    });
    lab.establish();
    assert_eq!(lab.a.ike().identities.unwrap(), (Identity::Null, Identity::Fqdn(NAME_B.into())));
    // RFC 7427 §4: the responder says which hashes it takes, though nobody else will verify a signature.
    let mut lab = papers.lab(|a, b| {
        a.remotes[0].remote_auth = RemoteAuth::Null;
        b.remotes[0].local_auth = LocalAuth::Null;
        b.remotes[0].local_id = Identity::Null;
    });
    lab.establish();
    assert_eq!(lab.b.ike().identities.unwrap(), (Identity::Null, Identity::Fqdn(NAME_A.into())));
    assert_eq!(lab.a.ike().identities.unwrap().1, Identity::Null);
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].local_auth = LocalAuth::Null;
        b.remotes[0].remote_auth = RemoteAuth::Null;
    });
    lab.establish();
    // What nobody has proved is not who the peer is.
    assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Null);
}

// RFC 7619 §2: a host that requires a proof answers AUTHENTICATION_FAILED.
#[test]
fn nobody_gets_in_where_a_proof_is_required() {
    let mut lab = Lab::with(|a, _| a.remotes[0].local_auth = LocalAuth::Null);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::Method);
    assert!(failure.to_string().contains("NULL authentication"), "{failure}");
    assert!(failure.to_string().contains("pre-shared key of remote peer"), "{failure}");
    assert_eq!(lab.a.failure(Part::NotBelieved(Means::Nothing)).theirs, ["AUTHENTICATION_FAILED"]);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    // Nor is a responder without a proof believed.
    let mut lab = Lab::with(|_, b| b.remotes[0].local_auth = LocalAuth::Null);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Method);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    // And for one with a certificate, method 13 is no signature.
    let mut lab = Papers2::new(Kind::P256).lab(|_, b| b.remotes[0].local_auth = LocalAuth::Null);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Method);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
    // The other way round, an entry for nobody takes no key: whoever has one has an entry of his own.
    let mut lab = Lab::with(|_, b| b.remotes[0].remote_auth = RemoteAuth::Null);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Identity);
    assert!(lab.b.sas.is_empty());
}

// RFC 7619 §2.1: AUTH binds the messages to the IKE SA, with SK_p for the key.
#[test]
fn auth_of_nobody_must_be_right_all_the_same() {
    let good = |host: &mut Host| {
        let mut peer = stranger(1, host);
        let payloads = peer.auth_request_as(Identity::Null, AuthMethod::NULL);
        (peer.ask(host, ExchangeType::IKE_AUTH, &payloads), host.sas.len())
    };
    let (answer, sas) = good(&mut host(|_| ()));
    let Some(Payload::Auth(auth)) = answer.iter().find(|payload| matches!(payload, Payload::Auth(_))) else {
        panic!("{answer:#?}")
    };
    assert!(auth.method == AuthMethod::NULL && auth.data.len() == 32 && sas == 2);
    for wrong in ["data", "key", "method", "id"] {
        let mut host = host(|_| ());
        let mut peer = stranger(1, &mut host);
        if wrong == "key" {
            peer.secret = SECRET.into();
        }
        let method = if wrong == "method" { AuthMethod::SHARED_KEY } else { AuthMethod::NULL };
        let mut payloads = peer.auth_request_as(Identity::Null, method);
        match (wrong, &mut payloads[1]) {
            ("data", Payload::Auth(auth)) => auth.data[0] ^= 1,
            // AUTH covers the identity, even one that means nothing.
            ("id", _) => payloads[0] = Payload::IdI(Id::new(Identity::Fqdn("x".into()))),
            _ => {}
        }
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        let refused = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::AUTHENTICATION_FAILED);
        assert!(answer.iter().any(refused) && host.sas.is_empty(), "{wrong}: {answer:#?}");
    }
}

// RFC 7619 §2.2: the Identification Data of ID_NULL is empty.
#[test]
fn id_null_has_no_data() {
    let mut host = host(|_| ());
    let mut peer = stranger(1, &mut host);
    let id = Identity::Other { kind: IdType::NULL, data: b"root".to_vec() };
    let payloads = peer.auth_request_as(id, AuthMethod::NULL);
    peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(host.sas.is_empty() && host.failures().len() == 1);
    // With a proof it names nobody whom a pattern could take.
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| config.remotes[0].open.peers = Some(IdPattern::Any));
    let mut peer = Peer::keyed(&mut host);
    let payloads = peer.auth_request_as(Identity::Null, AuthMethod::SHARED_KEY);
    peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    host.failure(Part::Identity);
    assert!(host.sas.is_empty());
}

// RFC 7619 §2.5: nobody steals the traffic of others by its selectors, whatever the policy would let through.
#[test]
fn nobody_has_traffic_but_that_of_its_own_address() {
    let wide = |b: &mut Config| {
        b.policies[0].policy.remote = vec![TrafficSelector::any_v4()];
        b.policies[0].policy.local = vec![TrafficSelector::any_v4()];
    };
    let visited = |wanted: Vec<TrafficSelector>| {
        let mut lab = Lab::with(|a, b| {
            nobodies(a, b);
            wide(b);
            a.policies[0].policy.local = wanted;
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab
    };
    let lab = visited(vec![TrafficSelector::any_v4()]);
    assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(ip(A))]);
    let mut lab = visited(vec![net("10.9.0.0")]);
    lab.b.failure(Part::TrafficSelectors);
    assert!(lab.b.sas.is_empty());
    // Nor in a later exchange.
    lab.a.configure(|config| config.policies[0].policy.local = vec![net("10.8.0.0"), TrafficSelector::host(ip(A))]);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(ip(A))]);
    // An initiator offers a responder that proves nothing its own address alone.
    let mut lab = Lab::with(|a, b| {
        nobodies(a, b);
        wide(a);
        wide(b);
    });
    lab.establish();
    assert_eq!(lab.a.child().remote_ts, [TrafficSelector::host(ip(B))]);
}

// RFC 7619 §2.4 and §3.3: only entries that say so.
#[test]
fn nobody_comes_under_no_entry_but_its_own_whatever_it_says() {
    const OPEN: PolicyId = PolicyId(9);
    let two = |b: &mut Config| {
        let mut open = b.remotes[0].clone();
        (open.name, open.remote_auth) = ("open".into(), RemoteAuth::Null);
        b.remotes.push(open);
        let mut policy = policy(OPEN, Mode::Tunnel, B, A);
        policy.remote = "open".into();
        policy.policy.priority = 50;
        b.policies.push(policy);
    };
    let mut lab = Lab::with(|a, b| {
        two(b);
        // It says that it is the one who has a key.
        a.remotes[0].local_auth = LocalAuth::Null;
    });
    lab.establish();
    assert_eq!((lab.b.ike().remote.as_str(), lab.b.child().policy), ("open", OPEN));
    let mut lab = Lab::with(|_, b| two(b));
    lab.establish();
    assert_eq!((lab.b.ike().remote.as_str(), lab.b.child().policy), ("peer", POLICY));
    // A policy for somebody is for nobody, even one for everybody who is somebody.
    let mut lab = Lab::with(|a, b| {
        nobodies(a, b);
        b.policies[0].names = vec![IdPattern::Any];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::TrafficSelectors);
    assert!(lab.b.sas.is_empty());
}

// RFC 7619 §2.3: INITIAL_CONTACT of nobody deletes nothing, nor does a rule about how many IKE SAs one may have.
#[test]
fn nobody_displaces_anybody() {
    for unique in [Unique::No, Unique::Replace, Unique::Keep] {
        let mut host = host(|config| config.remotes[0].extensions.unique = unique);
        for seed in [1, 2] {
            let mut peer = stranger(seed, &mut host);
            let mut payloads = requests(&peer, seed);
            payloads.insert(1, Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, Vec::new())));
            peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        }
        assert_eq!(host.endpoint.ike_sas().len(), 2, "{unique:?}");
    }
    // Nor does nobody say so of himself.
    let mut host = host(|_| ());
    host.command(Command::Initiate(POLICY));
    let mut peer = Peer::new(1);
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (_, payloads) = peer.asked(&mut host);
    assert!(payloads.iter().any(|payload| matches!(payload, Payload::IdI(id) if id.identity == Identity::Null)));
    assert!(!payloads.iter().any(|p| matches!(p, Payload::Notify(n) if n.kind == NotifyType::INITIAL_CONTACT)));
}

// An address has so many, and beyond all there is room for those who prove who they are.
#[test]
fn how_many_nobodies_there_are_is_bounded() {
    let mut host = host(|_| ());
    for seed in 1..=limits::NOBODIES_PER_ADDRESS as u64 + 3 {
        let mut peer = stranger(seed, &mut host);
        let payloads = requests(&peer, seed);
        peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    }
    assert_eq!(host.endpoint.ike_sas().len(), limits::NOBODIES_PER_ADDRESS);
}

// RFC 7619 §2.5: each has an internal address of its own, and gets no other's by asking for it.
#[test]
fn nobody_gets_the_internal_address_of_another() {
    let any = vec![TrafficSelector::any_v4()];
    let mut host = host(|config| {
        config.remotes[0].internal.pools = vec!["guests".into()];
        let addresses = ip("10.3.0.1")..=ip("10.3.0.9");
        config.pools = vec![Pool { name: "guests".into(), addresses, prefix: None, fixed: vec![], attributes: vec![] }];
        config.policies[0].policy.remote.clear();
        config.policies[0].dynamic = DynamicTs { local: vec![], remote: any };
    });
    let mut given = Vec::new();
    for seed in [1, 2] {
        let mut peer = stranger(seed, &mut host);
        let mut payloads = requests(&peer, seed);
        let value = vec![10, 3, 0, 1];
        let attributes = vec![CfgAttribute { kind: CfgAttributeType::INTERNAL_IP4_ADDRESS, value }];
        payloads.insert(2, Payload::Cfg(Cfg { kind: CfgType::REQUEST, attributes }));
        peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        given = host.endpoint.ike_sas().into_iter().flat_map(|sa| sa.inside.1).collect();
    }
    given.sort();
    assert_eq!(given, [ip("10.3.0.1"), ip("10.3.0.2")]);
}

// RFC 4555 with RFC 7619 §2.5: an address is all that nobody has, so it takes nothing along to another.
#[test]
fn nobody_moves() {
    let mut lab = Lab::with(|a, b| {
        nobodies(a, b);
        a.remotes[0].extensions.mobike = true;
        b.remotes[0].extensions.mobike = true;
    });
    lab.establish();
    assert!(!lab.a.ike().mobike && !lab.b.ike().mobike);
}

#[test]
fn what_cannot_be_is_said() {
    let mistakes = |change: &dyn Fn(&mut Config)| {
        let mut config = config(A, B);
        change(&mut config);
        config.mistakes(&provider())
    };
    assert_eq!(mistakes(&|config| nobodies(&mut config.clone(), config)), []);
    let said = mistakes(&|config| {
        config.remotes[0].remote_auth = RemoteAuth::Null;
        config.remotes[0].version = IkeVersion::V1(V1::default());
    });
    assert!(said.contains(&Mistake::Authentication("peer".into(), "NULL authentication is of IKEv2")), "{said:?}");
    // RFC 7619 §2, RFC 7296 §2.16.
    let said = mistakes(&|config| {
        let (user, methods) = (Identity::Fqdn("carol".into()), vec![Method::MsChapV2]);
        let user = Client { user, methods, password: SECRET.into(), tls: TlsSide::default() };
        config.remotes[0].remote_auth = RemoteAuth::Null;
        config.remotes[0].local_auth = LocalAuth::Eap(Arc::new(user));
    });
    assert!(matches!(&said[..], [Mistake::Authentication(_, why)] if why.contains("proves first")), "{said:?}");
}
