//! The Peer Authorization Database (RFC 4301 §4.4.3): remotes are its entries. They are searched in order by the identity
//! that a peer asserts; the entry says by what method it must prove it, and which policies it may have Child SAs for.

use std::sync::Arc;

use ravelin_ike::Command;
use ravelin_ike::config::{Config, IdPattern, LocalAuth, Pool, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_pki::auth::Trust;
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, identity::IdType};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{CertEncoding, Message, NotifyType, Payload, Ts};

use crate::lab::*;
use crate::papers::{certificate, credential, give_key, trust};
use crate::v2::peer::{self, Peer};

const OTHER: PolicyId = PolicyId(8);

fn net(text: &str) -> TrafficSelector {
    TrafficSelector::prefix(ip(text), 24).unwrap()
}

/// B has two entries for peers at the same address, as behind one NAT: `peer` for A's network 10.1.0.0/24, and `other`
/// for 10.2.0.0/24.
fn two_entries(b: &mut Config) {
    let mut other = b.remotes[0].clone();
    other.name = "other".into();
    other.remote_id = Identity::Fqdn("other.example.org".into());
    share(&mut other, b"the secret of the other, long enough");
    b.remotes.push(other);
    b.policies[0].policy.remote = vec![net("10.1.0.0")];
    let mut policy = policy(OTHER, Mode::Tunnel, B, A);
    policy.remote = "other".into();
    policy.policy.remote = vec![net("10.2.0.0")];
    policy.policy.local = b.policies[0].policy.local.clone();
    b.policies.push(policy);
}

/// A says that it is `id` and asks for this network of its own.
fn asks(a: &mut Config, id: Identity, wanted: &str) {
    a.remotes[0].local_id = id;
    a.policies[0].policy.local = vec![net(wanted)];
}

fn own_id() -> Identity {
    Identity::Fqdn(format!("{A}.example.org"))
}

// RFC 4301 §4.4.3.4: an authenticated peer cannot have an SA for the traffic of another entry, whatever it asks for.
#[test]
fn an_authenticated_peer_never_gets_the_traffic_of_another() {
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, own_id(), "10.1.0.0");
    });
    lab.establish();
    assert_eq!(lab.b.child().remote_ts, [net("10.1.0.0")]);
    assert_eq!(lab.b.child().policy, POLICY);

    // In the first exchange.
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, own_id(), "10.2.0.0");
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::TrafficSelectors);
    lab.a.failure(Part::TrafficSelectors);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());

    // And in every later one, by the same IKE SA.
    lab.a.configure(|config| config.policies[0].policy.local = vec![net("10.1.0.0")]);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.b.child().remote_ts, [net("10.1.0.0")]);
    lab.a.configure(|config| {
        let mut more = config.policies[0].clone();
        more.policy.id = OTHER;
        more.policy.local = vec![net("10.2.0.0")];
        config.policies.push(more);
    });
    lab.a.command(Command::Initiate(OTHER));
    lab.settle();
    assert_eq!(lab.b.children().len(), 1, "{:#?}", lab.b.children());
    // All that it asks for beyond its own is cut away.
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, own_id(), "10.1.0.0");
        a.policies[0].policy.local.push(net("10.2.0.0"));
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.b.child().remote_ts, [net("10.1.0.0")]);
}

#[test]
fn an_entry_is_found_by_the_asserted_identity_and_its_own_method_alone_proves_it() {
    // The other's name, but not its key.
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, Identity::Fqdn("other.example.org".into()), "10.2.0.0");
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Authentication);
    assert!(lab.b.sas.is_empty());
    // With it, the other's policies and no others.
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, Identity::Fqdn("other.example.org".into()), "10.2.0.0");
        share(&mut a.remotes[0], b"the secret of the other, long enough");
    });
    lab.establish();
    assert_eq!(lab.b.child().policy, OTHER);
    assert_eq!(lab.b.ike().remote, "other");
    // An entry for certificates takes no pre-shared key, not even that of another entry, and the other way round.
    let root = papers::root("root", Kind::P256);
    let paper = root.peer("a", &["other.example.org"], Kind::P256);
    let by_certificate = |b: &mut Config| {
        two_entries(b);
        b.remotes[1].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
    };
    let mut lab = Lab::with(|a, b| {
        by_certificate(b);
        asks(a, Identity::Fqdn("other.example.org".into()), "10.2.0.0");
        share(&mut a.remotes[0], b"the secret of the other, long enough");
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::Method);
    assert!(failure.to_string().contains("AUTH by pre-shared key"), "{failure}");
    let mut lab = Lab::with(|a, b| {
        two_entries(b);
        asks(a, own_id(), "10.1.0.0");
        a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
    });
    give_key(&mut lab.a, &paper);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Method);
    let mut lab = Lab::with(|a, b| {
        by_certificate(b);
        asks(a, Identity::Fqdn("other.example.org".into()), "10.2.0.0");
        share(&mut a.remotes[0], b"the secret of the other, long enough");
        a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
    });
    give_key(&mut lab.a, &paper);
    lab.establish();
    assert_eq!(lab.b.child().policy, OTHER);
}

