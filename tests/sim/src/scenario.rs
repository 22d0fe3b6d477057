//! What a seed stands for: the configuration of both nodes, how bad the wire is, and what operators do and when.

use core::net::IpAddr;
use core::time::Duration;

use ravelin_eap::Method;
use ravelin_ike::Extensions;
use ravelin_ike::config::{IkeVersion, Liveness, V1};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::Mode;
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, PrfId, SnId, Transform};

use crate::manners::manners;
use crate::network::Faults;
use crate::rng::Rng;

/// One run, settled before it begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where all of it comes from.
    pub seed: u64,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Address of each node on the wire.
    pub hosts: [IpAddr; 2],
    /// The version of IKE.
    pub version: IkeVersion,
    /// How node 0 logs in at node 1, if it does: else both have a pre-shared key.
    pub login: Option<Method>,
    /// Where node 0 is when it is not at home, if both have MOBIKE.
    pub elsewhere: Option<IpAddr>,
    /// The address of a NAT in front of node 0, if there is one.
    pub nat: Option<IpAddr>,
    /// Tunnel mode: the address of the traffic behind each node.
    pub inner: [IpAddr; 2],
    /// Algorithms of the IKE SA.
    pub ike: Vec<Transform>,
    /// Algorithms of Child SAs; with a KE transform they have PFS.
    pub esp: Vec<Transform>,
    /// Lifetime of Child SAs at each node.
    pub child_lifetime: [Lifetime; 2],
    /// Lifetime of IKE SAs at each node.
    pub ike_lifetime: [Duration; 2],
    /// What each node does beyond the plain protocol.
    pub extensions: [Extensions; 2],
    /// Silence after which a node asks whether the other is alive.
    pub liveness: Liveness,
    /// Packets in the anti-replay window.
    pub replay_window: u32,
    /// How bad the wire is at first.
    pub faults: Faults,
    /// When it becomes good and operators leave.
    pub faults_end: Duration,
    /// What operators and fate do before that, in order of time.
    pub plan: Vec<Step>,
    /// Time between two packets of traffic at each node, in milliseconds.
    pub traffic_interval: u64,
    /// Flows of the traffic. With more than one the policies populate selectors from packets, and each has SAs of its
    /// own.
    pub flows: u16,
    /// Networks behind each node that nothing is sent to: they make IKE messages long.
    pub idle_networks: u8,
    /// Octets of the longest IKE message that the wire carries.
    pub longest: Option<usize>,
    /// Whether each node wants packets compressed.
    pub ipcomp: [bool; 2],
    /// Tunnel mode: who wants packets to share AGGFRAG payloads (RFC 9347). Where both do, an IPv4 path takes less than a packet.
    pub aggfrag: [bool; 2],
}

/// Something that happens to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Negotiate without waiting for traffic.
    Initiate,
    /// Rekey Child SAs.
    RekeyChild,
    /// Rekey IKE SAs.
    RekeyIke,
    /// Make IKE SAs anew.
    Reauthenticate,
    /// Delete Child SAs.
    TerminateChild,
    /// Delete IKE SAs.
    TerminateIke,
    /// Probe the peer.
    CheckLiveness,
    /// Lose all state and come up again.
    Restart,
    /// Take another configuration: lifetimes.
    Reload,
    /// Node 0 goes to its other address, whichever that is: the one that it leaves is nobody's.
    Move,
    /// The NAT forgets its maps.
    Remap,
    /// The data plane refuses new SAs for a while.
    Refuse(Duration),
    /// The wire is cut for a while.
    Cut(Duration),
}

/// An action, when it happens, and to which nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What.
    pub what: Action,
    /// Node 0, node 1, or both within the same instant.
    pub nodes: [bool; 2],
}

