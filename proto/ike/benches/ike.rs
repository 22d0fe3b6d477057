//! What IKE costs beyond the Diffie-Hellman operations that it cannot do without: `cargo bench -p ravelin-ike`.
//!
//! Measured is the set-up of an IKE SA with its first Child SA, pre-shared key and Curve25519, both ends in this
//! process, against the four scalar multiplications of the same provider that two ends need between them (each makes
//! a public value and a shared secret). The two are timed in turns, so that whatever else the machine does falls on
//! both; printed is the ratio of the medians.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use ravelin_crypto::KeAlg;
use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_ike::config::{IkeVersion, LocalAuth, RemoteAuth, Retransmission};
use ravelin_ike::{ChildPolicy, Command, Config, Datagram, Endpoint, Input, Output, Remote, Transmit};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};
use ravelin_types::{Identity, Instant, Secret};

const ROUNDS: usize = 2000;
const POLICY: PolicyId = PolicyId(1);

fn main() {
    let configs = [config("192.0.2.1", "192.0.2.2"), config("192.0.2.2", "192.0.2.1")].map(Arc::new);
    let ke = provider().ke(KeMethod::CURVE25519).expect("the provider has Curve25519");
    let (mut set_up, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut pair = pair(&configs);
        set_up.push(time(|| establish(&mut pair)));
        bare.push(time(|| exchange(ke)));
    }
    let (set_up, bare) = (median(set_up), median(bare));
    let ratio = set_up.as_secs_f64() / bare.as_secs_f64();
    println!("ike/set-up: {ratio:.2} of its bare key exchange, 1.5 is the bound ({set_up:.1?} against {bare:.1?})");
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Clock::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The key exchange alone: four scalar multiplications.
fn exchange(ke: &dyn KeAlg) {
    let initiator = ke.generate(&mut SystemRandom);
    let (public, shared) = ke.respond(initiator.public(), &mut SystemRandom).expect("a valid public value");
    let same = initiator.agree(&public).expect("a valid public value");
    black_box((shared, same));
}

type Pair = [Endpoint; 2];

/// Two endpoints without SAs.
fn pair(configs: &[Arc<Config>; 2]) -> Pair {
    let endpoint =
        |config: &Arc<Config>| Endpoint::new(config.clone(), provider(), Box::new(SystemRandom), Instant::ZERO);
    configs.each_ref().map(endpoint)
}

/// From nothing to a Child SA.
fn establish([a, b]: &mut Pair) {
    let mut installed = 0;
    a.handle(Input::Command(Command::Initiate(POLICY)), Instant::ZERO);
    loop {
        let from_a = messages(a, &mut installed);
        from_a.iter().for_each(|message| deliver(message, b));
        let from_b = messages(b, &mut installed);
        from_b.iter().for_each(|message| deliver(message, a));
        if from_a.is_empty() && from_b.is_empty() {
            break;
        }
    }
    assert_eq!(installed, 4, "two SAs at each end");
}

fn messages(endpoint: &mut Endpoint, installed: &mut u32) -> Vec<Transmit> {
    let mut messages = Vec::new();
    loop {
        match endpoint.poll() {
            Output::Transmit(message) => messages.push(message),
            Output::Apply(op, _) => {
                *installed += 1;
                endpoint.handle(Input::Done(op, Ok(()).into()), Instant::ZERO);
            }
            Output::Ask(..) => unreachable!("a pre-shared key asks nobody"),
            Output::Event(_) => {}
            Output::Wait(_) => return messages,
        }
    }
}

fn deliver(message: &Transmit, to: &mut Endpoint) {
    let datagram = Datagram { local: message.remote, remote: message.local, data: &message.data };
    to.handle(Input::Datagram(datagram), Instant::ZERO);
}

fn config(local: &str, peer: &str) -> Config {
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
            name: "peer".into(),
            version: IkeVersion::V2,
            local: Some(ip(local)),
            source: None,
            remote: ip(peer),
            local_id: id(local),
            remote_id: id(peer),
            local_auth: LocalAuth::Psk(Secret::from(&b"a pre-shared key of thirty-two b"[..])),
            remote_auth: RemoteAuth::Psk(Secret::from(&b"a pre-shared key of thirty-two b"[..])),
            proposals: vec![Proposal { protocol: ProtocolId::IKE, transforms: ike }],
            initiate: true,
            accept: true,
            lifetime: Duration::from_secs(3600),
            retransmission: Retransmission::default(),
            liveness: None,
            encap: false,
            open: Default::default(),
            internal: Default::default(),
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
            },
            remote: "peer".into(),
            proposals: vec![Proposal { protocol: ProtocolId::ESP, transforms: esp }],
            dynamic: Default::default(),
        }],
        pools: vec![],
    }
}
