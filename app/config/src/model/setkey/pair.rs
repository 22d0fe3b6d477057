//! Which policies and SAs of one direction belong together.
//!
//! A policy that protects is about both directions (RFC 4301 §4.4.1, SPD-S), and so is a session. `-P out` and `-P in` about
//! the same packets are joined, and for each of their rules the SAs between its ends, one each way.

use std::net::IpAddr;

use ravelin_manage::Keying;
use ravelin_manage::session::{Ah, Ends, Esp, Session};
use ravelin_types::Secret;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, PriorityLevel, Protection, Ways};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::IntegId;

use super::{Made, Reading};
use crate::remark::Place;
use crate::setkey::written;
use crate::spec::setkey::{Direction, Entry, Padding, Rule, Sa, SaProtocol, Treatment};
use crate::value::algorithm;

/// What entries and SAs come to.
pub(super) struct Paired {
    pub(super) made: Made,
    pub(super) policy: Policy,
    pub(super) keying: Keying,
    pub(super) session: Option<Session>,
}

/// The tables of scripts while they are gone through.
struct Pairing<'a> {
    sas: &'a [Sa],
    entries: &'a [Entry],
    /// Whose each SA is: the entry that it serves.
    used: Vec<Option<&'a Entry>>,
}

/// Joins what belongs together. What cannot be is an error of the reading, with its place.
pub(super) fn pair(sas: &[Sa], entries: &[Entry], reading: &mut Reading<'_>) -> Vec<Paired> {
    let mut pairing = Pairing { sas, entries, used: vec![None; sas.len()] };
    let mut paired = Vec::new();
    for entry in entries {
        match pairing.one(entry, reading) {
            Ok(one) => paired.extend(one),
            Err(Fault(place, message)) => reading.error(place, message),
        }
    }
    for (sa, _) in sas.iter().zip(&pairing.used).filter(|(sa, used)| used.is_none() && sa.place.is_some()) {
        let later = sas.iter().zip(&pairing.used).any(|(other, used)| used.is_some() && same_use(sa, other));
        let why =
            if later { "is not used: one that was added later serves" } else { "waits for a policy that it serves" };
        reading.note(sa.place, format!("the SA {} {why}", written::sa(&sa.name)));
    }
    paired
}

/// What is wrong, and where, if that is in this script.
struct Fault(Option<Place>, String);

fn same_use(one: &Sa, other: &Sa) -> bool {
    let what = |sa: &Sa| (sa.name.src, sa.name.dst, sa.name.protocol, sa.reqid);
    what(one) == what(other)
}

/// The SAs of one rule, out and in.
type Both<'a> = (&'a Sa, &'a Sa);

impl<'a> Pairing<'a> {
    fn one(&mut self, entry: &'a Entry, reading: &mut Reading<'_>) -> Result<Option<Paired>, Fault> {
        match (entry.about.direction, &entry.treatment) {
            (Direction::Out, Treatment::Protect(rules)) => self.protect(entry, rules, reading).map(Some),
            (Direction::In, Treatment::Protect(_)) => match self.twin(entry) {
                Some(_) => Ok(None),
                None => Err(self.alone(entry)),
            },
            (Direction::Forward, treatment) => match self.like(entry, Direction::In) {
                Some(inbound) if inbound.treatment == *treatment => Ok(None),
                _ => {
                    let why = "-P fwd is a part of -P in here, which is about all that arrives: give -P in alike, or leave \
                               -P fwd out";
                    Err(Fault(entry.place, why.to_owned()))
                }
            },
            (Direction::Out, _) => Ok(Some(self.plain(entry, Ways::Outbound))),
            (Direction::In, _) => Ok(Some(self.plain(entry, Ways::Inbound))),
        }
    }

