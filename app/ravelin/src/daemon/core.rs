//! The core: one [`Endpoint`], one [`Plane`], one [`Model`], and who waits for what. It waits for nothing itself and
//! reads no clock, so it runs as well under a test as under the event loop.

mod adopt;
mod behind;
mod carry;
mod news;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_config::Model;
use ravelin_config::live::LivePolicies;
use ravelin_config::spec::RemoteSpec;
use ravelin_control::{ClientId, Message, Request};
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_ike::config::Gateway;
use ravelin_ike::{Answer, Command, Config, Datagram, Endpoint, HostAddresses, Input, OpId};
use ravelin_manage::{Change, Manager};
use ravelin_types::dataplane::{DataPlaneEvent, DataPlaneOp};
use ravelin_types::policy::PolicyId;
use ravelin_types::{HostName, IkeSpi, Instant, Secret, Spi, Way};
use ravelin_wire::ike::header::Header;

use self::adopt::{offers, refusal};
use self::behind::Behind;
pub(super) use self::news::reason_text;
use super::clerk::Asked;
use super::clerk::fetch::Library;
use super::host::inside::Grants;
use super::keyed::psk::Journal;
use super::keyed::session_ops;
use super::keyed::statics::Statics;
use super::later::Pending;
use super::listings::failures::Failures;
use super::listings::report;
use super::plane::Plane;
use super::reload::Files;
use super::sessions::Sessions;
use super::tap::Tap;
use super::updown::Updown;
use super::vici::{self, Vici};
use super::waiting::{Goal, Waiting};

/// How long nothing changes before IKE works with what has changed, if nothing else happens.
const UNCHANGED: Duration = Duration::from_millis(10);

