//! The Peer Authorization Database (RFC 4301 §4.4.3) with IKEv1: the same entries, searched in the same order. In main mode
//! with a pre-shared key the key comes before the identity, so the entry is the first whose key and whose identity are both
//! the peer's.

use ravelin_ike::config::{Config, IdPattern, LocalAuth, OwnedKey, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Question};
use ravelin_testkit::papers::Kind;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, identity::IdType};

use super::v1;
use crate::lab::*;
use crate::papers::Papers2;

const OTHER: PolicyId = PolicyId(8);
const OTHERS_KEY: &[u8] = b"the secret of the other, long enough";

fn net(text: &str) -> TrafficSelector {
    TrafficSelector::prefix(ip(text), 24).unwrap()
}

fn other_id() -> Identity {
    Identity::Fqdn("other.example.org".into())
}

/// B has two entries for peers at one address: `peer` for A's network 10.1.0.0/24, `other` for 10.2.0.0/24.
fn two_entries(b: &mut Config) {
    let mut other = b.remotes[0].clone();
    other.name = "other".into();
    other.remote_id = other_id();
    share(&mut other, OTHERS_KEY);
    b.remotes.push(other);
    b.policies[0].policy.remote = vec![net("10.1.0.0")];
    let mut policy = policy(OTHER, Mode::Tunnel, B, A);
    policy.remote = "other".into();
    policy.policy.remote = vec![net("10.2.0.0")];
    policy.policy.local = b.policies[0].policy.local.clone();
    b.policies.push(policy);
}

/// A asks B, which has the two entries, for this network of its own.
fn asked(aggressive: bool, wanted: &str, change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    let mut lab = Lab::with(|a, b| {
        v1(a, aggressive);
        v1(b, aggressive);
        two_entries(b);
        a.policies[0].policy.local = vec![net(wanted)];
        change(a, b);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab
}

// RFC 4301 §4.4.3.4.
#[test]
fn an_authenticated_peer_of_ikev1_never_gets_the_traffic_of_another() {
    for aggressive in [false, true] {
        let lab = asked(aggressive, "10.1.0.0", |_, _| ());
        assert_eq!((lab.b.child().policy, lab.b.child().remote_ts), (POLICY, vec![net("10.1.0.0")]));
        let lab = asked(aggressive, "10.2.0.0", |_, _| ());
        lab.b.failure(Part::TrafficSelectors);
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

#[test]
fn an_entry_of_ikev1_takes_its_own_identity_with_its_own_key_alone() {
    for aggressive in [false, true] {
        // The other's name with our key, and our name with the other's key.
        let lab = asked(aggressive, "10.2.0.0", |a, _| a.remotes[0].local_id = other_id());
        assert!(lab.b.sas.is_empty() && lab.b.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
        let lab = asked(aggressive, "10.2.0.0", |a, _| share(&mut a.remotes[0], OTHERS_KEY));
        assert!(lab.b.sas.is_empty() && lab.b.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
        let lab = asked(aggressive, "10.2.0.0", |a, _| {
            a.remotes[0].local_id = other_id();
            share(&mut a.remotes[0], OTHERS_KEY);
        });
        assert_eq!((lab.b.ike().remote.as_str(), lab.b.child().policy), ("other", OTHER));
    }
}

// The method is part of the entry: one for certificates takes no key, and one for a key no certificate.
#[test]
fn an_entry_of_ikev1_takes_its_own_method_alone() {
    let papers = Papers2::new(Kind::P256);
    let by_key = |config: &mut Config| {
        config.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
        config.remotes[0].remote_auth = RemoteAuth::Psk(SECRET.into());
    };
    for key_at_a in [true, false] {
        let mut lab = papers.lab(|a, b| {
            v1(a, false);
            v1(b, false);
            by_key(if key_at_a { a } else { b });
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab.b.failure(Part::IkeProposal);
        assert!(lab.b.endpoint.ike_sas().is_empty());
    }
}

// RFC 4301 §4.4.3.1: an ordered search; an entry for one peer stands before those for many, and those in their order.
#[test]
fn the_first_entry_of_ikev1_that_matches_decides() {
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
    for aggressive in [false, true] {
        for (id, remote) in [
            ("192.0.2.1.example.org", "peer"),
            ("x.branch.example.org", "branches"),
            ("y.example.org", "all of us"),
            ("y.example.net", "anybody"),
        ] {
            let mut lab = Lab::with(|a, b| {
                v1(a, aggressive);
                v1(b, aggressive);
                entry(b, "branches", domain(".branch.example.org"), 20);
                entry(b, "all of us", domain(".example.org"), 21);
                entry(b, "anybody", IdPattern::Any, 22);
                a.remotes[0].local_id = Identity::Fqdn(id.into());
            });
            lab.establish();
            assert_eq!((lab.b.ike().remote.as_str(), lab.b.ike().version), (remote, 1), "{id}");
            assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Fqdn(id.into()));
        }
    }
}

// RFC 2409 §5.4: in main mode the key is found by the address. Who has a key of his own is proved by no other.
#[test]
fn the_key_of_an_address_does_not_prove_a_name_that_has_its_own() {
    let key =
        |owner: Identity, secret: &[u8]| OwnedKey { owners: vec![IdPattern::Exactly(owner)], secret: secret.into() };
    for (id, comes_in) in [(Identity::Fqdn("somebody.example.org".into()), true), (other_id(), false)] {
        let mut lab = Lab::with(|a, b| {
            v1(a, false);
            v1(b, false);
            a.remotes[0].local_id = id.clone();
            b.remotes[0].open.peers = Some(IdPattern::Any);
            b.remotes[0].open.keys = Some([key(ip(A).into(), SECRET), key(other_id(), OTHERS_KEY)].into());
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let stands = lab.b.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED");
        assert_eq!(stands, comes_in, "{id}");
    }
}

// Whoever is not in the configuration any more is nobody, also when he was while his proof was being judged.
#[test]
fn an_entry_of_ikev1_that_is_deleted_meanwhile_takes_nobody() {
    let papers = Papers2::new(Kind::P256);
    for aggressive in [false, true] {
        let mut lab = papers.lab(|a, b| {
            v1(a, aggressive);
            v1(b, aggressive);
        });
        lab.a.command(Command::Initiate(POLICY));
        while !matches!(lab.b.asked.front(), Some((_, Question::Judge { .. }))) {
            if !lab.a.sent.is_empty() {
                lab.a_to_b();
            } else if !lab.b.sent.is_empty() {
                lab.b_to_a();
            } else {
                assert!(lab.a.answer() || lab.b.answer());
            }
        }
        lab.b.configure(|config| {
            config.remotes.clear();
            config.policies.clear();
        });
        lab.settle();
        assert!(lab.b.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"), "aggressive: {aggressive}");
    }
}

// History row 6: an empty key authenticates nobody.
#[test]
fn an_empty_key_of_ikev1_is_none() {
    for aggressive in [false, true] {
        let lab = asked(aggressive, "10.1.0.0", |a, b| {
            share(&mut a.remotes[0], b"");
            share(&mut b.remotes[0], b"");
        });
        let stands = |host: &Host| host.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED");
        assert!(!stands(&lab.a) && !stands(&lab.b), "aggressive: {aggressive}");
    }
}
