//! SAs: ADD_SA and the answer to GET_SA. Both describe a session, which is all that serves one policy: ESP, AH or both,
//! in both directions.

use alloc::vec::Vec;
use core::time::Duration;

use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::PolicyId;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};

use super::{Body, Endpoint, Malformed, Reader};

/// The longest key in a message: twice what any algorithm takes.
pub const MAX_KEY_LEN: usize = 128;

/// A key of at most [`MAX_KEY_LEN`] octets.
#[derive(Clone, Debug, Default)]
pub struct Key(Secret);

impl Key {
    /// `None`: it is too long.
    pub fn new(secret: Secret) -> Option<Self> {
        (secret.len() <= MAX_KEY_LEN).then_some(Key(secret))
    }

    /// The key.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// Options of an SA, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaFlags(pub u16);

impl SaFlags {
    /// Extended sequence numbers.
    pub const ESN: SaFlags = SaFlags(1);
}

/// The SPIs of a session; 0 where a protocol or direction is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaSpis {
    /// ESP, what we receive.
    pub esp_in: Spi,
    /// ESP, what we send.
    pub esp_out: Spi,
    /// AH, what we receive.
    pub ah_in: Spi,
    /// AH, what we send.
    pub ah_out: Spi,
}

impl Body for SaSpis {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut spi = || r.u32().map(Spi);
        Ok(SaSpis { esp_in: spi()?, esp_out: spi()?, ah_in: spi()?, ah_out: spi()? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        for spi in [self.esp_in, self.esp_out, self.ah_in, self.ah_out] {
            out.extend_from_slice(&spi.0.to_be_bytes());
        }
    }
}

/// Limits of an SA: `seconds (4) | octets (8) | packets (8)`, soft, then hard; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(Lifetime);

impl Lifetimes {
    /// As the data plane takes them.
    pub fn lifetime(self) -> Lifetime {
        self.0
    }
}

impl From<Lifetime> for Lifetimes {
    /// In whole seconds of at most 32 bits, upwards, so that no limit becomes none.
    fn from(lifetime: Lifetime) -> Self {
        let whole = |limits: Limits| {
            let up = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
            let time = limits.time.map(|time| Duration::from_secs(up(time).clamp(1, u64::from(u32::MAX))));
            let some = |value: Option<u64>| value.map(|value| value.max(1));
            Limits { time, bytes: some(limits.bytes), packets: some(limits.packets) }
        };
        Lifetimes(Lifetime { soft: whole(lifetime.soft), hard: whole(lifetime.hard), idle: None })
    }
}

impl Body for Lifetimes {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut limits = || -> Result<Limits, Malformed> {
            let some = |value: u64| (value > 0).then_some(value);
            Ok(Limits {
                time: some(u64::from(r.u32()?)).map(Duration::from_secs),
                bytes: some(r.u64()?),
                packets: some(r.u64()?),
            })
        };
        Ok(Lifetimes(Lifetime { soft: limits()?, hard: limits()?, idle: None }))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        for limits in [self.0.soft, self.0.hard] {
            // A value of this type has whole seconds of 32 bits.
            let seconds = limits.time.map_or(0, |time| time.as_secs()) as u32;
            out.extend_from_slice(&seconds.to_be_bytes());
            out.extend_from_slice(&limits.bytes.unwrap_or(0).to_be_bytes());
            out.extend_from_slice(&limits.packets.unwrap_or(0).to_be_bytes());
        }
    }
}

/// What ADD_SA and GET_SA have in common (88 octets): `number of the policy (4) | flags (2) | encryption (1) |
/// integrity (1) | SPIs: ESP in, ESP out, AH in, AH out (4 each) | limits (40) | UDP port here (2) |
/// UDP port there (2) | this end (20)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaBody {
    /// The policy that it serves.
    pub policy: PolicyId,
    /// Options.
    pub flags: SaFlags,
    /// Encryption (`ALG_ESP_*`): the IKEv2 transform, 0 for none.
    pub encr: EncrId,
    /// Integrity (`ALG_ESP_HMAC_*`, `ALG_AH_*`): the IKEv2 transform, 0 for none.
    pub integ: IntegId,
    /// The SPIs.
    pub spis: SaSpis,
    /// When it ends.
    pub lifetimes: Lifetimes,
    /// ESP in UDP (RFC 3948): the ports here and there; both 0: not in UDP.
    pub udp_ports: (u16, u16),
    /// This end; nothing: what the policy says, or from where the other end is reached.
    pub local: Endpoint,
}