/// What clients are told, in the order in which it came to be.
#[derive(Debug)]
pub enum Said {
    /// The answer to a command.
    Answer(ClientId, Message),
    /// The answer to a command, as a run of events with an empty reply behind.
    Stream(ClientId, &'static str, Vec<Message>),
    /// To everybody who registered for it.
    Event(&'static str, Message),
    /// To one client whose command is under way.
    Progress(ClientId, &'static str, Message),
}

/// Everything the daemon is, but for the waiting.
pub struct Core<P> {
    pub(super) endpoint: Endpoint,
    pub(super) plane: P,
    pub(super) model: Model,
    pub(super) failures: Failures,
    pub(super) started: Instant,
    pub(super) crypto: CryptoProvider,
    /// Name of the provider that protects packets.
    pub(super) packets: &'static str,
    waiting: Waiting,
    pub(super) said: Vec<Said>,
    live: LivePolicies,
    behind: Behind,
    pub(super) files: Files,
    pub(super) vici: Vici,
    deadline: Option<Instant>,
    /// Addresses from which remotes without `--local` are reached, looked up when something is sent to them first.
    sources: BTreeMap<IpAddr, IpAddr>,
    /// When IKE, which works with what the model was before, is to work with it as it is, if nothing happens earlier.
    configure_at: Option<Instant>,
    /// Policies with `--start now` that are to be tried again, and when.
    retries: BTreeMap<PolicyId, Instant>,
    /// Policies whose packets ask for SAs with a peer whose name leads nowhere.
    nowhere: BTreeSet<PolicyId>,
    stopping: bool,
    /// Accounts whose keys are their passwords.
    pub(super) statics: Statics,
    /// Where the PSK manager writes down what asks for SAs.
    pub(super) journal: Option<Journal>,
    /// Commands of files that wait.
    pub(super) pending: Pending,
    /// External keying programs; away while a message of theirs is carried out.
    pub(super) manager: Option<Manager>,
    /// Questions about signatures and certificates that nobody took yet.
    asked: Vec<Asked>,
    /// What they have to be told.
    pub(super) changes: Vec<Change>,
    /// Internal addresses that peers gave us.
    pub(super) grants: Grants,
    /// Who reads along.
    pub(super) tap: Tap,
    /// Revocation lists that were fetched.
    pub(super) library: Arc<Library>,
    /// Commands that follow Child SAs.
    pub(super) updown: Updown,
    /// Users whom RADIUS servers let in.
    pub(super) sessions: Sessions,
}

impl<P: Plane> Core<P> {
    /// A core with the model's policies in force; those that start at once are under way.
    ///
    /// # Errors
    /// When the data plane refuses a policy, or the model can never work; the data plane is given back.
    pub fn new(
        model: Model,
        mut plane: P,
        crypto: CryptoProvider,
        rng: Box<dyn SecureRandom>,
        now: Instant,
    ) -> Result<Self, (P, String)> {
        if let Some(mistake) = offers(&plane, model.ike_config(&BTreeMap::new())).mistakes(&crypto).first() {
            let why = mistake.to_string();
            return Err((plane, why));
        }
        // The data plane lets its own IKE and Neighbor Discovery pass by itself. The automatic policies would let pass
        // the clear packets of everybody behind this host on the same ports.
        let own = model.policies().filter(|entry| !entry.automatic && entry.stands());
        let keyed = model.keyed().map(|keyed| keyed.policy.clone());
        let policies = own.map(|entry| entry.spd_policy()).chain(keyed).map(DataPlaneOp::AddPolicy);
        let mut ops = match session_ops(model.keyed(), &mut plane, &crypto) {
            Ok(ops) => ops,
            Err(refused) => return Err((plane, refused.why)),
        };
        ops.extend(model.interfaces().into_values().map(DataPlaneOp::AddInterface));
        ops.extend(policies);
        if let Err((index, error)) = plane.apply_all(&ops) {
            return Err((plane, refusal(ops.get(index), &error)));
        }
        let mut core = Core {
            endpoint: Endpoint::new(offers(&plane, model.ike_config(&BTreeMap::new())), crypto, rng, now),
            plane,
            model,
            failures: Failures::default(),
            started: now,
            crypto,
            packets: crypto.name,
            waiting: Waiting::default(),
            said: Vec::new(),
            live: LivePolicies::default(),
            behind: Behind::default(),
            files: Files::default(),
            vici: Vici::default(),
            deadline: None,
            sources: BTreeMap::new(),
            configure_at: None,
            retries: BTreeMap::new(),
            nowhere: BTreeSet::new(),
            stopping: false,
            statics: Statics::default(),
            journal: None,
            pending: Pending::default(),
            manager: Some(Manager::new()),
            asked: Vec::new(),
            changes: Vec::new(),
            grants: Grants::default(),
            tap: Tap::default(),
            library: Arc::default(),
            updown: Updown::default(),
            sessions: Sessions::default(),
        };
        core.start_at_once(&Model::new(), now);
        core.pump(now);
        Ok(core)
    }

    /// The core, with the name of the provider that protects packets where that is another than the one of IKE.
    #[must_use]
    pub fn with_packets_by(self, packets: &'static str) -> Self {
        Core { packets, ..self }
    }

    /// The core, with the revocation lists that the clerk fetches.
    #[must_use]
    pub fn with_library(self, library: Arc<Library>) -> Self {
        Core { library, ..self }
    }

    /// The core, with the secret of the tokens that show a crash (RFC 6290).
    #[must_use]
    pub fn with_crash_secret(self, secret: Secret) -> Self {
        Core { endpoint: self.endpoint.with_crash_secret(secret), ..self }
    }

    /// The core, which has strangers solve puzzles of up to so many bits under load (RFC 8019).
    #[must_use]
    pub fn with_puzzles(self, bits: u8) -> Self {
        Core { endpoint: self.endpoint.with_puzzles(bits), ..self }
    }

    /// From now on somebody reads along.
    pub fn read_along(&mut self, tap: Tap) {
        self.tap = tap;
    }

    /// The questions that are new; each answer goes to [`Core::answered`].
    pub fn questions(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// The answer to a question.
    pub fn answered(&mut self, op: OpId, answer: Answer, now: Instant) {
        let answer = match answer {
            Answer::Found(found) => {
                let source = |at: Gateway| Gateway { source: self.plane.source_towards(at.address), ..at };
                Answer::Found(found.into_iter().map(source).collect())
            }
            answer => answer,
        };
        self.input(Input::Done(op, answer.into()), now);
    }

    /// An IKE message arrived.
    pub fn datagram(&mut self, datagram: Datagram<'_>, now: Instant) {
        // A peer with traffic for us comes back at once after our delete. What it began now, nobody would delete.
        let begins = |(header, _): (Header, _)| header.responder_spi == IkeSpi::ZERO;
        if self.stopping && Header::parse(datagram.data).is_ok_and(begins) {
            return;
        }
        self.configure(now);
        self.note_received(&datagram);
        self.learn_keys(datagram.data);
        self.endpoint.handle(Input::Datagram(datagram), now);
        self.learn_keys(datagram.data);
        self.trace_message(true, datagram.remote, datagram.data, now);
        self.pump(now);
    }

    /// Authenticated packets arrived on an inbound SA.
    pub fn alive(&mut self, spi: Spi, now: Instant) {
        self.command(Command::Alive(spi), now);
    }

    /// Takes what the data plane has to report, up to `most` events; it stays ready while there are more.
    pub fn plane_events(&mut self, now: Instant, most: usize) {
        self.take_settled(now);
        for _ in 0..most {
            let Some(event) = self.plane.poll_event() else { return };
            // Whoever is saying good-bye begins nothing.
            if self.stopping && matches!(event, DataPlaneEvent::Acquire { .. }) {
                continue;
            }
            if let DataPlaneEvent::Acquire { policy, flow, .. } = &event {
                self.write_down(*policy, flow);
            }
            if self.is_of_statics(&event) {
                continue;
            }
            if self.is_keyed_elsewhere(&event, now) {
                self.tell_changes();
                continue;
            }
            if let DataPlaneEvent::Acquire { policy, flow, .. } = &event {
                self.acquire_seen(*policy, flow);
                self.nowhere.remove(policy);
                self.look_up_source(*policy, now);
            }
            self.input(Input::DataPlane(event), now);
        }
    }

    /// The time given by [`Core::deadline`] has come; early calls do no harm.
    pub fn timer(&mut self, now: Instant) {
        let due: Vec<PolicyId> = self.retries.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.retries.remove(&id);
            if self.model.policy_by_id(id).is_some() && !self.has_child(id) {
                self.start(id, now);
            }
        }
        if self.pending_at().is_some_and(|at| at <= now) {
            self.look_at_pending(now);
        }
        self.sessions_due(now);
        let late = self.waiting.expire(now);
        self.answer_all(late);
        self.input(Input::Timer, now);
    }

    /// A client asks. The answer, if there is one already, is among what [`Core::said`] gives; `false`: no such command.
    pub fn request(&mut self, request: &Request, now: Instant) -> bool {
        let client = request.client;
        // Whoever loads very many connections asks for one after the other: IKE works with them when all are there.
        if request.name != vici::LOAD_CONNECTION {
            self.configure(now);
        }
        if request.name == ravelin_control::COMMAND_LINE {
            let answer = self.command_line(client, &request.message, now);
            self.said.extend(answer.map(|message| Said::Answer(client, message)));
            return true;
        }
        match self.vici(request, now) {
            None => return false,
            Some(vici::Answer::Now(message)) => self.said.push(Said::Answer(client, message)),
            Some(vici::Answer::Stream(event, messages)) => self.said.push(Said::Stream(client, event, messages)),
            Some(vici::Answer::Later) => {}
        }
        true
    }

    /// A client has hung up: nobody waits for its answer any more.
    pub fn hung_up(&mut self, client: ClientId) {
        self.waiting.forget(client);
        self.talk_ended(client);
        self.debug_ended(client);
    }

    /// What there is to tell clients.
    pub fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    fn answer_all(&mut self, answers: Vec<(ClientId, Message)>) {
        for (client, message) in answers {
            self.talk_ended(client);
            self.said.push(Said::Answer(client, message));
        }
    }

    /// Has IKE SAs deleted by these commands. One that is only begun goes without an event: who waits for it, or for its end,
    /// hears of that here.
    pub(super) fn end_ike(&mut self, commands: impl IntoIterator<Item = Command>, now: Instant) {
        let commands: Vec<Command> = commands.into_iter().collect();
        let named = |command: &Command| match command {
            Command::TerminateIke(None) => self.endpoint.ike_sas(),
            Command::TerminateIke(Some(remote)) => self.endpoint.ike_sas_of(remote),
            Command::TerminateIkeSa(spi) => self.endpoint.ike_sa(*spi).into_iter().collect(),
            _ => Vec::new(),
        };
        let mut gone: Vec<_> = commands.iter().flat_map(named).collect();
        commands.into_iter().for_each(|command| self.command(command, now));
        gone.retain(|view| [view.spis.0, view.spis.1].iter().all(|spi| self.endpoint.remote_of(*spi).is_none()));
        if gone.is_empty() {
            return;
        }
        let spis: BTreeSet<_> = gone.iter().map(|view| view.spis).collect();
        let mut remotes: BTreeSet<_> = gone.into_iter().map(|view| view.remote).collect();
        remotes.retain(|remote| !self.endpoint.has_ike_sa(Some(remote)));
        let answers = self.waiting.gone(&spis, &remotes);
        self.answer_all(answers);
    }

    /// How many things wait for a time.
    pub(super) fn scheduled(&self) -> usize {
        self.retries.len() + self.waiting.len() + usize::from(self.deadline.is_some())
    }

    /// When [`Core::timer`] shall be called.
    pub fn deadline(&self) -> Option<Instant> {
        let retry = self.retries.values().min().copied();
        [self.deadline, self.configure_at, retry, self.waiting.deadline(), self.pending_at(), self.sessions_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Deletes every SA and tells the peers.
    pub fn begin_stop(&mut self, now: Instant) {
        self.stopping = true;
        self.retries.clear();
        self.pending = Pending::default();
        self.sessions_stop();
        self.command(Command::TerminateIke(None), now);
    }

    /// Whether no SA is left, and nothing that is to be said of one.
    pub fn is_idle(&self) -> bool {
        !self.endpoint.has_ike_sa(None) && self.behind.is_empty()
    }

    /// The data plane, to be stopped.
    pub fn into_plane(self) -> P {
        self.plane
    }

    /// The data plane.
    pub fn plane(&mut self) -> &mut P {
        &mut self.plane
    }

    /// Tells the endpoint to do something.
    pub(super) fn command(&mut self, command: Command, now: Instant) {
        self.input(Input::Command(command), now);
    }

    /// Hands something to the endpoint, which works with the model as it is.
    fn input(&mut self, input: Input<'_>, now: Instant) {
        self.configure(now);
        self.tell(input, now);
    }

    /// Hands something to the endpoint as it is.
    fn tell(&mut self, input: Input<'_>, now: Instant) {
        self.endpoint.handle(input, now);
        self.pump(now);
    }

    /// IKE is to work with the model as it is before it hears of anything else, and soon if there is nothing: each time takes as
    /// long as there are connections, and changes come in great numbers one by one.
    fn configure_later(&mut self, now: Instant) {
        self.configure_at = Some(now + UNCHANGED);
    }

    /// Has IKE work with the model as it is, where that has changed.
    fn configure(&mut self, now: Instant) {
        if self.configure_at.take().is_some() {
            self.tell(Input::Command(Command::Configure(self.ike_config())), now);
        }
    }

    fn ike_config(&self) -> Arc<Config> {
        offers(&self.plane, self.model.ike_config(&self.sources))
    }

    /// The client's answer comes when the goal is reached. To be called before the command that leads there.
    pub(super) fn wait(&mut self, client: ClientId, goal: Goal, until: Option<Instant>) {
        self.waiting.add(client, goal, until);
    }

    pub(super) fn has_child(&self, id: PolicyId) -> bool {
        let policy = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref());
        let with = policy.map_or_else(Vec::new, |esp| self.endpoint.ike_sas_of(&esp.remote));
        with.iter().any(|ike| ike.children.iter().any(|child| child.policy == id))
    }

    /// A TCP connection is gone.
    pub fn stream_closed(&mut self, way: Way, now: Instant) {
        self.input(Input::Closed(way), now);
    }

    /// Puts a policy in force without an SA, or no longer.
    pub(super) fn set_trap(&mut self, id: PolicyId, trap: bool, now: Instant) {
        let mut newer = self.model.clone();
        newer.set_trap(id, trap);
        // A peer brought this about, and the others shall not wait for it.
        if let Err(refused) = self.adopt_by(newer, Self::begin_all, now) {
            tracing::warn!("{}", refused.why);
        }
    }

    /// The host of a name is there now: policies with it are about other packets, or have another end.
    fn host_found(&mut self, name: &HostName, addresses: &[IpAddr], now: Instant) {
        let mut newer = self.model.clone();
        if newer.hosts_found([(name, addresses)])
            && let Err(refused) = self.adopt_by(newer, Self::begin_all, now)
        {
            tracing::warn!("{name} is elsewhere now: {}", refused.why);
        }
        // The data plane takes what failed for under way still: the next packet asks again.
        let led = |id: &PolicyId| {
            let esp = self.model.policy_by_id(*id).and_then(|entry| entry.spec.esp.as_ref());
            esp.is_none_or(|esp| esp.endpoint.name() == Some(name))
        };
        let led: Vec<PolicyId> = self.nowhere.iter().copied().filter(led).collect();
        for id in led {
            self.nowhere.remove(&id);
            if let Err(error) = self.plane.apply(&DataPlaneOp::FailAcquire(id)) {
                tracing::debug!("packets of {} ask again later: {error}", self.policy_name(id));
            }
        }
    }

    /// What is known of the names of a remote, a line for each.
    pub(super) fn name_lines(&self, spec: &RemoteSpec, now: Instant) -> Vec<String> {
        let known = self.endpoint.host_names();
        let lines = spec.names().filter_map(|name| known.iter().find(|host| host.name == *name));
        lines.map(|host| report::host_name(host, now)).collect()
    }

    pub(super) fn policy_name(&self, id: PolicyId) -> String {
        let negotiated = self.model.policy_by_id(id).map(|entry| &entry.spec.name);
        let name = negotiated.or_else(|| self.model.keyed_by_id(id).map(|keyed| &keyed.policy.name));
        name.cloned().unwrap_or_else(|| format!("policy {}", id.0))
    }

    /// The addresses at which this host can be reached now.
    pub fn addresses(&mut self, mut addresses: Vec<IpAddr>, now: Instant) {
        // Those that peers gave us are at the far end of a tunnel.
        addresses.retain(|address| !self.grants.hold(*address));
        let mobile = self.endpoint.ike_sas().into_iter().filter(|ike| ike.mobike);
        let peers: BTreeSet<IpAddr> =
            mobile.flat_map(|ike| std::iter::once(ike.peer.ip()).chain(ike.peer_addresses)).collect();
        let source = |peer| Some((peer, self.plane.source_towards(peer)?));
        let sources = peers.into_iter().filter_map(source).collect();
        self.command(Command::Addresses(HostAddresses { addresses, sources }), now);
    }

    /// What was counted by the data plane.
    pub(super) fn counters(&mut self) -> Message {
        let mut counters = Message::new();
        for (name, value) in self.plane.counters() {
            counters.put(&name, value);
        }
        counters
    }

    /// What was counted by IKE.
    pub(super) fn ike_counters(&self) -> Message {
        report::ike_counters(&self.endpoint.counters())
    }
}

#[cfg(test)]
mod tests;