    /// The protecting entry about the same packets the other way.
    fn twin(&self, entry: &Entry) -> Option<&'a Entry> {
        let (source, destination) = (entry.about.source, entry.about.destination);
        let other = if entry.about.direction == Direction::Out { Direction::In } else { Direction::Out };
        self.entries.iter().find(|twin| {
            (twin.about.direction, twin.about.source, twin.about.destination) == (other, destination, source)
                && matches!(twin.treatment, Treatment::Protect(_))
        })
    }

    /// The entry about packets from and to the same.
    fn like(&self, entry: &Entry, direction: Direction) -> Option<&'a Entry> {
        let same = (direction, entry.about.source, entry.about.destination);
        self.entries.iter().find(|it| (it.about.direction, it.about.source, it.about.destination) == same)
    }

    fn alone(&self, entry: &Entry) -> Fault {
        let (own, other) = match entry.about.direction {
            Direction::Out => ("out", "in"),
            _ => ("in", "out"),
        };
        let about = written::about(&entry.about);
        let why = format!(
            "{about}: what is protected is so both ways (RFC 4301 §4.4.1), so -P {own} needs -P {other} with source and \
             destination exchanged"
        );
        Fault(entry.place, why)
    }

    fn plain(&self, entry: &'a Entry, ways: Ways) -> Paired {
        let (local, remote) = sides(entry);
        let action = if entry.treatment == Treatment::Bypass { Action::Bypass } else { Action::Discard };
        let forward = if ways == Ways::Inbound { self.like(entry, Direction::Forward) } else { None };
        let entries: Vec<Entry> = std::iter::once(entry).chain(forward).cloned().collect();
        let policy = policy(entry, local, remote, action, ways);
        Paired { made: Made { entries, sas: Vec::new() }, policy, keying: Keying::Own, session: None }
    }

    fn protect(&mut self, entry: &'a Entry, rules: &'a [Rule], reading: &mut Reading<'_>) -> Result<Paired, Fault> {
        let twin = self.twin(entry).ok_or_else(|| self.alone(entry))?;
        let Treatment::Protect(inbound) = &twin.treatment else { return Err(self.alone(entry)) };
        let fault = |message: String| Fault(entry.place.or(twin.place), message);
        let mode = rules.first().map_or(Mode::Transport, |rule| rule.mode);
        let (local, remote) = self.ends(entry, rules).map_err(fault)?;
        if !mirrored(rules, inbound, (local, remote)) {
            let about = written::about(&twin.about);
            let why =
                format!("{about} is to be protected as -P out is: the same protocols and modes, the ends exchanged");
            return Err(Fault(twin.place.or(entry.place), why));
        }
        let mut found = Vec::new();
        for (out, inbound) in rules.iter().zip(inbound) {
            let there = self.serving(entry, out, local, remote)?;
            let back = self.serving(entry, inbound, remote, local)?;
            for (sa, src, dst) in [(there, local, remote), (back, remote, local)] {
                if sa.is_none() && entry.place.is_some() {
                    let bound = out.reqid.map(|id| format!(" with -u {id}")).unwrap_or_default();
                    let protocol = out.protocol.word();
                    let about = written::about(&entry.about);
                    reading.note(
                        entry.place,
                        format!("packets of {about} are dropped until there is an SA {src} {dst} {protocol}{bound}"),
                    );
                }
            }
            found.push(there.zip(back));
        }
        let found: Option<Vec<Both<'a>>> = found.into_iter().collect();
        let serving = found.unwrap_or_default();
        let (session, options) = session(rules, &serving)?;
        let replay_window = serving.iter().map(|(_, inbound)| inbound.replay_window).max().unwrap_or(0);
        for (_, inbound) in serving.iter().filter(|(_, inbound)| inbound.replay_window > 0 && inbound.place.is_some()) {
            // RFC 4303 §3.4.3: with keys by hand, a sender that starts anew begins at 1 again.
            let why =
                "-r: when the sender starts anew, its packets are dropped until its numbers pass those that were seen";
            reading.note(inbound.place, why);
        }
        let protection = Protection {
            mode,
            local: Some(local),
            remote,
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window,
            options,
        };
        let has = |protocol| rules.iter().any(|rule| rule.protocol == protocol);
        let keying = Keying::Program { manual: true, ah: has(SaProtocol::Ah), esp: has(SaProtocol::Esp) };
        let forward = self.like(twin, Direction::Forward);
        let entries = [entry, twin].into_iter().chain(forward).cloned().collect();
        let sas = serving.iter().flat_map(|(out, inbound)| [(*out).clone(), (*inbound).clone()]).collect();
        let (local, remote) = sides(entry);
        let policy = policy(entry, local, remote, Action::Protect(protection), Ways::default());
        Ok(Paired { made: Made { entries, sas }, policy, keying, session })
    }

    /// The two ends of the SAs, this one first.
    fn ends(&self, entry: &Entry, rules: &[Rule]) -> Result<(IpAddr, IpAddr), String> {
        let tunnel = rules.iter().find(|rule| rule.mode == Mode::Tunnel).and_then(|rule| rule.ends);
        let host = |selector: &TrafficSelector| {
            let (first, last) = selector.addresses().into_inner();
            (first == last).then_some(first)
        };
        let (source, destination) = (&entry.about.source, &entry.about.destination);
        let ends = tunnel.or_else(|| host(source).zip(host(destination))).ok_or_else(|| {
            "in transport mode source and destination are the two hosts that talk; use esp/tunnel/SRC-DST/require"
                .to_owned()
        })?;
        match rules.iter().filter_map(|rule| rule.ends).find(|own| *own != ends) {
            Some((src, dst)) => Err(format!("{src}-{dst} are not the ends of this policy, {}-{}", ends.0, ends.1)),
            None => Ok(ends),
        }
    }

    /// The SA of a rule from one end to the other: of several the one that was added last.
    fn serving(&mut self, entry: &'a Entry, rule: &Rule, src: IpAddr, dst: IpAddr) -> Result<Option<&'a Sa>, Fault> {
        let sas = self.sas;
        let fits = |sa: &Sa| {
            (sa.name.src, sa.name.dst, sa.name.protocol) == (src, dst, rule.protocol)
                && sa.mode.is_none_or(|mode| mode == rule.mode)
                && sa.reqid == rule.reqid.unwrap_or(0)
        };
        let Some((at, sa)) = sas.iter().enumerate().rev().find(|(_, sa)| fits(sa)) else { return Ok(None) };
        match self.used.get_mut(at) {
            Some(used @ None) => {
                *used = Some(entry);
                Ok(Some(sa))
            }
            other => {
                let other = other.and_then(|used| *used).map(|other| written::about(&other.about)).unwrap_or_default();
                let why = format!(
                    "the SA {} serves {other} already, and an SA serves one policy here: give each policy SAs of its own \
                     with -u NUMBER, and bind it to them with the level unique:NUMBER",
                    written::sa(&sa.name)
                );
                Err(Fault(entry.place.or(sa.place), why))
            }
        }
    }
}

