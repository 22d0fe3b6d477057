//! Names of hosts in the configuration: what they stand for, and who waits to hear it.
//!
//! A negotiation with a peer of a name asks each time it begins, so it follows where the name leads now, and goes on when the
//! answer is there; nobody else waits. A peer that begins is known by what was found last: names are looked up when they are
//! configured, from then on every [`limits::NAME_REFRESH`], and when somebody knocks whom no remote takes.
//!
//! Whoever answers for a name may say any address. That is where we go, and from where a peer is heard; who it is it has to prove
//! all the same.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::policy::PolicyId;
use ravelin_types::{HostName, IkeSpi, Instant};

use crate::config::Remote;
use crate::context::Core;
use crate::extensions::is_a_host;
use crate::gateways;
use crate::limits;
use crate::open::Gateway;
use crate::output::{Event, OpId};
use crate::question::{Answer, Question};
use crate::view::HostNameView;
use crate::want::Want;

/// All of them.
#[derive(Default)]
pub(crate) struct HostNames {
    known: BTreeMap<HostName, Known>,
    /// When each is asked for again.
    due: BTreeSet<(Instant, HostName)>,
    waiting: Vec<Waiting>,
    /// When somebody whom no remote takes had names looked up.
    hinted: Option<Instant>,
}

/// What is known of a name.
struct Known {
    /// Where the host is, by the last answer that said so.
    at: Vec<Gateway>,
    /// Since when there is no such answer, and why.
    failed: Option<(Instant, String)>,
    /// The open question, and how long it is waited for.
    asked: Option<(OpId, Instant)>,
    /// When the last one was answered.
    answered: Instant,
    /// When it is asked again, as `due` has it.
    next: Instant,
    /// A remote has it.
    configured: bool,
}

/// A negotiation that begins once a name was looked up. A remote has one at most.
pub(crate) struct Waiting {
    pub(crate) name: HostName,
    pub(crate) remote: Arc<Remote>,
    pub(crate) wants: Vec<Want>,
    pub(crate) replaces: Option<IkeSpi>,
}

impl HostNames {
    /// Where answers have put these.
    #[cfg(test)]
    pub(crate) fn found_at(hosts: impl Iterator<Item = (HostName, IpAddr)>) -> Self {
        let never = Instant::default();
        let known = |address| Known {
            at: alloc::vec![Gateway { address, source: None }],
            failed: None,
            asked: None,
            answered: never,
            next: never,
            configured: true,
        };
        HostNames { known: hosts.map(|(name, address)| (name, known(address))).collect(), ..HostNames::default() }
    }

    /// Where the host is, as far as that is known.
    pub(crate) fn at(&self, name: &HostName) -> &[Gateway] {
        self.known.get(name).map_or(&[], |known| &known.at)
    }

    /// Whether this is an address of the host.
    pub(crate) fn is_at(&self, name: &HostName, address: IpAddr) -> bool {
        self.at(name).iter().any(|gateway| gateway.address == address)
    }

    /// Why nothing is known of where it is; `None`: nobody has said anything yet.
    pub(crate) fn why_nowhere(&self, name: &HostName) -> Option<&str> {
        Some(self.known.get(name)?.failed.as_ref()?.1.as_str())
    }