impl Scenario {
    /// The scenario of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mode = *rng.pick(&[Mode::Transport, Mode::Tunnel]);
        let ipcomp = [[false, false], [true, true], [true, true], [true, false]][(seed / 2 % 4) as usize];
        let hosts = *rng.pick(&[[ip(V4_HOSTS[0]), ip(V4_HOSTS[1])], [ip(V6_HOSTS[0]), ip(V6_HOSTS[1])]]);
        let nat = (hosts[0].is_ipv4() && rng.chance(500)).then(|| ip(NAT));
        let inner = *rng.pick(&[[ip(V4_INNER[0]), ip(V4_INNER[1])], [ip(V6_INNER[0]), ip(V6_INNER[1])]]);
        let mut esp = encryption(&mut rng);
        esp.push(Transform::Sn(*rng.pick(&[SnId::SEQUENTIAL_32, SnId::PARTIAL_64])));
        if rng.chance(500) {
            esp.push(Transform::Ke(KeMethod::CURVE25519));
        }
        let mut ike = encryption(&mut rng);
        ike.push(Transform::Prf(*rng.pick(&[PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA2_512])));
        ike.push(Transform::Ke(*rng.pick(&[KeMethod::CURVE25519, KeMethod::CURVE25519, KeMethod::ECP256])));
        // RFC 9370: behind IKE_SA_INIT, and behind the CREATE_CHILD_SA of every rekey that has a key exchange.
        let numbered = [KeMethod::ML_KEM_512, KeMethod::ECP384].into_iter().zip(1..);
        let more = numbered.take(if seed % 6 == 1 { 2 } else { usize::from(seed % 3 == 1) });
        for transform in more.filter_map(|(id, number)| Some(Transform::AddKe(Additional::new(number)?, id))) {
            ike.push(transform);
            if esp.contains(&Transform::Ke(KeMethod::CURVE25519)) {
                esp.push(transform);
            }
        }
        if seed % 4 == 3 {
            ike.iter_mut().chain(&mut esp).for_each(be_slow);
        }
        let liveness = if seed % 4 == 2 { Liveness::Regular } else { Liveness::WhenSending };
        let faults_end = Duration::from_secs(rng.in_range(60..180));
        let plan = plan(&mut rng, faults_end);
        let windows = [[1, 1], [4, 4], [1, 8], [8, 2]][(seed % 4) as usize];
        let mut extensions = manners(&mut rng, windows);
        let mobile = nat.is_none() && mode == Mode::Tunnel && rng.chance(500);
        extensions.iter_mut().for_each(|own| own.mobike = mobile);
        // Node 1 does not begin where there is a NAT, nor where the other logs in.
        let login =
            (nat.is_some() && rng.chance(400)).then(|| *rng.pick(&[Method::MsChapV2, Method::Md5, Method::Gtc]));
        let elsewhere = mobile.then(|| ip(if hosts[0].is_ipv4() { V4_ELSEWHERE } else { V6_ELSEWHERE }));
        let scenario = Scenario {
            seed,
            mode,
            hosts,
            elsewhere,
            nat,
            inner,
            ike,
            esp,
            child_lifetime: [child_lifetime(&mut rng), child_lifetime(&mut rng)],
            ike_lifetime: [ike_lifetime(&mut rng), ike_lifetime(&mut rng)],
            liveness: liveness(Duration::from_secs(rng.in_range(5..30))),
            version: IkeVersion::V2,
            login,
            extensions,
            replay_window: *rng.pick(&[64, 256, 1024, 4096]),
            faults: faults(&mut rng),
            faults_end,
            plan,
            traffic_interval: rng.in_range(100..1000),
            flows: if seed % 5 == 4 { 3 } else { 1 },
            idle_networks: if seed % 7 == 3 && mode == Mode::Tunnel { 60 } else { 0 },
            ipcomp,
            aggfrag: match (mode, ipcomp) {
                (Mode::Tunnel, [false, false]) => [[true, true], [true, true], [true, false]][(seed / 8 % 3) as usize],
                _ => [false; 2],
            },
            longest: (seed % 7 == 3).then_some(if seed % 14 == 3 { 544 } else { 1228 }),
        };
        if rng.chance(150) { scenario.with_v1() } else { scenario }
    }

    /// The same with IKEv1, which has less.
    fn with_v1(self) -> Self {
        let in_v1 = |transform: &Transform| match *transform {
            Transform::Encr(EncrId::CHACHA20_POLY1305, _) => Some(Transform::Encr(EncrId::AES_GCM_16, Some(256))),
            Transform::Ke(KeMethod::CURVE25519) => Some(Transform::Ke(KeMethod::ECP256)),
            Transform::AddKe(..) => None,
            other => Some(other),
        };
        let phase_1 = |transform: &Transform| match transform {
            Transform::Encr(..) => Some(Transform::Encr(EncrId::AES_CBC, Some(256))),
            Transform::Integ(_) => None,
            other => in_v1(other),
        };
        Scenario {
            version: IkeVersion::V1(V1::default()),
            ike: self.ike.iter().filter_map(phase_1).collect(),
            esp: self.esp.iter().filter_map(in_v1).collect(),
            extensions: Default::default(),
            login: None,
            elsewhere: None,
            idle_networks: 0,
            aggfrag: [false; 2],
            ..self
        }
    }

    /// The address by which the other node knows this one.
    pub fn seen_as(&self, node: usize) -> IpAddr {
        self.nat.filter(|_| node == 0).unwrap_or(self.hosts[node])
    }

    /// Source and destination of the traffic of a node: as it sends it, and as the other node must receive it. They
    /// differ in transport mode behind a NAT, where the other node sees the NAT's address (RFC 7296 §2.23.1).
    pub fn flow(&self, from: usize) -> ([IpAddr; 2], [IpAddr; 2]) {
        let to = 1 - from;
        match self.mode {
            Mode::Tunnel => ([self.inner[from], self.inner[to]], [self.inner[from], self.inner[to]]),
            Mode::Transport => ([self.hosts[from], self.seen_as(to)], [self.seen_as(from), self.hosts[to]]),
        }
    }
}

