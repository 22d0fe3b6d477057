//! Two ends in one process: their configuration, and the messages between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_ike::config::{
    IdPattern, IkeVersion, Liveness, LocalAuth, Open, OwnedKey, RemoteAuth, Retransmission, Rounds,
};
use ravelin_ike::{ChildPolicy, Command, Config, Datagram, Endpoint, Input, Output, Remote, Transmit};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};
use ravelin_types::{Identity, Instant};

use crate::papers;

/// The one policy of each end.
pub const POLICY: PolicyId = PolicyId(1);

/// The one remote of each end.
pub const PEER: &str = "peer";

const SECRET: &[u8] = b"a pre-shared key of thirty-two b";

/// An endpoint without SAs.
pub fn endpoint(config: &Arc<Config>) -> Endpoint {
    Endpoint::new(config.clone(), provider(), Box::new(SystemRandom), Instant::ZERO)
}

/// From nothing to a Child SA.
pub fn establish(a: &mut Endpoint, b: &mut Endpoint) {
    assert_eq!(run(a, b, Command::Initiate(POLICY)), 4, "two SAs at each end");
}

/// Carries out a command of `a`; how many SAs the two data planes were asked to add.
pub fn run(a: &mut Endpoint, b: &mut Endpoint, command: Command) -> u32 {
    let mut added = 0;
    a.handle(Input::Command(command), Instant::ZERO);
    while carry_out(a, b, &mut added) | carry_out(b, a, &mut added) {}
    added
}

/// Carries out what `from` decides until it waits. Whether it sent something to `to`.
fn carry_out(from: &mut Endpoint, to: &mut Endpoint, added: &mut u32) -> bool {
    let mut sent = false;
    loop {
        match from.poll() {
            Output::Transmit(message) => {
                deliver(&message, to);
                sent = true;
            }
            Output::Apply(op, what) => {
                *added += u32::from(matches!(*what, DataPlaneOp::AddSa(_)));
                from.handle(Input::Done(op, Ok(()).into()), Instant::ZERO);
            }
            Output::Ask(op, question) => {
                from.handle(Input::Done(op, papers::answer(question).into()), Instant::ZERO);
            }
            Output::Stream(..) => unreachable!("UDP has no streams"),
            Output::Event(_) => {}
            Output::Wait(_) => return sent,
        }
    }
}

fn deliver(message: &Transmit, to: &mut Endpoint) {
    let datagram = Datagram {
        local: message.remote,
        remote: message.local,
        carrier: ravelin_types::Carrier::Udp,
        data: &message.data,
    };
    to.handle(Input::Datagram(datagram), Instant::ZERO);
}

/// A host with one peer and one policy.
pub fn config(local: &str, peer: &str) -> Config {
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let id = |text: &str| Identity::from(ip(text));
    let ike = vec![
        Transform::Encr(EncrId::AES_GCM_16, Some(128)),
        Transform::Prf(PrfId::HMAC_SHA2_256),
        Transform::Ke(KeMethod::CURVE25519),
    ];
    let esp = vec![Transform::Encr(EncrId::AES_GCM_16, Some(128))];
    Config {
        remotes: vec![Remote {
            name: PEER.into(),
            version: IkeVersion::V2,
            local: Some(ip(local)),
            source: None,
            remote: ip(peer),
            local_id: id(local),
            remote_id: id(peer),
            local_auth: LocalAuth::Psk(SECRET.into()),
            remote_auth: RemoteAuth::Psk(SECRET.into()),
            rounds: Rounds::default(),
            proposals: vec![Proposal { protocol: ProtocolId::IKE, transforms: ike }],
            initiate: true,
            accept: true,
            lifetime: Duration::from_secs(3600),
            retransmission: Retransmission::default(),
            liveness: Liveness::Off,
            login_time: Remote::LOGIN_TIME,
            encap: false,
            open: Default::default(),
            internal: Default::default(),
            if_ids: Default::default(),
            extensions: Default::default(),
        }],
        policies: vec![ChildPolicy {
            policy: Policy {
                id: POLICY,
                name: "all".into(),
                domain: Domain::default(),
                priority: 1,
                local: vec![TrafficSelector::host(ip(local))],
                remote: vec![TrafficSelector::host(ip(peer))],
                action: Action::Protect(Protection {
                    mode: Mode::Transport,
                    local: Some(ip(local)),
                    remote: ip(peer),
                    pfp: Pfp::NONE,
                    lifetime: Lifetime::default(),
                    replay_window: 64,
                    options: SaOptions::default(),
                }),
                ways: Ways::default(),
            },
            remote: PEER.into(),
            proposals: vec![Proposal { protocol: ProtocolId::ESP, transforms: esp }],
            ah: Vec::new(),
            dynamic: Default::default(),
            names: Vec::new(),
        }],
        ..Config::default()
    }
}

/// A gateway for whoever has the key: each peer's own address is its selector.
pub fn gateway(local: &str) -> Config {
    let mut config = config(local, "0.0.0.0");
    let remote = &mut config.remotes[0];
    remote.open = Open {
        from: vec![IpAddr::from([0, 0, 0, 0])..=IpAddr::from([255, 255, 255, 255])],
        peers: Some(IdPattern::Any),
        keys: Some(Arc::from([OwnedKey { owners: Vec::new(), secret: SECRET.into() }])),
        ..Open::default()
    };
    let child = &mut config.policies[0];
    child.policy.remote = Vec::new();
    child.dynamic.remote = vec![TrafficSelector::any_v4()];
    config
}
