//! The one handler of every message.
//!
//! What an application asks is carried out at once and answered with exactly one reply under the same sequence number.
//! What happens is told to all registered applications: POLICY_ADDED, POLICY_DELETED and SA_DELETED about everything,
//! ACQUIRE and SA_EXPIRED about policies whose keys come from a program, as our own IKE looks after the others.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::dataplane::{DataPlaneEvent, SaStatus};
use ravelin_types::policy::{Action, Policy, PolicyId};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{ErrorCode, Instant, Spi};
use ravelin_wire::mgmt::{
    Acquire, AddSa, ClonePolicy, DeleteSpis, Endpoint, Event, GetSpi, Header, InitialContact, Module, Nothing,
    PacketFlow, PolicyBody, PolicyFlags, PolicyNumber, Protocol, Reply, Request, SaBody, SaDeleted, SaExpired, SaFlags,
    SaInfo, SaSpis, SaUse, Status, emit_answer,
};

use crate::limits::{MAX_APPLICATIONS, MAX_EVENTS};
use crate::policy;
use crate::session::{Ah, Ends, Esp, Refused, Session};
use crate::spis::Reserved;
use crate::world::{Change, Keying, World};

/// One connection of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u32);

/// An application that registered.
#[derive(Default)]
struct App {
    module: Option<Module>,
    /// Of the next event, waiting or lost.
    sequence: u16,
    waiting: VecDeque<Vec<u8>>,
    lost: u64,
}

/// The applications, and the SPIs that they were given.
#[derive(Default)]
pub struct Manager {
    apps: BTreeMap<AppId, App>,
    reserved: Reserved,
    /// Policies that are there because one was cloned.
    clones: BTreeSet<PolicyId>,
}

type Outcome = Result<Reply, Refused>;

impl Manager {
    /// Nobody is registered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out one message of an application; its reply, and why it was refused if it was. `None`: the message has
    /// no header, so there is nothing to reply to, or it confirms an event.
    pub fn handle(
        &mut self,
        app: AppId,
        message: &[u8],
        world: &mut dyn World,
        now: Instant,
    ) -> Option<(Vec<u8>, Option<Refused>)> {
        let (header, data) = Header::parse(message).ok()?;
        if header.kind.is_event() {
            return None;
        }
        let outcome = match Request::parse(header.kind, data) {
            Ok(request) if header.dst == Module::IPSEC && header.status == Status::OK => {
                self.carry_out(app, header.src, request, world, now)
            }
            Ok(_) => Err(Refused::new(ErrorCode::BadParam, "a request goes to IPsec with a status of 0")),
            Err(error) => Err(Refused::new(ErrorCode::BadParam, error.reason)),
        };
        let (outcome, refused) = match outcome {
            Ok(reply) => (Ok(reply), None),
            Err(refused) => (Err(refused.code.into()), Some(refused)),
        };
        self.changes(world);
        Some((emit_answer(&header, &outcome), refused))
    }

    /// The application is gone.
    pub fn forget(&mut self, app: AppId) {
        self.apps.remove(&app);
    }

    /// The next event for an application.
    pub fn poll(&mut self, app: AppId) -> Option<Vec<u8>> {
        self.apps.get_mut(&app)?.waiting.pop_front()
    }

    /// Whether an event waits for the application.
    pub fn has_event(&self, app: AppId) -> bool {
        self.apps.get(&app).is_some_and(|app| !app.waiting.is_empty())
    }

    /// Whether anybody is registered.
    pub fn is_watched(&self) -> bool {
        !self.apps.is_empty()
    }

    /// Events that were lost to applications that did not take them in time.
    pub fn lost(&self) -> u64 {
        self.apps.values().map(|app| app.lost).sum()
    }

    /// Tells every registered application. One that is slow loses the event and sees it by the gap in the sequence.
    fn tell(&mut self, event: &Event) {
        for app in self.apps.values_mut() {
            if app.waiting.len() < MAX_EVENTS {
                app.waiting.push_back(event.emit(app.module.unwrap_or(Module::IKE), app.sequence));
            } else {
                app.lost += 1;
            }
            app.sequence = app.sequence.wrapping_add(1);
        }
    }