const V4_HOSTS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const V6_HOSTS: [&str; 2] = ["2001:db8::1", "2001:db8::2"];
const V4_ELSEWHERE: &str = "192.0.2.3";
const V6_ELSEWHERE: &str = "2001:db8::3";
const V4_INNER: [&str; 2] = ["10.1.0.5", "10.2.0.5"];
const NAT: &str = "198.51.100.1";
const V6_INNER: [&str; 2] = ["fd01::5", "fd02::5"];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("the constants above are addresses")
}

/// Puts groups in place whose steps are questions. Those of them that take the longest are left to the tests of the provider and of the
/// exchanges.
fn be_slow(transform: &mut Transform) {
    match transform {
        Transform::Ke(method) => *method = KeMethod::MODP1024,
        Transform::AddKe(_, method) if *method == KeMethod::ECP384 => *method = KeMethod::MODP768,
        _ => {}
    }
}

fn encryption(rng: &mut Rng) -> Vec<Transform> {
    match rng.in_range(0..4) {
        0 => vec![Transform::Encr(EncrId::AES_GCM_16, Some(128))],
        1 => vec![Transform::Encr(EncrId::AES_GCM_16, Some(256))],
        2 => vec![Transform::Encr(EncrId::CHACHA20_POLY1305, None)],
        _ => vec![
            Transform::Encr(EncrId::AES_CBC, Some(*rng.pick(&[128, 256]))),
            Transform::Integ(*rng.pick(&[IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA1_96])),
        ],
    }
}

/// Of a Child SA.
pub fn child_lifetime(rng: &mut Rng) -> Lifetime {
    let soft = rng.in_range(15..300);
    let packets = rng.chance(300).then(|| rng.in_range(50..500));
    Lifetime {
        soft: Limits { time: Some(Duration::from_secs(soft)), bytes: None, packets },
        // Wide enough that a rekey which has to be repeated a few times still comes in time.
        hard: Limits { time: Some(Duration::from_secs(soft + 60)), bytes: None, packets: packets.map(|n| n * 4) },
        idle: None,
    }
}

/// Of an IKE SA.
pub fn ike_lifetime(rng: &mut Rng) -> Duration {
    Duration::from_secs(rng.in_range(40..600))
}

fn faults(rng: &mut Rng) -> Faults {
    if rng.chance(150) {
        return Faults::none();
    }
    Faults {
        loss: rng.in_range(0..250),
        repeat: rng.in_range(0..200),
        damage: rng.in_range(0..50),
        replay: rng.in_range(0..50),
        delay: 1..*rng.pick(&[2, 50, 300, 1500]),
    }
}

