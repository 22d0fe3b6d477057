//! XAuth, hybrid mode and mode config between phase 1 and phase 2.

use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::{Account, Accounts};
use ravelin_ike::address::pool::Attribute;
use ravelin_ike::config::{Config, DynamicTs, IdPattern, IkeVersion, LocalAuth, Pool, RemoteAuth, V1, Xauth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event, Remote};
use ravelin_testkit::papers::Kind;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::v2::CfgAttributeType;

use super::{QUICK, comes_up_without, next, v1};
use crate::lab::{A, Lab, POLICY, ip};
use crate::papers::Papers2;

const TRANSACTION: u8 = 6;

fn set(config: &mut Config, change: impl FnOnce(&mut V1)) {
    let IkeVersion::V1(v1) = &mut config.remotes[0].version else { panic!() };
    change(v1);
}

fn login(password: &str) -> Xauth {
    Xauth::Login { user: "alice".into(), password: Secret::from(password.as_bytes()) }
}

fn users() -> Xauth {
    let account = |name: &str, password: &[u8]| Account {
        owners: vec![Identity::Fqdn(name.into())],
        password: Secret::from(password),
    };
    Xauth::Ask(Accounts(Arc::new([account("bob", b"builder"), account("alice", b"wonderland")])))
}

/// A logs in at B.
fn log_in(a: &mut Config, b: &mut Config, aggressive: bool) {
    v1(a, aggressive);
    v1(b, aggressive);
    set(a, |v1| v1.xauth = Some(login("wonderland")));
    set(b, |v1| v1.xauth = Some(users()));
}

fn lab(change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    Lab::with(|a, b| {
        log_in(a, b, false);
        change(a, b);
    })
}

// <-- REQUEST   REPLY -->   <-- SET(STATUS)   ACK -->   and only then quick mode
#[test]
fn a_user_logs_in_before_anything_is_negotiated() {
    for aggressive in [false, true] {
        let mut lab = Lab::with(|a, b| log_in(a, b, aggressive));
        lab.a.command(Command::Initiate(POLICY));
        let mut order = Vec::new();
        for _ in 0..30 {
            if let Some((exchange, _)) = next(&lab.a) {
                order.push(exchange);
                lab.a_to_b();
            } else if let Some((exchange, _)) = next(&lab.b) {
                order.push(exchange);
                lab.b_to_a();
            }
        }
        let first_quick = order.iter().position(|exchange| *exchange == QUICK).unwrap();
        assert_eq!(order[first_quick - 4..first_quick], [TRANSACTION; 4]);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        lab.assert_mirrored();
        // From then on the peer is the user.
        assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Fqdn("alice".into()));
        let up = |e: &Event| matches!(e, Event::IkeUp { peer: Identity::Fqdn(name), .. } if name == "alice");
        assert!(lab.b.events.iter().any(up));
    }
}

