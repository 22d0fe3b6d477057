//! Two endpoints side by side, each with a data plane that is a map, and a network on which every message waits until
//! a test says what becomes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_eap::{Forgetful, Tools};
use ravelin_ike::config::{
    IdPattern, IkeVersion, Liveness, LocalAuth, Open, OwnedKey, RemoteAuth, Retransmission, Rounds,
};
use ravelin_ike::explain::{Failure, Part};
use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_ike::{
    Answer, ChildPolicy, Command, Config, Datagram, Desk, Endpoint, Event, Input, OpId, Output, Question, Remote,
    StreamOp, Transmit,
};
use ravelin_pki::auth::World;
use ravelin_pki::{Crl, Time, memory};
use ravelin_testkit::SeededRandom;
use ravelin_tls::Maker;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Table};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, Transform};
use ravelin_types::{Identity, Instant, Spi};

pub const A: &str = "192.0.2.1";
pub const B: &str = "192.0.2.2";
pub const POLICY: PolicyId = PolicyId(7);

/// Key exchange of AWS-LC, and every algorithm for packets.
pub fn provider() -> CryptoProvider {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    let more = || ravelin_crypto_aws_lc::provider().with_more_of(&ravelin_crypto_rustcrypto::provider_with_legacy());
    *PROVIDER.get_or_init(more)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One side: an endpoint and what its decisions led to.
pub struct Host {
    pub endpoint: Endpoint,
    pub config: Config,
    pub now: Instant,
    pub sas: BTreeMap<SaId, SaParams>,
    pub moves: Vec<SaId>,
    /// How many numbers of each SA were skipped.
    pub skips: Vec<(SaId, u64)>,
    pub events: Vec<Event>,
    /// What waits on the wire.
    pub sent: VecDeque<Transmit>,
    /// What the order of decisions was: `in+`, `out+`, `in-`, `out-`, `send`.
    pub order: Vec<&'static str>,
    /// SAs of which the next packet is to be told of.
    pub tells: BTreeSet<SaId>,
    /// SPIs on offer, at one time or another.
    pub offers: BTreeSet<Spi>,
    /// The data plane refuses to install SAs.
    pub refuse: bool,
    /// Questions that nobody answered.
    pub asked: VecDeque<(OpId, Question)>,
    /// Connections to be opened and closed.
    pub streams: VecDeque<(OpId, StreamOp)>,
    /// What they are answered from.
    pub papers: Papers,
}

/// Private keys by name, and what is known about revocation.
#[derive(Default)]
pub struct Papers {
    pub keys: BTreeMap<String, Arc<dyn PrivateKey>>,
    pub crls: Vec<Crl>,
    pub answers: Vec<ravelin_pki::ocsp::Answer>,
    /// The time of certificates; that of the host stands still at a second of its own.
    pub year: Option<u64>,
}

impl Papers {
    pub fn now(&self) -> Time {
        Time((self.year.unwrap_or(2026) - 1970) * 31_556_952)
    }

    pub fn answer(&self, question: Question) -> Answer {
        let now = self.now();
        let crypto = provider();
        let keys = |name: &str| self.keys.get(name).cloned();
        let world = World { now, crls: &self.crls, answers: &self.answers, memory: &memory::Forgetful };
        let tls = Maker { keys: &keys, world, register: None, crypto: &crypto };
        // A key exchange may draw again.
        let random = Mutex::new(SeededRandom::new(3));
        question.answer(Desk {
            keys: &keys,
            world,
            crypto: &crypto,
            eap: Tools { memory: &Forgetful, random: &|out| random.lock().unwrap().fill(out), tls: &tls },
        })
    }
}

impl Host {
    pub fn new(config: Config, seed: u64) -> Self {
        let now = Instant::from_duration(Duration::from_secs(1000));
        let rng = Box::new(SeededRandom::new(seed));
        let endpoint = Endpoint::new(Arc::new(config.clone()), provider(), rng, now);
        Host {
            endpoint,
            config,
            now,
            sas: BTreeMap::new(),
            moves: Vec::new(),
            skips: Vec::new(),
            tells: BTreeSet::new(),
            offers: BTreeSet::new(),
            events: Vec::new(),
            sent: VecDeque::new(),
            order: Vec::new(),
            refuse: false,
            asked: VecDeque::new(),
            streams: VecDeque::new(),
            papers: Papers::default(),
        }
    }

    /// Carries out what the endpoint decides, and holds it to the order of decisions and to its own deadlines.
    pub fn input(&mut self, input: Input<'_>) {
        let timer = matches!(input, Input::Timer);
        self.endpoint.handle(input, self.now);
        let mut sent = false;
        loop {
            match self.endpoint.poll() {
                Output::Apply(op, what) => {
                    let late = matches!(&*what, DataPlaneOp::AddSa(sa) if sent && sa.direction == Direction::Inbound);
                    assert!(!late, "what the peer sends on is there before it hears of it");
                    let outcome = self.apply(*what);
                    self.endpoint.handle(Input::Done(op, outcome.into()), self.now);
                }
                Output::Transmit(transmit) => {
                    sent = true;
                    self.order.push("send");
                    self.sent.push_back(transmit);
                }
                Output::Ask(op, question) => self.asked.push_back((op, question)),
                Output::Stream(op, what) => self.streams.push_back((op, what)),
                Output::Event(event) => self.events.push(event),
                Output::Wait(deadline) => {
                    let overdue = deadline.filter(|deadline| timer && deadline.at <= self.now);
                    assert!(overdue.is_none(), "the timer has run and is due again: {overdue:?}");
                    break;
                }
            }
        }
    }

    /// Answers the oldest open question; false when there is none.
    pub fn answer(&mut self) -> bool {
        let Some((op, question)) = self.asked.pop_front() else { return false };
        let answer = self.papers.answer(question);
        self.input(Input::Done(op, answer.into()));
        true
    }

    fn apply(&mut self, op: DataPlaneOp) -> Result<(), DataPlaneError> {
        match op {
            DataPlaneOp::AddSa(params) => {
                if self.refuse {
                    return Err(DataPlaneError::Full(Table::Sas, 0));
                }
                assert!(!self.sas.contains_key(&params.id()), "{:?} is installed twice", params.id());
                self.order.push(if params.direction == Direction::Inbound { "in+" } else { "out+" });
                self.sas.insert(params.id(), params);
            }
            DataPlaneOp::DeleteSa(id) => {
                self.order.push(if id.direction == Direction::Inbound { "in-" } else { "out-" });
                let removed = self.sas.remove(&id);
                self.tells.remove(&id);
                assert!(self.refuse || removed.is_some(), "{id:?} is not there");
            }
            DataPlaneOp::OfferSa(spi) => drop(self.offers.insert(spi)),
            DataPlaneOp::TellUse(id) => {
                assert!(self.sas.contains_key(&id), "{id:?} is not there");
                self.tells.insert(id);
            }
            DataPlaneOp::SkipNumbers { id, count } => {
                assert!(self.sas.contains_key(&id), "{id:?} is not there");
                self.skips.push((id, count));
            }
            DataPlaneOp::MoveSa { id, src, dst, encap } => {
                let mut params = self.sas.remove(&id).expect("an SA to move");
                (params.src, params.dst, params.encap) = (src, dst, encap);
                self.moves.push(params.id());
                self.sas.insert(params.id(), params);
            }
            DataPlaneOp::AddPolicy(_)
            | DataPlaneOp::DeletePolicy(_)
            | DataPlaneOp::FailAcquire(_)
            | DataPlaneOp::SetMtu { .. }
            | DataPlaneOp::AddInterface(_)
            | DataPlaneOp::DeleteInterface(_) => {
                unreachable!("IKE never touches policies or paths")
            }
        }
        Ok(())
    }

    pub fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub fn event(&mut self, event: DataPlaneEvent) {
        self.input(Input::DataPlane(event));
    }

    /// A packet leaves on the one outbound SA. Whether the data plane was to tell of it.
    pub fn send_packet(&mut self) -> bool {
        let outbound: Vec<SaId> = self.sas.keys().filter(|id| id.direction == Direction::Outbound).copied().collect();
        let [id] = outbound[..] else { panic!("{} outbound SAs", outbound.len()) };
        let told = self.tells.remove(&id);
        if told {
            self.event(DataPlaneEvent::Used(id));
        }
        told
    }

    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.command(Command::Configure(Arc::new(self.config.clone())));
    }

    /// Lets time pass and timers fire.
    pub fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(Input::Timer);
    }

    /// The message that waits longest.
    pub fn take(&mut self) -> Transmit {
        self.sent.pop_front().expect("a message on the wire")
    }

    pub fn receive(&mut self, message: &Transmit) {
        self.receive_from(message, message.remote, message.local);
    }

    /// A message as a NAT may have changed its addresses.
    pub fn receive_from(&mut self, message: &Transmit, local: SocketAddr, remote: SocketAddr) {
        self.input(Input::Datagram(Datagram { local, remote, carrier: message.carrier, data: &message.data }));
    }

    pub fn ike(&self) -> IkeSaView {
        let mut sas = self.endpoint.ike_sas();
        assert_eq!(sas.len(), 1, "{sas:#?}");
        sas.remove(0)
    }

    pub fn children(&self) -> Vec<ChildSaView> {
        self.endpoint.ike_sas().into_iter().flat_map(|ike| ike.children).collect()
    }

    pub fn child(&self) -> ChildSaView {
        let mut children = self.children();
        assert_eq!(children.len(), 1, "{children:#?}");
        children.remove(0)
    }

    pub fn sa(&self, direction: Direction, spi: Spi) -> &SaParams {
        let mut found = self.sas.values().filter(|sa| sa.direction == direction && sa.spi == spi);
        found.next().unwrap_or_else(|| panic!("no {direction:?} SA {spi}"))
    }

    pub fn has(&self, direction: Direction, spi: Spi) -> bool {
        self.sas.values().any(|sa| sa.direction == direction && sa.spi == spi)
    }

    pub fn failures(&self) -> Vec<Failure> {
        let failed = self.events.iter().filter_map(|event| match event {
            Event::Failed(failure) => Some(failure.clone()),
            _ => None,
        });
        failed.collect()
    }

    /// The only failure, which must be about `part`.
    pub fn failure(&self, part: Part) -> Failure {
        let failures = self.failures();
        assert_eq!(failures.len(), 1, "{failures:#?}");
        assert_eq!(failures[0].part, part, "{}", failures[0]);
        failures[0].clone()
    }

    /// Exchange type of a waiting message, its message ID and whether it is a response.
    pub fn next(&self) -> Option<(u8, u32, bool)> {
        self.sent.front().map(|message| kind(&message.data))
    }
}

