//! The configuration as lines: what an `ike_rc` says, read into the model that the daemon has too, and written back.
//!
//! ```text
//!  text ─► rc::apply ─► a newer model ─┬─ difference ─► the engine: policies, and SAs with keys given by hand
//!                                      └─ ike_config ─► the endpoint, beside what the other calls added
//! ```
//! All of it comes into force or nothing does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_char;
use std::net::IpAddr;
use std::path::Path;

use ravelin_config::model::keyed::Keyed;
use ravelin_config::spec::Start;
use ravelin_config::{Model, rc};
use ravelin_ike::config::{Remote, RemoteAuth};
use ravelin_ike::{Command, Input};
use ravelin_types::HostName;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::sa::SaId;

use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::ike::Ike;
use crate::ike_admin::print;
use crate::options::RVL_FIRST_LINE_POLICY;
use crate::sys::{self, Out};
use crate::{RvlStatus, crypto, text};

/// The name of the text in messages.
const NAME: &str = "lines";

/// Carries out the lines of an `ike_rc` that configure: `ipsec policy`, `ipsec addsa`, `ike remote`, `ce x509` and those that
/// delete them, `call`. They add to what lines made before. All take effect or, unless the status is `OK`, none does. Policies and SAs
/// go to the engine, which is to be the same each time; with the first lines the automatic policies that let IKE and Neighbor
/// Discovery pass come too. `directory` is where files are sought; null: the working directory. A remote's `--local` says
/// from which address it is reached.
///
/// `message` gets what the author of the lines should know, or why they are refused, a line each: `lines:LINE:COLUMN: words`,
/// and a zero byte behind. `message_length` is the length of all of it, of which `capacity` may hold less; null with a
/// `capacity` of 0 and a null `message_length` want none.
///
/// What certificates, signatures and logins ask is answered inside of `rvl_ike_poll`, in some milliseconds, by the clock of the
/// system and the files that the lines name; nothing is fetched.
///
/// Peers that may be anywhere (`-r any`) and internal addresses (`ike pool`, `--pool`, `--vip`, `-s internal`) are as with a daemon:
/// such policies are in the engine while they have SAs. What peers give is told by events (`RVL_IKE_EVENT_GRANTED`), and who has what of
/// our pools by `rvl_ike_print_pools`. For users known by RADIUS (`--radius`) `rvl_ike_poll` hands out the packets, and names of
/// hosts to be looked up.
///
/// Refused is what takes a daemon: RADIUS accounts and those who end sessions by RADIUS, virtual interfaces, and commands that do not
/// configure.
///
/// # Safety
/// `text` points to `length` bytes, `directory` is null or a string that ends with a zero byte, `message` points to `capacity`
/// bytes and `message_length` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_configure(
    ike: RvlHandle,
    engine: RvlHandle,
    text: *const u8,
    length: usize,
    directory: *const c_char,
    now: u64,
    message: *mut c_char,
    capacity: usize,
    message_length: *mut usize,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (lines, directory) = unsafe { (sys::slice(text, length)?, sys::text(directory)?.unwrap_or_default()) };
        // SAFETY: the caller's promise.
        let room = unsafe { sys::slice_mut(message.cast(), capacity)? };
        // SAFETY: the caller's promise.
        let out = unsafe { Out::optional(message_length)? };
        text::cut_to(room, "");
        if let Some(out) = &out {
            out.set(0);
        }
        let done = handle::with_two(ike, engine, |ike: &mut Ike, engine: &mut Engine| {
            Ok(configure(ike, engine, lines, Path::new(directory), now))
        })?;
        let (status, words) = match done {
            Ok(notes) => (Ok(()), notes),
            Err(Refusal { status, why }) => (Err(status), why),
        };
        text::cut_to(room, &words);
        if let Some(out) = out {
            out.set(words.len());
        }
        status
    })
}

/// The number of the policy that a line gave this name, for `rvl_ike_initiate` and to know events by. `POLICY_NOT_FOUND` where
/// there is none.
///
/// # Safety
/// `name` is null or a string that ends with a zero byte, `policy` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_policy_named(ike: RvlHandle, name: *const c_char, policy: *mut u32) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (name, policy) = unsafe { (sys::text(name)?.ok_or(RvlStatus::Null)?, Out::new(policy)?) };
        let id = handle::with(ike, |ike: &mut Ike| {
            let entry = ike.model.as_ref().and_then(|model| model.policy(name));
            entry.map(|entry| entry.id.0).ok_or(RvlStatus::PolicyNotFound)
        })?;
        policy.set(id);
        Ok(())
    })
}

