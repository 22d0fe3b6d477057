//! One host: an IKE endpoint and a packet engine, wired together as the daemon wires them.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_eap::tls::{NoTls, TlsSide};
use ravelin_eap::{Account, Accounts, Client, Forgetful, Method, Server, Tools};
use ravelin_engine::{Engine, EngineConfig, HEADROOM, NoMatch, PacketBuf, TAILROOM, Verdict};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, Open, RemoteAuth, Retransmission, Rounds};
use ravelin_ike::{Answer, ChildPolicy, Command, Config, Desk, Endpoint, HostAddresses, Question, Remote};
use ravelin_pki::auth::World;
use ravelin_pki::{Time, memory};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::{AggFrag, IpComp, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::SaId;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, Instant, Secret, Spi};

use crate::rng::Rng;
use crate::scenario::{Scenario, child_lifetime, ike_lifetime};

/// The one policy of each node.
pub const POLICY: PolicyId = PolicyId(1);
/// The name under which each node knows the other.
pub const PEER: &str = "peer";
/// Packets that wait for an SA.
const HELD: usize = 16;
/// Room for what was compressed: the traffic has no longer packets.
const EXPANDED: usize = 1100;
/// Longer than any packet on the way.
const LONGEST: usize = 2000;
/// What a path takes that is too narrow for the longest packets of the traffic.
const NARROW: u16 = 576;

/// A host, in one of its lives.
pub struct Node {
    /// 0 or 1.
    pub index: usize,
    /// How often it was restarted.
    pub life: u32,
    /// Its key management.
    pub endpoint: Endpoint,
    /// Its data plane.
    pub engine: Engine,
    /// When the endpoint wants to be called.
    pub deadline: Option<Instant>,
    /// Packets on hold.
    pub held: VecDeque<Vec<u8>>,
    /// Until when new SAs are refused.
    pub refuse_until: Instant,
    crypto: CryptoProvider,
    seen: BTreeMap<Spi, u64>,
    refused: BTreeSet<SaId>,
}

