//! IKE endpoints, which key an engine.
//!
//! ```text
//!  UDP 500, 4500 ─► rvl_ike_receive ─┐                       ┌─► TRANSMIT, RADIUS: a datagram to send
//!  rvl_ike_follow: engine's events ──┼─► endpoint ─► rvl_ike_poll ─► EVENT: what an operator wants to know
//!  rvl_ike_timer, rvl_ike_initiate ──┘                       └─► WAIT: until when
//! ```
//! SAs go to the engine by themselves, inside of `rvl_ike_poll`.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::net::SocketAddr;
use std::sync::Arc;

use ravelin_config::Model;
use ravelin_config::live::LivePolicies;
use ravelin_crypto::SecureRandom;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_eap::Conversation;
use ravelin_ike::view::IkeSaView;
use ravelin_ike::{
    Answer, ChildPolicy, Command, Config, Datagram, Endpoint, Event, Input, OpId, Outcome, Output, Question,
};
use ravelin_radius_client::{self as radius, Desk, Lane};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, SaStatus};
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::proposal::ProtocolId;
use ravelin_types::sa::Direction;
use ravelin_types::{HostName, IkeSpi, Spi};
use ravelin_wire::udp_encap::{self, NON_ESP_MARKER, Payload};

use crate::engine::{Engine, instant, nanoseconds};
use crate::handle::{self, RvlHandle, call};
use crate::ike_output::{RvlIkeOutput, RvlIkeOutputKind, event, failed};
use crate::policy::{self, RvlPolicy};
use crate::sessions::Sessions;
use crate::sys::{self, Out, Random, RvlRandom};
use crate::traffic::RvlEndpoint;
use crate::{RvlStatus, crypto, papers, text};

/// What stands behind the handle of an endpoint.
pub(crate) struct Ike {
    pub(crate) endpoint: Endpoint,
    /// What the calls with structs added.
    pub(crate) typed: Config,
    /// What lines made, once there were some.
    pub(crate) model: Option<Model>,
    /// Questions to RADIUS servers.
    pub(crate) radius: Desk<OpId>,
    /// Policies that are in force with their SAs alone.
    live: LivePolicies,
    /// Users whom RADIUS servers let in.
    sessions: Sessions,
    /// Names that are being looked up.
    pub(crate) asked: BTreeMap<HostName, OpId>,
    /// An output that did not fit into the caller's buffer.
    waiting: Option<Said>,
    /// Packets on each inbound SA when they were counted last.
    heard: BTreeMap<Spi, u64>,
}

/// What is for the caller.
enum Said {
    /// Of the endpoint.
    Ike(Output),
    /// A packet for a RADIUS server.
    Radius(Lane, Vec<u8>),
    /// A name to be looked up.
    LookUp(HostName),
    /// What could not be done, beside the endpoint.
    Failed(String),
}

/// Makes an endpoint without peers, and its handle.
///
/// # Safety
/// `handle` is null or points to a handle; `random` keeps its promise until the handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_new(
    random: RvlRandom,
    random_context: *mut c_void,
    now: u64,
    handle: *mut RvlHandle,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (handle, random) = unsafe { (Out::new(handle)?, Random::new(random, random_context)?) };
        let endpoint = Endpoint::new(Arc::default(), crypto::provider(), Box::new(random), instant(now));
        handle.set(handle::keep(Box::new(Ike {
            endpoint,
            typed: Config::default(),
            model: None,
            radius: Desk::new(|out| SystemRandom.fill(out)),
            live: LivePolicies::default(),
            sessions: Sessions::default(),
            asked: BTreeMap::new(),
            waiting: None,
            heard: BTreeMap::new(),
        }))?);
        Ok(())
    })
}

/// Ends an endpoint and wipes its keys; nobody is told. Its SAs stay in the engine.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_free(ike: RvlHandle) -> RvlStatus {
    call(|| handle::free::<Ike>(ike))
}