    /// Tells them what has changed in the SPD and SAD.
    pub fn changed(&mut self, change: &Change) {
        let event = match change {
            Change::PolicyAdded(added, keying) => Event::PolicyAdded(self.body(added, *keying)),
            Change::PolicyDeleted(id) => {
                self.clones.remove(id);
                Event::PolicyDeleted(PolicyNumber(*id))
            }
            Change::SessionDeleted(inbound, outbound) => Event::SaDeleted(SaDeleted {
                policy: inbound.policy,
                spis: session_spis(inbound, outbound.as_deref()),
                peer: Endpoint(Some(inbound.src)),
            }),
        };
        self.tell(&event);
    }

    fn changes(&mut self, world: &mut dyn World) {
        world.changes().iter().for_each(|change| self.changed(change));
    }

    /// Something happened in the data plane. True when it concerned a policy whose keys come from a program, so that
    /// nobody else has to look after it.
    pub fn happened(&mut self, event: &DataPlaneEvent, world: &mut dyn World) -> bool {
        let (id, hard) = match event {
            DataPlaneEvent::Acquire { policy, flow, .. } => {
                let Some((asked, Keying::Program { .. })) = world.policy(*policy) else { return false };
                let flow = PacketFlow { domain: asked.domain, flow: *flow };
                self.tell(&Event::Acquire(Acquire { policy: *policy, flow }));
                return true;
            }
            DataPlaneEvent::SoftExpire(id) => (*id, false),
            DataPlaneEvent::HardExpire(id) | DataPlaneEvent::Lost(id) => (*id, true),
            // What is for the peer is for whoever knows it.
            DataPlaneEvent::PeerMoved { .. }
            | DataPlaneEvent::Idle(_)
            | DataPlaneEvent::Used(_)
            | DataPlaneEvent::OutsideSelectors { .. } => return false,
        };
        let sas = world.sas();
        let Some(sa) = sas.iter().map(|status| &status.params).find(|params| params.id() == id) else { return false };
        if !world.policy(sa.policy).is_some_and(|(_, keying)| keying != Keying::Own) {
            return false;
        }
        self.tell(&Event::SaExpired(SaExpired {
            policy: sa.policy,
            protocol: if sa.suite.esp().is_some() { Protocol::ESP } else { Protocol::AH },
            direction: sa.direction,
            hard,
            spi: sa.spi,
            peer: Endpoint(Some(peer(sa))),
        }));
        if hard {
            world.delete_sas(&session_of(sa, &sas));
            self.changes(world);
        }
        true
    }

    /// The policy as messages tell it.
    fn body(&self, policy: &Policy, keying: Keying) -> PolicyBody {
        let mut body = policy::body(policy, keying);
        if self.clones.contains(&policy.id) {
            body.flags = body.flags.with(PolicyFlags::CLONED);
        }
        body
    }

    fn found(&self, policy: Option<(Policy, Keying)>) -> Result<PolicyBody, Refused> {
        policy.map(|(found, keying)| self.body(&found, keying)).ok_or(plain(ErrorCode::PolicyNotFound))
    }

