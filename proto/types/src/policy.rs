//! Entries of the Security Policy Database (RFC 4301 §4.4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::lifetime::Lifetime;
use crate::options::SaOptions;
use crate::pfp::Pfp;
use crate::sa::Direction;
use crate::selector::TrafficSelector;

/// The SPD entry's number: the `spid` column of `ipsec netstat`. Chosen by whoever adds the policy, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// Which SPD a policy stands in and a packet is looked up in, like the number of a VRF. RFC 4301 §4.4.1 asks for a
/// function that selects an SPD: here the caller is it, who knows by which interface a packet came or goes, and says so
/// with the packet. Hosts with one SPD use the default, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(pub u16);

/// The seven levels of priority of document 003 §3.12, as places in the 32 bits of [`Policy::priority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityLevel {
    /// `SP_PRIORITY_HIGHEST`, 1: consulted first.
    Highest = 1,
    /// `SP_PRIORITY_HIGH`, 2.
    High,
    /// `SP_PRIORITY_MED_HIGH`, 3.
    MedHigh,
    /// `SP_PRIORITY_MEDIUM`, 4.
    Medium,
    /// `SP_PRIORITY_MED_LOW`, 5.
    MedLow,
    /// `SP_PRIORITY_LOW`, 6.
    Low,
    /// `SP_PRIORITY_LOWEST`, 7.
    Lowest,
}

impl PriorityLevel {
    /// Every level, highest first.
    pub const ALL: [PriorityLevel; 7] = [
        PriorityLevel::Highest,
        PriorityLevel::High,
        PriorityLevel::MedHigh,
        PriorityLevel::Medium,
        PriorityLevel::MedLow,
        PriorityLevel::Low,
        PriorityLevel::Lowest,
    ];
    /// Distance between two levels: so many priorities fit from one to the next.
    pub const STEP: u32 = 1000;

    /// The level of this number, 1 to 7.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|level| *level as u32 == number)
    }

    /// Its priority.
    pub const fn priority(self) -> u32 {
        self as u32 * Self::STEP
    }
}

/// Transport or tunnel (RFC 4301 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// ESP protects the payload of the packet that is already there.
    Transport,
    /// ESP carries a whole packet inside a new outer header.
    Tunnel,
}

/// What happens to a packet that a policy selects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every policy protects, and it is not read for a packet")]
pub enum Action {
    /// Protect outbound; require protection inbound.
    Protect(Protection),
    /// Let pass in the clear.
    Bypass,
    /// Drop.
    Discard,
}

/// The name of a network device of the host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName([u8; DeviceName::MOST]);

impl DeviceName {
    /// The most bytes of a name.
    pub const MOST: usize = 15;

    /// `None` where that cannot be one: 1 to 15 letters, digits, `-`, `_` or `.`, the first a letter or digit.
    pub fn new(name: &str) -> Option<Self> {
        let fits = |(at, c): (usize, char)| c.is_ascii_alphanumeric() || at > 0 && "-_.".contains(c);
        let mut bytes = [0; Self::MOST];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        (!name.is_empty() && name.char_indices().all(fits)).then_some(DeviceName(bytes))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::MOST);
        str::from_utf8(&self.0[..len]).unwrap_or_default()
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// For which packets an entry is there, where it does not protect: the parts SPD-O and SPD-I of the SPD. What protects is
/// of SPD-S and for both (RFC 4301 §4.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// Those that leave and those that arrive.
    #[default]
    Both,
    /// Those that leave: SPD-O.
    Outbound,
    /// Those that arrive: SPD-I.
    Inbound,
    /// Those that leave or arrive by this device, or do but one of the two. A host has its devices on one side of the IPsec
    /// boundary or the other (RFC 4301 §3.1), and this is how an entry is about a side.
    Over(DeviceName, Option<Direction>),
}

impl Ways {
    /// Whether it is there for packets that travel so.
    pub fn include(self, direction: Direction) -> bool {
        match self {
            Ways::Both => true,
            Ways::Outbound => direction == Direction::Outbound,
            Ways::Inbound => direction == Direction::Inbound,
            Ways::Over(_, only) => only.is_none_or(|only| only == direction),
        }
    }
}

/// How a protected packet is protected. The algorithms are agreed by key management and come with the SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Transport or tunnel.
    pub mode: Mode,
    /// This end of the SA; `None`: the address from which the peer is reached.
    pub local: Option<IpAddr>,
    /// The other end of the SA.
    pub remote: IpAddr,
    /// Which selectors of its SAs are those of the packet that asked for them, not the policy's.
    pub pfp: Pfp,
    /// Lifetime of each SA made for this policy.
    pub lifetime: Lifetime,
    /// Number of packets the anti-replay window covers, up to 4096; 0 switches the check off.
    pub replay_window: u32,
    /// How packets are carried.
    pub options: SaOptions,
}

/// One entry of the SPD. Selectors are given for outbound packets (source is local); the inbound view swaps them. Any
/// local selector goes with any remote one, as IKE negotiates them: what RFC 4301 §4.4.1.2 has pairs for takes an entry
/// for each pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique number.
    pub id: PolicyId,
    /// The operator's name for it.
    pub name: String,
    /// The SPD it stands in.
    pub domain: Domain,
    /// Lower numbers are consulted first; entries of equal priority in order of `id`. See [`PriorityLevel`].
    pub priority: u32,
    /// A packet matches when its source is in one of these ...
    pub local: Vec<TrafficSelector>,
    /// ... and its destination in one of these.
    pub remote: Vec<TrafficSelector>,
    /// What happens to a packet that matches.
    pub action: Action,
    /// Whether it is about packets of both directions; of a policy that protects it is not asked.
    pub ways: Ways,
}

impl Policy {
    /// Whether it decides about packets that travel so.
    pub fn is_about(&self, direction: Direction) -> bool {
        matches!(self.action, Action::Protect(_)) || self.ways.include(direction)
    }

    /// The device by which packets leave or arrive that it is about; `None`: any.
    pub fn device(&self) -> Option<DeviceName> {
        match (&self.action, self.ways) {
            (Action::Bypass | Action::Discard, Ways::Over(device, _)) => Some(device),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_name_that_a_host_can_have() {
        for good in ["e", "eth0", "eth0.10", "br-lan_2", "abcdefghijklmno", "0a"] {
            let name = DeviceName::new(good);
            assert_eq!(name.as_ref().map(DeviceName::as_str), Some(good));
        }
        for bad in ["", "-e", ".", "a b", "eth0;", "e\"", "\u{e9}th", "abcdefghijklmnop", "a\0b", "e{}"] {
            assert_eq!(DeviceName::new(bad), None, "{bad:?}");
        }
    }
}