fn plan(rng: &mut Rng, end: Duration) -> Vec<Step> {
    let mut plan: Vec<Step> = (0..rng.in_range(0..16))
        .map(|_| Step { at: rng.millis(0..end.as_millis() as u64), what: action(rng), nodes: nodes(rng) })
        .collect();
    plan.sort_by_key(|step| step.at);
    plan
}

fn nodes(rng: &mut Rng) -> [bool; 2] {
    *rng.pick(&[[true, false], [false, true], [true, true]])
}

fn action(rng: &mut Rng) -> Action {
    match rng.in_range(0..21) {
        0 | 1 => Action::Initiate,
        2..=5 => Action::RekeyChild,
        6..=9 => Action::RekeyIke,
        10 => Action::TerminateChild,
        11 => Action::TerminateIke,
        12 => Action::CheckLiveness,
        13 => *rng.pick(&[Action::Restart, Action::Remap]),
        14 | 15 => Action::Reauthenticate,
        16 => Action::Reload,
        17 | 18 => Action::Move,
        19 => Action::Refuse(rng.millis(100..20_000)),
        _ => Action::Cut(rng.millis(100..60_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow_method(transform: &Transform) -> bool {
        matches!(transform, Transform::Ke(KeMethod::MODP1024) | Transform::AddKe(_, KeMethod::MODP768))
    }

    #[test]
    fn a_seed_is_a_scenario() {
        assert_eq!(format!("{:?}", Scenario::new(7)), format!("{:?}", Scenario::new(7)));
        assert_ne!(format!("{:?}", Scenario::new(7)), format!("{:?}", Scenario::new(8)));
    }

    #[test]
    fn seeds_cover_every_action_and_mode() {
        let scenarios: Vec<_> = (0..300).map(Scenario::new).collect();
        let happens = |wanted: fn(&Action) -> bool| scenarios.iter().flat_map(|s| &s.plan).any(|s| wanted(&s.what));
        assert!(happens(|a| *a == Action::RekeyChild) && happens(|a| *a == Action::RekeyIke));
        assert!(happens(|a| *a == Action::Reauthenticate));
        assert!(scenarios.iter().any(|s| s.login.is_some() && s.faults.loss > 100));
        assert!(scenarios.iter().any(|s| s.version != IkeVersion::V2));
        assert!(scenarios.iter().any(|s| s.elsewhere.is_some() && s.plan.iter().any(|s| s.what == Action::Move)));
        assert!(scenarios.iter().any(|s| s.extensions.iter().all(|own| own.reauth.is_some()) && s.nat.is_none()));
        assert!(happens(|a| *a == Action::Restart) && happens(|a| matches!(a, Action::Refuse(_))));
        assert!(happens(|a| *a == Action::TerminateIke) && happens(|a| matches!(a, Action::Cut(_))));
        for mode in [Mode::Transport, Mode::Tunnel] {
            for v4 in [true, false] {
                assert!(scenarios.iter().any(|s| s.mode == mode && s.hosts[0].is_ipv4() == v4));
            }
        }
        assert!(scenarios.iter().any(|s| s.hosts[0].is_ipv4() != s.inner[0].is_ipv4()));
        assert!(scenarios.iter().any(|s| s.nat.is_some() && s.mode == Mode::Transport));
        assert!(scenarios.iter().any(|s| s.nat.is_some() && s.ipcomp == [true, true]));
        assert!(scenarios.iter().any(|s| s.nat.is_some() && s.aggfrag == [true, true]));
        assert!(scenarios.iter().any(|s| s.flows > 1 && s.aggfrag == [true, true]));
        assert!(scenarios.iter().any(|s| s.aggfrag == [true, false]));
        assert!(scenarios.iter().any(|s| s.idle_networks > 0 && s.longest == Some(544)));
        let slow = |transforms: &[Transform], methods| transforms.iter().filter(|t| slow_method(t)).count() == methods;
        assert!(scenarios.iter().any(|s| slow(&s.ike, 2) && slow(&s.esp, 2) && s.faults.loss > 100));
        assert!(scenarios.iter().any(|s| slow(&s.ike, 1) && slow(&s.esp, 0)));
    }
}
