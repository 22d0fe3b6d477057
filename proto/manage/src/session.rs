//! Sessions: what serves one policy, AH, ESP or both, in both directions, from keys that were given to us.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::IvKind;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::policy::{Action, Policy};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, Encap, SaKeys, SaLookup, SaParams};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{ErrorCode, Secret, Spi};

use crate::weak;

/// Keys and SPIs of one protocol.
#[derive(Clone, Debug, Default)]
pub struct Ends<T> {
    /// What we receive with.
    pub inbound: T,
    /// What we send with.
    pub outbound: T,
}

/// ESP in a session.
#[derive(Clone, Debug)]
pub struct Esp {
    /// SPIs.
    pub spis: Ends<Spi>,
    /// Encryption.
    pub encr: EncrId,
    /// Its keys, a salt at the end.
    pub encr_keys: Ends<Secret>,
    /// Integrity; `NONE` with a cipher that has its own.
    pub integ: IntegId,
    /// Its keys.
    pub integ_keys: Ends<Secret>,
}

/// AH in a session.
#[derive(Clone, Debug)]
pub struct Ah {
    /// SPIs. Next to ESP the inbound one is that of ESP.
    pub spis: Ends<Spi>,
    /// Integrity.
    pub integ: IntegId,
    /// Its keys.
    pub keys: Ends<Secret>,
}

/// What serves one policy.
#[derive(Clone, Debug)]
pub struct Session {
    /// ESP, if it is used.
    pub esp: Option<Esp>,
    /// AH, if it is used.
    pub ah: Option<Ah>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// When it ends.
    pub lifetime: Lifetime,
    /// The UDP ports here and there, when ESP travels in UDP.
    pub udp_ports: Option<(u16, u16)>,
    /// The keys are the same at every start.
    pub manual: bool,
}

/// Why a session cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code of document 003 §3.15.
    pub code: ErrorCode,
    /// In an operator's words.
    pub why: String,
}