/// Negotiates SAs for a policy with a peer, or replaces the policy of the same number. The engine is to have the same
/// policy. Lists of algorithms are as in `RvlRemote`; `key_exchange` null is none, that is no forward secrecy beyond that
/// of the IKE SA.
///
/// # Safety
/// `policy` is null or points to such a struct; all strings are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_add_policy(
    ike: RvlHandle,
    policy: *const RvlPolicy,
    remote: *const c_char,
    encryption: *const c_char,
    integrity: *const c_char,
    key_exchange: *const c_char,
    now: u64,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (policy, remote, encryption, integrity, key_exchange) = unsafe {
            (
                policy::parse(sys::read(policy)?)?,
                sys::text(remote)?.ok_or(RvlStatus::Null)?,
                sys::text(encryption)?,
                sys::text(integrity)?,
                sys::text(key_exchange)?,
            )
        };
        if !matches!(policy.action, Action::Protect(_)) {
            return Err(RvlStatus::BadParam);
        }
        let proposals = text::proposals(ProtocolId::ESP, encryption, integrity, None, key_exchange)?;
        let (remote, dynamic, names) = (remote.to_owned(), Default::default(), Vec::new());
        let child = ChildPolicy { policy, remote, proposals, ah: Vec::new(), dynamic, names };
        handle::with(ike, |ike: &mut Ike| {
            ike.typed.policies.retain(|other| other.policy.id != child.policy.id);
            ike.typed.policies.push(child);
            ike.configure(now);
            Ok(())
        })
    })
}

/// Negotiates no more SAs for a policy. Those that are there stay until they are terminated.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_delete_policy(ike: RvlHandle, id: u32, now: u64) -> RvlStatus {
    call(|| {
        handle::with(ike, |ike: &mut Ike| {
            let before = ike.typed.policies.len();
            ike.typed.policies.retain(|child| child.policy.id != PolicyId(id));
            if ike.typed.policies.len() == before {
                return Err(RvlStatus::PolicyNotFound);
            }
            ike.configure(now);
            Ok(())
        })
    })
}

/// Takes a UDP payload that arrived on port 500 or 4500, as it came. From port 4500 only IKE is for here: give the whole
/// IP packet to `rvl_decapsulate` first, which opens ESP in UDP and says `BYPASS` of IKE.
///
/// # Safety
/// `local` and `remote` are null or point to such structs, `data` to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_receive(
    ike: RvlHandle,
    local: *const RvlEndpoint,
    remote: *const RvlEndpoint,
    data: *const u8,
    len: usize,
    now: u64,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (local, remote, data) = unsafe { (sys::read(local)?, sys::read(remote)?, sys::slice(data, len)?) };
        let (local, remote) = (SocketAddr::try_from(*local)?, SocketAddr::try_from(*remote)?);
        let data = match (local.port(), udp_encap::classify(data)) {
            (udp_encap::PORT, Payload::Ike(message)) => message,
            (udp_encap::PORT, _) => return Err(RvlStatus::NoData),
            _ => data,
        };
        handle::with(ike, |ike: &mut Ike| {
            ike.endpoint.handle(
                Input::Datagram(Datagram { local, remote, carrier: ravelin_types::Carrier::Udp, data }),
                instant(now),
            );
            Ok(())
        })
    })
}

/// Does what is due. To be called when the time has come that `WAIT` named; early and late calls do no harm.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_timer(ike: RvlHandle, now: u64) -> RvlStatus {
    input(ike, now, || Ok(Input::Timer))
}

/// Negotiates an SA for a policy now.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_initiate(ike: RvlHandle, policy: u32, now: u64) -> RvlStatus {
    input(ike, now, || Ok(Input::Command(Command::Initiate(PolicyId(policy)))))
}

/// Replaces the SAs of a policy now.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_rekey(ike: RvlHandle, policy: u32, now: u64) -> RvlStatus {
    input(ike, now, || Ok(Input::Command(Command::RekeyChild(PolicyId(policy)))))
}

/// Ends the IKE SAs with a peer and all that hangs on them, telling the peer; with null those of all peers.
///
/// # Safety
/// `remote` is null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_terminate(ike: RvlHandle, remote: *const c_char, now: u64) -> RvlStatus {
    input(ike, now, || {
        // SAFETY: the caller's promise.
        let remote = unsafe { sys::text(remote)? };
        Ok(Input::Command(Command::TerminateIke(remote.map(str::to_owned))))
    })
}

fn input(ike: RvlHandle, now: u64, input: impl FnOnce() -> Result<Input<'static>, RvlStatus>) -> RvlStatus {
    call(|| {
        let input = input()?;
        handle::with(ike, |ike: &mut Ike| {
            ike.endpoint.handle(input, instant(now));
            Ok(())
        })
    })
}

