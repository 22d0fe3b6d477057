//! What the running kernel's IPsec can do, by trial: an SA of each algorithm is installed in a network namespace that
//! nothing else is in and that vanishes with it. The kernel's own list names algorithms whose modules cannot be loaded.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ravelin_types::Spi;
use ravelin_types::transform::{EncrId, IntegId, SnId, Transform};

use crate::algorithms::{self, CIPHERS, INTEGRITIES};
use crate::error::Error;
use crate::msg::attribute::{Algorithm, Attribute, Offload, ReplayEsn, SA_IN, SA_OUT, offload};
use crate::msg::parts::{INET, Id, Limits, Selector};
use crate::msg::policy::{PolicyInfo, direction};
use crate::msg::state::{StateInfo, flag, mode};
use crate::msg::{Body, Message, kind};
use crate::netlink::{Netlink, Refusal, Request};
use crate::policies::{AH, COMP, ESP};
use crate::sys;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The kernel has ESP.
    pub esp: bool,
    /// The kernel has AH.
    pub ah: bool,
    /// Ciphers of ESP, with the lengths of their keys in bits where there is a choice.
    pub ciphers: Vec<(EncrId, Vec<u16>)>,
    /// Integrity algorithms of ESP and AH.
    pub integrity: Vec<IntegId>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// ESP in UDP over IPv4, and over IPv6.
    pub udp_encap: (bool, bool),
    /// States can be kept to one direction (Linux 6.10).
    pub direction: bool,
    /// To how many processors, from 0 on, states can be kept, each to one; 0: to none (before Linux 6.13).
    pub processors: u32,
    /// IPComp with DEFLATE.
    pub ipcomp: bool,
    /// Network devices can be given whole packets (Linux 6.2); whether there is one that takes them shows with each.
    pub packet_offload: bool,
    /// IP-TFS, RFC 9347 (Linux 6.14).
    pub iptfs: bool,
}

impl Capabilities {
    /// Whether SAs can be installed at all.
    pub fn is_usable(&self) -> bool {
        self.esp && !self.ciphers.is_empty()
    }

    /// Whether an SA may have this.
    pub fn has(&self, transform: &Transform) -> bool {
        match *transform {
            Transform::Encr(id, bits) => self.has_cipher(id, bits),
            Transform::Integ(id) => id == IntegId::NONE || self.integrity.contains(&id),
            Transform::Sn(id) => id == SnId::SEQUENTIAL_32 || self.esn,
            _ => true,
        }
    }

    /// Everything that was tried, a line for each: our name, the kernel's, and whether it is there.
    pub fn table(&self) -> String {
        let mut lines = String::new();
        let mut line = |ours: &str, theirs: &str, there: bool| {
            let there = if there { "yes" } else { "no" };
            lines.push_str(format!("{ours:<22} {theirs:<30} {there}\n").as_str());
        };
        line("ESP", "", self.esp);
        line("AH", "", self.ah);
        for cipher in CIPHERS {
            let lengths: Vec<Option<u16>> = match cipher.key_bits {
                [] => vec![None],
                bits => bits.iter().copied().map(Some).collect(),
            };
            for bits in lengths {
                let ours = Transform::Encr(cipher.id, bits).to_string();
                line(&ours, cipher.name, self.has_cipher(cipher.id, bits));
            }
        }
        for integrity in INTEGRITIES {
            line(&integrity.id.to_string(), integrity.name, self.integrity.contains(&integrity.id));
        }
        for (what, there) in self.features() {
            line(what, "", there);
        }
        lines
    }

