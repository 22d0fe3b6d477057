//! The run: takes the next thing that happens, lets it happen, and checks.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ravelin_engine::{DropReason, Outer, Verdict};
use ravelin_ike::config::IkeVersion;
use ravelin_ike::{Answer, Command, Datagram, Event, Input, OpId, Outcome, Output, Question};
use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::Direction;

use crate::check;
use crate::ledger::Ledger;
use crate::nat::Nat;
use crate::network::{Arrival, Faults, Frame, Network};
use crate::node::{self, Node, PEER, POLICY};
use crate::packets;
use crate::rng::Rng;
use crate::scenario::{Action, Scenario, Step};
use crate::trace::Trace;

/// Time for the hosts to recover once the wire is good again: the last repeat of a request that nobody answers, the
/// silence before a liveness check, and the start of a new IKE SA, one after the other and with room.
const RECOVERY: Duration = Duration::from_secs(150);
/// Within this time there must be a moment in which no exchange is under way.
const UNTIL_QUIET: Duration = Duration::from_secs(60);
/// Packets that each node sends over the good wire at the end.
const PROBES: u32 = 40;
/// Events in one instant of virtual time; more means that somebody turns in a circle.
const MAX_AT_ONCE: u32 = 10_000;
/// Lines of the trace that a failure shows.
const TAIL: usize = 120;

/// A run that went wrong.
#[derive(Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
    /// The last lines of its trace.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(
            f,
            "seed {}: {}\nrepeat with SEED={} cargo test -p ravelin-sim --test seeds",
            self.seed, self.what, self.seed
        )
    }
}

/// What a run that went well was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Stands for every event of the run.
    pub digest: u64,
    /// Packets of traffic given to the engines.
    pub sent: usize,
    /// Packets of traffic that arrived.
    pub arrived: usize,
    /// Rekeys of Child SAs.
    pub child_rekeys: u32,
    /// Rekeys of IKE SAs.
    pub ike_rekeys: u32,
    /// IKE SAs that were made in the place of others.
    pub reauthentications: u32,
    /// IKE SAs that were established afresh.
    pub ike_ups: u32,
    /// Those of them of IKEv1.
    pub ike_ups_of_v1: u32,
    /// Those of them that went on with a ticket.
    pub resumptions: u32,
    /// IKE SAs that followed a node.
    pub moves: u32,
    /// SAs that sent.
    pub senders: usize,
}

/// Damage done to a host behind the back of its endpoint just before the check, to see that the check finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    None,
    /// An inbound SA is taken out of an engine.
    DropInboundSa,
    /// An inbound SA is replaced by one with other keys.
    ChangeKeys,
    /// An engine forgets its policy, so that traffic leaves unprotected.
    DropPolicy,
}

/// Runs a scenario to its end; `echo` prints the trace as it grows.
///
/// # Errors
/// When an invariant was broken, or the hosts did not recover.
pub fn run(scenario: Scenario, sabotage: Sabotage, echo: bool) -> Result<Summary, Failure> {
    let seed = scenario.seed;
    let mut world = World::new(scenario, echo);
    match world.run(sabotage) {
        Ok(()) => Ok(world.summary()),
        Err(what) => Err(Failure { seed, what, trace: world.trace.tail().map(str::to_owned).collect() }),
    }
}

/// Two nodes, the wire between them, and what is going to happen.
pub struct World {
    scenario: Scenario,
    now: Instant,
    rng: Rng,
    nodes: [Node; 2],
    /// Where each node is.
    at: [IpAddr; 2],
    network: Network,
    nat: Option<Nat>,
    ledger: Ledger,
    due: BTreeMap<(Instant, u64), Due>,
    order: u64,
    next_packet: u64,
    traffic: bool,
    /// From here on, failed exchanges and dropped packets are errors.
    strict: bool,
    counts: Summary,
    trace: Trace,
}

/// What the world itself has in store.
enum Due {
    Step(Step),
    Traffic(usize),
    Alive(usize),
    Done { node: usize, life: u32, op: OpId, outcome: Outcome },
}

