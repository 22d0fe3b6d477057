//! `ipsec addsa` and `ipsec delsa`: keys given by hand (document 003 §3.13).

use std::net::IpAddr;

use clap::Args;
use ravelin_types::Spi;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Mode;
use ravelin_types::transform::{EncrId, IntegId};

use super::options::DEFAULT_TFC;
use super::policy::ModeWord;
use super::{Command, Conflict};
use crate::spec::ManualSpec;
use crate::value::key::{KeySource, key};
use crate::value::protocol::{Protocol, protocol};
use crate::value::selector::{IdString, id_string};
use crate::value::{algorithm, identity};

/// The flags of `ipsec addsa`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct AddSaArgs {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong, display_order = 1001)]
    help: Option<bool>,
    /// Authentication algorithm: of AH where there are SPIs of AH, else of ESP
    #[arg(short = 'a', long, value_name = "NAME", value_parser = one_integ)]
    authentication: Option<IntegId>,
    /// Incoming authentication key: hexadecimal digits, or file:PATH
    #[arg(short = 'b', long, value_name = "KEY", value_parser = key)]
    auth_in: Option<KeySource>,
    /// Outgoing authentication key
    #[arg(short = 'c', long, value_name = "KEY", value_parser = key)]
    auth_out: Option<KeySource>,
    /// Encryption algorithm
    #[arg(short = 'e', long, value_name = "NAME", value_parser = one_encr)]
    encryption: Option<algorithm::Encr>,
    /// Incoming encryption key: hexadecimal digits, or file:PATH
    #[arg(short = 'f', long, value_name = "KEY", value_parser = key)]
    encr_in: Option<KeySource>,
    /// Outgoing encryption key
    #[arg(short = 'g', long, value_name = "KEY", value_parser = key)]
    encr_out: Option<KeySource>,
    /// transport (between the two endpoints) or tunnel
    #[arg(short = 'm', long, value_enum, ignore_case = true)]
    mode: ModeWord,
    /// Upper-layer protocol, as in `ipsec policy`: udp, tcp, icmp, icmp6, mh, any, or a number; with types icmp/8
    #[arg(short = 'p', long, value_name = "PROTOCOL", default_value = "any", value_parser = protocol)]
    protocol: Protocol,
    /// Address of the remote endpoint
    #[arg(short = 'r', long, value_name = "ADDRESS", value_parser = identity::host)]
    remote: IpAddr,
    /// Address of the local endpoint (default: the one from which the remote endpoint is reached)
    #[arg(long, value_name = "ADDRESS", value_parser = identity::host)]
    local: Option<IpAddr>,
    /// Source: ADDRESS, ADDRESS/BITS, ADDRESS/MASK, FIRST-LAST, any (IPv4) or any6, each with ,PORT
    #[arg(short = 's', long, value_name = "ID", value_parser = id_string)]
    source: IdString,
    /// Destination, written like the source
    #[arg(short = 'd', long, value_name = "ID", value_parser = id_string)]
    destination: IdString,
    /// Hide the length of packets with random padding of up to 255 bytes
    #[arg(long)]
    tfc: bool,
    /// Cut the ICV of HMAC-SHA-2 to 96 bits, for a peer that does not know RFC 4868
    #[arg(long)]
    short_icv: bool,
    /// Pad AH to 64 bits in IPv4 too: for Linux whose SA has no flag align4
    #[arg(long)]
    ah_align64: bool,
    /// SPI of incoming ESP: a number from 256 on, decimal or with 0x
    #[arg(short = 'w', long, value_name = "SPI", value_parser = spi)]
    esp_in: Option<Spi>,
    /// SPI of outgoing ESP
    #[arg(short = 'x', long, value_name = "SPI", value_parser = spi)]
    esp_out: Option<Spi>,
    /// SPI of incoming AH; next to ESP the same
    #[arg(short = 'y', long, value_name = "SPI", value_parser = spi)]
    ah_in: Option<Spi>,
    /// SPI of outgoing AH
    #[arg(short = 'z', long, value_name = "SPI", value_parser = spi)]
    ah_out: Option<Spi>,
}

/// The flags of `ipsec delsa`.
#[derive(Clone, Debug, Args)]
pub struct DelSaArgs {
    /// Destination, as given to addsa
    #[arg(short = 'd', long, value_name = "ID", value_parser = id_string)]
    pub destination: IdString,
    /// Upper-layer protocol
    #[arg(short = 'p', long, value_name = "PROTOCOL", default_value = "any", value_parser = protocol)]
    pub protocol: Protocol,
    /// Source
    #[arg(short = 's', long, value_name = "ID", value_parser = id_string)]
    pub source: IdString,
}

