//! What `ipsec addsa` asks for.

use std::net::IpAddr;
use std::path::PathBuf;

use ravelin_types::Spi;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Mode;
use ravelin_types::transform::IntegId;

use crate::value::algorithm;
use crate::value::key::KeySource;
use crate::value::protocol::Protocol;
use crate::value::selector::IdString;

/// An SA with its keys, and the traffic it is for.
#[derive(Clone, Debug)]
pub struct ManualSpec {
    /// Which packets leave by it.
    pub source: IdString,
    /// Where they go.
    pub destination: IdString,
    /// Upper-layer protocol, with its types.
    pub protocol: Protocol,
    /// Transport or tunnel.
    pub mode: Mode,
    /// The remote end.
    pub remote: IpAddr,
    /// The local end; `None`: the address from which the remote end is reached.
    pub local: Option<IpAddr>,
    /// ESP: SPIs (in, out), the cipher and its keys (in, out).
    pub esp: Option<(Spi, Spi, algorithm::Encr, [KeySource; 2])>,
    /// AH: SPIs (in, out).
    pub ah: Option<(Spi, Spi)>,
    /// Integrity and its keys (in, out): of AH where there is AH, else of ESP.
    pub integ: Option<(IntegId, [KeySource; 2])>,
    /// How its packets are carried.
    pub options: SaOptions,
}

impl ManualSpec {
    fn keys(&self) -> impl Iterator<Item = &KeySource> {
        let of_esp = self.esp.iter().flat_map(|(.., keys)| keys);
        of_esp.chain(self.integ.iter().flat_map(|(_, keys)| keys))
    }

    /// Whether a key was given as digits, and not by the name of a file.
    pub fn holds_keys(&self) -> bool {
        self.keys().any(|key| matches!(key, KeySource::Hex(secret) if !secret.is_empty()))
    }

    /// The files of its keys.
    pub(crate) fn key_files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let of_esp = self.esp.iter_mut().flat_map(|(.., keys)| keys);
        of_esp.chain(self.integ.iter_mut().flat_map(|(_, keys)| keys)).filter_map(|key| match key {
            KeySource::File(path) => Some(path),
            KeySource::Hex(_) => None,
        })
    }
}