impl Refused {
    pub(crate) fn new(code: ErrorCode, why: impl Into<String>) -> Self {
        Refused { code, why: why.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl core::error::Error for Refused {}

impl Session {
    /// Whether keys, algorithms and SPIs can work together.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownAlgorithm`], [`ErrorCode::BadEspSpi`], [`ErrorCode::BadAhSpi`], or [`ErrorCode::BadParam`] for
    /// keys that are weak, of a wrong length, or of no use to this algorithm when they are given by hand.
    pub fn check(&self, crypto: &CryptoProvider) -> Result<(), Refused> {
        if self.esp.is_none() && self.ah.is_none() {
            return Err(Refused::new(ErrorCode::BadParam, "neither ESP nor AH is asked for"));
        }
        if let Some(esp) = &self.esp {
            usable(&esp.spis, ErrorCode::BadEspSpi, "ESP")?;
            self.check_esp(esp, crypto)?;
        }
        if let Some(ah) = &self.ah {
            usable(&ah.spis, ErrorCode::BadAhSpi, "AH")?;
            self.check_integ(ah.integ, &ah.keys, crypto)?;
        }
        match (&self.esp, &self.ah) {
            // Document 003 §3.12: AH and ESP together are one session, found by one SPI.
            (Some(esp), Some(ah)) if esp.spis.inbound != ah.spis.inbound => {
                Err(Refused::new(ErrorCode::BadAhSpi, "with AH and ESP together both inbound SPIs must be the same"))
            }
            _ => Ok(()),
        }
    }

    fn check_esp(&self, esp: &Esp, crypto: &CryptoProvider) -> Result<(), Refused> {
        let unknown = || Refused::new(ErrorCode::UnknownAlgorithm, format!("{} is not there", esp.encr));
        let alg = crypto.encr(esp.encr).ok_or_else(unknown)?;
        self.check_counter(&esp.encr, alg.iv_kind() == IvKind::Unique && alg.iv_len() > 0)?;
        let bits = key_bits(&esp.encr_keys.inbound, alg.salt_len());
        if !alg.key_bits().contains(&bits) {
            let what = format!("a key of {} bytes does not fit {}", esp.encr_keys.inbound.len(), esp.encr);
            return Err(Refused::new(ErrorCode::BadParam, what));
        }
        for key in [&esp.encr_keys.inbound, &esp.encr_keys.outbound] {
            weak::check_encr(esp.encr, key)?;
        }
        let (integ, integ_keys) = self.esp_integ(esp, crypto);
        match (alg.icv_len() > 0, integ) {
            (true, IntegId::NONE) => Ok(()),
            (true, _) => {
                Err(Refused::new(ErrorCode::BadParam, format!("{} authenticates by itself; leave -a out", esp.encr)))
            }
            // RFC 8221 §4: encryption that anybody can change is none.
            (false, IntegId::NONE) => {
                Err(Refused::new(ErrorCode::BadParam, format!("{} needs an integrity algorithm", esp.encr)))
            }
            (false, integ) => self.check_integ(integ, integ_keys, crypto),
        }
    }

    /// What authenticates ESP. Document 003 names one algorithm for a session: next to AH, a cipher that does not
    /// authenticate by itself has that of AH.
    fn esp_integ<'a>(&'a self, esp: &'a Esp, crypto: &CryptoProvider) -> (IntegId, &'a Ends<Secret>) {
        let bare = esp.integ == IntegId::NONE && crypto.encr(esp.encr).is_some_and(|alg| alg.icv_len() == 0);
        match &self.ah {
            Some(ah) if bare => (ah.integ, &ah.keys),
            _ => (esp.integ, &esp.integ_keys),
        }
    }

    fn check_integ(&self, integ: IntegId, keys: &Ends<Secret>, crypto: &CryptoProvider) -> Result<(), Refused> {
        let unknown = || Refused::new(ErrorCode::UnknownAlgorithm, format!("{integ} is not there"));
        let alg = crypto.integ(integ).ok_or_else(unknown)?;
        self.check_counter(&integ, alg.iv_len() > 0)?;
        for key in [&keys.inbound, &keys.outbound] {
            if key.len() != alg.key_len() {
                let what = format!("{integ} takes a key of {} bytes, not of {}", alg.key_len(), key.len());
                return Err(Refused::new(ErrorCode::BadParam, what));
            }
            weak::check_repeated(key)?;
        }
        Ok(())
    }

    fn check_counter(&self, name: &dyn fmt::Display, counter: bool) -> Result<(), Refused> {
        if self.manual && counter { Err(counter_mode(name)) } else { Ok(()) }
    }

    /// The two SAs for `policy`: inbound, then outbound. `local` is this end.
    ///
    /// # Errors
    /// What [`Session::check`] says, and [`ErrorCode::BadParam`] for a policy that protects nothing or an end of another
    /// address family.
    pub fn sas(&self, policy: &Policy, local: IpAddr, crypto: &CryptoProvider) -> Result<[SaParams; 2], Refused> {
        self.check(crypto)?;
        let Action::Protect(protection) = &policy.action else {
            return Err(Refused::new(ErrorCode::BadParam, "the policy protects nothing, so it has no SA"));
        };
        let remote = protection.remote;
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(Refused::new(ErrorCode::BadParam, "the two ends belong to different address families"));
        }
        let [(inbound, inbound_keys), (outbound, outbound_keys)] =
            [self.half(Direction::Inbound, crypto), self.half(Direction::Outbound, crypto)];
        // The label that the data plane lists: of ESP where there is ESP.
        let spis = self.esp.as_ref().map(|esp| &esp.spis).or(self.ah.as_ref().map(|ah| &ah.spis));
        let (spi_in, spi_out) = spis.map_or((Spi(0), Spi(0)), |spis| (spis.inbound, spis.outbound));
        let encap = |(here, there)| Encap::udp(here, there);
        let sending = SaParams {
            direction: Direction::Outbound,
            spi: spi_out,
            pair: spi_in,
            lookup: SaLookup::Spi,
            src: local,
            dst: remote,
            mode: protection.mode,
            encap: self.udp_ports.map(encap),
            original: None,
            suite: outbound,
            keys: outbound_keys,
            policy: policy.id,
            local_ts: policy.local.as_slice().into(),
            remote_ts: policy.remote.as_slice().into(),
            lifetime: self.lifetime,
            replay_window: 0,
            options: protection.options,
        };
        let receiving = SaParams {
            direction: Direction::Inbound,
            spi: spi_in,
            pair: spi_out,
            src: remote,
            dst: local,
            encap: self.udp_ports.map(|(here, there)| encap((there, here))),
            suite: inbound,
            keys: inbound_keys,
            replay_window: protection.replay_window,
            ..sending.clone()
        };
        Ok([receiving, sending])
    }

    /// The algorithms and keys of one direction of a session that was checked.
    fn half(&self, direction: Direction, crypto: &CryptoProvider) -> (Suite, SaKeys) {
        let sn = if self.esn { SnId::PARTIAL_64 } else { SnId::SEQUENTIAL_32 };
        let mut keys = SaKeys::default();
        let esp = self.esp.as_ref().map(|esp| {
            keys.encr = esp.encr_keys.of(direction).clone();
            let (integ, integ_keys) = self.esp_integ(esp, crypto);
            keys.integ = integ_keys.of(direction).clone();
            let salt_len = crypto.encr(esp.encr).map_or(0, |alg| alg.salt_len());
            let encr_key_bits = key_bits(&keys.encr, salt_len);
            EspSuite { encr: esp.encr, encr_key_bits, integ, sn }
        });
        let ah = self.ah.as_ref().map(|ah| {
            keys.ah = ah.keys.of(direction).clone();
            (AhSuite { integ: ah.integ, sn }, *ah.spis.of(direction))
        });
        let suite = match (esp, ah) {
            (Some(esp), Some((ah, ah_spi))) => Suite::AhEsp { ah, ah_spi, esp },
            (Some(esp), None) => Suite::Esp(esp),
            (None, Some((ah, _))) => Suite::Ah(ah),
            // A session that was checked has a protocol; without one its SA is refused for the algorithm.
            (None, None) => Suite::Ah(AhSuite { integ: IntegId::NONE, sn }),
        };
        (suite, keys)
    }
}

impl<T> Ends<T> {
    fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }
}

fn key_bits(key: &Secret, salt_len: usize) -> u16 {
    u16::try_from(key.len().saturating_sub(salt_len) * 8).unwrap_or(u16::MAX)
}

fn usable(spis: &Ends<Spi>, code: ErrorCode, protocol: &str) -> Result<(), Refused> {
    if spis.inbound.is_usable() && spis.outbound.is_usable() {
        return Ok(());
    }
    Err(Refused::new(code, format!("SPIs of {protocol} from 0 to 255 are reserved; choose two of 256 or more")))
}

/// RFC 3686 §2.1, RFC 4106 §10, RFC 4309 §2: the counter begins anew at every start, and with the same key that
/// gives the traffic away and lets anybody forge it.
fn counter_mode(name: &dyn fmt::Display) -> Refused {
    let why = format!(
        "{name} must not be keyed by hand: after a restart it would use the same key with the same numbers again, which \
         gives the traffic away; use AES128-CBC with HMAC-SHA-2-256, or IKE, which makes a fresh key for each start"
    );
    Refused::new(ErrorCode::BadParam, why)
}