// RFC 4301 §4.4.3.1: six types, the first three with sub-trees, addresses with ranges.
#[test]
fn entries_match_one_identity_a_subtree_or_a_range() {
    let dn = |text: &str| Identity::Dn(text.parse().unwrap());
    let fqdn = |text: &str| Identity::Fqdn(text.into());
    let mail = |text: &str| Identity::Rfc822(text.into());
    let range = |from: &str, to: &str| IdPattern::Range(ip(from)..=ip(to));
    for (pattern, takes, refuses) in [
        (
            IdPattern::Ending(IdType::FQDN, ".example.com".into()),
            vec![fqdn("a.example.com"), fqdn("b.a.EXAMPLE.com")],
            vec![fqdn("example.com"), fqdn("aexample.com"), mail("a@b.example.com"), dn("CN=a.example.com")],
        ),
        (
            IdPattern::Ending(IdType::RFC822_ADDR, "@example.com".into()),
            vec![mail("joe@example.com")],
            vec![mail("joe@a.example.com"), fqdn("joe@example.com")],
        ),
        (
            IdPattern::Within("C=CH, O=Example".parse().unwrap()),
            vec![dn("C=CH, O=example, CN=a"), dn("C=CH, O=Example")],
            vec![dn("C=CH"), dn("C=CH, O=Other, CN=a"), dn("O=Example, C=CH"), fqdn("C=CH")],
        ),
        (
            IdPattern::Like("C=CH, O=Example, CN=*".parse().unwrap()),
            vec![dn("C=CH, O=Example, CN=a")],
            vec![dn("C=CH, O=Example"), dn("C=CH, O=Example, OU=a"), dn("C=CH, O=Example, OU=x, CN=a")],
        ),
        (
            range("10.0.0.10", "10.0.0.20"),
            vec![Identity::from(ip("10.0.0.10")), Identity::from(ip("10.0.0.20"))],
            vec![Identity::from(ip("10.0.0.21")), Identity::from(ip("::ffff:10.0.0.15")), fqdn("10.0.0.15")],
        ),
        (
            range("2001:db8::", "2001:db8::ff"),
            vec![Identity::from(ip("2001:db8::7"))],
            vec![Identity::from(ip("2001:db8::100"))],
        ),
    ] {
        for id in takes {
            assert!(pattern.takes(&id), "{pattern} {id}");
        }
        for id in refuses {
            assert!(!pattern.takes(&id), "{pattern} {id}");
        }
    }
    // The key ID is exact, as every type without a pattern.
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].local_id = Identity::KeyId(b"site-7".to_vec());
        b.remotes[0].remote_id = Identity::KeyId(b"site-7".to_vec());
    });
    lab.establish();
}

// RFC 4301 §4.4.3.1: an ordered search; an entry for one peer stands before those for many, and those in their order.
#[test]
fn the_first_entry_that_matches_decides() {
    let entry = |b: &mut Config, name: &str, pattern: IdPattern, number: u32| {
        let mut entry = b.remotes[0].clone();
        entry.name = name.into();
        entry.open.peers = Some(pattern);
        b.remotes.push(entry);
        let mut policy = b.policies[0].clone();
        policy.remote = name.into();
        policy.policy.id = PolicyId(number);
        b.policies.push(policy);
    };
    let domain = |text: &str| IdPattern::Ending(IdType::FQDN, text.into());
    for (id, remote) in [
        ("192.0.2.1.example.org", "peer"),
        ("x.branch.example.org", "branches"),
        ("y.example.org", "all of us"),
        ("y.example.net", "anybody"),
    ] {
        let mut lab = Lab::with(|a, b| {
            entry(b, "branches", domain(".branch.example.org"), 20);
            entry(b, "all of us", domain(".example.org"), 21);
            entry(b, "anybody", IdPattern::Any, 22);
            a.remotes[0].local_id = Identity::Fqdn(id.into());
        });
        lab.establish();
        assert_eq!(lab.b.ike().remote, remote, "{id}");
        assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Fqdn(id.into()));
    }
}

