//! What should be in the kernel: policies and SAs as they were ordered, and the requests that bring a change about. Every
//! change can be taken back until it is known that the kernel has carried it out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::if_id::IfIds;
use ravelin_types::interface::Interface;
use ravelin_types::mark::Marks;
use ravelin_types::options::{Offload, Processors, SaOptions};
use ravelin_types::policy::{Action, Domain, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId, SaParams};

use crate::additions::additions;
use crate::msg::Message;
use crate::msg::parts::{Address, Mark};
use crate::netlink::Request;
use crate::offload::{self, Ends};
use crate::own::Tie;
use crate::policies::{self, Key, Shape};
use crate::probe::Capabilities;
use crate::states::{self, Name};

/// `NLM_F_EXCL`: what is there already is not replaced.
const EXCLUSIVE: u16 = 0x200;

/// A policy and its entries.
#[derive(Debug)]
pub(crate) struct Entry {
    pub policy: Policy,
    shape: Option<Shape>,
    /// In the order in which they are added.
    pub messages: Vec<Message>,
}

/// One request and the one that takes it back, if that is possible.
#[derive(Debug)]
pub(crate) struct Step {
    pub request: Request,
    pub undo: Option<Request>,
    /// That what is to be removed is gone already is no error.
    pub may_be_gone: bool,
}

impl AsRef<Request> for Step {
    fn as_ref(&self) -> &Request {
        &self.request
    }
}

/// A policy; where its interfaces or marks come with the SAs, one time without them and once for each of those, with the
/// selectors of the newest of its SAs.
type Which = (PolicyId, Own);

/// What tells the packets of SAs apart besides their selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    if_ids: IfIds,
    marks: Marks,
}

impl Own {
    fn of(options: &SaOptions) -> Self {
        Own { if_ids: options.if_ids, marks: options.marks }
    }

    fn of_policy(policy: &Policy) -> Self {
        match &policy.action {
            Action::Protect(protection) => Own::of(&protection.options),
            Action::Bypass | Action::Discard => Own::default(),
        }
    }

    fn comes_with_the_sa(self) -> bool {
        self.if_ids.come_with_the_sa() || self.marks.come_with_the_sa()
    }
}

#[derive(Default)]
pub(crate) struct Book {
    policies: BTreeMap<Which, Arc<Entry>>,
    sas: BTreeMap<SaId, Arc<SaParams>>,
    names: BTreeMap<Name, SaId>,
    /// How many outbound SAs a policy has, and what the newest looks like.
    newest: BTreeMap<Which, (usize, Shape)>,
    /// The devices by which packets come and go that they are to take whole.
    devices: BTreeMap<Ends, i32>,
    /// Of domains whose interface is a VTI, or has a number of its own.
    ties: BTreeMap<Domain, Tie>,
    /// The kernel keeps states to one direction.
    one_way: bool,
    /// The kernel keeps states to one processor.
    per_processor: bool,
    /// What was found in the kernel at the start and nobody has asked for yet.
    pub found: Found,
    undo: Vec<Undo>,
}

/// Entries of ours that an earlier daemon left.
#[derive(Default)]
pub(crate) struct Found {
    pub policies: BTreeMap<Key, Message>,
    pub states: BTreeMap<Name, Message>,
    /// The policies that packets left by, or were judged by when they arrived: they had SAs.
    pub met: BTreeSet<PolicyId>,
}

enum Undo {
    Policy(Which, Option<Arc<Entry>>),
    Sa(SaId, Option<Arc<SaParams>>),
    Newest(Which, Option<(usize, Shape)>),
    FoundPolicy(Key, Message),
    FoundState(Name, Message),
}

impl Book {
    /// An empty book, and what was found in the kernel that can do so much.
    pub(crate) fn with(found: Found, kernel: &Capabilities) -> Self {
        Book { found, one_way: kernel.direction, per_processor: kernel.processors > 0, ..Book::default() }
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.policies.values()
    }