    fn features(&self) -> [(&'static str, bool); 8] {
        [
            ("ESN", self.esn),
            ("ESP in UDP, IPv4", self.udp_encap.0),
            ("ESP in UDP, IPv6", self.udp_encap.1),
            ("SA direction", self.direction),
            ("SAs per processor", self.processors > 0),
            ("IPComp", self.ipcomp),
            ("packet offload", self.packet_offload),
            ("IP-TFS", self.iptfs),
        ]
    }

    /// Whether a cipher is there with a key of this length.
    pub fn has_cipher(&self, id: EncrId, key_bits: Option<u16>) -> bool {
        self.ciphers
            .iter()
            .any(|(cipher, bits)| *cipher == id && key_bits.is_none_or(|key| bits.is_empty() || bits.contains(&key)))
    }
}

impl fmt::Display for Capabilities {
    /// What is missing, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ciphers =
            CIPHERS.iter().filter(|cipher| !self.has_cipher(cipher.id, None)).map(|cipher| cipher.id.to_string());
        let integrity = INTEGRITIES.iter().filter(|it| !self.integrity.contains(&it.id)).map(|it| it.id.to_string());
        let features = self.features().into_iter().filter(|(_, there)| !there).map(|(what, _)| what.to_owned());
        let ah = (!self.ah).then(|| "AH".to_owned());
        let missing: Vec<String> = ah.into_iter().chain(ciphers).chain(integrity).chain(features).collect();
        match missing.is_empty() {
            true => f.write_str("it has everything"),
            false => write!(f, "it has no {}", missing.join(", ")),
        }
    }
}

/// Finds out.
///
/// # Errors
/// When there is no XFRM at all, or no namespace can be made.
pub fn probe() -> Result<Capabilities, Error> {
    let found = std::thread::spawn(|| {
        sys::private_namespace()
            .map_err(|error| Error::system("make a network namespace to try the kernel in", error))?;
        let no_xfrm = |error| Error::system("speak with the kernel's IPsec (XFRM)", error);
        Ok(Trial { netlink: Netlink::open().map_err(no_xfrm)?, spi: Spi::MIN.0 }.run())
    });
    found.join().unwrap_or_else(|_| Err(Error::Missing("the trial of the kernel's algorithms failed".into())))
}

/// The loopback device, in every namespace.
const LOOPBACK: i32 = 1;

struct Trial {
    netlink: Netlink,
    spi: u32,
}

impl Trial {
    fn run(mut self) -> Capabilities {
        let mut found = Capabilities { packet_offload: self.minds_the_device(), ..Capabilities::default() };
        for cipher in CIPHERS {
            let lengths: Vec<usize> = match cipher.key_bits {
                [] => vec![cipher.fixed_key],
                bits => bits.iter().map(|bits| usize::from(*bits) / 8).collect(),
            };
            let fits: Vec<usize> = lengths
                .into_iter()
                .filter(|length| {
                    let named = algorithm(cipher.name, cipher.icv_bits, length + cipher.salt);
                    let own = if cipher.icv_bits > 0 { Attribute::Aead(named) } else { Attribute::Crypt(named) };
                    self.takes(ESP, 0, vec![own])
                })
                .collect();
            if !fits.is_empty() {
                let bits = fits.iter().map(|length| (length * 8) as u16).collect();
                found.ciphers.push((cipher.id, if cipher.key_bits.is_empty() { Vec::new() } else { bits }));
            }
        }
        for integrity in INTEGRITIES {
            let own = || Attribute::AuthTruncated(algorithm(integrity.name, integrity.icv_bits, integrity.key));
            let null = Attribute::Crypt(algorithm("ecb(cipher_null)", 0, 0));
            if self.takes(AH, 0, vec![own()]) {
                found.ah = true;
                found.integrity.push(integrity.id);
            } else if self.takes(ESP, 0, vec![own(), null]) {
                found.integrity.push(integrity.id);
            }
        }
        found.esp = !found.ciphers.is_empty();
        if let Some(own) = self.any_cipher(&found) {
            let with = |more: Vec<Attribute>| own.iter().cloned().chain(more).collect::<Vec<_>>();
            found.esn = self.takes(ESP, flag::ESN, with(vec![Attribute::ReplayEsn(ReplayEsn::new(64))]));
            found.direction = self
                .keeps(mode::TUNNEL, with(vec![Attribute::Direction(SA_IN)]), |a| matches!(a, Attribute::Direction(_)));
            // Only with a direction.
            let own_processor = with(vec![Attribute::Direction(SA_OUT), Attribute::Processor(0)]);
            if self.keeps(mode::TUNNEL, own_processor, |a| matches!(a, Attribute::Processor(_))) {
                found.processors = sys::processors();
            }
            let (four, six) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
            // Only with a direction. A kernel that knows the mode but has no module for it takes the SA all the same, and forgets
            // what belongs to the mode.
            found.iptfs = self.keeps(mode::IPTFS, with(vec![Attribute::Direction(SA_OUT)]), |a| {
                matches!(a, Attribute::IptfsMaxQueue(_))
            });
            found.udp_encap = (self.encap(&own, four), self.encap(&own, six));
            let mut compresses = |end| self.between(end, COMP, mode::TUNNEL, 0, vec![algorithms::deflate()]).is_ok();
            // Where there is no IPv6, there is none to be compressed.
            found.ipcomp = compresses(four) && (compresses(six) || !found.udp_encap.1);
        }
        found
    }