    fn carry_out(
        &mut self,
        app: AppId,
        module: Module,
        request: Request,
        world: &mut dyn World,
        now: Instant,
    ) -> Outcome {
        Ok(match request {
            Request::Register(Nothing) => {
                self.register(app, module)?;
                Reply::Register(Nothing)
            }
            Request::ClonePolicy(clone) => {
                let id = clone_policy(&clone, world)?;
                self.clones.insert(id);
                Reply::ClonePolicy(PolicyNumber(id))
            }
            Request::InitialContact(InitialContact { peer }) => {
                let gone = peer.0.ok_or(bad_param("a peer has an address"))?;
                delete_where(world, |sa| self::peer(sa) == gone);
                Reply::InitialContact(Nothing)
            }
            Request::DeleteSpis(delete) => {
                delete_spis(&delete, world)?;
                Reply::DeleteSpis(Nothing)
            }
            Request::GetSpi(asked) => Reply::GetSpi(self.get_spi(asked, world, now)?),
            Request::AcquireFail(PolicyNumber(id)) => {
                find(world, id)?;
                world.acquire_failed(id);
                Reply::AcquireFail(Nothing)
            }
            Request::AddSa(sa) => {
                self.add_sa(&sa, world)?;
                Reply::AddSa(Nothing)
            }
            Request::GetPolicy(PolicyNumber(id)) => {
                let mut body = self.found(world.policy(id))?;
                let sends = |sa: &SaStatus| sa.params.policy == id && sa.params.direction == Direction::Outbound;
                if world.sas().iter().any(sends) {
                    body.flags = body.flags.with(PolicyFlags::INITIALIZED);
                }
                Reply::GetPolicy(body)
            }
            Request::GetPolicies(PolicyNumber(id)) => Reply::GetPolicies(self.found(world.policy_after(id))?),
            Request::LookupPolicy(PacketFlow { domain, flow }) => {
                Reply::LookupPolicy(self.found(world.lookup(domain, &flow))?)
            }
            Request::FlushSad(Nothing) => {
                delete_where(world, |_| true);
                Reply::FlushSad(Nothing)
            }
            Request::AddPolicy(body) => {
                let (policy, keying) = policy::parse(&body).map_err(plain)?;
                Reply::AddPolicy(PolicyNumber(world.add_policy(policy, keying).map_err(plain)?))
            }
            Request::DeletePolicy(PolicyNumber(id)) => {
                world.delete_policy(id).map_err(plain)?;
                Reply::DeletePolicy(Nothing)
            }
            Request::GetSa(PolicyNumber(id)) => Reply::GetSa(get_sa(id, world)?),
            Request::DeleteSa(PolicyNumber(id)) => {
                find(world, id)?;
                if !delete_where(world, |sa| sa.policy == id) {
                    return Err(plain(ErrorCode::SaNotFound));
                }
                Reply::DeleteSa(Nothing)
            }
            Request::FlushSpd(Nothing) => {
                world.flush_policies().map_err(plain)?;
                Reply::FlushSpd(Nothing)
            }
        })
    }

    fn register(&mut self, app: AppId, module: Module) -> Result<(), Refused> {
        if self.apps.contains_key(&app) {
            return Err(plain(ErrorCode::Exist));
        }
        if self.apps.len() >= MAX_APPLICATIONS {
            return Err(plain(ErrorCode::OutOfReqs));
        }
        self.apps.insert(app, App { module: Some(module), ..App::default() });
        Ok(())
    }

    fn get_spi(&mut self, asked: GetSpi, world: &mut dyn World, now: Instant) -> Result<GetSpi, Refused> {
        find(world, asked.policy)?;
        let taken: Vec<Spi> = world.sas().iter().filter_map(|sa| inbound_spi(&sa.params)).collect();
        let spi = self.reserved.take(|| world.random(), |spi| taken.contains(&spi), now).map_err(plain)?;
        match asked.protocol {
            // Document 003 §3.14: AH and ESP together have one SPI.
            Protocol::ANY => Ok(GetSpi { esp: spi, ah: spi, ..asked }),
            Protocol::ESP => Ok(GetSpi { esp: spi, ah: Spi(0), ..asked }),
            Protocol::AH => Ok(GetSpi { esp: Spi(0), ah: spi, ..asked }),
            _ => {
                self.reserved.used(spi);
                Err(plain(ErrorCode::UnknownIpProtocol))
            }
        }
    }

    fn add_sa(&mut self, add: &AddSa, world: &mut dyn World) -> Result<(), Refused> {
        let (policy, keying) = find(world, add.sa.policy)?;
        let Keying::Program { manual, ah, esp } = keying else {
            return Err(bad_param("the keys of this policy do not come from a program"));
        };
        let session = session(add, manual, ah, esp)?;
        let Action::Protect(protection) = &policy.action else {
            return Err(bad_param("the policy protects nothing, so it has no SA"));
        };
        let known = add.sa.local.0.or(protection.local);
        let local = known.or_else(|| world.source_towards(protection.remote));
        let local = local.ok_or(bad_param("there is no way to the other end, and this end was not given"))?;
        let [inbound, outbound] = session.sas(&policy, local, &world.crypto())?;
        let id = inbound.id();
        let spi = inbound.spi;
        // RFC 7296 §1.3 has the same order: who sends must be able to count on it that the other end receives.
        world.add_sa(inbound).map_err(plain)?;
        if let Err(code) = world.add_sa(outbound) {
            world.delete_sas(&[id]);
            return Err(plain(code));
        }
        self.reserved.used(spi);
        Ok(())
    }
}