// RFC 4301 §4.4.1.1: the name of an SPD entry is matched with the identity that the peer proved to have.
#[test]
fn a_named_policy_is_for_peers_of_that_name_alone() {
    let named = |b: &mut Config| {
        b.remotes[0].open.peers = Some(IdPattern::Any);
        let mut staff = b.policies[0].clone();
        staff.policy.id = OTHER;
        staff.names = vec![IdPattern::Ending(IdType::FQDN, ".staff.example.org".into())];
        b.policies[0].names = vec![IdPattern::Exactly(own_id()), IdPattern::Exactly(Identity::Fqdn("guest".into()))];
        // It is consulted before the other.
        staff.policy.priority = b.policies[0].policy.priority - 1;
        b.policies.push(staff);
    };
    let visited = |id: Identity| {
        let mut lab = Lab::with(|a, b| {
            named(b);
            a.remotes[0].local_id = id;
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab
    };
    assert_eq!(visited(Identity::Fqdn("joe.staff.example.org".into())).b.child().policy, OTHER);
    let mut lab = visited(own_id());
    assert_eq!(lab.b.child().policy, POLICY);
    // It is so for later exchanges of the IKE SA, too, and a rekey finds the policy again.
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!(lab.b.child().policy, POLICY);
    let mut lab = visited(Identity::Fqdn("stranger.example.org".into()));
    assert_eq!(lab.b.ike().state, "ESTABLISHED", "it proved who it is");
    assert!(lab.b.sas.is_empty());
    lab.b.failure(Part::TrafficSelectors);
    // Nor is the policy for whoever answers when we ask: in the first exchange and in a later one.
    lab.b.command(Command::Initiate(OTHER));
    lab.settle();
    let failure = lab.b.failures().pop().unwrap();
    assert!(failure.part == Part::Identity && failure.to_string().contains("stranger.example.org"), "{failure}");
    let mut lab = Lab::with(|_, b| named(b));
    lab.b.command(Command::Initiate(OTHER));
    lab.settle();
    let failure = lab.b.failure(Part::Identity);
    assert!(failure.to_string().contains("*.staff.example.org"), "{failure}");
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// Entries for the same peers are told apart by what the proof shows: here, whose certificate it is.
#[test]
fn entries_for_the_same_peers_are_told_apart_by_the_proof() {
    let authorities = ["research", "sales", "strangers"].map(|name| papers::root(name, Kind::P256));
    let lab = |by: usize, first: Option<IdPattern>| {
        let name = format!("{A}.example.org");
        let paper = authorities[by].peer("a", &[&name], Kind::P256);
        let mut lab = Lab::with(|a, b| {
            a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
            two_entries(b);
            for (remote, authority) in b.remotes.iter_mut().zip(&authorities) {
                remote.local_auth = LocalAuth::Psk(SECRET.into());
                remote.remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&authority.der])));
                remote.open.peers = Some(IdPattern::Any);
            }
            b.remotes[0].open.peers = first;
            b.policies[1].policy.remote = b.policies[0].policy.remote.clone();
            asks(a, own_id(), "10.1.0.0");
        });
        give_key(&mut lab.a, &paper);
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab
    };
    for (by, remote, policy) in [(0, "peer", POLICY), (1, "other", OTHER)] {
        let lab = lab(by, Some(IdPattern::Any));
        assert_eq!((lab.b.ike().remote.as_str(), lab.b.child().policy), (remote, policy));
        assert!(lab.b.failures().is_empty(), "{:?}", lab.b.failures());
    }
    // Whoever is of neither is told why by both.
    let refused = lab(2, Some(IdPattern::Any));
    let failure = refused.b.failure(Part::Certificate);
    assert!(failure.theirs.len() == 2 && failure.ours.len() == 2, "{failure}");
    assert!(failure.to_string().contains("what is trusted for remote other"), "{failure}");
    assert!(refused.b.sas.is_empty());
    // An entry of its own says how a peer proves itself: none for everybody does in its place.
    let own = lab(1, None);
    assert_eq!(own.b.failure(Part::Certificate).theirs.len(), 1);
    assert!(own.b.sas.is_empty());
}

