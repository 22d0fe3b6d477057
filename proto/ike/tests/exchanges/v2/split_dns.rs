//! Domains and DNSSEC trust anchors that come with an internal address (RFC 8598), octet by octet.

use ravelin_ike::address::pool::Attribute;
use ravelin_ike::address::{CfgAttributeType as Kind, CfgValue, TrustAnchor};
use ravelin_ike::config::{Pool, RemoteAuth};
use ravelin_ike::{Command, Config, Event};
use ravelin_types::Identity;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Cfg, CfgAttribute, CfgType, Payload, Ts};

use crate::lab::*;
use crate::v2::peer::Peer;

/// INTERNAL_IP4_ADDRESS, INTERNAL_IP4_DNS, INTERNAL_DNS_DOMAIN and INTERNAL_DNSSEC_TA (RFC 8598 §7).
const ADDRESS: u16 = 1;
const DNS: u16 = 3;
const DOMAIN: u16 = 25;
const ANCHOR: u16 = 26;

/// 43547 8 2 "AB": key tag, algorithm, digest type, and the digest in presentation format.
const TA: &[u8] = &[0xaa, 0x1b, 8, 2, b'A', b'B'];

type Attributes = Vec<(u16, Vec<u8>)>;

fn cp(kind: CfgType, attributes: &[(u16, &[u8])]) -> Payload {
    let attribute = |(kind, value): &(u16, &[u8])| CfgAttribute { kind: Kind(*kind), value: value.to_vec() };
    Payload::Cfg(Cfg { kind, attributes: attributes.iter().map(attribute).collect() })
}

fn said(payloads: &[Payload]) -> Attributes {
    let cfg = payloads.iter().find_map(|payload| if let Payload::Cfg(cfg) = payload { Some(cfg) } else { None });
    cfg.expect("CP").attributes.iter().map(|it| (it.kind.0, it.value.clone())).collect()
}

fn client(config: &mut Config) {
    config.remotes[0].internal.ask = vec![ip("0.0.0.0")];
    config.policies[0].policy.local.clear();
    config.policies[0].dynamic.local = vec![TrafficSelector::any_v4()];
}

/// What a responder with these attributes says to a request for an address and these.
fn answered(attributes: &[Attribute], asked: &[u16]) -> Attributes {
    let mut config = config(B, A);
    config.remotes[0].internal.pools = vec!["rw".into()];
    let addresses = ip("10.3.0.1")..=ip("10.3.0.9");
    let (fixed, attributes) = (Vec::new(), attributes.to_vec());
    config.pools = vec![Pool { name: "rw".into(), addresses, prefix: None, fixed, attributes }];
    config.policies[0].policy.remote.clear();
    config.policies[0].dynamic.remote = vec![TrafficSelector::any_v4()];
    let mut host = Host::new(config, 2);
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.retain(|payload| !matches!(payload, Payload::TsI(_)));
    payloads.push(Payload::TsI(Ts::new(&[TrafficSelector::any_v4()])));
    let asks: Vec<(u16, &[u8])> = [&[ADDRESS], asked].concat().into_iter().map(|kind| (kind, &[][..])).collect();
    payloads.push(cp(CfgType::REQUEST, &asks));
    said(&peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads))
}

// RFC 8598 §1, §3.2 and §4.2: to who asks for them, with servers, and anchors right behind their domain.
#[test]
fn a_responder_says_domains_with_servers_and_anchors_with_domains() {
    let of = |kind, value| Attribute { kind: Kind(kind), value };
    let server = of(DNS, CfgValue::Address(ip("10.1.0.53")));
    let domain = |name: &str| of(DOMAIN, CfgValue::Domain(name.into()));
    let digest = TrustAnchor { key_tag: 43_547, algorithm: 8, digest_type: 2, digest: "AB".into() };
    let anchor = of(ANCHOR, CfgValue::TrustAnchor(digest));
    let all = [domain("a.example"), anchor, domain("b.example"), server];
    let (a, b) = ((DOMAIN, b"a.example".to_vec()), (DOMAIN, b"b.example".to_vec()));
    let (anchor, dns) = ((ANCHOR, TA.to_vec()), (DNS, vec![10, 1, 0, 53]));
    let rest = |asked: &[u16]| answered(&all, asked).split_off(1);
    assert_eq!(rest(&[DNS, DOMAIN, ANCHOR]), [a.clone(), anchor, b.clone(), dns.clone()]);
    assert_eq!(rest(&[DNS, DOMAIN]), [a, b, dns.clone()]);
    assert_eq!((rest(&[DNS, ANCHOR]), rest(&[DNS])), (vec![dns.clone()], vec![dns]));
    assert_eq!(answered(&all[..3], &[DNS, DOMAIN, ANCHOR]).len(), 1, "no domain without a server");
}