/// Writes the lines that make what `rvl_configure` made, and behind `#` what they leave out: keys that were typed, and the
/// peers and policies of the other calls. As `rvl_ike_print_policies`.
///
/// # Safety
/// `text` is null or points to `capacity` bytes, `length` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_commands(
    ike: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { print(ike, text, capacity, length, commands) }
}

fn commands(ike: &Ike) -> String {
    let written = ike.model.as_ref().map(Model::commands).unwrap_or_default();
    let remotes = ike.typed.remotes.iter().map(|remote| format!("the remote {} has no line", remote.name));
    let policies = ike.typed.policies.iter().map(|child| format!("the policy {} has no line", child.policy.id.0));
    let rest = written.left_out.into_iter().chain(remotes).chain(policies).map(|what| format!("# {what}"));
    written.lines.into_iter().chain(rest).map(|line| line + "\n").collect()
}

/// Why nothing was changed.
pub(crate) struct Refusal {
    status: RvlStatus,
    pub(crate) why: String,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Refusal { status: RvlStatus::BadParam, why: why.into() }
    }
}

fn configure(ike: &mut Ike, engine: &mut Engine, lines: &[u8], directory: &Path, now: u64) -> Result<String, Refusal> {
    let lines = std::str::from_utf8(lines).map_err(|_| Refusal::new(format!("{NAME}: not UTF-8 text")))?;
    let fresh = Model::numbered_from(RVL_FIRST_LINE_POLICY);
    let older = ike.model.as_ref();
    let read = rc::apply(lines, Path::new(NAME), directory, older.unwrap_or(&fresh));
    let rc::Loaded { mut model, notes, commands } = read.map_err(|error| Refusal::new(error.to_string()))?;
    if let Some(later) = commands.first() {
        return Err(Refusal::new(format!("{}: expected a line that configures; this one takes a daemon", later.at())));
    }
    follows(&model)?;
    let known = ike.endpoint.host_names();
    model.hosts_found(known.iter().map(|host| (&host.name, host.addresses.as_slice())));
    let typed = |name: &str| ike.typed.remotes.iter().any(|remote| remote.name == name);
    if let Some(remote) = model.remotes().find(|remote| typed(&remote.spec.name)) {
        let why = format!("there is a remote {} already, of rvl_ike_add_remote", remote.spec.name);
        return Err(Refusal { status: RvlStatus::Exist, why });
    }
    let mistakes = model.ike_config(&BTreeMap::new()).mistakes(&crypto::provider());
    if let Some(mistake) = mistakes.first() {
        return Err(Refusal::new(mistake.to_string()));
    }
    let change = Change::between(older, &model)?;
    let advice = model.advice_since(older.unwrap_or(&fresh));
    change.apply(engine, now)?;
    let served: BTreeSet<PolicyId> = older.map(policies).unwrap_or_default();
    ike.model = Some(model);
    for id in &change.gone {
        ike.command(Command::TerminateChild(Some(*id)), now);
    }
    ike.configure(now);
    let at_once = ike.model.iter().flat_map(Model::policies).filter(|entry| !served.contains(&entry.id));
    let at_once = at_once.filter(|entry| entry.spec.esp.as_ref().is_some_and(|esp| esp.start == Start::Now));
    let at_once: Vec<PolicyId> = at_once.map(|entry| entry.id).collect();
    at_once.into_iter().for_each(|id| ike.command(Command::Initiate(id), now));
    let notes = notes.iter().map(ToString::to_string).chain(advice);
    Ok(notes.map(|note| note + "\n").collect())
}

fn policies(model: &Model) -> BTreeSet<PolicyId> {
    model.policies().map(|entry| entry.id).chain(model.keyed().map(|keyed| keyed.policy.id)).collect()
}

/// Whether an engine and an endpoint alone do what the model asks for.
fn follows(model: &Model) -> Result<(), Refusal> {
    if let Some(interface) = model.interfaces().values().next() {
        return Err(Refusal::new(format!("{}: virtual interfaces take a daemon", interface.name)));
    }
    let asks = |remote: &&Remote| match &remote.remote_auth {
        RemoteAuth::Eap(eap) => {
            eap.server.relay.as_ref().is_some_and(|aaa| !aaa.accounting.is_empty() || !aaa.authorizers.is_empty())
        }
        _ => false,
    };
    let config = model.ike_config(&BTreeMap::new());
    match config.remotes.iter().find(asks) {
        Some(remote) => {
            let why = "--radius-accounting and --radius-authorizers take a daemon; --radius alone does not";
            Err(Refusal::new(format!("the remote {}: {why}", remote.name)))
        }
        None => Ok(()),
    }
}