/// Tells the endpoint what the engine reports: SAs wanted and run out, peers that moved, peers that live. To be called
/// after packets were processed and time has passed. The engine's events are then not for `rvl_poll_event`.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_follow(ike: RvlHandle, engine: RvlHandle, now: u64) -> RvlStatus {
    call(|| {
        handle::with_two(ike, engine, |ike: &mut Ike, engine: &mut Engine| {
            while let Some(event) = engine.poll_event() {
                ike.endpoint.handle(Input::DataPlane(event), instant(now));
            }
            let inbound = &engine.engine().inbound;
            ike.heard.retain(|spi, _| inbound.sas().any(|(params, _)| params.spi == *spi));
            for (params, counters) in inbound.sas() {
                let packets = ike.heard.entry(params.spi).or_default();
                if counters.packets > *packets {
                    *packets = counters.packets;
                    ike.endpoint.handle(Input::Command(Command::Alive(params.spi)), instant(now));
                }
            }
            Ok(())
        })
    })
}

/// Takes the next output; to be called until it is `WAIT`. Datagrams and texts go to `buffer`; `TOO_SMALL` leaves the
/// output where it is and `output->length` says what it needs. SAs are put into and taken out of the engine.
///
/// # Safety
/// `output` is null or points to such a struct, `buffer` to `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_poll(
    ike: RvlHandle,
    engine: RvlHandle,
    now: u64,
    output: *mut RvlIkeOutput,
    buffer: *mut u8,
    capacity: usize,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (out, buffer) = unsafe { (Out::new(output)?, sys::slice_mut(buffer, capacity)?) };
        handle::with_two(ike, engine, |ike: &mut Ike, engine: &mut Engine| {
            let next = ike.next(engine, now);
            let (described, bytes) = ike.describe(&next);
            out.set(RvlIkeOutput { length: bytes.len(), ..described });
            let Some(room) = buffer.get_mut(..bytes.len()) else {
                ike.waiting = Some(next);
                return Err(RvlStatus::TooSmall);
            };
            room.copy_from_slice(&bytes);
            Ok(())
        })
    })
}

impl Ike {
    pub(crate) fn configure(&mut self, now: u64) {
        let config = Arc::new(self.config());
        self.endpoint.handle(Input::Command(Command::Configure(config)), instant(now));
    }