impl Node {
    /// A host without state.
    pub fn new(index: usize, life: u32, scenario: &Scenario, rng: &mut Rng, now: Instant) -> Self {
        let crypto = ravelin_crypto_aws_lc::provider();
        let config = Arc::new(config(index, scenario));
        let policy = config.policies[0].policy.clone();
        let (no_match, acquire_timeout) = (NoMatch::Bypass, Duration::from_secs(5));
        let engine_config = EngineConfig { no_match, acquire_timeout, ..EngineConfig::default() };
        let mut engine = Engine::new(engine_config, crypto, Box::new(rng.fork()));
        engine.apply(&DataPlaneOp::AddPolicy(policy), now).expect("an empty engine takes a policy");
        Node {
            index,
            life,
            // RFC 6290 §5: it outlives the node.
            endpoint: Endpoint::new(config, crypto, Box::new(rng.fork()), now)
                .with_crash_secret(Secret::new(vec![index as u8; 32])),
            engine,
            deadline: None,
            held: VecDeque::new(),
            refuse_until: Instant::ZERO,
            crypto,
            seen: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Where the node is now, as MOBIKE needs it.
    pub fn addresses(at: IpAddr, peers: impl IntoIterator<Item = IpAddr>) -> Command {
        let sources = peers.into_iter().map(|peer| (peer, at)).collect();
        Command::Addresses(HostAddresses { addresses: vec![at], sources })
    }

    /// Another configuration, with which the nodes come together as well.
    pub fn reconfigured(&self, scenario: &Scenario, rng: &mut Rng) -> Command {
        let mut config = config(self.index, scenario);
        config.remotes[0].lifetime = ike_lifetime(rng);
        config.remotes[0].extensions.reauth = rng.chance(300).then(|| ike_lifetime(rng));
        if let Action::Protect(protection) = &mut config.policies[0].policy.action {
            protection.lifetime = child_lifetime(rng);
        }
        Command::Configure(Arc::new(config))
    }

    /// The answer to a question: about a key exchange, or a login.
    pub fn answer(&self, question: Question, rng: &mut Rng) -> Answer {
        let random = Mutex::new(rng.fork());
        let fill = |out: &mut [u8]| random.lock().unwrap_or_else(PoisonError::into_inner).fill(out);
        let world = World { now: Time(0), crls: &[], answers: &[], memory: &memory::Forgetful };
        let eap = Tools { memory: &Forgetful, random: &fill, tls: &NoTls };
        question.answer(Desk { keys: &|_| None, world, crypto: &self.crypto, eap })
    }

    /// Hands an operation to the data plane, which may be in a mood to refuse.
    pub fn apply(&mut self, op: &DataPlaneOp, now: Instant) -> Result<(), DataPlaneError> {
        match op {
            DataPlaneOp::AddSa(sa) if now < self.refuse_until => {
                self.refused.insert(sa.id());
                Err(refusal())
            }
            _ => self.engine.apply(op, now),
        }
    }

    /// Whether a refusal is no fault: the scenario's own, and its consequence when an SA is deleted or moved before its
    /// endpoint has heard that it was never installed.
    pub fn may_refuse(&self, op: &DataPlaneOp, error: &DataPlaneError) -> bool {
        *error == refusal()
            || matches!(op, DataPlaneOp::DeleteSa(id) | DataPlaneOp::MoveSa { id, .. } if self.refused.contains(id))
    }

    /// Gives a packet of the host's stack to the engine. What comes back is the packet as it must be sent.
    pub fn outbound(&mut self, packet: &[u8], now: Instant) -> (Verdict, Vec<u8>) {
        let mut buf = vec![0; HEADROOM + packet.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + packet.len();
        buf[range.clone()].copy_from_slice(packet);
        let mut pkt = PacketBuf::new(&mut buf, range).expect("the range is inside the buffer");
        let verdict = self.engine.outbound.process(&mut pkt, now);
        if matches!(verdict, Verdict::Hold(_)) {
            if self.held.len() == HELD {
                self.held.pop_front();
            }
            self.held.push_back(packet.to_vec());
        }
        (verdict, pkt.packet().to_vec())
    }

    /// Gives a packet from the wire to the engine. What comes back is the packet for the host's stack.
    pub fn inbound(&mut self, packet: &[u8], now: Instant) -> (Verdict, Vec<u8>) {
        let mut buf = vec![0; HEADROOM + packet.len() + EXPANDED];
        let range = HEADROOM..HEADROOM + packet.len();
        buf[range.clone()].copy_from_slice(packet);
        let mut pkt = PacketBuf::new(&mut buf, range).expect("the range is inside the buffer");
        let verdict = self.engine.inbound.process(&mut pkt, now);
        (verdict, pkt.packet().to_vec())
    }

    /// The next packet that the engine makes of what it has taken.
    pub fn payload(&mut self, now: Instant) -> Option<(Verdict, Vec<u8>)> {
        let mut buf = vec![0; LONGEST];
        let mut pkt = PacketBuf::new(&mut buf, HEADROOM..HEADROOM).expect("the range is inside the buffer");
        let verdict = self.engine.outbound.poll_payload(&mut pkt, now)?;
        Some((verdict, pkt.packet().to_vec()))
    }

    /// The next packet for the stack out of what the engine has taken.
    pub fn shared(&mut self, now: Instant) -> Option<(Verdict, Vec<u8>)> {
        let mut buf = vec![0; LONGEST];
        let mut pkt = PacketBuf::new(&mut buf, 0..0).expect("the range is inside the buffer");
        let verdict = self.engine.inbound.poll_packet(&mut pkt, now)?;
        Some((verdict, pkt.packet().to_vec()))
    }

    /// What the data plane has to say about peers that are alive: inbound SAs with packets since the last call.
    pub fn alive(&mut self) -> Vec<Command> {
        let mut alive = Vec::new();
        for sa in self.engine.inbound.list() {
            let packets = self.seen.entry(sa.params.spi).or_default();
            if sa.counters.packets > *packets {
                *packets = sa.counters.packets;
                alive.push(Command::Alive(sa.params.spi));
            }
        }
        alive
    }
}

/// What a data plane says that refuses for the sake of the test.
fn refusal() -> DataPlaneError {
    DataPlaneError::System("refused by the scenario".into())
}

fn config(index: usize, scenario: &Scenario) -> Config {
    let (local, remote) = (scenario.hosts[index], scenario.seen_as(1 - index));
    let identity = |index: usize| Identity::Fqdn(format!("node{index}.example"));
    let secret: &[u8] = b"the secret of the simulation";
    let remote = Remote {
        name: PEER.into(),
        version: scenario.version.clone(),
        // Who moves leaves it open.
        local: scenario.elsewhere.is_none().then_some(local),
        source: scenario.elsewhere.map(|_| local),
        remote,
        local_id: identity(index),
        remote_id: identity(1 - index),
        local_auth: LocalAuth::Psk(secret.into()),
        remote_auth: RemoteAuth::Psk(secret.into()),
        rounds: Rounds::default(),
        proposals: vec![Proposal { protocol: ProtocolId::IKE, transforms: scenario.ike.clone() }],
        // Nobody can begin with a host behind a NAT.
        initiate: scenario.nat.is_none() || index == 0,
        accept: true,
        lifetime: scenario.ike_lifetime[index],
        retransmission: Retransmission {
            initial: Duration::from_millis(500),
            max_interval: Duration::from_secs(4),
            tries: 7,
        },
        liveness: scenario.liveness,
        login_time: Remote::LOGIN_TIME,
        encap: false,
        open: Default::default(),
        internal: Default::default(),
        if_ids: Default::default(),
        extensions: scenario.extensions[index].clone(),
    };
    let remote = match scenario.login {
        Some(method) => log_in(remote, index, method),
        None => remote,
    };
    let child = ChildPolicy {
        policy: policy(index, scenario),
        remote: PEER.into(),
        proposals: vec![Proposal { protocol: ProtocolId::ESP, transforms: scenario.esp.clone() }],
        ah: Vec::new(),
        dynamic: Default::default(),
        names: Vec::new(),
    };
    Config { remotes: vec![remote], policies: vec![child], ipcomp: true, aggfrag: true, ..Config::default() }
}

/// Node 0 logs in by EAP, and node 1 has its account.
fn log_in(remote: Remote, index: usize, method: Method) -> Remote {
    let user = Identity::Fqdn("user".into());
    let password = Secret::from(b"the password of the simulation".as_slice());
    if index == 0 {
        let client = Client { user, methods: vec![method], password, tls: TlsSide::default() };
        return Remote { local_auth: LocalAuth::Eap(Arc::new(client)), accept: false, ..remote };
    }
    let accounts = Accounts([Account { owners: vec![user], password }].into());
    let server =
        Server { methods: vec![method], ask_identity: true, accounts, name: b"node1".to_vec(), ..Server::default() };
    let server = EapServer { server, users: IdPattern::Any, groups: Vec::new() };
    let open = Open { peers: Some(IdPattern::Any), ..Open::default() };
    Remote { remote_auth: RemoteAuth::Eap(Arc::new(server)), initiate: false, open, ..remote }
}

fn policy(index: usize, scenario: &Scenario) -> Policy {
    let (flow, _) = scenario.flow(index);
    let [local, remote] = flow.map(|address| match scenario.mode {
        Mode::Transport => TrafficSelector::host(address),
        Mode::Tunnel => behind(address),
    });
    let idle = |node: usize| {
        let network = move |i| IpAddr::from([10, 100 + node as u8, i, 0]);
        (0..scenario.idle_networks).map(move |i| behind(network(i)))
    };
    Policy {
        id: POLICY,
        name: "traffic".into(),
        domain: Domain::default(),
        priority: 4,
        local: [local].into_iter().chain(idle(index)).collect(),
        remote: [remote].into_iter().chain(idle(1 - index)).collect(),
        action: Action::Protect(Protection {
            mode: scenario.mode,
            local: Some(scenario.hosts[index]),
            remote: scenario.seen_as(1 - index),
            pfp: if scenario.flows > 1 { Pfp::ALL } else { Pfp::NONE },
            lifetime: scenario.child_lifetime[index],
            replay_window: scenario.replay_window,
            options: SaOptions {
                ipcomp: if scenario.ipcomp[index] { IpComp::Negotiate } else { IpComp::Off },
                aggfrag: scenario.aggfrag[index].then(AggFrag::default),
                mtu: (scenario.aggfrag == [true; 2] && scenario.hosts[0].is_ipv4()).then_some(NARROW),
                ..SaOptions::default()
            },
        }),
        ways: Ways::default(),
    }
}

/// The network that an address behind a gateway is in.
fn behind(address: IpAddr) -> TrafficSelector {
    let len = if address.is_ipv4() { 24 } else { 64 };
    TrafficSelector::prefix(address, len).expect("the lengths above fit their families")
}

/// Where a message is sent from, when the endpoint leaves the address to the system.
pub fn source(local: SocketAddr, host: IpAddr) -> SocketAddr {
    if local.ip().is_unspecified() { SocketAddr::new(host, local.port()) } else { local }
}
