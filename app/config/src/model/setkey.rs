//! Scripts of setkey(8) in the model: what they added is kept as it was said, SAs and policies of one direction each, and
//! what belongs together becomes one [`Keyed`] policy with its session, as `ipsec addsa` makes it.

mod pair;

use std::net::IpAddr;

use ravelin_manage::session::Session;
use ravelin_types::Spi;
use ravelin_types::policy::{Action, PolicyId, PriorityLevel};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::SaParams;
use ravelin_types::transform::Transform;

use self::pair::Paired;
use super::Model;
use super::keyed::{Keyed, Made};
use crate::remark::{FileError, Place, Remark};
use crate::setkey::{Script, written};
use crate::spec::Which;
use crate::spec::setkey::{Asked, Entry, Sa, SaName, SaProtocol};

/// SAs that scripts can add: a bound on what a reading compares.
const MAX_SAS: usize = 4096;
/// Policies that scripts can add: they have their places between two levels of priority.
const MAX_ENTRIES: u32 = PriorityLevel::STEP;

/// What scripts have added, in their order.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    sas: Vec<Sa>,
    entries: Vec<Entry>,
}

impl Tables {
    /// The algorithms of each SA, by its name.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = (String, Vec<Transform>)> {
        self.sas.iter().map(|sa| {
            let encr = sa.encr.iter().map(|(id, _)| Transform::Encr(*id, None));
            let integ = sa.integ.iter().map(|(id, _)| Transform::Integ(*id));
            (written::sa(&sa.name), encr.chain(integ).collect())
        })
    }
}

/// Which SAs; what is not said is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sas {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    protocol: Option<SaProtocol>,
    spi: Option<Spi>,
}

/// What is left of a script for who holds a data plane.
#[derive(Debug, Default)]
pub struct Carried {
    /// What its author should know.
    pub notes: Vec<Remark>,
    /// Whether the model may be another now.
    pub changed: bool,
    /// SAs that shall be gone, also such as no script made.
    pub deleted: Vec<Deleted>,
    /// What is asked for, in its order.
    pub listings: Vec<Listing>,
}

/// SAs that shall be gone.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// Which.
    pub which: Sas,
    /// Where that is said, if they should be there and the model has none: the data plane may.
    pub missed: Option<Remark>,
}

/// What a script wants to see.
#[derive(Clone, Copy, Debug)]
pub enum Listing {
    /// SAs.
    Sas(Sas),
    /// Policies.
    Policies,
}

impl Sas {
    fn named(name: SaName) -> Self {
        let SaName { src, dst, protocol, spi } = name;
        Sas { src: Some(src), dst: Some(dst), protocol: Some(protocol), spi: Some(spi) }
    }

    fn of(protocol: Option<SaProtocol>) -> Self {
        Sas { protocol, ..Sas::default() }
    }

    /// Whether this is one of them.
    pub fn include(&self, name: &SaName) -> bool {
        self.may_include(Some(name.src), name.dst, name.protocol, name.spi)
    }

    /// Whether an SA of a data plane is one of them, by one of its protocols.
    pub fn include_params(&self, params: &SaParams) -> bool {
        names(params).iter().any(|name| self.include(name))
    }

    /// An end that is not known yet may be any.
    fn may_include(&self, src: Option<IpAddr>, dst: IpAddr, protocol: SaProtocol, spi: Spi) -> bool {
        self.src.is_none_or(|own| src.is_none_or(|src| src == own))
            && self.dst.is_none_or(|own| own == dst)
            && self.protocol.is_none_or(|own| own == protocol)
            && self.spi.is_none_or(|own| own == spi)
    }
}

/// The SAs that a data plane has as one: ESP first, then AH around it.
pub fn names(params: &SaParams) -> Vec<SaName> {
    let SaParams { src, dst, .. } = *params;
    let esp = params.suite.esp().map(|_| SaName { src, dst, protocol: SaProtocol::Esp, spi: params.spi });
    let ah_spi = match params.suite {
        Suite::AhEsp { ah_spi, .. } => ah_spi,
        Suite::Esp(_) | Suite::Ah(_) => params.spi,
    };
    let ah = params.suite.ah().map(|_| SaName { src, dst, protocol: SaProtocol::Ah, spi: ah_spi });
    esp.into_iter().chain(ah).collect()
}

