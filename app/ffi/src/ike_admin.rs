//! What an administrator does with the configuration of an IKE endpoint as a whole: empties it, and prints it.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::fmt::Write;

use ravelin_ike::address::pool::PoolView;
use ravelin_ike::{ChildPolicy, Remote};
use ravelin_types::Spi;
use ravelin_types::policy::{Action, Mode};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;

use crate::RvlStatus;
use crate::engine::Engine;
use crate::handle::{self, RvlHandle, call};
use crate::ike::Ike;
use crate::sys::{self, Out};

/// Negotiates no more SAs for any policy but those that lines made, which lines delete. SAs that are there stay until they
/// are terminated.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_delete_policies(ike: RvlHandle, now: u64) -> RvlStatus {
    call(|| {
        handle::with(ike, |ike: &mut Ike| {
            ike.typed.policies.clear();
            ike.configure(now);
            Ok(())
        })
    })
}

/// Removes all peers but those that lines made. Their SAs stay until they are terminated.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_ike_delete_remotes(ike: RvlHandle, now: u64) -> RvlStatus {
    call(|| {
        handle::with(ike, |ike: &mut Ike| {
            ike.typed.remotes.clear();
            ike.configure(now);
            Ok(())
        })
    })
}

/// Writes the policies as text, a line each, and a zero byte behind; `length` is that of the text. `TOO_SMALL` writes the length
/// alone: the text needs one byte more.
///
/// # Safety
/// `text` is null or points to `capacity` bytes, `length` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_print_policies(
    ike: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { print(ike, text, capacity, length, |ike| ike.config().policies.iter().map(policy).collect()) }
}

/// Writes the peers as text, a line each, without their secrets; as `rvl_ike_print_policies`.
///
/// # Safety
/// As of `rvl_ike_print_policies`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_print_remotes(
    ike: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { print(ike, text, capacity, length, |ike| ike.config().remotes.iter().map(remote).collect()) }
}

/// Writes the pools of internal addresses as text, a line each, and behind each a line for every address that a peer has or had;
/// as `rvl_ike_print_policies`.
///
/// # Safety
/// As of `rvl_ike_print_policies`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_print_pools(
    ike: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { print(ike, text, capacity, length, |ike| ike.endpoint.pools().iter().map(pool).collect()) }
}

/// Writes what is up as text, for programs and for people: `ike INITIATOR RESPONDER STATE` of each IKE SA, with its SPIs, and behind
/// it `child INBOUND OUTBOUND STATE RECEIVED SENT` of each pair of SAs that hangs on it, with the SPIs and how many packets
/// each has carried in `engine`; as `rvl_ike_print_policies`. SPIs are hexadecimal, and states words such as `ESTABLISHED`, `INSTALLED`.
///
/// # Safety
/// As of `rvl_ike_print_policies`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_print_sas(
    ike: RvlHandle,
    engine: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    let sas = || handle::with_two(ike, engine, |ike: &mut Ike, engine: &mut Engine| Ok(sas(ike, engine)));
    // SAFETY: the caller's promise.
    unsafe { write(text, capacity, length, sas) }
}

/// # Safety
/// As of `rvl_ike_print_policies`.
pub(crate) unsafe fn print(
    ike: RvlHandle,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
    lines: impl FnOnce(&Ike) -> String,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { write(text, capacity, length, || handle::with(ike, |ike: &mut Ike| Ok(lines(ike)))) }
}

/// # Safety
/// As of `rvl_ike_print_policies`.
unsafe fn write(
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
    printed: impl FnOnce() -> Result<String, RvlStatus>,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (room, length) = unsafe { (sys::slice_mut(text.cast(), capacity)?, Out::new(length)?) };
        let printed = printed()?;
        length.set(printed.len());
        let (text, rest) = room.split_at_mut_checked(printed.len()).ok_or(RvlStatus::TooSmall)?;
        *rest.first_mut().ok_or(RvlStatus::TooSmall)? = 0;
        text.copy_from_slice(printed.as_bytes());
        Ok(())
    })
}

fn policy(child: &ChildPolicy) -> String {
    let policy = &child.policy;
    let side = |side: &[TrafficSelector]| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut line = format!("policy {}: {} === {}", policy.id.0, side(&policy.local), side(&policy.remote));
    if let Action::Protect(protection) = &policy.action {
        let mode = if protection.mode == Mode::Tunnel { "tunnel" } else { "transport" };
        // Writing to a string cannot fail.
        let _ = write!(line, ", {mode} to {} with {}", protection.remote, child.remote);
    }
    child.proposals.iter().for_each(|proposal| _ = write!(line, "; {proposal}"));
    line + "\n"
}

fn remote(remote: &Remote) -> String {
    let local = remote.local.map(|local| local.to_string()).unwrap_or_default();
    let mut line = format!(
        "remote {}: IKEv{} from {local} ({}) to {} ({}), lifetime {} s",
        remote.name,
        remote.version.number(),
        remote.local_id,
        remote.remote,
        remote.remote_id,
        remote.lifetime.as_secs()
    );
    remote.proposals.iter().for_each(|proposal| _ = write!(line, "; {proposal}"));
    line + "\n"
}

fn sas(ike: &Ike, engine: &Engine) -> String {
    let listed = engine.engine().list();
    let carried = |direction| -> BTreeMap<Spi, u64> {
        let of_it = listed.iter().filter(|sa| sa.params.direction == direction);
        of_it.map(|sa| (sa.params.spi, sa.counters.packets)).collect()
    };
    let (inbound, outbound) = (carried(Direction::Inbound), carried(Direction::Outbound));
    let packets = |of: &BTreeMap<Spi, u64>, spi| of.get(&spi).copied().unwrap_or(0);
    let mut text = String::new();
    for view in ike.endpoint.ike_sas() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "ike {} {} {}", view.spis.0, view.spis.1, view.state);
        for child in view.children {
            let (received, sent) = (packets(&inbound, child.inbound), packets(&outbound, child.outbound));
            let _ = writeln!(text, "child {} {} {} {received} {sent}", child.inbound, child.outbound, child.state);
        }
    }
    text
}

fn pool(pool: &PoolView) -> String {
    let leases = pool.leases.iter().map(|lease| {
        let held = if lease.online { "in use" } else { "kept" };
        format!("  {} {} {held}\n", lease.address, lease.identity)
    });
    leases.fold(format!("pool {}: {} addresses\n", pool.name, pool.size), |text, lease| text + &lease)
}