/// What an initiator asks for, and what it takes of this answer.
fn taken(change: impl Fn(&mut Config), told: &[(u16, &[u8])]) -> (Attributes, Attributes) {
    let mut config = config(B, A);
    client(&mut config);
    change(&mut config);
    let nobody = matches!(config.remotes[0].remote_auth, RemoteAuth::Null);
    let mut host = Host::new(config, 2);
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, asked) = peer.asked(&mut host);
    if nobody {
        (peer.id, peer.secret) = (Identity::Null, peer.own_sk_p());
    }
    let mut answer = peer.auth_answer();
    for payload in &mut answer {
        match payload {
            Payload::TsI(ts) => *ts = Ts::new(&[TrafficSelector::host(ip("10.3.0.1"))]),
            Payload::Auth(auth) if nobody => auth.method = ravelin_wire::ike::v2::AuthMethod::NULL,
            _ => {}
        }
    }
    answer.push(cp(CfgType::REPLY, &[&[(ADDRESS, &[10, 3, 0, 1][..])], told].concat()));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &answer);
    assert_eq!(host.failures(), []);
    let grant =
        host.events.iter().find_map(|it| if let Event::Granted { grant, .. } = it { Some(grant) } else { None });
    let grant = grant.expect("an address").attributes.iter().map(|it| (it.kind.0, it.value.emit())).collect();
    (said(&asked), grant)
}

// RFC 8598 §3.1, §5, §6 and §8.
#[test]
fn an_initiator_takes_the_domains_and_anchors_that_it_may() {
    let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<String>>();
    let with = |domains: &[&str], anchored: &[&str]| {
        let (domains, anchored) = (own(domains), own(anchored));
        move |config: &mut Config| {
            (config.remotes[0].internal.domains, config.remotes[0].internal.anchored) =
                (domains.clone(), anchored.clone());
        }
    };
    let (dns, a, b, ta) =
        ((DNS, &[10, 1, 0, 53][..]), (DOMAIN, &b"a.example"[..]), (DOMAIN, &b"b.example"[..]), (ANCHOR, TA));
    let all = [dns, a, ta, b, ta];
    let owned = |of: &[(u16, &[u8])]| of.iter().map(|(kind, value)| (*kind, value.to_vec())).collect::<Attributes>();
    let asks = |asked: &Attributes, kind| asked.iter().any(|it| *it == (kind, vec![]));
    let (asked, grant) = taken(with(&[], &[]), &all);
    assert!(asks(&asked, DNS) && asks(&asked, DOMAIN) && !asks(&asked, ANCHOR), "{asked:?}");
    assert_eq!(grant, owned(&[dns, a, b]), "no anchors without a list of domains that they may be of");
    let (asked, grant) = taken(with(&[], &["a.example"]), &all);
    assert!(asks(&asked, DNS) && asks(&asked, DOMAIN) && asks(&asked, ANCHOR), "{asked:?}");
    assert_eq!(grant, owned(&[dns, a, ta, b]));
    assert_eq!(taken(with(&["b.example"], &["a.example"]), &all).1, owned(&[dns, b]));
    assert_eq!(taken(with(&["c.example"], &[]), &all).1, [], "nor are the servers for all names then");
    // An anchor that follows on something else is of nobody.
    assert_eq!(taken(with(&[], &["a.example"]), &[a, dns, ta]).1, owned(&[a, dns]));
    // Somebody who has proven nothing.
    let nobody = |config: &mut Config| {
        with(&[], &["a.example"])(config);
        config.remotes[0].remote_auth = RemoteAuth::Null;
    };
    assert_eq!(taken(nobody, &all).1, []);
}