impl Model {
    /// Carries out a script, as far as it is about the configuration: all of it, or nothing to be kept.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn setkey(&mut self, script: &Script) -> Result<Carried, FileError> {
        self.setkey.sas.iter_mut().for_each(|sa| sa.place = None);
        self.setkey.entries.iter_mut().for_each(|entry| entry.place = None);
        let before = self.keyed.values().filter(|keyed| keyed.made.is_some()).cloned().collect();
        let mut reading = Reading { script, before, carried: Carried::default(), errors: Vec::new() };
        for statement in &script.statements {
            if let Err(message) = self.one(&statement.what, statement.place, &mut reading) {
                reading.errors.push(reading.remark(Some(statement.place), message));
            }
        }
        if reading.carried.changed && reading.errors.is_empty() {
            self.join(&mut reading);
        }
        if reading.errors.is_empty() { Ok(reading.carried) } else { Err(FileError::Lines(reading.errors)) }
    }

    /// Forgets those sessions of scripts that a data plane has no longer (a lifetime has ended), so that the next script
    /// which says them again makes them anew.
    pub fn forget_ended_scripts(&mut self, has: impl Fn(PolicyId) -> bool) {
        self.keyed.retain(|id, keyed| keyed.made.is_none() || keyed.session.is_none() || has(*id));
    }

    /// What scripts have added and is in no session.
    pub fn unused_sas(&self) -> impl Iterator<Item = &Sa> {
        let used =
            |sa: &&Sa| self.keyed.values().filter_map(|keyed| keyed.made.as_ref()).any(|made| made.sas.contains(sa));
        self.setkey.sas.iter().filter(move |sa| !used(sa))
    }

    /// Whether scripts have added anything.
    pub(super) fn has_scripts(&self) -> bool {
        !(self.setkey.sas.is_empty() && self.setkey.entries.is_empty())
    }

    fn one(&mut self, asked: &Asked, place: Place, reading: &mut Reading<'_>) -> Result<(), String> {
        reading.carried.changed |= !matches!(asked, Asked::Get(_) | Asked::Dump(_) | Asked::DumpEntries);
        match asked {
            Asked::Add(sa) => self.add_sa(sa, place, reading),
            Asked::Get(name) => {
                reading.carried.listings.push(Listing::Sas(Sas::named(*name)));
                Ok(())
            }
            Asked::Dump(protocol) => {
                reading.carried.listings.push(Listing::Sas(Sas::of(*protocol)));
                Ok(())
            }
            Asked::DumpEntries => {
                reading.carried.listings.push(Listing::Policies);
                Ok(())
            }
            Asked::Delete(name) => {
                let missed = format!("there is no SA {}", written::sa(name));
                self.delete_sas(Sas::named(*name), Some(missed), place, reading);
                Ok(())
            }
            Asked::DeleteAll(src, dst, protocol) => {
                let which = Sas { src: Some(*src), dst: Some(*dst), protocol: Some(*protocol), spi: None };
                let missed = format!("there is no SA {src} {dst} {}", protocol.word());
                self.delete_sas(which, Some(missed), place, reading);
                Ok(())
            }
            Asked::Flush(protocol) => {
                self.delete_sas(Sas::of(*protocol), None, place, reading);
                Ok(())
            }
            Asked::AddEntry(entry) => self.add_entry(entry, place, reading),
            Asked::UpdateEntry(entry) => {
                match self.setkey.entries.iter_mut().find(|known| known.about == entry.about) {
                    Some(known) => {
                        (known.treatment, known.place) = (entry.treatment.clone(), Some(place));
                        Ok(())
                    }
                    None => self.add_entry(entry, place, reading),
                }
            }
            Asked::DeleteEntry(about) => {
                let before = self.setkey.entries.len();
                self.setkey.entries.retain(|entry| entry.about != *about);
                if self.setkey.entries.len() == before {
                    reading.note(Some(place), format!("no script has added a policy {}", written::about(about)));
                }
                Ok(())
            }
            Asked::FlushEntries => self.delete_policies(&Which::All).map(drop).map_err(|error| error.to_string()),
        }
    }

    fn add_sa(&mut self, sa: &Sa, place: Place, reading: &mut Reading<'_>) -> Result<(), String> {
        let name = sa.name;
        let same =
            |known: &&Sa| (known.name.dst, known.name.protocol, known.name.spi) == (name.dst, name.protocol, name.spi);
        match self.setkey.sas.iter().find(same) {
            Some(known) if known == sa => {
                reading.note(Some(place), "this SA is there already");
                Ok(())
            }
            Some(_) => Err(format!("another SA {} is there already; delete it first", written::sa(&name))),
            None if self.setkey.sas.len() >= MAX_SAS => Err(format!("scripts can add {MAX_SAS} SAs")),
            None => {
                self.setkey.sas.push(sa.clone());
                Ok(())
            }
        }
    }

    fn delete_sas(&mut self, which: Sas, missed: Option<String>, place: Place, reading: &mut Reading<'_>) {
        let before = self.setkey.sas.len();
        self.setkey.sas.retain(|sa| !which.include(&sa.name));
        let mut found = self.setkey.sas.len() < before;
        for keyed in self.keyed.values_mut().filter(|keyed| keyed.made.is_none() && uses(keyed, &which)) {
            (keyed.session, keyed.spec) = (None, None);
            found = true;
        }
        let missed = missed.filter(|_| !found).map(|message| reading.remark(Some(place), message));
        reading.carried.deleted.push(Deleted { which, missed });
    }

    fn add_entry(&mut self, entry: &Entry, place: Place, reading: &mut Reading<'_>) -> Result<(), String> {
        match self.setkey.entries.iter().find(|known| known.about == entry.about) {
            Some(known) if known.treatment == entry.treatment => {
                reading.note(Some(place), "this policy is there already");
                return Ok(());
            }
            Some(_) => {
                let about = written::about(&entry.about);
                return Err(format!("another policy {about} is there already; delete it first, or use spdupdate"));
            }
            None => {}
        }
        let mut order = self.setkey.entries.last().map_or(0, |last| last.order + 1);
        if order >= MAX_ENTRIES {
            // What was deleted has left its place free.
            self.setkey.entries.iter_mut().zip(0..).for_each(|(entry, place)| entry.order = place);
            order = self.setkey.entries.last().map_or(0, |last| last.order + 1);
        }
        if order >= MAX_ENTRIES {
            return Err(format!("scripts can add {MAX_ENTRIES} policies"));
        }
        self.setkey.entries.push(Entry { order, ..entry.clone() });
        Ok(())
    }

    /// Makes what the tables come to: what is there from the same statements stays, with its number and its SAs.
    fn join(&mut self, reading: &mut Reading<'_>) {
        let paired = pair::pair(&self.setkey.sas, &self.setkey.entries, reading);
        self.keyed.retain(|_, keyed| keyed.made.is_none());
        for Paired { made, policy, keying, session } in paired {
            if let Some(known) = reading.before.iter().find(|known| known.made.as_ref() == Some(&made)) {
                self.keyed.insert(known.policy.id, known.clone());
                continue;
            }
            match self.add_keyed(policy, keying, session) {
                Ok(id) => {
                    self.keyed.entry(id).and_modify(|keyed| keyed.made = Some(made));
                }
                Err(error) => reading.error(None, error.to_string()),
            }
        }
    }

    /// All SAs of scripts are forgotten; their policies stay.
    pub(super) fn forget_scripted_sas(&mut self) {
        self.setkey.sas.clear();
        self.keyed.values_mut().filter_map(|keyed| keyed.made.as_mut()).for_each(|made| made.sas.clear());
    }

    /// What made a policy is forgotten with it.
    pub(super) fn forget_entries(&mut self, made: &Made) {
        self.setkey.entries.retain(|entry| !made.entries.contains(entry));
    }

    /// All policies of scripts are forgotten; their SAs stay, for policies to come.
    pub(super) fn forget_all_entries(&mut self) {
        self.setkey.entries.clear();
    }
}

