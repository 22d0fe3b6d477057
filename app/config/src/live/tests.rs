use std::net::IpAddr;

use super::*;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Domain, Mode, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{SaKeys, SaLookup};
use ravelin_types::transform::{EncrId, IntegId, SnId};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn base() -> Policy {
    Policy {
        id: PolicyId(9),
        name: "gw.rw".into(),
        domain: Domain::default(),
        priority: 4000,
        local: vec![TrafficSelector::prefix(ip("10.1.0.0"), 16).unwrap()],
        remote: Vec::new(),
        action: Action::Protect(Protection {
            mode: Mode::Tunnel,
            local: None,
            remote: ip("0.0.0.0"),
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: SaOptions::default(),
        }),
        ways: Ways::default(),
    }
}

fn sa(spi: u32, peer: &str) -> SaParams {
    SaParams {
        direction: Direction::Inbound,
        spi: Spi(spi),
        pair: Spi(spi + 1000),
        lookup: SaLookup::Spi,
        src: ip(peer),
        dst: ip("192.0.2.1"),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 }
            .into(),
        keys: SaKeys::default(),
        policy: PolicyId(9),
        local_ts: base().local.into(),
        remote_ts: [TrafficSelector::host(ip(peer))].into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    }
}

fn hosts(change: Option<Change>) -> Option<(Vec<String>, String)> {
    match change {
        Some(Change::Add(policy)) => {
            let Action::Protect(protection) = &policy.action else { panic!("no protection") };
            Some((policy.remote.iter().map(ToString::to_string).collect(), protection.remote.to_string()))
        }
        _ => None,
    }
}

#[test]
fn a_policy_is_as_wide_as_its_sas() {
    let mut live = LivePolicies::default();
    let (one, other) = (sa(1, "192.0.2.8"), sa(2, "192.0.2.9"));
    assert_eq!(hosts(live.add(&base(), &one, &[])), Some((vec!["192.0.2.8".into()], "192.0.2.8".into())));
    let both = vec!["192.0.2.8".into(), "192.0.2.9".into()];
    assert_eq!(hosts(live.add(&base(), &other, &[])), Some((both, "0.0.0.0".into())));
    // A rekey brings nothing new, and takes nothing away.
    assert_eq!(live.add(&base(), &sa(3, "192.0.2.9"), &[]), None);
    assert_eq!(live.remove(other.id()), None);
    assert_eq!(hosts(live.remove(one.id())), Some((vec!["192.0.2.9".into()], "192.0.2.9".into())));
    assert_eq!(live.remove(sa(3, "192.0.2.9").id()), Some(Change::Delete(PolicyId(9))));
    assert!(live.policy(PolicyId(9)).is_none());
    assert_eq!(live.remove(one.id()), None);
}

#[test]
fn a_pool_is_selected_as_a_whole_however_many_have_an_address_of_it() {
    let mut live = LivePolicies::default();
    let pool = [TrafficSelector::prefix(ip("10.3.0.0"), 16).unwrap()];
    let warrior = |number: u32| SaParams {
        remote_ts: [TrafficSelector::host(IpAddr::from(0x0a03_0000_u32.wrapping_add(number).to_be_bytes()))].into(),
        ..sa(number, &format!("192.0.{}.{}", number / 250, 1 + number % 250))
    };
    let first = hosts(live.add(&base(), &warrior(1), &pool));
    assert_eq!(first, Some((vec!["10.3.0.0/16".into()], "192.0.0.2".into())));
    // With the second the peer is open; after that nothing changes any more.
    assert!(live.add(&base(), &warrior(2), &pool).is_some());
    for number in 3..2000 {
        assert_eq!(live.add(&base(), &warrior(number), &pool), None);
    }
    for number in (3..2000).rev() {
        assert_eq!(live.remove(warrior(number).id()), None);
    }
    assert!(live.remove(warrior(2).id()).is_some());
    assert_eq!(live.remove(warrior(1).id()), Some(Change::Delete(PolicyId(9))));
}