/// B has an entry for everybody of each authority, the second with the policy `OTHER`; A is of the one `by` and has its key.
fn of_either(authorities: &[Paper; 2], by: usize, change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    let paper = authorities[by].peer("a", &[&format!("{A}.example.org")], Kind::P256);
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
        two_entries(b);
        for (remote, authority) in b.remotes.iter_mut().zip(authorities) {
            remote.local_auth = LocalAuth::Psk(SECRET.into());
            remote.remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&authority.der])));
            remote.open.peers = Some(IdPattern::Any);
        }
        b.policies[1].policy.remote = b.policies[0].policy.remote.clone();
        asks(a, own_id(), "10.1.0.0");
        change(a, b);
    });
    give_key(&mut lab.a, &paper);
    lab
}

// Whoever is not in the configuration any more is nobody, also when he was while his proof was being judged.
#[test]
fn an_entry_that_is_deleted_meanwhile_takes_nobody() {
    let authorities = ["research", "sales"].map(|name| papers::root(name, Kind::P256));
    for (by, deleted, comes_in) in [(0, "peer", false), (1, "other", false), (1, "peer", true), (0, "other", true)] {
        let mut lab = of_either(&authorities, by, |_, _| ());
        lab.a.command(Command::Initiate(POLICY));
        while lab.b.asked.is_empty() {
            if !lab.a.sent.is_empty() {
                lab.a_to_b();
            } else if !lab.b.sent.is_empty() {
                lab.b_to_a();
            } else {
                assert!(lab.a.answer());
            }
        }
        lab.b.configure(|config| {
            config.remotes.retain(|remote| remote.name != deleted);
            config.policies.retain(|policy| policy.remote != deleted);
        });
        lab.settle();
        let stands = lab.b.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED");
        assert_eq!((stands, lab.b.sas.len()), (comes_in, if comes_in { 2 } else { 0 }), "{by} without {deleted}");
    }
}

// Who proves the same name to another entry is another, and has nothing of the first while that is here.
#[test]
fn the_same_name_proved_to_another_entry_shares_no_address() {
    let authorities = ["research", "sales"].map(|name| papers::root(name, Kind::P256));
    let [first, second] = ["10.3.0.1", "10.3.0.2"].map(ip);
    let roam = |a: &mut Config, b: &mut Config| {
        let any = vec![TrafficSelector::any_v4()];
        a.remotes[0].internal.ask = vec![first];
        a.policies[0].policy.local.clear();
        a.policies[0].dynamic.local = any.clone();
        let (addresses, fixed) = (first..=second, Vec::new());
        b.pools = vec![Pool { name: "rw".into(), addresses, prefix: None, fixed, attributes: Vec::new() }];
        b.remotes.iter_mut().for_each(|remote| remote.internal.pools = vec!["rw".into()]);
        for policy in &mut b.policies {
            policy.policy.remote.clear();
            policy.dynamic.remote = any.clone();
        }
    };
    let mut lab = of_either(&authorities, 0, roam);
    lab.establish();
    assert_eq!(lab.a.ike().inside.0, [first]);
    let other = of_either(&authorities, 1, roam).a;
    let _first = core::mem::replace(&mut lab.a, Host { papers: other.papers, ..Host::new(other.config, 9) });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.a.ike().inside.0, [second]);
}

#[test]
fn an_authority_on_the_way_tells_entries_apart() {
    let root = papers::root("root", Kind::P256);
    let below = ["research", "sales"].map(|name| root.intermediate(name, Kind::P256));
    for (by, remote) in [(0, "peer"), (1, "other")] {
        let paper = below[by].peer("a", &[&format!("{A}.example.org")], Kind::P256);
        let mut lab = Lab::with(|a, b| {
            a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[&below[by].der]));
            two_entries(b);
            for (remote, authority) in b.remotes.iter_mut().zip(&below) {
                let through = Some(certificate(&authority.der).subject().clone());
                remote.local_auth = LocalAuth::Psk(SECRET.into());
                remote.remote_auth = RemoteAuth::Signature(Arc::new(Trust { through, ..trust(&[&root.der]) }));
                remote.open.peers = Some(IdPattern::Any);
            }
            b.policies[1].policy.remote = b.policies[0].policy.remote.clone();
            asks(a, own_id(), "10.1.0.0");
        });
        give_key(&mut lab.a, &paper);
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        assert_eq!(lab.b.ike().remote, remote);
    }
    // The root itself is above it, too, but not that authority.
    let paper = root.peer("a", &[&format!("{A}.example.org")], Kind::P256);
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
        let through = Some(certificate(&below[0].der).subject().clone());
        b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(Trust { through, ..trust(&[&root.der]) }));
    });
    give_key(&mut lab.a, &paper);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::Certificate);
    assert!(failure.to_string().contains("is not below the authority C=CH, O=Ravelin, CN=research"), "{failure}");
}