/// Whether a session has one of these SAs.
fn uses(keyed: &Keyed, which: &Sas) -> bool {
    let (Some(Session { esp, ah, .. }), Action::Protect(protection)) = (&keyed.session, &keyed.policy.action) else {
        return false;
    };
    let esp = esp.iter().map(|esp| (SaProtocol::Esp, &esp.spis));
    let mut both = esp.chain(ah.iter().map(|ah| (SaProtocol::Ah, &ah.spis)));
    let (local, remote) = (protection.local, protection.remote);
    both.any(|(protocol, spis)| {
        // The inbound one ends here, wherever that is.
        let inbound = which.may_include(Some(remote), local.or(which.dst).unwrap_or(remote), protocol, spis.inbound);
        inbound || which.may_include(local, remote, protocol, spis.outbound)
    })
}

/// A script while it is carried out.
struct Reading<'a> {
    script: &'a Script,
    /// What scripts before it have made.
    before: Vec<Keyed>,
    carried: Carried,
    errors: Vec<Remark>,
}

impl Reading<'_> {
    /// What came with an earlier script has no place in this one.
    fn remark(&self, place: Option<Place>, message: impl Into<String>) -> Remark {
        let place = place.unwrap_or(Place { line: 0, column: 0 });
        Remark { file: self.script.file.clone(), place, message: message.into() }
    }

    fn note(&mut self, place: Option<Place>, message: impl Into<String>) {
        let remark = self.remark(place, message);
        self.carried.notes.push(remark);
    }

    fn error(&mut self, place: Option<Place>, message: impl Into<String>) {
        let remark = self.remark(place, message);
        self.errors.push(remark);
    }
}

#[cfg(test)]
mod tests;