    pub(crate) fn policy(&self, id: PolicyId) -> Option<&Policy> {
        self.policies.get(&itself(id)).map(|entry| &entry.policy)
    }

    pub(crate) fn sas(&self) -> impl Iterator<Item = (&SaId, &Arc<SaParams>)> {
        self.sas.iter()
    }

    pub(crate) fn sa(&self, id: SaId) -> Option<&Arc<SaParams>> {
        self.sas.get(&id)
    }

    pub(crate) fn sa_count(&self) -> usize {
        self.sas.len()
    }

    /// The SA that has this state.
    pub(crate) fn named(&self, name: Name) -> Option<SaId> {
        self.names.get(&name).copied()
    }

    /// What ties the entries of a domain to its interface.
    pub(crate) fn tie(&self, domain: Domain) -> Tie {
        self.ties.get(&domain).cloned().unwrap_or_else(|| Tie::of(domain))
    }

    /// The interface of its domain is this one.
    pub(crate) fn set_tie(&mut self, interface: &Interface) {
        let tie = match (&interface.vti, interface.if_id) {
            (Some(vti), _) => Some(Tie::Vti(Mark { value: vti.key, mask: u32::MAX })),
            (None, number) => number.map(Tie::to),
        };
        match tie {
            Some(tie) => self.ties.insert(interface.domain, tie),
            None => self.ties.remove(&interface.domain),
        };
    }

    /// A domain has no interface any more.
    pub(crate) fn forget_tie(&mut self, domain: Domain) {
        self.ties.remove(&domain);
    }

    /// The device by which packets between these ends come and go, as far as it is known.
    pub(crate) fn set_device(&mut self, ends: Ends, device: Option<i32>) {
        match device {
            Some(device) => self.devices.insert(ends, device),
            None => self.devices.remove(&ends),
        };
    }

    /// Whether the entries under which an SA goes give whole packets to a device, and the SA of the other way does. One that an
    /// earlier daemon left is as it is.
    pub(crate) fn gives_packets(&self, params: &SaParams) -> bool {
        if let Some(there) = states::names(params).iter().find_map(|name| self.found.states.get(name)) {
            return offload::of_packets(there).is_some();
        }
        let inbound = SaId { direction: Direction::Inbound, dst: params.src, src: None, spi: params.pair };
        let pair = self.sa(inbound).filter(|_| params.direction == Direction::Outbound);
        let shape = self.policies.get(&self.which(params)).and_then(|entry| entry.shape);
        shape.is_some_and(|shape| shape.gives_packets()) && pair.is_none_or(|sa| sa.options.offload == Offload::Packet)
    }

    /// No device does anything for an SA; the kernel has it so already.
    pub(crate) fn done_by_processor(&mut self, id: SaId) {
        if let Some(params) = self.sas.get_mut(&id) {
            Arc::make_mut(params).options.offload = Offload::Off;
        }
    }

    /// The device that takes whole packets between these ends, where that is wanted.
    fn device(&self, wanted: Offload, ends: Ends) -> Option<i32> {
        self.devices.get(&ends).copied().filter(|_| wanted == Offload::Packet)
    }

    /// What was changed since the last call is so.
    pub(crate) fn commit(&mut self) {
        self.undo.clear();
    }

