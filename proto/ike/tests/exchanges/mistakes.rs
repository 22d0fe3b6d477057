//! What can be told of a configuration before it is used.

use ravelin_ike::Mistake::{AhAndEsp, DuplicatePolicy, DuplicateRemote, Families, NoRemote, NoSecret, TwoInitiate};
use ravelin_ike::Remote;
use ravelin_ike::config::{IkeVersion, V1};
use ravelin_types::transform::{IntegId, KeMethod};

use crate::lab::{config, ip, provider, share};

#[test]
fn mistakes_are_told_in_the_order_of_the_configuration() {
    let mut config = config("192.0.2.1", "192.0.2.2");
    assert_eq!(config.mistakes(&provider()), []);
    let [first, known] = [config.remotes[0].clone(), config.remotes[0].clone()];
    let v1 = Remote {
        version: IkeVersion::V1(V1::default()),
        proposals: vec![crate::v1::proposal(KeMethod::ECP256)],
        ..first.clone()
    };
    let mut keyless = Remote { local: Some(ip("2001:db8::1")), ..known };
    share(&mut keyless, b"");
    let other = Remote { name: "other".into(), ..v1.clone() };
    config.remotes = vec![other, first, keyless, v1];
    let policy = config.policies[0].clone();
    let mut lost = policy.clone();
    lost.remote = "nobody".into();
    let mut both = policy.clone();
    both.ah = vec![IntegId::HMAC_SHA2_256_128];
    let mut fine = both.clone();
    (fine.remote, fine.policy.id.0) = ("other".into(), 77);
    config.policies.extend([lost, both, fine]);
    let id = policy.policy.id;
    let name = || policy.policy.name.clone();
    let peer = || String::from("peer");
    assert_eq!(
        config.mistakes(&provider()),
        [
            DuplicateRemote(peer()),
            NoSecret(peer()),
            Families(peer()),
            TwoInitiate(peer()),
            DuplicatePolicy(id),
            NoRemote(name(), "nobody".into()),
            DuplicatePolicy(id),
            AhAndEsp(name(), peer()),
        ]
    );
}