impl Body for SaBody {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(SaBody {
            policy: PolicyId(r.u32()?),
            flags: SaFlags(r.u16()?),
            encr: EncrId(r.u8()?.into()),
            integ: IntegId(r.u8()?.into()),
            spis: Body::parse(r)?,
            lifetimes: Body::parse(r)?,
            udp_ports: (r.u16()?, r.u16()?),
            local: Body::parse(r)?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.policy.0.to_be_bytes());
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        // No IKEv2 transform of these types that we know is above 255; one that were would be told as none.
        let octet = |id: u16| u8::try_from(id).unwrap_or(0);
        out.extend_from_slice(&[octet(self.encr.0), octet(self.integ.0)]);
        self.spis.emit(out);
        self.lifetimes.emit(out);
        out.extend_from_slice(&self.udp_ports.0.to_be_bytes());
        out.extend_from_slice(&self.udp_ports.1.to_be_bytes());
        self.local.emit(out);
    }
}

/// ADD_SA: the session, then `length of an encryption key (1) | length of an integrity key (1) | reserved (2)`, then
/// the keys: encryption in, encryption out, integrity in, integrity out.
#[derive(Clone, Debug)]
pub struct AddSa {
    /// What it is.
    pub sa: SaBody,
    keys: [Key; 4],
}

impl AddSa {
    /// `encr` and `integ` are what we receive with, then what we send with; a salt stands at the end of an encryption
    /// key. `None`: the two keys of a kind differ in length.
    pub fn new(sa: SaBody, encr: [Key; 2], integ: [Key; 2]) -> Option<Self> {
        let ([encr_in, encr_out], [integ_in, integ_out]) = (encr, integ);
        let same = |a: &Key, b: &Key| a.0.len() == b.0.len();
        (same(&encr_in, &encr_out) && same(&integ_in, &integ_out))
            .then(|| AddSa { sa, keys: [encr_in, encr_out, integ_in, integ_out] })
    }

    /// The encryption keys: in, out.
    pub fn encr(&self) -> [&Secret; 2] {
        [&self.keys[0].0, &self.keys[1].0]
    }

    /// The integrity keys: in, out.
    pub fn integ(&self) -> [&Secret; 2] {
        [&self.keys[2].0, &self.keys[3].0]
    }
}

impl Body for AddSa {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let sa = SaBody::parse(r)?;
        let at = r.clone();
        let (encr_len, integ_len) = (usize::from(r.u8()?), usize::from(r.u8()?));
        super::common::reserved(r, 2)?;
        if encr_len.max(integ_len) > MAX_KEY_LEN {
            return Err(at.malformed("a key is too long"));
        }
        let mut key = |len| r.take(len).map(|key| Key(Secret::from(key)));
        Ok(AddSa { sa, keys: [key(encr_len)?, key(encr_len)?, key(integ_len)?, key(integ_len)?] })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.sa.emit(out);
        // At most MAX_KEY_LEN, so the octet holds it.
        let len = |key: &Key| key.0.len() as u8;
        out.extend_from_slice(&[len(&self.keys[0]), len(&self.keys[2]), 0, 0]);
        self.keys.iter().for_each(|key| out.extend_from_slice(key.0.expose()));
    }
}

/// How much passed in one direction: `packets (8) | octets (8)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaUse {
    /// Packets.
    pub packets: u64,
    /// Payload octets.
    pub octets: u64,
}

/// The answer to GET_SA (144 octets): the session, `key length of the cipher in bits (2) | reserved (2) |
/// the other end (20) | received (16) | sent (16)`, and never a key. `local` is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaInfo {
    /// What it is.
    pub sa: SaBody,
    /// Key length of the cipher in bits, without a salt.
    pub key_bits: u16,
    /// The other end.
    pub remote: Endpoint,
    /// What we received.
    pub received: SaUse,
    /// What we sent.
    pub sent: SaUse,
}

impl Body for SaInfo {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (sa, key_bits) = (SaBody::parse(r)?, r.u16()?);
        super::common::reserved(r, 2)?;
        let remote = Body::parse(r)?;
        let mut passed = || Ok(SaUse { packets: r.u64()?, octets: r.u64()? });
        Ok(SaInfo { sa, key_bits, remote, received: passed()?, sent: passed()? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.sa.emit(out);
        out.extend_from_slice(&self.key_bits.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        self.remote.emit(out);
        for passed in [self.received, self.sent] {
            out.extend_from_slice(&passed.packets.to_be_bytes());
            out.extend_from_slice(&passed.octets.to_be_bytes());
        }
    }
}