/// Whether packets that arrive are protected as those that leave. A transport rule has the ends of the policy, said or not.
fn mirrored(out: &[Rule], inbound: &[Rule], (local, remote): (IpAddr, IpAddr)) -> bool {
    out.len() == inbound.len()
        && out.iter().zip(inbound).all(|(out, inbound)| {
            (out.protocol, out.mode) == (inbound.protocol, inbound.mode)
                && inbound.ends.is_none_or(|ends| ends == (remote, local))
        })
}

/// One session of the SAs of all rules; none where there are none.
fn session(rules: &[Rule], serving: &[Both<'_>]) -> Result<(Option<Session>, SaOptions), Fault> {
    let Some((first, _)) = serving.first() else { return Ok((None, SaOptions::default())) };
    let mut session =
        Session { esp: None, ah: None, esn: false, lifetime: first.lifetime, udp_ports: None, manual: true };
    let mut options = first.options;
    for (out, inbound) in serving {
        let fault = |message: &str| Fault(inbound.place.or(out.place), message.to_owned());
        if [out, inbound].iter().any(|sa| sa.lifetime != first.lifetime) {
            return Err(fault("the SAs of a policy have one lifetime here; give all of them the same"));
        }
        if [out, inbound].iter().any(|sa| sa.options != first.options) {
            return Err(fault("--short-icv and --ah-align64 are for all SAs of a policy or for none"));
        }
        let spis = Ends { inbound: inbound.name.spi, outbound: out.name.spi };
        let integ = |sa: &Sa| sa.integ.as_ref().map_or(IntegId::NONE, |(id, _)| *id);
        let integ_key = |sa: &Sa| sa.integ.as_ref().map_or_else(Secret::default, |(_, key)| key.clone());
        if integ(out) != integ(inbound) {
            return Err(fault("both directions have one authentication algorithm here"));
        }
        let (integ, integ_keys) = (integ(out), Ends { inbound: integ_key(inbound), outbound: integ_key(out) });
        match (&out.encr, &inbound.encr) {
            (Some((encr, there)), Some((other, back))) => {
                if encr != other {
                    return Err(fault("both directions have one cipher here"));
                }
                if out.padding == Padding::Other {
                    let why = "zero-pad and random-pad are refused for what is sent: it is padded with 1, 2, 3 (RFC 4303 §2.4)";
                    return Err(Fault(out.place.or(inbound.place), why.to_owned()));
                }
                if rules.len() > 1 && integ == IntegId::NONE && !algorithm::is_aead(*encr) {
                    return Err(fault("beside AH, ESP has its own integrity here: give it -A too"));
                }
                options.pad_check = inbound.padding == Padding::Sequence;
                let encr_keys = Ends { inbound: back.clone(), outbound: there.clone() };
                session.esp = Some(Esp { spis, encr: *encr, encr_keys, integ, integ_keys });
            }
            _ => session.ah = Some(Ah { spis, integ, keys: integ_keys }),
        }
    }
    Ok((Some(session), options))
}

/// The two sides of the packets of an entry, this one first.
fn sides(entry: &Entry) -> (TrafficSelector, TrafficSelector) {
    let (source, destination) = (entry.about.source, entry.about.destination);
    match entry.about.direction {
        Direction::Out => (source, destination),
        Direction::In | Direction::Forward => (destination, source),
    }
}

fn policy(entry: &Entry, local: TrafficSelector, remote: TrafficSelector, action: Action, ways: Ways) -> Policy {
    Policy {
        id: PolicyId(0),
        name: String::new(),
        domain: Domain::default(),
        priority: PriorityLevel::Medium.priority() + entry.order,
        local: vec![local],
        remote: vec![remote],
        action,
        ways,
    }
}