impl AddSaArgs {
    pub(super) fn interpret(&self, notes: &mut Vec<String>) -> Result<Command, Conflict> {
        let (source, destination) = (self.source, self.destination);
        super::policy::check_traffic(&self.protocol, source, destination)?;
        let mode = Mode::from(self.mode);
        let local = super::policy::local_end(mode, &[source], &[destination], &self.remote.into(), self.local)?;
        let esp_spis = both((self.esp_in, self.esp_out), "-w and -x: the SPIs of ESP in both directions")?;
        let ah = both((self.ah_in, self.ah_out), "-y and -z: the SPIs of AH in both directions")?;
        let cipher = self.cipher()?;
        let esp = match (esp_spis, cipher) {
            (Some((inbound, outbound)), Some((encr, keys))) => Some((inbound, outbound, encr, keys)),
            (None, None) => None,
            (Some(_), None) => return Err(Conflict::missing("expected -e CIPHER, -f KEY and -g KEY for ESP")),
            (None, Some(_)) => {
                return Err(Conflict::at(('e', "encryption"), "-e goes with -w and -x: encryption is ESP"));
            }
        };
        if esp.is_none() && ah.is_none() {
            return Err(Conflict::missing("expected the SPIs of ESP (-w and -x), of AH (-y and -z), or of both"));
        }
        let integ = match self.authentication {
            Some(id) => {
                let missing = || Conflict::missing("expected -b KEY and -c KEY, the authentication keys");
                let keys = both((self.auth_in.clone(), self.auth_out.clone()), "-b and -c")?.ok_or_else(missing)?;
                Some((id, [keys.0, keys.1]))
            }
            None if self.auth_in.is_some() || self.auth_out.is_some() => {
                return Err(Conflict::missing("expected -a ALGORITHM for the authentication keys"));
            }
            None if ah.is_some() => return Err(Conflict::missing("expected -a ALGORITHM for AH")),
            None => None,
        };
        if self.tfc && esp.is_none() {
            return Err(Conflict::at(('\0', "tfc"), "--tfc is about ESP; leave it out, or give the SPIs of ESP"));
        }
        if self.ah_align64 && ah.is_none() {
            return Err(Conflict::at(('\0', "ah-align64"), "--ah-align64 is about AH; leave it out, or give its SPIs"));
        }
        self.note(notes);
        let options = SaOptions {
            tfc: if self.tfc { DEFAULT_TFC } else { 0 },
            short_icv: self.short_icv,
            ah_align64: self.ah_align64,
            ..SaOptions::default()
        };
        let (protocol, remote) = (self.protocol.clone(), self.remote);
        let spec = ManualSpec { source, destination, protocol, mode, remote, local, esp, ah, integ, options };
        Ok(Command::AddSa(Box::new(spec)))
    }

    fn cipher(&self) -> Result<Option<(algorithm::Encr, [KeySource; 2])>, Conflict> {
        let keys = both((self.encr_in.clone(), self.encr_out.clone()), "-f and -g")?;
        let (Some((id, bits)), Some((inbound, outbound))) = (self.encryption, keys) else {
            return match (self.encryption, self.encr_in.is_some()) {
                (None, true) => Err(Conflict::missing("expected -e CIPHER for the encryption keys")),
                (Some((EncrId::NULL, _)), false) => {
                    let none = || KeySource::Hex(Default::default());
                    Ok(Some(((EncrId::NULL, None), [none(), none()])))
                }
                (Some(_), false) => Err(Conflict::missing("expected -f KEY and -g KEY, the encryption keys")),
                (_, _) => Ok(None),
            };
        };
        // AES128 in the name says the length; in a file it is seen later.
        for (source, flag) in [(&inbound, ('f', "encr-in")), (&outbound, ('g', "encr-out"))] {
            if let (KeySource::Hex(key), Some(bits)) = (source, bits)
                && key.len() != usize::from(bits / 8)
                && id == EncrId::AES_CBC
            {
                let why = format!("expected a key of {} bytes, got {}", bits / 8, key.len());
                return Err(Conflict::at(flag, why));
            }
        }
        Ok(Some(((id, bits), [inbound, outbound])))
    }

    fn note(&self, notes: &mut Vec<String>) {
        let keys = [&self.auth_in, &self.auth_out, &self.encr_in, &self.encr_out];
        if keys.into_iter().flatten().any(|key| matches!(key, KeySource::Hex(_))) {
            notes.push(
                "keys on a command line can be seen by others (ps, the history of the shell); better write each to a \
                 file with mode 0600 and give file:PATH"
                    .to_owned(),
            );
        }
    }
}

/// Both of a pair, or neither.
fn both<T>(pair: (Option<T>, Option<T>), what: &str) -> Result<Option<(T, T)>, Conflict> {
    match pair {
        (Some(inbound), Some(outbound)) => Ok(Some((inbound, outbound))),
        (None, None) => Ok(None),
        _ => Err(Conflict::missing(format!("expected {what}"))),
    }
}

fn one_encr(text: &str) -> Result<algorithm::Encr, crate::value::BadValue> {
    one(algorithm::encr_list(text)?)
}

fn one_integ(text: &str) -> Result<IntegId, crate::value::BadValue> {
    one(algorithm::integ_list(text)?)
}

fn one<T: Copy>(list: Vec<T>) -> Result<T, crate::value::BadValue> {
    match list.as_slice() {
        [one] => Ok(*one),
        _ => Err(crate::value::BadValue::new("expected one algorithm: nothing is negotiated")),
    }
}

fn spi(text: &str) -> Result<Spi, crate::value::BadValue> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    // RFC 4303 §2.1: 1 to 255 are reserved, 0 never travels.
    number
        .map(Spi)
        .filter(|spi| spi.is_usable())
        .ok_or_else(|| crate::value::BadValue::new("expected an SPI from 256 to 4294967295 (0x100 to 0xffffffff)"))
}