fn plain(code: ErrorCode) -> Refused {
    Refused::new(code, code.text())
}

fn bad_param(why: &str) -> Refused {
    Refused::new(ErrorCode::BadParam, why)
}

fn find(world: &dyn World, id: PolicyId) -> Result<(Policy, Keying), Refused> {
    world.policy(id).ok_or(plain(ErrorCode::PolicyNotFound))
}

/// A policy like another, for a part of its traffic, consulted before it.
fn clone_policy(clone: &ClonePolicy, world: &mut dyn World) -> Result<PolicyId, Refused> {
    let (original, keying) = find(world, clone.id)?;
    if keying == Keying::Own {
        return Err(bad_param("the keys of this policy do not come from a program"));
    }
    let within = |part: &TrafficSelector, whole: &[TrafficSelector]| whole.iter().any(|whole| whole.covers(part));
    let local = clone.source.selector(clone.protocol).map_err(plain)?;
    let remote = clone.destination.selector(clone.protocol).map_err(plain)?;
    if !within(&local, &original.local) || !within(&remote, &original.remote) {
        return Err(plain(ErrorCode::InboundPolicyFailure));
    }
    let priority = original.priority.checked_sub(1).ok_or(bad_param("no priority is left before the policy"))?;
    let narrow = Policy { id: PolicyId(0), priority, local: [local].into(), remote: [remote].into(), ..original };
    world.add_policy(narrow, keying).map_err(plain)
}

fn delete_spis(delete: &DeleteSpis, world: &mut dyn World) -> Result<(), Refused> {
    let from = delete.peer.0.ok_or(bad_param("a peer has an address"))?;
    let of_protocol = |suite: &Suite| match delete.protocol {
        Protocol::ANY => Some(true),
        // The two go together, so neither can go alone.
        Protocol::ESP => Some(matches!(suite, Suite::Esp(_))),
        Protocol::AH => Some(matches!(suite, Suite::Ah(_))),
        _ => None,
    };
    let sas = world.sas();
    let mut gone: Vec<SaId> = Vec::new();
    for sa in sas.iter().map(|status| &status.params) {
        let ours = of_protocol(&sa.suite).ok_or(plain(ErrorCode::UnknownIpProtocol))?;
        if ours && sa.direction == Direction::Outbound && sa.dst == from && delete.spis().contains(&sa.spi) {
            gone.extend(session_of(sa, &sas));
        }
    }
    if gone.is_empty() {
        return Err(plain(ErrorCode::SaNotFound));
    }
    world.delete_sas(&gone);
    Ok(())
}

fn get_sa(id: PolicyId, world: &mut dyn World) -> Result<SaInfo, Refused> {
    find(world, id)?;
    let sas = world.sas();
    // The one that was added last is the one that sends.
    let outbound = |sa: &&SaStatus| sa.params.policy == id && sa.params.direction == Direction::Outbound;
    let sent = sas.iter().rev().find(outbound).ok_or(plain(ErrorCode::SaNotFound))?;
    let params = &sent.params;
    let received = sas.iter().find(|sa| is_twin(&sa.params, params)).ok_or(plain(ErrorCode::BadSessErr))?;
    let esp = params.suite.esp();
    let usage = |sa: &SaStatus| SaUse { packets: sa.counters.packets, octets: sa.counters.bytes };
    Ok(SaInfo {
        sa: SaBody {
            policy: id,
            flags: if params.suite.sn() == SnId::PARTIAL_64 { SaFlags::ESN } else { SaFlags::default() },
            encr: esp.map_or(EncrId(0), |esp| esp.encr),
            integ: params.suite.ah().map_or(esp.map_or(IntegId::NONE, |esp| esp.integ), |ah| ah.integ),
            spis: session_spis(&received.params, Some(params)),
            lifetimes: params.lifetime.into(),
            udp_ports: params.encap.map_or((0, 0), |encap| (encap.src_port, encap.dst_port)),
            local: Endpoint(Some(params.src)),
        },
        key_bits: esp.map_or(0, |esp| esp.encr_key_bits),
        remote: Endpoint(Some(params.dst)),
        received: usage(received),
        sent: usage(sent),
    })
}

