//! Peers by a struct each, with a pre-shared key; what else a peer may be is said in lines.

use std::ffi::c_char;
use std::time::Duration;

use ravelin_config::value::identity::identity;
use ravelin_ike::Remote;
use ravelin_ike::config::{IkeVersion, Liveness, LocalAuth, Open, Reach, RemoteAuth, Retransmission, Rounds};
use ravelin_types::proposal::ProtocolId;

use crate::handle::{self, RvlHandle, call};
use crate::ike::Ike;
use crate::{RvlStatus, sys, text};

/// A peer. Lists of algorithms are names with commas between, best first; null for the defaults.
#[repr(C)]
pub struct RvlRemote {
    /// The caller's name for it, unique.
    pub name: *const c_char,
    /// This host's address towards it.
    pub local: *const c_char,
    /// Its address or name; a name is looked up by the caller, as `rvl_ike_poll` asks.
    pub remote: *const c_char,
    /// Who this host says it is: `fqdn:gw.example.org`, `rfc822:a@example.org`, `ipv4:192.0.2.1`, `keyid:0102`.
    pub local_id: *const c_char,
    /// Who the peer must say it is.
    pub remote_id: *const c_char,
    /// The pre-shared key.
    pub secret: *const u8,
    /// Bytes of it.
    pub secret_len: usize,
    /// Ciphers: `AES256-GCM,AES128-CBC`.
    pub encryption: *const c_char,
    /// Integrity algorithms, for ciphers that do not authenticate: `HMAC-SHA-2-256`.
    pub integrity: *const c_char,
    /// Pseudorandom functions: `HMAC-SHA-2-256`.
    pub prf: *const c_char,
    /// Key exchange groups: `CURVE25519,ECP256`.
    pub key_exchange: *const c_char,
    /// Age in seconds at which the IKE SA is replaced, at least 60.
    pub lifetime: u32,
    /// Ask whether it lives when something is sent to it after so many seconds of silence; 0: never.
    pub liveness: u32,
}

/// Adds a peer, or replaces the one of the same name, unless lines made that. It may begin and be begun with.
///
/// # Safety
/// `remote` is null or points to such a struct, whose strings are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_add_remote(ike: RvlHandle, remote: *const RvlRemote, now: u64) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let remote = unsafe { parse(sys::read(remote)?)? };
        handle::with(ike, |ike: &mut Ike| {
            if ike.model.iter().any(|model| model.versions(&remote.name).next().is_some()) {
                return Err(RvlStatus::Exist);
            }
            ike.typed.remotes.retain(|other| other.name != remote.name);
            ike.typed.remotes.push(remote);
            ike.configure(now);
            Ok(())
        })
    })
}

/// Removes a peer. Its SAs stay until they are terminated.
///
/// # Safety
/// `name` is null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_delete_remote(ike: RvlHandle, name: *const c_char, now: u64) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { sys::text(name)? }.ok_or(RvlStatus::Null)?;
        handle::with(ike, |ike: &mut Ike| {
            let before = ike.typed.remotes.len();
            ike.typed.remotes.retain(|remote| remote.name != name);
            if ike.typed.remotes.len() == before {
                return Err(RvlStatus::PolicyNotFound);
            }
            ike.configure(now);
            Ok(())
        })
    })
}

/// # Safety
/// The strings are null or end with a zero byte, and the secret has its length.
unsafe fn parse(remote: &RvlRemote) -> Result<Remote, RvlStatus> {
    // SAFETY: the caller's promise.
    let required = |pointer| unsafe { sys::text(pointer)? }.ok_or(RvlStatus::Null);
    // SAFETY: the caller's promise.
    let (secret, encryption, integrity, prf, key_exchange) = unsafe {
        (
            sys::slice(remote.secret, remote.secret_len)?,
            sys::text(remote.encryption)?,
            sys::text(remote.integrity)?,
            sys::text(remote.prf)?,
            sys::text(remote.key_exchange)?,
        )
    };
    let proposals = text::proposals(ProtocolId::IKE, encryption, integrity, Some(prf), key_exchange)?;
    let id = |pointer| identity(required(pointer)?).map_err(|_| RvlStatus::BadIdType);
    let local = text::address(required(remote.local)?)?;
    let peer = text::host(required(remote.remote)?)?;
    // Less leaves no time to replace it.
    if secret.is_empty() || remote.lifetime < 60 {
        return Err(RvlStatus::BadParam);
    }
    Ok(Remote {
        name: required(remote.name)?.to_owned(),
        version: IkeVersion::V2,
        local: Some(local),
        source: Some(local),
        remote: peer.or_unspecified(Some(local)),
        local_id: id(remote.local_id)?,
        remote_id: id(remote.remote_id)?,
        local_auth: LocalAuth::Psk(secret.into()),
        remote_auth: RemoteAuth::Psk(secret.into()),
        rounds: Rounds::default(),
        proposals,
        initiate: true,
        accept: true,
        lifetime: Duration::from_secs(remote.lifetime.into()),
        retransmission: Retransmission::default(),
        liveness: match remote.liveness {
            0 => Liveness::Off,
            seconds => Liveness::WhenSending(Duration::from_secs(seconds.into())),
        },
        login_time: Remote::LOGIN_TIME,
        encap: false,
        open: Open { alternates: peer.name().cloned().map(Reach::Named).into_iter().collect(), ..Open::default() },
        internal: Default::default(),
        if_ids: Default::default(),
        extensions: Default::default(),
    })
}