// RFC 7296 §3.7: who a peer is comes with IKE_AUTH, so it hears of the authorities of every entry that it may be of.
#[test]
fn the_authorities_of_all_entries_are_named() {
    let authorities: Vec<_> = (0..20).map(|number| papers::root(&format!("ca{number}"), Kind::P256)).collect();
    let asked = |of: &[&[usize]]| {
        let mut lab = Lab::with(|_, b| {
            // The first takes pre-shared keys.
            for (number, authorities_of) in of.iter().enumerate() {
                let mut remote = b.remotes[0].clone();
                remote.name = format!("other{number}");
                let anchors: Vec<&[u8]> = authorities_of.iter().map(|it| &authorities[*it].der[..]).collect();
                remote.remote_auth = RemoteAuth::Signature(Arc::new(trust(&anchors)));
                b.remotes.push(remote);
            }
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        let mut answer = lab.b_to_a();
        // RFC 7296 §2.6: one that is longer than the request has a cookie before it.
        if let [Payload::Notify(notify)] = &Message::parse(&answer.data).unwrap().payloads[..] {
            assert_eq!(notify.kind, NotifyType::COOKIE);
            lab.a_to_b();
            answer = lab.b_to_a();
        }
        let payloads = Message::parse(&answer.data).unwrap().payloads;
        let requests: Vec<_> = payloads
            .into_iter()
            .filter_map(|payload| if let Payload::CertReq(asked) = payload { Some(asked) } else { None })
            .collect();
        assert!(requests.len() <= 1 && requests.iter().all(|asked| asked.encoding == CertEncoding::X509_SIGNATURE));
        requests.into_iter().next().map(|asked| asked.authorities)
    };
    let hashes = |of: &[usize]| {
        let hash = |it: &usize| (provider().sha1)(&[certificate(&authorities[*it].der).spki()]);
        Some(of.iter().flat_map(hash).collect::<Vec<u8>>())
    };
    assert_eq!(asked(&[]), None);
    assert_eq!(asked(&[&[0]]), hashes(&[0]));
    assert_eq!(asked(&[&[0, 1], &[1, 2], &[0]]), hashes(&[0, 1, 2]));
    let all: Vec<usize> = (0..20).collect();
    assert_eq!(asked(&[&all[..15], &all[15..]]), hashes(&all[..16]));
}

// RFC 7296 §2.9: what another entry of the SPD, or another flow of one, would take has its own Child SA, and the initiator is told.
#[test]
fn more_than_was_taken_may_be_had_on_another_child_sa() {
    let told = |(wanted, len): (&str, u8), change: &dyn Fn(&mut Config)| {
        let mut lab = Lab::with(|_, b| {
            b.policies[0].policy.remote = vec![net("10.1.0.0")];
            b.policies[0].policy.local = vec![net("10.9.0.0")];
            change(b);
        });
        let mut peer = Peer::keyed(&mut lab.b);
        let mut request = peer.auth_request();
        request.truncate(3);
        let wanted = TrafficSelector::prefix(ip(wanted), len).unwrap();
        request.extend([Payload::TsI(Ts::new(&[wanted])), Payload::TsR(Ts::new(&[net("10.9.0.0")]))]);
        let answer = peer.ask(&mut lab.b, ExchangeType::IKE_AUTH, &request);
        let taken = lab.b.child().remote_ts;
        let notifies = peer::notifies(&answer);
        (taken.first().map(ToString::to_string).unwrap(), notifies.contains(&NotifyType::ADDITIONAL_TS_POSSIBLE))
    };
    let second = |b: &mut Config| {
        let mut policy = b.policies[0].clone();
        policy.policy.id = OTHER;
        policy.policy.remote = vec![net("10.2.0.0")];
        b.policies.push(policy);
    };
    let net_1 = || "10.1.0.0/24".to_owned();
    assert_eq!(told(("10.0.0.0", 8), &second), (net_1(), true));
    // Narrowed, with nothing else to be had; and with something else that was not asked for.
    assert_eq!(told(("10.0.0.0", 8), &|_| ()), (net_1(), false));
    assert_eq!(told(("10.1.0.0", 24), &second), (net_1(), false));
}