    /// Whether somebody waits to begin with this remote.
    pub(crate) fn waits_for(&self, remote: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting.remote.name == remote)
    }

    /// Whether what begins then takes the place of this IKE SA.
    pub(crate) fn replaces(&self, spi: IkeSpi) -> bool {
        self.waiting.iter().any(|waiting| waiting.replaces == Some(spi))
    }

    /// Adds to what such a negotiation is for. False: there is none.
    pub(crate) fn join(&mut self, remote: &str, want: Want) -> bool {
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.remote.name == remote);
        waiting.map(|waiting| want.add_to(&mut waiting.wants)).is_some()
    }

    /// Nobody wants the remote any more, or any.
    pub(crate) fn forget_remote(&mut self, remote: Option<&str>) {
        self.waiting.retain(|waiting| remote.is_some_and(|remote| remote != waiting.remote.name));
    }

    /// Nobody wants Child SAs of this policy any more, or any.
    pub(crate) fn forget_wants(&mut self, policy: Option<PolicyId>) {
        self.waiting.retain_mut(|waiting| {
            let before = waiting.wants.len();
            waiting.wants.retain(|want| policy.is_some_and(|policy| policy != want.policy));
            before == 0 || !waiting.wants.is_empty()
        });
    }

    /// When [`refresh`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Has a name asked for then.
    fn ask_at(&mut self, name: &HostName, at: Instant) {
        if let Some(known) = self.known.get_mut(name) {
            self.due.remove(&(known.next, name.clone()));
            self.due.insert((at, name.clone()));
            known.next = at;
        }
    }

    /// A name of which nothing is known yet, unless it is known.
    fn add(&mut self, name: &HostName, now: Instant, next: Instant) -> &mut Known {
        let fresh = || {
            self.due.insert((next, name.clone()));
            Known { at: Vec::new(), failed: None, asked: None, answered: now, next, configured: false }
        };
        self.known.entry(name.clone()).or_insert_with(fresh)
    }

    /// For listings.
    pub(crate) fn view(&self) -> Vec<HostNameView> {
        let of = |(name, known): (&HostName, &Known)| HostNameView {
            name: name.clone(),
            addresses: known.at.iter().map(|gateway| gateway.address).collect(),
            failed: known.failed.clone(),
            is_asked: known.asked.is_some(),
            next: known.next,
        };
        self.known.iter().map(of).collect()
    }
}

/// The names of the configuration are others, perhaps. New ones are looked up at once.
pub(crate) fn configure(core: &mut Core) {
    let wanted: BTreeSet<HostName> = core.remotes.all().iter().flat_map(|remote| remote.names()).cloned().collect();
    let now = core.now;
    let (hosts, remotes) = (&mut core.hosts, &core.remotes);
    hosts.waiting.retain(|waiting| remotes.named(&waiting.remote.name).iter().any(|remote| remote.initiate));
    // A gateway to which a peer has redirected us is in no remote.
    let awaited: BTreeSet<HostName> = hosts.waiting.iter().map(|waiting| waiting.name.clone()).collect();
    let is_wanted = |name: &HostName| wanted.contains(name) || awaited.contains(name);
    hosts.known.retain(|name, known| {
        known.configured = false;
        is_wanted(name)
    });
    hosts.due.retain(|(_, name)| is_wanted(name));
    for name in &wanted {
        hosts.add(name, now, now).configured = true;
    }
    refresh(core);
}

/// Asks for the names whose time has come.
pub(crate) fn refresh(core: &mut Core) {
    let due = core.hosts.due.iter().take_while(|(at, _)| *at <= core.now);
    let due: Vec<HostName> = due.map(|(_, name)| name.clone()).collect();
    due.iter().for_each(|name| ask(name, core));
}

/// Somebody begins whom no remote takes: he may be where a name leads by now. True: that is being found out, and when he asks again
/// it is known.
pub(crate) fn hint(core: &mut Core) -> bool {
    let now = core.now;
    let due = core.hosts.hinted.is_none_or(|last| now.since(last) >= limits::NAME_HINT);
    if due && !core.hosts.known.is_empty() {
        core.hosts.hinted = Some(now);
        let old = core.hosts.known.iter().filter(|(_, known)| now.since(known.answered) >= limits::NAME_HINT);
        let mut old: Vec<(Instant, HostName)> = old.map(|(name, known)| (known.answered, name.clone())).collect();
        old.sort();
        old.iter().take(limits::NAMES_PER_HINT).for_each(|(_, name)| ask(name, core));
    }
    core.hosts.known.values().any(|known| known.is_open(now))
}