/// Removes the SAs that `chosen` names, with the rest of their sessions; whether there were any.
fn delete_where(world: &mut dyn World, chosen: impl Fn(&SaParams) -> bool) -> bool {
    let gone: Vec<SaId> = world.sas().iter().map(|sa| &sa.params).filter(|sa| chosen(sa)).map(SaParams::id).collect();
    world.delete_sas(&gone);
    !gone.is_empty()
}

fn session(add: &AddSa, manual: bool, ah: bool, esp: bool) -> Result<Session, Refused> {
    let (sa, spis) = (&add.sa, &add.sa.spis);
    let has = |inbound: Spi, outbound: Spi| inbound.0 != 0 || outbound.0 != 0;
    if has(spis.esp_in, spis.esp_out) && !esp {
        return Err(Refused::new(ErrorCode::BadEspSpi, "the policy asks for no ESP"));
    }
    if has(spis.ah_in, spis.ah_out) && !ah {
        return Err(Refused::new(ErrorCode::BadAhSpi, "the policy asks for no AH"));
    }
    if sa.flags.0 & !SaFlags::ESN.0 != 0 {
        return Err(bad_param("unknown flags of an SA"));
    }
    let keys = |[inbound, outbound]: [&ravelin_types::Secret; 2]| Ends {
        inbound: inbound.clone(),
        outbound: outbound.clone(),
    };
    // Where both protocols are used, the algorithm is that of AH, which the session gives ESP too if it needs one.
    let esp_integ = if ah { IntegId::NONE } else { sa.integ };
    Ok(Session {
        esp: esp.then(|| Esp {
            spis: Ends { inbound: spis.esp_in, outbound: spis.esp_out },
            encr: sa.encr,
            encr_keys: keys(add.encr()),
            integ: esp_integ,
            integ_keys: if ah { Ends::default() } else { keys(add.integ()) },
        }),
        ah: ah.then(|| Ah {
            spis: Ends { inbound: spis.ah_in, outbound: spis.ah_out },
            integ: sa.integ,
            keys: keys(add.integ()),
        }),
        esn: sa.flags == SaFlags::ESN,
        lifetime: sa.lifetimes.lifetime(),
        udp_ports: (sa.udp_ports != (0, 0)).then_some(sa.udp_ports),
        manual,
    })
}

/// The SPIs of a session, from what receives in it and, where it is there, what sends.
fn session_spis(inbound: &SaParams, outbound: Option<&SaParams>) -> SaSpis {
    let of = |sa: &SaParams| match sa.suite {
        Suite::Esp(_) => (sa.spi, Spi(0)),
        Suite::Ah(_) => (Spi(0), sa.spi),
        Suite::AhEsp { ah_spi, .. } => (sa.spi, ah_spi),
    };
    let (esp_in, ah_in) = of(inbound);
    let (esp_out, ah_out) = outbound.map_or((Spi(0), Spi(0)), of);
    SaSpis { esp_in, esp_out, ah_in, ah_out }
}

fn inbound_spi(sa: &SaParams) -> Option<Spi> {
    (sa.direction == Direction::Inbound).then_some(sa.spi)
}

/// The other end of an SA.
fn peer(sa: &SaParams) -> IpAddr {
    match sa.direction {
        Direction::Inbound => sa.src,
        Direction::Outbound => sa.dst,
    }
}

/// Whether two SAs are the two directions of one session.
fn is_twin(one: &SaParams, other: &SaParams) -> bool {
    one.direction != other.direction
        && (one.spi, one.pair, one.policy) == (other.pair, other.spi, other.policy)
        && peer(one) == peer(other)
}

/// An SA and its twin.
fn session_of(sa: &SaParams, sas: &[SaStatus]) -> Vec<SaId> {
    let twin = sas.iter().map(|status| &status.params).find(|other| is_twin(sa, other));
    [Some(sa), twin].into_iter().flatten().map(SaParams::id).collect()
}