    /// What was changed since the last commit is as it was.
    pub(crate) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Policy(id, Some(old)) => drop(self.policies.insert(id, old)),
                Undo::Policy(id, None) => drop(self.policies.remove(&id)),
                Undo::Sa(id, old) => self.put_sa(id, old),
                Undo::Newest(id, Some(newest)) => drop(self.newest.insert(id, newest)),
                Undo::Newest(id, None) => drop(self.newest.remove(&id)),
                Undo::FoundPolicy(key, message) => drop(self.found.policies.insert(key, message)),
                Undo::FoundState(name, message) => drop(self.found.states.insert(name, message)),
            }
        }
    }

    /// Adds a policy or replaces it.
    pub(crate) fn add_policy(&mut self, policy: &Policy) -> Result<Vec<Step>, DataPlaneError> {
        let before = self.policies.get(&itself(policy.id)).cloned();
        if before.as_ref().is_some_and(|before| before.policy.domain != policy.domain) {
            return Err(DataPlaneError::invalid(format_args!(
                "policy {} cannot move to another interface",
                policy.name
            )));
        }
        if let Some(device) = policy.device() {
            let what =
                format!("policy {} is about the device {device}; the data plane tun has such policies", policy.name);
            return Err(DataPlaneError::Invalid(what.into()));
        }
        if let Action::Protect(protection) = &policy.action
            && protection.options.processors != Processors::All
            && !self.per_processor
        {
            let what = "this kernel keeps no SA to a processor (Linux 6.13 and later do): leave --per-cpu out";
            return Err(DataPlaneError::invalid(format_args!("policy {}: {what}", policy.name)));
        }
        let shape = match &policy.action {
            // The SAs may be there before the policy.
            Action::Protect(protection) => {
                let device = self.device(protection.options.offload, (protection.local, protection.remote));
                let newest = self.newest.get(&itself(policy.id)).map(|(_, shape)| *shape);
                Some(newest.unwrap_or_else(|| Shape::of_policy(protection, device)))
            }
            _ => None,
        };
        self.set_entries(itself(policy.id), policy.clone(), shape)
    }

    /// Removes a policy.
    pub(crate) fn delete_policy(&mut self, id: PolicyId) -> Result<Vec<Step>, DataPlaneError> {
        if self.policy(id).is_none() {
            return Err(DataPlaneError::NoSuchPolicy(id));
        }
        let all: Vec<Which> = self.policies.range(every(id)).map(|(which, _)| *which).collect();
        Ok(all.into_iter().flat_map(|which| self.remove_entries(which)).collect())
    }

    fn remove_entries(&mut self, which: Which) -> Vec<Step> {
        let Some(old) = self.policies.remove(&which) else { return Vec::new() };
        let steps = old.messages.iter().map(remove_policy).collect();
        self.undo.push(Undo::Policy(which, Some(old)));
        steps
    }

    /// Installs an SA.
    pub(crate) fn add_sa(&mut self, params: &SaParams) -> Result<Vec<Step>, DataPlaneError> {
        let id = params.id();
        let names = states::names(params);
        if self.sas.contains_key(&id) || names.iter().any(|name| self.names.contains_key(name)) {
            return Err(DataPlaneError::Exists(id));
        }
        let mut steps = Vec::new();
        for (name, message) in names.into_iter().zip(self.states(params)?) {
            if let Some(there) = self.found.states.remove(&name) {
                let is_it = states::same(&there, &message);
                let removal = states::removal_of(name, &there);
                self.undo.push(Undo::FoundState(name, there));
                // An SA of an earlier daemon goes on where it was: begun anew, its numbers would come a second time.
                if is_it {
                    continue;
                }
                steps.push(Step { request: removal.into(), undo: None, may_be_gone: true });
            }
            let undo = Some(states::removal_of(name, &message).into());
            steps.push(Step { request: Request { message, flags: EXCLUSIVE }, undo, may_be_gone: false });
        }
        self.put_sa(id, Some(Arc::new(params.clone())));
        self.undo.push(Undo::Sa(id, None));
        if params.direction == Direction::Outbound {
            steps.extend(self.follow(params)?);
        }
        Ok(steps)
    }

    /// The requests that install the states of an SA.
    pub(crate) fn states(&self, params: &SaParams) -> Result<Vec<Message>, DataPlaneError> {
        let policy = self.policy(params.policy);
        // An interface or a mark of its own has entries with the SA's own selectors.
        let shared = policy.filter(|policy| !Own::of_policy(policy).comes_with_the_sa());
        let selectors = shared.map(|policy| (policy.local.as_slice(), policy.remote.as_slice()));
        let tie = match params.options.if_ids {
            ids if ids.any() => Tie::Interface(ids),
            _ => self.tie(policy.map_or(Domain::default(), |policy| policy.domain)),
        };
        let device = self.device(params.options.offload, offload::ends(params));
        additions(params, selectors, &tie, self.one_way, device)
    }

    /// Removes an SA.
    pub(crate) fn delete_sa(&mut self, id: SaId) -> Result<Vec<Step>, DataPlaneError> {
        let old = self.sas.get(&id).cloned().ok_or(DataPlaneError::NoSuchSa(id))?;
        self.put_sa(id, None);
        let steps = states::names(&old).into_iter().map(|name| Step {
            request: states::removal(name, states::mark(&old)).into(),
            undo: None,
            // The kernel removes it by itself when a hard limit is passed.
            may_be_gone: true,
        });
        let mut steps: Vec<Step> = steps.collect();
        if id.direction == Direction::Outbound {
            steps.extend(self.forget(&old));
        }
        self.undo.push(Undo::Sa(id, Some(old)));
        Ok(steps)
    }

    /// Notes that an SA is another now; the kernel has it so already.
    pub(crate) fn replace_sa(&mut self, old: SaId, params: SaParams) -> Result<Vec<Step>, DataPlaneError> {
        self.put_sa(old, None);
        let steps = match params.direction {
            Direction::Outbound => {
                let mut steps = self.forget(&params);
                steps.extend(self.follow(&params)?);
                steps
            }
            Direction::Inbound => Vec::new(),
        };
        self.put_sa(params.id(), Some(Arc::new(params)));
        Ok(steps)
    }

    /// Whether the entries of a policy, whose SAs are tunnels, have other ends now than these.
    pub(crate) fn has_moved(&self, policy: PolicyId, src: Address, dst: Address) -> bool {
        let mut tunnels = self.newest.range(every(policy)).filter_map(|(_, (_, shape))| shape.tunnel()).peekable();
        let other = |(local, remote)| (Address::from(local), Address::from(remote)) != (src, dst);
        tunnels.peek().is_some() && tunnels.all(other)
    }

    /// Whether processors ask for SAs of this policy from now on, where its SAs are such. While the kernel has a note that one
    /// has asked, it drops the packets of that processor, whatever SA there is for all; so none asks until there is an answer.
    pub(crate) fn set_asking(&mut self, id: PolicyId, asking: bool) -> Result<Vec<Step>, DataPlaneError> {
        let its = self.newest.range(every(id)).filter_map(|(which, (_, shape))| {
            let shape = if asking { *shape } else { shape.without_asking() };
            Some((*which, self.policies.get(which)?.policy.clone(), shape))
        });
        let mut steps = Vec::new();
        for (which, policy, shape) in its.collect::<Vec<_>>() {
            steps.extend(self.set_entries(which, policy, Some(shape))?);
        }
        Ok(steps)
    }

    /// An outbound SA of a policy goes. With the last one nothing is known any more of how its SAs look.
    /// Entries for the interface or the mark that came with it go, too.
    fn forget(&mut self, params: &SaParams) -> Vec<Step> {
        let which = self.which(params);
        let old = self.newest.remove(&which);
        self.undo.push(Undo::Newest(which, old));
        match old {
            Some((count @ 2.., shape)) => drop(self.newest.insert(which, (count - 1, shape))),
            _ if which != itself(params.policy) => return self.remove_entries(which),
            _ => {}
        }
        Vec::new()
    }

    /// Whose entries an SA has part in.
    fn which(&self, params: &SaParams) -> Which {
        let apart = self.policy(params.policy).is_some_and(|policy| Own::of_policy(policy).comes_with_the_sa());
        (params.policy, if apart { Own::of(&params.options) } else { Own::default() })
    }

    /// Lets the entries of a policy follow an outbound SA.
    fn follow(&mut self, params: &SaParams) -> Result<Vec<Step>, DataPlaneError> {
        let inbound = SaId { direction: Direction::Inbound, dst: params.src, src: None, spi: params.pair };
        let expands = self.sa(inbound).is_some_and(|sa| sa.options.ipcomp.cpi().is_some());
        let shape = Shape::of_sa(params, expands, self.device(params.options.offload, offload::ends(params)));
        let which = self.which(params);
        let old = self.newest.get(&which).copied();
        self.newest.insert(which, (old.map_or(0, |(count, _)| count) + 1, shape));
        self.undo.push(Undo::Newest(which, old));
        let Some(entry) = self.policies.get(&itself(params.policy)).cloned() else { return Ok(Vec::new()) };
        if which != itself(params.policy) {
            let (local, remote) = (params.local_ts.to_vec(), params.remote_ts.to_vec());
            return self.set_entries(which, Policy { local, remote, ..entry.policy.clone() }, Some(shape));
        }
        match entry.shape {
            Some(known) if known == shape => Ok(Vec::new()),
            _ => self.set_entries(which, entry.policy.clone(), Some(shape)),
        }
    }

    /// Puts other entries in the place of a policy's: what stays is replaced, what is new comes before what goes.
    fn set_entries(&mut self, which: Which, policy: Policy, shape: Option<Shape>) -> Result<Vec<Step>, DataPlaneError> {
        let settled = if which == itself(which.0) { Own::of_policy(&policy) } else { which.1 };
        let messages = match settled {
            open if open.comes_with_the_sa() => Vec::new(),
            Own { if_ids, marks } if if_ids.any() => policies::entries(&policy, shape, &Tie::Interface(if_ids), marks)?,
            Own { marks, .. } => policies::entries(&policy, shape, &self.tie(policy.domain), marks)?,
        };
        let old = self.policies.get(&which).cloned();
        let mut before: BTreeMap<Key, &Message> =
            old.iter().flat_map(|entry| &entry.messages).map(|message| (policies::key(message), message)).collect();
        let mut steps = Vec::new();
        for message in &messages {
            let key = policies::key(message);
            if let Some(there) = self.found.policies.remove(&key) {
                if !policies::same(&there, message) {
                    let undo = Some(policies::removal(message).into());
                    steps.push(Step { request: policies::update(message).into(), undo, may_be_gone: false });
                }
                self.undo.push(Undo::FoundPolicy(key, there));
                continue;
            }
            match before.remove(&key) {
                Some(known) if policies::same(known, message) => {}
                Some(known) => {
                    let undo = Some(policies::update(known).into());
                    steps.push(Step { request: policies::update(message).into(), undo, may_be_gone: false });
                }
                None => {
                    let undo = Some(policies::removal(message).into());
                    let request = Request { message: message.clone(), flags: EXCLUSIVE };
                    steps.push(Step { request, undo, may_be_gone: false });
                }
            }
        }
        steps.extend(before.into_values().map(remove_policy));
        self.policies.insert(which, Arc::new(Entry { policy, shape, messages }));
        self.undo.push(Undo::Policy(which, old));
        Ok(steps)
    }

    fn put_sa(&mut self, id: SaId, params: Option<Arc<SaParams>>) {
        if let Some(old) = self.sas.remove(&id) {
            for name in states::names(&old) {
                self.names.remove(&name);
            }
        }
        if let Some(params) = params {
            self.names.extend(states::names(&params).into_iter().map(|name| (name, id)));
            self.sas.insert(id, params);
        }
    }
}

/// A policy without what comes with its SAs.
fn itself(id: PolicyId) -> Which {
    (id, Own::default())
}

/// And with each of them.
fn every(id: PolicyId) -> Range<Which> {
    itself(id)..itself(PolicyId(id.0.saturating_add(1)))
}

fn remove_policy(message: &Message) -> Step {
    let undo = Some(policies::update(message).into());
    Step { request: policies::removal(message).into(), undo, may_be_gone: true }
}

#[cfg(test)]
mod tests;