#[test]
fn each_message_of_a_login_may_be_lost_once() {
    for lost in 6..13 {
        comes_up_without(lost, lab(|_, _| ()));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused() {
    for xauth in
        [login("nonsense"), Xauth::Login { user: "mallory".into(), password: Secret::from(&b"wonderland"[..]) }]
    {
        let mut lab = lab(|a, _| set(a, |v1| v1.xauth = Some(xauth)));
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let there = lab.b.failure(Part::Login).to_string();
        assert!(there.contains("XAuth as") && !there.contains("nonsense") && !there.contains("wonderland"), "{there}");
        let here = lab.a.failure(Part::Login).to_string();
        assert!(here.contains("login is not accepted") && !here.contains("pre-shared"), "{here}");
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

// docs/HISTORY.md, row 29: names that begin as an encoded one does are names like others.
#[test]
fn a_name_that_looks_encoded_is_a_name() {
    for user in ["0", "1", "0\u{1}", "0\u{7f}x", "1\u{0}\u{0}", "0\u{80}\u{80}\u{80}"] {
        let xauth = Xauth::Login { user: user.into(), password: Secret::from(&b"wonderland"[..]) };
        let mut lab = lab(|a, _| set(a, |v1| v1.xauth = Some(xauth.clone())));
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let there = lab.b.failure(Part::Login).to_string();
        assert!(there.contains("XAuth as") && there.chars().all(|c| !c.is_control()), "{there:?}");
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

// Whoever has the key of the group and no password gets nothing, and goes.
#[test]
fn nothing_is_negotiated_with_who_does_not_log_in() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    while next(&lab.b).is_none_or(|(exchange, _)| exchange != TRANSACTION) {
        if lab.a.sent.is_empty() {
            lab.b_to_a();
        } else {
            lab.a_to_b();
        }
    }
    lab.b.sent.clear();
    lab.b.sleep(Remote::LOGIN_TIME + Duration::from_secs(1));
    assert!(lab.b.failure(Part::Login).to_string().contains("no XAuth login in time"));
    assert!(lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.b.sas.is_empty());
}

// A gateway that asks without our configuration saying so gets no password.
#[test]
fn a_password_is_given_to_nobody_who_is_not_to_have_it() {
    // Both sides are of one method in phase 1, so the login must be configured on both, or phase 1 fails.
    let mut lab = lab(|a, _| set(a, |v1| v1.xauth = None));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::IkeProposal);
    assert!(lab.a.endpoint.ike_sas().is_empty() || lab.a.children().is_empty());
}

// draft-ietf-ipsec-isakmp-hybrid-auth-05: the gateway signs, the user logs in.
#[test]
fn hybrid_mode_takes_a_certificate_of_the_gateway_alone() {
    let papers = Papers2::new(Kind::Rsa);
    for aggressive in [false, true] {
        let mut lab = papers.lab(|a, b| {
            log_in(a, b, aggressive);
            set(a, |v1| v1.hybrid = true);
            set(b, |v1| v1.hybrid = true);
            a.remotes[0].local_auth = LocalAuth::Psk(Secret::default());
            b.remotes[0].remote_auth = RemoteAuth::Psk(Secret::default());
            b.remotes[0].open.peers = Some(IdPattern::Any);
            assert!(a.mistakes(&crate::lab::provider()).is_empty() && b.mistakes(&crate::lab::provider()).is_empty());
        });
        lab.establish();
        lab.assert_mirrored();
        assert_eq!(lab.b.ike().identities.unwrap().1, Identity::Fqdn("alice".into()));
    }
    // Without the right password it is nothing.
    let mut lab = papers.lab(|a, b| {
        log_in(a, b, false);
        set(a, |v1| (v1.hybrid, v1.xauth) = (true, Some(login("nonsense"))));
        set(b, |v1| v1.hybrid = true);
        a.remotes[0].local_auth = LocalAuth::Psk(Secret::default());
        b.remotes[0].remote_auth = RemoteAuth::Psk(Secret::default());
        b.remotes[0].open.peers = Some(IdPattern::Any);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Login);
    assert!(lab.b.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
}

fn net(text: &str) -> TrafficSelector {
    let (base, len) = text.split_once('/').unwrap();
    TrafficSelector::prefix(ip(base), len.parse().unwrap()).unwrap()
}

/// A wants an address, B has a pool.
fn road_warrior(a: &mut Config, b: &mut Config) {
    let dns = Attribute { kind: CfgAttributeType::INTERNAL_IP4_DNS, value: CfgValue::Address(ip("10.1.0.53")) };
    a.remotes[0].internal.ask = vec![ip("0.0.0.0")];
    b.remotes[0].internal.pools = vec!["rw".into()];
    let addresses = ip("10.3.0.1")..=ip("10.3.0.2");
    b.pools = vec![Pool { name: "rw".into(), addresses, prefix: None, fixed: vec![], attributes: vec![dns] }];
    let any = vec![TrafficSelector::any_v4()];
    let (client, server) = (&mut a.policies[0], &mut b.policies[0]);
    client.policy.local.clear();
    client.policy.remote = vec![net("10.1.0.0/16")];
    client.dynamic = DynamicTs { local: any.clone(), remote: vec![] };
    server.policy.local = vec![net("10.1.0.0/16")];
    server.policy.remote.clear();
    server.dynamic = DynamicTs { local: vec![], remote: any };
}

#[test]
fn addresses_are_pulled_or_pushed_before_the_first_child_sa() {
    for (xauth, push) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut lab = lab(|a, b| {
            road_warrior(a, b);
            for config in [a, b] {
                set(config, |v1| {
                    v1.push = push;
                    v1.xauth = v1.xauth.take().filter(|_| xauth);
                });
            }
        });
        lab.establish();
        lab.assert_mirrored();
        let address = ip("10.3.0.1");
        assert_eq!((lab.a.ike().inside.0, lab.b.ike().inside.1), (vec![address], vec![address]));
        assert_eq!(lab.a.child().local_ts, [TrafficSelector::host(address)]);
        assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(address)]);
        let granted = lab.a.events.iter().find_map(|event| match event {
            Event::Granted { grant, .. } => Some(grant),
            _ => None,
        });
        assert_eq!(granted.unwrap().dns().collect::<Vec<_>>(), [ip("10.1.0.53")]);
        let who = if xauth { "alice".to_owned() } else { format!("{A}.example.org") };
        assert_eq!(lab.b.endpoint.pools()[0].leases[0].identity, Identity::Fqdn(who));
        // The next ISAKMP SA has the same.
        lab.a.command(Command::RekeyIke("peer".into()));
        for _ in 0..8 {
            lab.settle();
            lab.sleep(Duration::from_secs(1));
        }
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_eq!((lab.a.ike().inside.0, lab.b.ike().inside.1), (vec![address], vec![address]));
        lab.a.command(Command::TerminateIke(None));
        lab.settle();
        assert!(!lab.b.endpoint.pools()[0].leases[0].online);
    }
}

// The selectors of the first Child SA are made of the address, whoever began.
#[test]
fn a_gateway_that_begins_waits_for_the_peer_to_ask_for_an_address() {
    for push in [false, true] {
        let mut lab = lab(|a, b| {
            road_warrior(a, b);
            [a, b].into_iter().for_each(|config| set(config, |v1| (v1.push, v1.xauth) = (push, None)));
        });
        lab.b.command(Command::Initiate(POLICY));
        lab.settle();
        lab.assert_mirrored();
        let address = ip("10.3.0.1");
        assert_eq!((lab.a.ike().inside.0, lab.b.ike().inside.1), (vec![address], vec![address]));
        assert_eq!(lab.b.child().remote_ts, [TrafficSelector::host(address)]);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn a_peer_that_asks_for_no_address_is_waited_for_a_while() {
    let mut lab = lab(|a, b| {
        b.remotes[0].internal.pools = vec!["rw".into()];
        [a, b].into_iter().for_each(|config| set(config, |v1| v1.xauth = None));
    });
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    lab.sleep(Duration::from_secs(4));
    lab.settle();
    assert!(lab.b.children().is_empty());
    lab.sleep(Duration::from_secs(1));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.b.children().len(), 1);
}

// draft-dukes-ike-mode-cfg-02 §3.3: 16 octets, where IKEv2 has 17.
#[test]
fn an_address_of_ipv6_has_no_length_of_a_prefix() {
    for push in [false, true] {
        let mut lab = lab(|a, b| {
            road_warrior(a, b);
            a.remotes[0].internal.ask = vec![ip("::")];
            b.pools[0].addresses = ip("2001:db8:3::1")..=ip("2001:db8:3::2");
            b.pools[0].attributes.clear();
            let any = vec![TrafficSelector::any_v6()];
            (a.policies[0].dynamic.local, b.policies[0].dynamic.remote) = (any.clone(), any);
            a.policies[0].policy.remote = vec![net("2001:db8:1::/48")];
            b.policies[0].policy.local = vec![net("2001:db8:1::/48")];
            [a, b].into_iter().for_each(|config| set(config, |v1| v1.push = push));
        });
        lab.establish();
        lab.assert_mirrored();
        let address = ip("2001:db8:3::1");
        assert_eq!((lab.a.ike().inside.0, lab.b.ike().inside.1), (vec![address], vec![address]));
    }
}

#[test]
fn without_an_address_there_is_no_sa() {
    let mut lab = lab(|a, b| {
        road_warrior(a, b);
        b.pools.clear();
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::InternalAddress);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}