impl World {
    /// The beginning: two nodes with a configuration and no SA.
    pub fn new(scenario: Scenario, echo: bool) -> Self {
        let mut rng = Rng::new(scenario.seed ^ 0x5eed);
        let now = Instant::ZERO;
        let nodes = [Node::new(0, 0, &scenario, &mut rng, now), Node::new(1, 0, &scenario, &mut rng, now)];
        let mut trace = Trace::new(TAIL, echo);
        trace.line(now, format_args!("{scenario:?}"));
        let mut world = World {
            network: Network::new(rng.fork(), scenario.faults.clone()),
            at: scenario.hosts,
            nat: scenario.nat.map(|outside| Nat::new(scenario.hosts[0], outside)),
            nodes,
            now,
            rng,
            ledger: Ledger::default(),
            due: BTreeMap::new(),
            order: 0,
            next_packet: 1,
            traffic: true,
            strict: false,
            counts: Summary::default(),
            trace,
            scenario,
        };
        world.network.narrow(world.scenario.longest);
        for step in world.scenario.plan.clone() {
            world.later(Instant::ZERO + step.at, Due::Step(step));
        }
        for node in 0..2 {
            world.later(now, Due::Traffic(node));
            world.later(now, Due::Alive(node));
        }
        world
    }

    fn run(&mut self, sabotage: Sabotage) -> Result<(), String> {
        self.place(0)?;
        self.place(1)?;
        self.run_until(Instant::ZERO + self.scenario.faults_end)?;
        self.line(format_args!("the wire is good from here on"));
        self.network.set_faults(Faults::none());
        self.network.mend();
        for node in &mut self.nodes {
            node.refuse_until = Instant::ZERO;
        }
        self.at = self.scenario.hosts;
        self.place(0)?;
        self.run_until(self.now + RECOVERY)?;
        self.line(format_args!("the hosts have had their time"));
        self.strict = true;
        self.traffic = false;
        let end = self.now + UNTIL_QUIET;
        self.run_until(self.now + Duration::from_secs(1))?;
        while !check::quiet(&self.nodes) {
            if self.now >= end {
                return Err(format!("no quiet moment: {}", check::states(&self.nodes)));
            }
            self.run_until(self.now + Duration::from_millis(50))?;
        }
        self.sabotage(sabotage)?;
        // IKEv1 asks for no answer where it deletes.
        if self.scenario.version == IkeVersion::V2 {
            check::agreement(&self.nodes, &self.scenario)?;
        }
        self.probe()
    }

    /// Traffic in both directions over the good wire: all of it arrives, once, in order, rekeys or not.
    fn probe(&mut self) -> Result<(), String> {
        let first = self.next_packet;
        for _ in 0..PROBES {
            self.send_packet(0)?;
            self.send_packet(1)?;
            self.run_until(self.now + Duration::from_millis(100))?;
        }
        self.run_until(self.now + Duration::from_secs(1))?;
        self.ledger.complete_since(first)
    }

