//! One host: an engine, what is known of its policies, the manager in front of both, and an application.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_engine::{Engine, EngineConfig, HEADROOM, PacketBuf, TAILROOM, Verdict};
use ravelin_manage::{AppId, Change, Keying, Manager, World};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, Flow, SaStatus};
use ravelin_types::policy::{Domain, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::select;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{ErrorCode, Instant, Secret, Spi};
use ravelin_wire::ip::v4;
use ravelin_wire::mgmt::*;

pub const APP: AppId = AppId(1);

pub struct Seeded(pub u64);

impl SecureRandom for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

pub struct Stack {
    pub engine: Engine,
    pub policies: BTreeMap<PolicyId, (Policy, Keying)>,
    next: u32,
    pub now: Instant,
    /// What the data plane says to the next SA.
    pub refuse_sa: Option<DataPlaneError>,
    changes: Vec<Change>,
    random: Seeded,
    local: IpAddr,
}

impl World for Stack {
    fn policy(&self, id: PolicyId) -> Option<(Policy, Keying)> {
        self.policies.get(&id).cloned()
    }

    fn policy_after(&self, id: PolicyId) -> Option<(Policy, Keying)> {
        self.policies.range(PolicyId(id.0.checked_add(1)?)..).next().map(|(_, found)| found.clone())
    }

    fn lookup(&self, domain: Domain, flow: &Flow) -> Option<(Policy, Keying)> {
        let matches = |policy: &Policy| policy.domain == domain && select(&policy.local, &policy.remote, flow);
        let mut order: Vec<_> = self.policies.values().filter(|(policy, _)| matches(policy)).collect();
        order.sort_by_key(|(policy, _)| (policy.priority, policy.id));
        order.first().map(|found| (*found).clone())
    }

    fn add_policy(&mut self, mut policy: Policy, keying: Keying) -> Result<PolicyId, ErrorCode> {
        if policy.id.0 == 0 {
            self.next += 1;
            policy.id = PolicyId(self.next);
        } else if self.policies.contains_key(&policy.id) {
            return Err(ErrorCode::Exist);
        }
        let now = self.now;
        self.engine.apply(&DataPlaneOp::AddPolicy(policy.clone()), now).map_err(|error| error.code())?;
        self.policies.insert(policy.id, (policy.clone(), keying));
        self.changes.push(Change::PolicyAdded(Box::new(policy.clone()), keying));
        Ok(policy.id)
    }

    fn delete_policy(&mut self, id: PolicyId) -> Result<(), ErrorCode> {
        let now = self.now;
        self.engine.apply(&DataPlaneOp::DeletePolicy(id), now).map_err(|error| error.code())?;
        let ids: Vec<SaId> = self.sas().iter().filter(|sa| sa.params.policy == id).map(|sa| sa.params.id()).collect();
        self.delete_sas(&ids);
        self.policies.remove(&id);
        self.changes.push(Change::PolicyDeleted(id));
        Ok(())
    }

    fn flush_policies(&mut self) -> Result<(), ErrorCode> {
        let ids: Vec<PolicyId> = self.policies.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.delete_policy(id))
    }

    fn sas(&mut self) -> Vec<SaStatus> {
        self.engine.list()
    }

    fn add_sa(&mut self, params: SaParams) -> Result<(), ErrorCode> {
        if params.direction == Direction::Outbound
            && let Some(error) = self.refuse_sa.take()
        {
            return Err(error.code());
        }
        let now = self.now;
        self.engine.apply(&DataPlaneOp::AddSa(params), now).map_err(|error| error.code())
    }

    fn delete_sas(&mut self, ids: &[SaId]) {
        let sas = self.sas();
        for id in ids {
            let now = self.now;
            self.engine.apply(&DataPlaneOp::DeleteSa(*id), now).expect("it is listed");
            let Some(sa) = sas.iter().find(|sa| sa.params.id() == *id) else { continue };
            if id.direction == Direction::Inbound {
                let twin = sas
                    .iter()
                    .find(|other| other.params.direction == Direction::Outbound && other.params.spi == sa.params.pair);
                let twin = twin.map(|twin| Box::new(twin.params.clone()));
                self.changes.push(Change::SessionDeleted(Box::new(sa.params.clone()), twin));
            }
        }
    }

    fn acquire_failed(&mut self, id: PolicyId) {
        let now = self.now;
        self.engine.apply(&DataPlaneOp::FailAcquire(id), now).unwrap();
    }

    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr> {
        remote.is_ipv4().then_some(self.local)
    }

    fn crypto(&self) -> CryptoProvider {
        ravelin_crypto_rustcrypto::provider_with_legacy()
    }

    fn random(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

pub struct Host {
    pub manager: Manager,
    pub stack: Stack,
    sequence: u16,
}

impl Host {
    pub fn new(local: &str, seed: u64) -> Self {
        let engine = Engine::new(
            EngineConfig::default(),
            ravelin_crypto_rustcrypto::provider_with_legacy(),
            Box::new(Seeded(seed)),
        );
        let stack = Stack {
            engine,
            policies: BTreeMap::new(),
            next: 100,
            now: Instant::ZERO,
            refuse_sa: None,
            changes: Vec::new(),
            random: Seeded(seed),
            local: ip(local),
        };
        Host { manager: Manager::new(), stack, sequence: 1000 }
    }

    /// Sends octets; the reply, whose header must answer them.
    pub fn raw(&mut self, app: AppId, message: &[u8]) -> Option<Vec<u8>> {
        let now = self.stack.now;
        self.manager.handle(app, message, &mut self.stack, now).map(|(reply, _)| reply)
    }

    pub fn ask(&mut self, request: &Request) -> Result<Reply, ErrorCode> {
        self.sequence += 1;
        let message = request.emit(Module::IKE, self.sequence);
        let reply = self.raw(APP, message.expose()).expect("exactly one reply");
        let (header, data) = Header::parse(&reply).unwrap();
        assert_eq!((header.sequence, header.kind), (self.sequence, request.kind()));
        assert_eq!((header.src, header.dst), (Module::IPSEC, Module::IKE));
        parse_answer(&header, data).unwrap().map_err(|status| status.error().expect("a code of the document"))
    }

    pub fn refused(&mut self, request: &Request) -> ErrorCode {
        self.ask(request).expect_err("it is refused")
    }

    /// The events that wait for the application, with what the engine has to say.
    pub fn events(&mut self) -> Vec<Event> {
        while let Some(event) = self.stack.engine.poll_event() {
            self.manager.happened(&event, &mut self.stack);
        }
        let mut events = Vec::new();
        while let Some(message) = self.manager.poll(APP) {
            let (header, data) = Header::parse(&message).unwrap();
            assert_eq!((header.src, header.dst, header.status), (Module::IPSEC, Module::IKE, Status::OK));
            events.push(Event::parse(header.kind, data).unwrap());
        }
        events
    }

    /// The packet as it leaves, or what became of it instead.
    pub fn send(&mut self, packet: &[u8]) -> Result<Vec<u8>, Verdict> {
        let now = self.stack.now;
        let (verdict, packet) = with_buffer(packet, |pkt| self.stack.engine.outbound.process(pkt, now));
        if let Verdict::Send(_) = verdict { Ok(packet) } else { Err(verdict) }
    }

    /// The packet as it is delivered, or what became of it instead.
    pub fn receive(&mut self, packet: &[u8]) -> Result<Vec<u8>, Verdict> {
        let now = self.stack.now;
        let (verdict, packet) = with_buffer(packet, |pkt| self.stack.engine.inbound.process(pkt, now));
        if verdict == Verdict::Deliver { Ok(packet) } else { Err(verdict) }
    }
}

fn with_buffer(packet: &[u8], process: impl FnOnce(&mut PacketBuf<'_>) -> Verdict) -> (Verdict, Vec<u8>) {
    let mut bytes = [&[0; HEADROOM][..], packet, &[0; TAILROOM + 256]].concat();
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + packet.len()).unwrap();
    (process(&mut pkt), pkt.packet().to_vec())
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn endpoint(text: &str) -> Endpoint {
    Endpoint(Some(ip(text)))
}

pub fn host_identity(text: &str, port: u16) -> TrafficIdentity {
    let mut identity = TrafficIdentity::from(&ravelin_types::selector::TrafficSelector::host(ip(text)));
    identity.ports = (port, port);
    identity
}

/// A policy in transport mode from one address to another, keyed by a program, ESP with the replay check.
pub fn transport(local: &str, remote: &str) -> PolicyBody {
    PolicyBody {
        id: PolicyId(0),
        action: PolicyAction::SECURE_TRANSPORT,
        protocol: 0,
        domain: Domain(0),
        flags: PolicyFlags::PROTO_ESP.with(PolicyFlags::CHECK_REPLAY).with(PolicyFlags::DF_COPY),
        priority: 4,
        source: host_identity(local, 0),
        destination: host_identity(remote, 0),
        remote: endpoint(remote),
        local: Endpoint(None),
        replay_window: 0,
    }
}

pub fn key(octet: u8, len: u8) -> Key {
    Key::new(Secret::new((0..len).map(|i| octet.wrapping_add(i)).collect())).unwrap()
}

pub fn esp(policy: PolicyId, inbound: Spi, outbound: Spi) -> SaBody {
    SaBody {
        policy,
        flags: SaFlags::default(),
        encr: EncrId::AES_GCM_16,
        integ: IntegId::NONE,
        spis: SaSpis { esp_in: inbound, esp_out: outbound, ah_in: Spi(0), ah_out: Spi(0) },
        lifetimes: Lifetimes::default(),
        udp_ports: (0, 0),
        local: Endpoint(None),
    }
}

/// A UDP datagram in IPv4.
pub fn udp(src: &str, dst: &str, ports: (u16, u16)) -> Vec<u8> {
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (ip(src), ip(dst)) else { panic!("IPv4") };
    let mut header = [0; v4::HEADER_LEN];
    let fields = v4::Fields { tos: 0, total_len: 48, id: 9, dont_fragment: true, ttl: 61, protocol: 17, src, dst };
    fields.emit(&mut header);
    let datagram = [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &28u16.to_be_bytes(), &[0; 2], &[7; 20]];
    [&header[..], &datagram.concat()].concat()
}