pub fn kind(data: &[u8]) -> (u8, u32, bool) {
    (data[18], u32::from_be_bytes(data[20..24].try_into().unwrap()), data[19] & 0x20 != 0)
}

pub const SA_INIT: u8 = 34;
pub const AUTH: u8 = 35;
pub const CREATE_CHILD: u8 = 36;
pub const INFO: u8 = 37;
pub const RESUME: u8 = 38;

/// Two hosts.
pub struct Lab {
    pub a: Host,
    pub b: Host,
}

impl Lab {
    /// A, the initiator of most tests, and B, with mirrored configurations, changed by the test.
    pub fn with(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        let (mut a, mut b) = (config(A, B), config(B, A));
        change(&mut a, &mut b);
        Lab { a: Host::new(a, 1), b: Host::new(b, 2) }
    }

    pub fn new() -> Self {
        Self::with(|_, _| ())
    }

    /// With an IKE SA and one Child SA that A began.
    pub fn up() -> Self {
        let mut lab = Self::new();
        lab.establish();
        lab
    }

    pub fn establish(&mut self) {
        self.a.command(Command::Initiate(POLICY));
        self.settle();
        assert_eq!(self.a.failures(), []);
        assert_eq!(self.b.failures(), []);
        assert_eq!(self.a.children().len(), 1);
        assert_eq!(self.b.children().len(), 1);
    }