    /// The attributes of some cipher that is there.
    fn any_cipher(&self, found: &Capabilities) -> Option<Vec<Attribute>> {
        let (id, bits) = found.ciphers.first()?;
        let cipher = CIPHERS.iter().find(|cipher| cipher.id == *id)?;
        let length = bits.first().map_or(cipher.fixed_key, |bits| usize::from(*bits) / 8) + cipher.salt;
        let named = algorithm(cipher.name, cipher.icv_bits, length);
        Some(vec![if cipher.icv_bits > 0 { Attribute::Aead(named) } else { Attribute::Crypt(named) }])
    }

    fn takes(&mut self, protocol: u8, flags: u8, attributes: Vec<Attribute>) -> bool {
        self.state(protocol, mode::TUNNEL, flags, attributes).is_ok()
    }

    /// Whether the kernel tells an attribute again: one that it does not know, it does not refuse but forget.
    fn keeps(&mut self, mode: u8, attributes: Vec<Attribute>, is_it: fn(&Attribute) -> bool) -> bool {
        let Ok(spi) = self.state(ESP, mode, 0, attributes) else { return false };
        let kept = self.netlink.dump(&Message::new(kind::GET_SA, Body::Empty), |message| match &message.body {
            Body::State(state) => (state.id.spi == spi && message.attributes.iter().any(is_it)).then_some(()),
            _ => None,
        });
        kept.is_ok_and(|kept| !kept.is_empty())
    }

    /// Whether an entry for the loopback device, which takes nothing, is refused: a kernel that gives no device whole packets
    /// does not look at that.
    fn minds_the_device(&mut self) -> bool {
        let info = PolicyInfo { direction: direction::OUT, limits: Limits::none(), ..PolicyInfo::default() };
        let info = PolicyInfo { selector: Selector { family: INET, ..Selector::default() }, ..info };
        let mut message = Message::new(kind::NEW_POLICY, Body::Policy(info));
        message.attributes.push(Attribute::Offload(Offload { interface: LOOPBACK, flags: offload::PACKET }));
        self.netlink.request(&Request::from(message)).is_err()
    }

    fn encap(&mut self, own: &[Attribute], end: std::net::IpAddr) -> bool {
        let encap = crate::msg::attribute::Encap {
            kind: 2,
            src_port: crate::msg::bytes::Port(4500),
            dst_port: crate::msg::bytes::Port(4500),
            ..Default::default()
        };
        let attributes = own.iter().cloned().chain([Attribute::Encap(encap)]).collect();
        self.between(end, ESP, mode::TUNNEL, 0, attributes).is_ok()
    }

    fn state(&mut self, protocol: u8, mode: u8, flags: u8, attributes: Vec<Attribute>) -> Result<Spi, Refusal> {
        self.between(Ipv4Addr::LOCALHOST.into(), protocol, mode, flags, attributes)
    }

    fn between(
        &mut self,
        end: std::net::IpAddr,
        protocol: u8,
        mode: u8,
        flags: u8,
        attributes: Vec<Attribute>,
    ) -> Result<Spi, Refusal> {
        self.spi += 1;
        let spi = Spi(self.spi);
        let info = StateInfo {
            id: Id { dst: end.into(), spi, protocol },
            src: end.into(),
            limits: Limits::none(),
            family: crate::msg::parts::family(end),
            mode,
            flags: flags | flag::AF_UNSPEC,
            ..StateInfo::default()
        };
        let message = Message { kind: kind::NEW_SA, body: Body::State(info), attributes };
        self.netlink.request(&Request::from(message)).map(|()| spi)
    }
}

fn algorithm(name: &str, icv_bits: u32, length: usize) -> Algorithm {
    // Keys of nobody: no two bytes alike, since 3DES is refused with equal halves.
    let key: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(37).wrapping_add(1)).collect();
    Algorithm { name: name.into(), icv_bits, key: ravelin_types::Secret::new(key) }
}