/// Begins with a remote once this name was looked up.
pub(crate) fn wait(waiting: Waiting, core: &mut Core) {
    let name = waiting.name.clone();
    let other = core.hosts.waiting.iter_mut().find(|other| other.remote.name == waiting.remote.name);
    match other {
        Some(other) => {
            waiting.wants.into_iter().for_each(|want| want.add_to(&mut other.wants));
            other.replaces = other.replaces.or(waiting.replaces);
        }
        None => core.hosts.waiting.push(waiting),
    }
    // That of a gateway to which a peer sends us is in no configuration.
    core.hosts.add(&name, core.now, core.now + limits::NAME_REFRESH);
    ask(&name, core);
}

/// Asks for a name, unless that is under way.
fn ask(name: &HostName, core: &mut Core) {
    let now = core.now;
    if core.hosts.known.get(name).is_none_or(|known| known.is_open(now)) {
        return;
    }
    let op = core.question(Question::LookUp(name.clone()));
    if let Some(known) = core.hosts.known.get_mut(name) {
        known.asked = Some((op, now + limits::ANSWER));
    }
    core.hosts.ask_at(name, now + limits::NAME_REFRESH);
}

/// Takes an answer about a name; any other comes back.
pub(crate) fn answered(op: OpId, answer: Answer, core: &mut Core) -> Option<Answer> {
    let now = core.now;
    let mut open = core.hosts.known.iter_mut();
    let asked = open.find(|(_, known)| known.asked.is_some_and(|(asked, _)| asked == op));
    let Some((name, known)) = asked else { return Some(answer) };
    let name = name.clone();
    (known.asked, known.answered) = (None, now);
    let event = match found(answer) {
        Ok(at) => {
            let addresses = |at: &[Gateway]| at.iter().map(|gateway| gateway.address).collect::<Vec<_>>();
            let same = known.failed.is_none() && addresses(&known.at) == addresses(&at);
            (known.at, known.failed) = (at, None);
            (!same).then(|| Event::HostFound { name: name.clone(), addresses: addresses(&known.at) })
        }
        Err(why) => {
            let since = known.failed.as_ref().map(|(since, _)| *since);
            known.failed = Some((since.unwrap_or(now), why.clone()));
            core.hosts.ask_at(&name, now + limits::NAME_RETRY);
            since.is_none().then(|| Event::HostNotFound { name: name.clone(), why })
        }
    };
    event.into_iter().for_each(|event| core.event(event));
    let due: Vec<Waiting> = core.hosts.waiting.extract_if(.., |waiting| waiting.name == name).collect();
    due.into_iter().for_each(|waiting| gateways::looked_up(waiting, core));
    let hosts = &mut core.hosts;
    let configured = hosts.known.get(&name).is_none_or(|known| known.configured);
    if !configured
        && !hosts.waiting.iter().any(|waiting| waiting.name == name)
        && let Some(known) = hosts.known.remove(&name)
    {
        hosts.due.remove(&(known.next, name));
    }
    None
}

/// The addresses at which a peer can be, no more than [`limits::NAME_ADDRESSES`], in the order of the answer.
fn found(answer: Answer) -> Result<Vec<Gateway>, String> {
    let all = match answer {
        Answer::Found(all) => all,
        Answer::Refused(mut why) => {
            why.truncate(why.floor_char_boundary(limits::REPORT_LINE));
            return Err(why);
        }
        _ => return Err("there is no answer".into()),
    };
    let mut at: Vec<Gateway> = Vec::new();
    for gateway in all.into_iter().filter(|gateway| is_a_peer(gateway.address)) {
        if at.len() < limits::NAME_ADDRESSES && !at.iter().any(|other| other.address == gateway.address) {
            at.push(gateway);
        }
    }
    if at.is_empty() { Err("no address of it is one at which a peer can be".into()) } else { Ok(at) }
}

/// Whether a peer can be there. Who answers for a name shall not lead us to this host, and of a link-local address of IPv6 the link
/// is not known.
fn is_a_peer(address: IpAddr) -> bool {
    is_a_host(address) && !address.is_loopback() && !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

impl Known {
    /// Whether an answer is still waited for.
    fn is_open(&self, now: Instant) -> bool {
        self.asked.is_some_and(|(_, until)| now < until)
    }
}