    /// The next message from A arrives at B.
    pub fn a_to_b(&mut self) -> Transmit {
        let message = self.a.take();
        self.b.receive(&message);
        message
    }

    pub fn b_to_a(&mut self) -> Transmit {
        let message = self.b.take();
        self.a.receive(&message);
        message
    }

    /// Everything arrives until nothing is under way.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            if !self.a.sent.is_empty() {
                self.a_to_b();
            } else if !self.b.sent.is_empty() {
                self.b_to_a();
            } else if !self.a.answer() && !self.b.answer() {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    pub fn sleep(&mut self, time: Duration) {
        self.a.sleep(time);
        self.b.sleep(time);
    }

    /// Packets cross on everything that either side sends on.
    pub fn traffic(&mut self) {
        let sent = |host: &Host| -> Vec<Spi> {
            host.sas.values().filter(|sa| sa.direction == Direction::Outbound).map(|sa| sa.spi).collect()
        };
        let (to_b, to_a) = (sent(&self.a), sent(&self.b));
        to_b.into_iter().for_each(|spi| self.b.command(Command::Alive(spi)));
        to_a.into_iter().for_each(|spi| self.a.command(Command::Alive(spi)));
        self.settle();
    }

    /// Both hold the same Child SAs with the same keys, in and out.
    pub fn assert_mirrored(&self) {
        let count = |host: &Host, direction| host.sas.values().filter(|sa| sa.direction == direction).count();
        for (here, there) in [(&self.a, &self.b), (&self.b, &self.a)] {
            assert_eq!(count(here, Direction::Outbound), count(there, Direction::Inbound));
            for out in here.sas.values().filter(|sa| sa.direction == Direction::Outbound) {
                let inbound = there.sa(Direction::Inbound, out.spi);
                assert_eq!(out.keys.encr.expose(), inbound.keys.encr.expose());
                assert_eq!(out.keys.integ.expose(), inbound.keys.integ.expose());
                assert_eq!(out.keys.ah.expose(), inbound.keys.ah.expose());
                assert!(out.keys.encr.len() + out.keys.integ.len() + out.keys.ah.len() >= 16);
                assert_eq!(out.suite, inbound.suite);
                assert_eq!(out.mode, inbound.mode);
                assert_eq!(out.pair, inbound.pair_of(here));
            }
        }
    }
}