/// What an engine is told.
struct Change {
    /// In this order; any of them may be refused.
    ops: Vec<DataPlaneOp>,
    /// What each of them is undone by.
    undo: Vec<DataPlaneOp>,
    /// SAs that go with their policies.
    ended: Vec<SaId>,
    /// Policies that are no more.
    gone: Vec<PolicyId>,
}

impl Change {
    fn between(older: Option<&Model>, newer: &Model) -> Result<Self, Refusal> {
        let before = older.map(policies).unwrap_or_default();
        let after = policies(newer);
        let added = newer.keyed().filter(|keyed| !before.contains(&keyed.policy.id));
        let deleted = older.into_iter().flat_map(Model::keyed).filter(|keyed| !after.contains(&keyed.policy.id));
        let ended = sas(deleted)?.into_iter().filter_map(|op| sa_of(&op)).collect();
        // SAs first: a policy finds them when it takes effect.
        let mut ops = sas(added)?;
        ops.extend(match older {
            Some(older) => older.difference(newer),
            None => newer.spd().into_iter().map(DataPlaneOp::AddPolicy).collect(),
        });
        let old: BTreeMap<PolicyId, _> =
            older.map(Model::spd).unwrap_or_default().into_iter().map(|policy| (policy.id, policy)).collect();
        let policy = |id: &PolicyId| {
            old.get(id).map_or(DataPlaneOp::DeletePolicy(*id), |policy| DataPlaneOp::AddPolicy(policy.clone()))
        };
        let undo = ops.iter().map(|op| match op {
            DataPlaneOp::AddPolicy(added) => policy(&added.id),
            DataPlaneOp::DeletePolicy(id) => policy(id),
            op => sa_of(op).map_or_else(|| op.clone(), DataPlaneOp::DeleteSa),
        });
        let undo = undo.collect();
        Ok(Change { ops, undo, ended, gone: before.difference(&after).copied().collect() })
    }

    fn apply(&self, engine: &mut Engine, now: u64) -> Result<(), Refusal> {
        for (at, op) in self.ops.iter().enumerate() {
            match engine.apply(op, instant(now)) {
                // Taken out by `rvl_delete_policy`.
                Ok(()) | Err(DataPlaneError::NoSuchPolicy(_)) => {}
                Err(error) => {
                    // Whatever was there fits again.
                    self.undo.iter().take(at).rev().for_each(|undo| _ = engine.apply(undo, instant(now)));
                    return Err(Refusal { why: format!("nothing was changed: {error}"), status: error.into() });
                }
            }
        }
        // One may have been ended by `rvl_delete_sa`.
        self.ended.iter().for_each(|id| _ = engine.apply(&DataPlaneOp::DeleteSa(*id), instant(now)));
        Ok(())
    }
}

fn sa_of(op: &DataPlaneOp) -> Option<SaId> {
    match op {
        DataPlaneOp::AddSa(params) => Some(params.id()),
        _ => None,
    }
}

/// The operations that install the SAs which were given by hand.
fn sas<'a>(keyed: impl Iterator<Item = &'a Keyed>) -> Result<Vec<DataPlaneOp>, Refusal> {
    let mut ops = Vec::new();
    for Keyed { policy, session, .. } in keyed {
        let (Some(session), Action::Protect(protection)) = (session, &policy.action) else { continue };
        let local = protection.local.ok_or_else(|| {
            Refusal::new(format!("the SA with {}: give --local, the address of this end", protection.remote))
        })?;
        let sas = session.sas(policy, local, &crypto::provider());
        let sas = sas.map_err(|refused| Refusal { status: refused.code.into(), why: refused.why })?;
        ops.extend(sas.map(DataPlaneOp::AddSa));
    }
    Ok(ops)
}

impl Ike {
    /// The host of a name is there now: policies with it are about other packets, or have another end.
    pub(crate) fn host_found(
        &mut self,
        name: &HostName,
        addresses: &[IpAddr],
        engine: &mut Engine,
        now: u64,
    ) -> Result<(), Refusal> {
        let Some(older) = &self.model else { return Ok(()) };
        let mut newer = older.clone();
        if !newer.hosts_found([(name, addresses)]) {
            return Ok(());
        }
        Change::between(Some(older), &newer)?.apply(engine, now)?;
        self.model = Some(newer);
        self.configure(now);
        Ok(())
    }

    fn command(&mut self, command: Command, now: u64) {
        self.endpoint.handle(Input::Command(command), instant(now));
    }
}