    /// What the endpoint works with.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.typed.clone();
        if let Some(model) = &self.model {
            let of_lines = model.ike_config(&BTreeMap::new());
            config.remotes.extend_from_slice(&of_lines.remotes);
            config.policies.extend_from_slice(&of_lines.policies);
            config.pools.extend_from_slice(&of_lines.pools);
        }
        config
    }

    /// The next output that is not for the engine.
    fn next(&mut self, engine: &mut Engine, now: u64) -> Said {
        if let Some(output) = self.waiting.take() {
            return output;
        }
        self.end_sessions(engine, now);
        self.radius.expire(instant(now));
        loop {
            match self.radius.poll(instant(now)) {
                Some(radius::Output::Send(lane, packet)) => return Said::Radius(lane, packet),
                Some(radius::Output::Turned(id, relay, step)) => {
                    let answer = Answer::Conversed(Box::new((Conversation::Relay(relay), step)));
                    self.endpoint.handle(Input::Done(id, answer.into()), instant(now));
                    continue;
                }
                // It is about accounts, of which there are none here.
                Some(radius::Output::Trouble(_)) => continue,
                None => {}
            }
            match self.endpoint.poll() {
                Output::Apply(id, op) => {
                    let outcome = self.apply(&op, engine, now);
                    self.endpoint.handle(Input::Done(id, outcome.into()), instant(now));
                }
                Output::Stream(id, _) => {
                    let none = Outcome::Opened(Err("this interface has no connections".into()));
                    self.endpoint.handle(Input::Done(id, none), instant(now));
                }
                Output::Ask(id, Question::LookUp(name)) => {
                    self.asked.insert(name.clone(), id);
                    return Said::LookUp(name);
                }
                Output::Ask(id, question) => self.ask(id, question, now),
                Output::Event(event) => {
                    let endpoint = &self.endpoint;
                    self.sessions.note(&event, |spis| view(endpoint, spis), instant(now));
                    if let Event::HostFound { name, addresses } = &event
                        && let Err(refused) = self.host_found(name, addresses, engine, now)
                    {
                        return Said::Failed(format!("{name} is elsewhere now: {}", refused.why));
                    }
                    return Said::Ike(Output::Event(event));
                }
                output => return Said::Ike(output),
            }
        }
    }

    /// Policies that come with SAs come before them, and go after them.
    fn apply(&mut self, op: &DataPlaneOp, engine: &mut Engine, now: u64) -> Result<(), DataPlaneError> {
        let mut before = Ok(());
        if let Some(model) = &self.model
            && let Some(change) = self.live.before(op, model)
        {
            before = engine.apply(&change.into(), instant(now));
        }
        let outcome = before.and_then(|()| engine.apply(op, instant(now)));
        if let Some(model) = &self.model
            && let Some(change) = self.live.after(op, outcome.is_ok(), model)
        {
            // It may have been taken out by `rvl_delete_policy`.
            let _ = engine.apply(&change.into(), instant(now));
        }
        outcome
    }

    fn ask(&mut self, id: OpId, question: Question, now: u64) {
        let question = match question {
            Question::Converse { conversation, heard } => match *conversation {
                Conversation::Relay(relay) => return self.radius.ask(id, relay, heard.as_ref(), instant(now)),
                other => Question::Converse { conversation: Box::new(other), heard },
            },
            other => other,
        };
        let answer = papers::answer(question, self.model.as_ref());
        self.endpoint.handle(Input::Done(id, answer.into()), instant(now));
    }

    /// Ends sessions that have lasted as long as the server that let them in says.
    fn end_sessions(&mut self, engine: &Engine, now: u64) {
        if self.sessions.deadline().is_none_or(|at| at > instant(now)) {
            return;
        }
        let sas = engine.engine().list();
        let packets = |inbound: Spi, outbound: Spi| {
            let of = |sa: &&SaStatus| match sa.params.direction {
                Direction::Inbound => sa.params.spi == inbound,
                Direction::Outbound => sa.params.spi == outbound && sa.params.pair == inbound,
            };
            sas.iter().filter(of).map(|sa| sa.counters.packets).sum()
        };
        let endpoint = &self.endpoint;
        for spis in self.sessions.over(|spis| view(endpoint, spis), packets, instant(now)) {
            if let Some(view) = view(&self.endpoint, spis) {
                let own = if view.initiator { spis.0 } else { spis.1 };
                self.endpoint.handle(Input::Command(Command::TerminateIkeSa(own)), instant(now));
            }
        }
    }

    /// The output and the bytes that go with it.
    fn describe(&self, said: &Said) -> (RvlIkeOutput, Vec<u8>) {
        let output = match said {
            Said::Radius(Lane { server, number }, packet) => {
                let described = RvlIkeOutput {
                    remote: (*server).into(),
                    socket: (*number).into(),
                    ..RvlIkeOutput::new(RvlIkeOutputKind::Radius)
                };
                return (described, packet.clone());
            }
            Said::LookUp(name) => {
                return (RvlIkeOutput::new(RvlIkeOutputKind::LookUp), name.as_str().as_bytes().to_vec());
            }
            Said::Failed(why) => return (failed(), why.clone().into_bytes()),
            Said::Ike(output) => output,
        };
        match output {
            Output::Transmit(transmit) => {
                let marker: &[u8] = if transmit.local.port() == udp_encap::PORT { &NON_ESP_MARKER } else { &[] };
                let described = RvlIkeOutput {
                    local: transmit.local.into(),
                    remote: transmit.remote.into(),
                    ..RvlIkeOutput::new(RvlIkeOutputKind::Transmit)
                };
                (described, [marker, &transmit.data].concat())
            }
            Output::Event(what) => {
                let (described, text) = event(what);
                (described, text.into_bytes())
            }
            Output::Wait(deadline) => {
                let others = [self.radius.deadline(), self.sessions.deadline()];
                let first = others.into_iter().flatten().chain(deadline.as_ref().map(|deadline| deadline.at)).min();
                let deadline = first.map_or(u64::MAX, nanoseconds);
                (RvlIkeOutput { deadline, ..RvlIkeOutput::new(RvlIkeOutputKind::Wait) }, Vec::new())
            }
            // `Ike::next` keeps these for the engine.
            Output::Apply(..) | Output::Ask(..) | Output::Stream(..) => {
                (RvlIkeOutput::new(RvlIkeOutputKind::Wait), Vec::new())
            }
        }
    }
}

/// The IKE SA with these SPIs.
fn view(endpoint: &Endpoint, spis: (IkeSpi, IkeSpi)) -> Option<IkeSaView> {
    [spis.0, spis.1].into_iter().filter_map(|spi| endpoint.ike_sa(spi)).find(|view| view.spis == spis)
}