    fn run_until(&mut self, end: Instant) -> Result<(), String> {
        let (mut last, mut at_once) = (self.now, 0);
        while let Some((at, next)) = self.next().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            at_once = if self.now == last { at_once + 1 } else { 0 };
            last = self.now;
            if at_once > MAX_AT_ONCE {
                return Err(format!("time stands still: {}", check::states(&self.nodes)));
            }
            match next {
                Next::Arrival => {
                    if let Some(arrival) = self.network.take() {
                        self.arrive(arrival)?;
                    }
                }
                Next::Due => {
                    if let Some((_, due)) = self.due.pop_first() {
                        self.happen(due)?;
                    }
                }
                Next::Endpoint(node) => self.timer(node)?,
                Next::Engine(node) => {
                    self.nodes[node].engine.tick(self.now);
                    self.collect(node)?;
                    self.settle(node)?;
                }
            }
        }
        self.now = end;
        Ok(())
    }

    /// What happens next; of two things at one time always the same one.
    fn next(&self) -> Option<(Instant, Next)> {
        let mut all = Vec::with_capacity(6);
        all.extend(self.network.next_arrival().map(|at| (at, Next::Arrival)));
        all.extend(self.due.keys().next().map(|(at, _)| (*at, Next::Due)));
        for node in &self.nodes {
            all.extend(node.deadline.map(|at| (at, Next::Endpoint(node.index))));
            let deadlines = [node.engine.deadline(), node.engine.inbound.packet_deadline()];
            all.extend(deadlines.into_iter().flatten().map(|at| (at, Next::Engine(node.index))));
        }
        all.into_iter().min_by_key(|(at, _)| *at)
    }

    fn arrive(&mut self, Arrival { frame, .. }: Arrival) -> Result<(), String> {
        let frame = match &self.nat {
            Some(nat) => match nat.inward(frame) {
                Some(frame) => frame,
                None => return Ok(()),
            },
            None => frame,
        };
        let to = frame.destination();
        let Some(node) = self.at.iter().position(|host| *host == to) else {
            let known = self.scenario.hosts.into_iter().chain(self.scenario.elsewhere).any(|host| host == to);
            return if known { Ok(()) } else { Err(format!("a frame was sent to {to}, which is nobody")) };
        };
        match frame {
            Frame::Ike { from, to, data } => self.input(
                node,
                Input::Datagram(Datagram {
                    local: to,
                    remote: from,
                    carrier: ravelin_types::Carrier::Udp,
                    data: &data,
                }),
            ),
            // The stack does away with broken headers before it gives a packet to anybody.
            Frame::Packet { data, .. } if !packets::intact(&data) => Ok(()),
            Frame::Packet { data, .. } => {
                let (verdict, packet) = self.nodes[node].inbound(&data, self.now);
                match verdict {
                    Verdict::Deliver => self.received(node, &packet)?,
                    Verdict::Drop(reason) => self.dropped(node, reason)?,
                    // It is authentic, and comes out below.
                    Verdict::Taken => {}
                    // Damage on the way can make another protocol or another sender of ESP; it cannot make our traffic.
                    _ if packets::shows_mark(&packet) => {
                        return Err(format!("node {node} took a payload in the clear"));
                    }
                    _ => {}
                }
                self.collect(node)?;
                self.settle(node)
            }
        }
    }

    /// Takes what has come out of AGGFRAG payloads.
    fn collect(&mut self, node: usize) -> Result<(), String> {
        while let Some((verdict, packet)) = self.nodes[node].shared(self.now) {
            match verdict {
                Verdict::Drop(reason) => self.dropped(node, reason)?,
                _ => self.received(node, &packet)?,
            }
        }
        Ok(())
    }

    fn received(&mut self, node: usize, packet: &[u8]) -> Result<(), String> {
        let number = self.ledger.delivered(node, packet)?;
        self.line(format_args!("node {node} received packet {number}"));
        Ok(())
    }

    fn happen(&mut self, due: Due) -> Result<(), String> {
        match due {
            Due::Step(step) => self.act(step),
            Due::Traffic(node) => {
                let interval = self.scenario.traffic_interval;
                let pause = self.rng.millis(interval / 2..interval * 2);
                self.later(self.now + pause, Due::Traffic(node));
                if self.traffic { self.send_packet(node) } else { Ok(()) }
            }
            Due::Alive(node) => {
                self.later(self.now + Duration::from_secs(1), Due::Alive(node));
                for command in self.nodes[node].alive() {
                    self.input(node, Input::Command(command))?;
                }
                Ok(())
            }
            Due::Done { node, life, op, outcome } => {
                if self.nodes[node].life == life {
                    self.input(node, Input::Done(op, outcome))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn act(&mut self, step: Step) -> Result<(), String> {
        self.line(format_args!("{:?} at {:?}", step.what, step.nodes));
        for node in (0..2).filter(|node| step.nodes[*node]) {
            let command = match step.what {
                Action::Initiate => Command::Initiate(POLICY),
                Action::RekeyChild => Command::RekeyChild(POLICY),
                Action::RekeyIke => Command::RekeyIke(PEER.into()),
                Action::TerminateChild => Command::TerminateChild(Some(POLICY)),
                Action::TerminateIke => Command::TerminateIke(None),
                Action::Reauthenticate => {
                    for ike in self.nodes[node].endpoint.ike_sas() {
                        let ours = if ike.initiator { ike.spis.0 } else { ike.spis.1 };
                        self.input(node, Input::Command(Command::ReauthenticateIkeSa(ours)))?;
                    }
                    continue;
                }
                Action::CheckLiveness => Command::CheckLiveness(PEER.into()),
                Action::Restart => {
                    let life = self.nodes[node].life + 1;
                    self.nodes[node] = Node::new(node, life, &self.scenario, &mut self.rng, self.now);
                    self.place(node)?;
                    continue;
                }
                Action::Reload => self.nodes[node].reconfigured(&self.scenario, &mut self.rng),
                Action::Refuse(time) => {
                    self.nodes[node].refuse_until = self.now + time;
                    continue;
                }
                Action::Move => {
                    if let Some(elsewhere) = self.scenario.elsewhere {
                        let home = self.scenario.hosts[0];
                        self.at[0] = if self.at[0] == home { elsewhere } else { home };
                        self.place(0)?;
                    }
                    continue;
                }
                Action::Remap => {
                    self.nat.iter_mut().for_each(Nat::forget);
                    continue;
                }
                Action::Cut(time) => {
                    self.network.cut(self.now + time);
                    continue;
                }
            };
            self.input(node, Input::Command(command))?;
        }
        Ok(())
    }

    /// Tells a node where it is.
    fn place(&mut self, node: usize) -> Result<(), String> {
        let peers = self.scenario.hosts.into_iter().chain(self.scenario.elsewhere);
        self.input(node, Input::Command(Node::addresses(self.at[node], peers)))
    }

    fn send_packet(&mut self, node: usize) -> Result<(), String> {
        let number = self.next_packet;
        self.next_packet += 1;
        let ([src, dst], [seen_src, seen_dst]) = self.scenario.flow(node);
        let flow = (number % u64::from(self.scenario.flows)) as u16;
        let packet = packets::packet(flow, src, dst, number);
        self.line(format_args!("node {node} sends packet {number}"));
        self.ledger.sent(node, number, packets::packet(flow, seen_src, seen_dst, number));
        self.offer(node, &packet)?;
        self.settle(node)
    }

    /// Gives a packet of the stack to the engine of a node, and what it makes of it to the wire.
    fn offer(&mut self, node: usize, packet: &[u8]) -> Result<(), String> {
        let flow = packets::flow(packet).ok_or_else(|| format!("the stack of node {node} sent a packet of no flow"))?;
        let (verdict, packet) = self.nodes[node].outbound(packet, self.now);
        match verdict {
            Verdict::Send(outer) => self.on_the_wire(node, flow, outer, packet),
            Verdict::Taken => {
                while let Some((verdict, packet)) = self.nodes[node].payload(self.now) {
                    match verdict {
                        Verdict::Send(outer) => self.on_the_wire(node, flow, outer, packet)?,
                        Verdict::Drop(reason) => self.dropped(node, reason)?,
                        other => return Err(format!("node {node} makes {other:?} of what it has taken")),
                    }
                }
                Ok(())
            }
            Verdict::Hold(_) => Ok(()),
            Verdict::Drop(reason) => self.dropped(node, reason),
            Verdict::Bypass => Err(format!("node {node} lets traffic pass in the clear")),
            Verdict::Deliver => Err(format!("node {node} delivers what it was to send")),
            Verdict::Fragment(_) | Verdict::TooBig => Err(format!("node {node} finds a path narrow that has no MTU")),
        }
    }

    fn on_the_wire(&mut self, node: usize, flow: u16, outer: Outer, packet: Vec<u8>) -> Result<(), String> {
        self.ledger.on_the_wire(node, self.nodes[node].life, flow, &packet)?;
        self.trace.bytes(&packet);
        if outer.src != self.at[node] {
            return Ok(());
        }
        self.send(Frame::Packet { to: outer.dst, data: packet })
    }

    fn send(&mut self, frame: Frame) -> Result<(), String> {
        let frame = match &mut self.nat {
            Some(nat) => nat.outward(frame)?,
            None => frame,
        };
        self.network.send(frame, self.now);
        Ok(())
    }

    fn dropped(&mut self, node: usize, reason: DropReason) -> Result<(), String> {
        self.line(format_args!("node {node} drops a packet: {reason}"));
        if self.strict { Err(format!("node {node} dropped a packet on a good wire: {reason}")) } else { Ok(()) }
    }

    fn input(&mut self, node: usize, input: Input<'_>) -> Result<(), String> {
        self.nodes[node].endpoint.handle(input, self.now);
        self.settle(node)
    }

    /// What was due is done, or put off: it is not due again at once.
    fn timer(&mut self, node: usize) -> Result<(), String> {
        self.input(node, Input::Timer)?;
        match self.nodes[node].deadline {
            Some(at) if at <= self.now => Err(format!("node {node} was called at {at:?}, and is due again at once")),
            _ => Ok(()),
        }
    }

    /// Carries out what the endpoint of a node wants, and tells it what its engine has to say, until both rest.
    fn settle(&mut self, index: usize) -> Result<(), String> {
        for _ in 0..MAX_AT_ONCE {
            while let Some(event) = self.nodes[index].engine.poll_event() {
                self.line(format_args!("node {index} engine: {event:?}"));
                self.nodes[index].endpoint.handle(Input::DataPlane(event), self.now);
            }
            match self.nodes[index].endpoint.poll() {
                Output::Apply(id, op) => self.apply(index, id, &op)?,
                Output::Ask(id, question) => self.ask(index, id, question)?,
                Output::Stream(..) => return Err("a connection, where all have UDP".into()),
                Output::Transmit(message) => {
                    let from = node::source(message.local, self.at[index]);
                    self.line(format_args!(
                        "node {index} IKE {} -> {}, {}",
                        from,
                        message.remote,
                        summary(&message.data)
                    ));
                    self.trace.bytes(&message.data);
                    // No system sends from an address that it has not.
                    if from.ip() == self.at[index] {
                        self.send(Frame::Ike { from, to: message.remote, data: message.data })?;
                    }
                }
                Output::Event(event) => self.event(index, event)?,
                Output::Wait(deadline) => {
                    self.nodes[index].deadline = deadline.map(|deadline| deadline.at);
                    return Ok(());
                }
            }
        }
        Err(format!("the endpoint of node {index} never waits"))
    }

    fn apply(&mut self, index: usize, id: OpId, op: &DataPlaneOp) -> Result<(), String> {
        let outcome = self.nodes[index].apply(op, self.now);
        self.line(format_args!("node {index} {}: {outcome:?}", describe(op)));
        if let Err(error) = &outcome
            && !self.nodes[index].may_refuse(op, error)
        {
            return Err(format!("the engine of node {index} refuses {}: {error}", describe(op)));
        }
        let ready = outcome.is_ok() && matches!(op, DataPlaneOp::AddSa(sa) if sa.direction == Direction::Outbound);
        // Nothing in the engine takes time for an offer, and nobody awaits that it is heard.
        let delay = if matches!(op, DataPlaneOp::OfferSa(_)) { Duration::ZERO } else { self.rng.millis(0..20) };
        let due = Due::Done { node: index, life: self.nodes[index].life, op: id, outcome: outcome.into() };
        self.later(self.now + delay, due);
        if ready {
            for packet in core::mem::take(&mut self.nodes[index].held) {
                self.offer(index, &packet)?;
            }
        }
        Ok(())
    }

    /// Has a question answered some time later, or refused: sooner or later than one that was asked before.
    fn ask(&mut self, index: usize, op: OpId, question: Question) -> Result<(), String> {
        let answer = match !self.strict && self.rng.chance(100) {
            true => Answer::Refused("the scenario has nobody who answers".into()),
            false => self.nodes[index].answer(question, &mut self.rng),
        };
        let delay = if self.rng.chance(100) { self.rng.millis(0..3000) } else { self.rng.millis(0..100) };
        self.line(format_args!("node {index} asks {op:?}"));
        let due = Due::Done { node: index, life: self.nodes[index].life, op, outcome: answer.into() };
        self.later(self.now + delay, due);
        Ok(())
    }

    fn event(&mut self, index: usize, event: Event) -> Result<(), String> {
        self.line(format_args!("node {index} event: {event:?}"));
        match event {
            Event::IkeUp { resumed, .. } => {
                self.counts.ike_ups += 1;
                self.counts.ike_ups_of_v1 += u32::from(self.scenario.version != IkeVersion::V2);
                self.counts.resumptions += u32::from(resumed);
            }
            Event::IkeMoved { .. } => self.counts.moves += 1,
            Event::IkeRekeyed { .. } => self.counts.ike_rekeys += 1,
            Event::IkeReauthenticated { .. } => self.counts.reauthentications += 1,
            Event::ChildRekeyed { .. } => self.counts.child_rekeys += 1,
            Event::Failed(failure) if self.strict => {
                return Err(format!("node {index} reports a failure on a good wire: {failure}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn sabotage(&mut self, sabotage: Sabotage) -> Result<(), String> {
        let Some(sa) = self.nodes[1].engine.inbound.list().into_iter().next() else { return Ok(()) };
        let engine = &mut self.nodes[1].engine;
        let ops = match sabotage {
            Sabotage::None => Vec::new(),
            Sabotage::DropInboundSa => vec![DataPlaneOp::DeleteSa(sa.params.id())],
            Sabotage::ChangeKeys => {
                let mut other = sa.params.clone();
                let len = other.keys.encr.len();
                other.keys.encr = ravelin_types::Secret::new(vec![1; len]);
                vec![DataPlaneOp::DeleteSa(sa.params.id()), DataPlaneOp::AddSa(other)]
            }
            Sabotage::DropPolicy => vec![DataPlaneOp::DeletePolicy(POLICY)],
        };
        for op in ops {
            engine.apply(&op, self.now).map_err(|error| format!("sabotage failed: {error}"))?;
        }
        Ok(())
    }

    fn later(&mut self, at: Instant, due: Due) {
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }

    fn summary(&self) -> Summary {
        let (sent, arrived) = self.ledger.totals();
        let senders = self.ledger.senders();
        Summary { digest: self.trace.digest(), sent, arrived, senders, ..self.counts }
    }
}

enum Next {
    Arrival,
    Due,
    Endpoint(usize),
    Engine(usize),
}

/// Length, exchange type, flags and message ID of an IKE message (RFC 7296 §3.1).
fn summary(message: &[u8]) -> String {
    match message {
        header if header.len() >= 28 => {
            let id = u32::from_be_bytes([header[20], header[21], header[22], header[23]]);
            format!("exchange {} flags {:02x} id {id}, {} bytes", header[18], header[19], message.len())
        }
        _ => format!("{} bytes", message.len()),
    }
}

/// An operation without its keys.
fn describe(op: &DataPlaneOp) -> String {
    match op {
        DataPlaneOp::OfferSa(spi) => format!("OfferSa({spi})"),
        DataPlaneOp::AddSa(sa) => format!("AddSa({:?} pair {})", sa.id(), sa.pair),
        DataPlaneOp::DeleteSa(id) => format!("DeleteSa({id:?})"),
        DataPlaneOp::MoveSa { id, src, dst, encap } => format!("MoveSa({id:?} to {src} -> {dst} {encap:?})"),
        DataPlaneOp::SetMtu { id, mtu } => format!("SetMtu({id:?} to {mtu:?})"),
        DataPlaneOp::SkipNumbers { id, count } => format!("SkipNumbers({id:?} by {count})"),
        DataPlaneOp::TellUse(id) => format!("TellUse({id:?})"),
        DataPlaneOp::AddInterface(interface) => format!("AddInterface({})", interface.name),
        DataPlaneOp::DeleteInterface(domain) => format!("DeleteInterface({})", domain.0),
        DataPlaneOp::AddPolicy(policy) => format!("AddPolicy({:?})", policy.id),
        DataPlaneOp::DeletePolicy(id) => format!("DeletePolicy({id:?})"),
        DataPlaneOp::FailAcquire(id) => format!("FailAcquire({id:?})"),
    }
}
