//! The one address plan of the lab, and the names under which configuration templates use it.
//!
//! ```text
//!   10.1.0.1                                                                              10.2.0.1
//!   ravelin 192.0.2.1 ─────────────────────── wire (bridge) ───────────────────────── 192.0.2.2 swan
//!
//!   ravelin 198.51.100.1 ── 198.51.100.254 router 192.0.2.254 ── wire (bridge) ────── 192.0.2.2 swan     with NAT
//! ```

use anyhow::{Context, Result, bail};

/// The pre-shared key of all cases.
pub const SECRET: &str = "a secret of the interop lab";

/// Where addresses are translated on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Nowhere: both are on the wire.
    None,
    /// Ravelin is behind a router that hides it behind the router's own address.
    Ravelin,
    /// The peer is.
    Swan,
    /// Both are: the router hides each from the other, and hands what comes for IKE to its own address on to the peer.
    Both,
}

/// A pair of ends that payload travels between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The hosts themselves, by IPv4.
    Host4,
    /// The hosts themselves, by IPv6.
    Host6,
    /// The networks behind them, by IPv4.
    Net4,
    /// The networks behind them, by IPv6.
    Net6,
    /// The address that Ravelin got from the peer's pool, and the network behind the peer.
    RavelinVip4,
    /// The same by IPv6.
    RavelinVip6,
    /// The network behind Ravelin, and the address that the peer got from Ravelin's pool.
    SwanVip4,
    /// The same by IPv6.
    SwanVip6,
}

impl std::str::FromStr for Between {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        Ok(match word {
            "host4" => Between::Host4,
            "host6" => Between::Host6,
            "net4" => Between::Net4,
            "net6" => Between::Net6,
            "ravelin-vip4" => Between::RavelinVip4,
            "ravelin-vip6" => Between::RavelinVip6,
            "swan-vip4" => Between::SwanVip4,
            "swan-vip6" => Between::SwanVip6,
            other => bail!("`{other}`: expected host4, host6, net4, net6, ravelin-vip4, -vip6, swan-vip4 or -vip6"),
        })
    }
}

/// The addresses of one run of a case.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Translation on the way.
    pub nat: Nat,
}

/// One direction of payload: from an own address to the address under which this end reaches the other.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    /// Source address.
    pub from: &'static str,
    /// Destination address.
    pub to: &'static str,
}

impl Plan {
    /// Every name a template may use, with its value. A name with `.seen` is the address the other side sees.
    pub fn names(&self) -> [(&'static str, &'static str); 18] {
        let (ravelin, ravelin_seen, swan_seen) = match self.nat {
            Nat::None => ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            Nat::Ravelin => ("198.51.100.1", "192.0.2.254", "192.0.2.2"),
            Nat::Swan => ("198.51.100.1", "198.51.100.1", "198.51.100.254"),
            Nat::Both => ("198.51.100.1", "192.0.2.254", "198.51.100.254"),
        };
        [
            ("ravelin", ravelin),
            ("ravelin.seen", ravelin_seen),
            ("ravelin.id", "ravelin.lab"),
            ("ravelin.net", "10.1.0.0/16"),
            ("ravelin.inner", "10.1.0.1"),
            ("ravelin6", "2001:db8:f::1"),
            ("ravelin6.net", "2001:db8:1::/48"),
            ("ravelin6.inner", "2001:db8:1::1"),
            ("swan", "192.0.2.2"),
            ("swan.seen", swan_seen),
            ("swan.id", "swan.lab"),
            ("swan.net", "10.2.0.0/16"),
            ("swan.inner", "10.2.0.1"),
            ("swan6", "2001:db8:f::2"),
            ("swan6.net", "2001:db8:2::/48"),
            ("swan6.inner", "2001:db8:2::1"),
            ("vip", "10.3.0.1"),
            ("vip6", "2001:db8:3::1"),
        ]
    }

    /// The value of a name.
    pub fn name(&self, name: &str) -> Result<&'static str> {
        let found = self.names().into_iter().find(|(known, _)| *known == name);
        Ok(found.with_context(|| format!("the plan has no name `{name}`"))?.1)
    }

    /// Fills every `{name}` of a template; `{` before white space stands for itself.
    pub fn fill(&self, template: &str, more: &[(&str, &str)]) -> Result<String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
            if end == 0 || !rest[end..].starts_with('}') {
                filled.push('{');
                continue;
            }
            let name = &rest[..end];
            match more.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => filled.push_str(value),
                None => filled.push_str(self.name(name)?),
            }
            rest = &rest[end + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// How payload goes from Ravelin's side, and how it goes from the peer's.
    pub fn directions(&self, between: Between) -> Result<(Direction, Direction)> {
        let (ravelin, ravelin_seen, swan, swan_seen) = match between {
            Between::Host4 => ("ravelin", "ravelin.seen", "swan", "swan.seen"),
            Between::Host6 => ("ravelin6", "ravelin6", "swan6", "swan6"),
            Between::Net4 => ("ravelin.inner", "ravelin.inner", "swan.inner", "swan.inner"),
            Between::Net6 => ("ravelin6.inner", "ravelin6.inner", "swan6.inner", "swan6.inner"),
            Between::RavelinVip4 => ("vip", "vip", "swan.inner", "swan.inner"),
            Between::RavelinVip6 => ("vip6", "vip6", "swan6.inner", "swan6.inner"),
            Between::SwanVip4 => ("ravelin.inner", "ravelin.inner", "vip", "vip"),
            Between::SwanVip6 => ("ravelin6.inner", "ravelin6.inner", "vip6", "vip6"),
        };
        let there = Direction { from: self.name(ravelin)?, to: self.name(swan_seen)? };
        let back = Direction { from: self.name(swan)?, to: self.name(ravelin_seen)? };
        Ok((there, back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_braces_of_the_peer_survive() {
        let plan = Plan { nat: Nat::Ravelin };
        let filled = plan.fill("a { b = {swan}:{x}\n}\n{ravelin.seen}", &[("x", "1")]).unwrap();
        assert_eq!(filled, "a { b = 192.0.2.2:1\n}\n192.0.2.254");
        assert!(plan.fill("{nobody}", &[]).is_err());
    }
}