trait Pair {
    fn pair_of(&self, other: &Host) -> Spi;
}

impl Pair for SaParams {
    /// SPI of the inbound SA at the other host that belongs to this inbound SA.
    fn pair_of(&self, other: &Host) -> Spi {
        other.sa(Direction::Inbound, self.pair).spi
    }
}

pub fn ike_proposal(ke: KeMethod) -> Proposal {
    Proposal {
        protocol: ProtocolId::IKE,
        transforms: vec![
            Transform::Encr(EncrId::AES_GCM_16, Some(128)),
            Transform::Prf(PrfId::HMAC_SHA2_256),
            Transform::Ke(ke),
        ],
    }
}

pub fn esp_proposal() -> Proposal {
    Proposal { protocol: ProtocolId::ESP, transforms: vec![Transform::Encr(EncrId::AES_GCM_16, Some(128))] }
}

pub fn esp_cbc() -> Proposal {
    Proposal {
        protocol: ProtocolId::ESP,
        transforms: vec![Transform::Encr(EncrId::AES_CBC, Some(256)), Transform::Integ(IntegId::HMAC_SHA2_256_128)],
    }
}

pub fn pfs(mut proposal: Proposal, method: KeMethod) -> Proposal {
    proposal.transforms.push(Transform::Ke(method));
    proposal
}

/// The pre-shared key of both hosts.
pub const SECRET: &[u8] = b"a secret that is long enough";

pub fn remote(local: &str, peer: &str) -> Remote {
    Remote {
        name: "peer".into(),
        version: IkeVersion::V2,
        local: Some(ip(local)),
        source: None,
        remote: ip(peer),
        local_id: Identity::Fqdn(format!("{local}.example.org")),
        remote_id: Identity::Fqdn(format!("{peer}.example.org")),
        local_auth: LocalAuth::Psk(SECRET.into()),
        remote_auth: RemoteAuth::Psk(SECRET.into()),
        rounds: Rounds::default(),
        proposals: vec![ike_proposal(KeMethod::CURVE25519)],
        initiate: true,
        accept: true,
        lifetime: Duration::from_secs(4 * 3600),
        retransmission: Retransmission::default(),
        liveness: Liveness::Off,
        login_time: Remote::LOGIN_TIME,
        encap: false,
        open: Default::default(),
        internal: Default::default(),
        if_ids: Default::default(),
        extensions: Default::default(),
    }
}

/// Gives both sides of a remote another pre-shared key.
pub fn share(remote: &mut Remote, secret: &[u8]) {
    remote.local_auth = LocalAuth::Psk(secret.into());
    remote.remote_auth = RemoteAuth::Psk(secret.into());
}

pub fn policy(id: PolicyId, mode: Mode, local: &str, peer: &str) -> ChildPolicy {
    ChildPolicy {
        policy: Policy {
            id,
            name: format!("policy-{}", id.0),
            domain: Domain::default(),
            priority: 10,
            local: vec![TrafficSelector::host(ip(local))],
            remote: vec![TrafficSelector::host(ip(peer))],
            action: Action::Protect(Protection {
                mode,
                local: Some(ip(local)),
                remote: ip(peer),
                pfp: Pfp::NONE,
                lifetime: Lifetime {
                    soft: Limits { time: Some(Duration::from_secs(1000)), ..Limits::default() },
                    hard: Limits { time: Some(Duration::from_secs(1100)), ..Limits::default() },
                    idle: None,
                },
                replay_window: 64,
                options: SaOptions::default(),
            }),
            ways: Ways::default(),
        },
        remote: "peer".into(),
        proposals: vec![esp_proposal()],
        ah: Vec::new(),
        dynamic: Default::default(),
        names: Vec::new(),
    }
}

/// What the policy of [`config`] asks of its SAs.
pub fn protection(config: &mut Config) -> &mut Protection {
    match &mut config.policies[0].policy.action {
        Action::Protect(protection) => protection,
        other => panic!("the policy of the lab protects, this one is to {other:?}"),
    }
}

pub fn config(local: &str, peer: &str) -> Config {
    Config {
        remotes: vec![remote(local, peer)],
        policies: vec![policy(POLICY, Mode::Tunnel, local, peer)],
        ..Config::default()
    }
}

/// Takes whoever has the key, at any address, with that address as its selector.
pub fn for_anybody(config: &mut Config) {
    let remote = &mut config.remotes[0];
    remote.remote = ip("0.0.0.0");
    remote.open = Open {
        from: vec![ip("0.0.0.0")..=ip("255.255.255.255")],
        peers: Some(IdPattern::Any),
        keys: Some(Arc::from([OwnedKey { owners: Vec::new(), secret: SECRET.into() }])),
        ..Open::default()
    };
    config.policies[0].policy.remote = Vec::new();
    config.policies[0].dynamic.remote = vec![TrafficSelector::any_v4()];
}

pub fn set_mode(config: &mut Config, mode: Mode) {
    for child in &mut config.policies {
        if let Action::Protect(protection) = &mut child.policy.action {
            protection.mode = mode;
        }
    }
}
