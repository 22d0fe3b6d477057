//! What an Access-Accept says about the session that it lets begin.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::packet::{Attribute, Packet};

/// RFC 2869 §5.16: less than a minute between two updates is not allowed.
const MIN_INTERIM: Duration = Duration::from_secs(60);
/// RFC 2865 §5.8: whichever address the user likes, and whichever we like.
const NO_ADDRESS: [Ipv4Addr; 2] = [Ipv4Addr::BROADCAST, Ipv4Addr::new(255, 255, 255, 254)];

/// What a session shall be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization {
    /// What the server wants to read in every record of the account, as it came (RFC 2865 §5.25).
    pub class: Vec<Vec<u8>>,
    /// What the user may do, by names that server and client agree on (RFC 2865 §5.11).
    pub filters: Vec<Vec<u8>>,
    /// After which time the session ends (RFC 2865 §5.27).
    pub session_timeout: Option<Duration>,
    /// After which time without traffic it does (RFC 2865 §5.28).
    pub idle_timeout: Option<Duration>,
    /// How often the account is brought up to date.
    pub interim: Option<Duration>,
    /// The user's addresses inside, at most one of each family.
    pub addresses: Vec<IpAddr>,
}

impl Authorization {
    /// What this packet says. What has a wrong length, or no time at all, is not there.
    pub fn of(packet: &Packet) -> Self {
        let octets4 = |kind| packet.first(kind).and_then(|value| <[u8; 4]>::try_from(value).ok());
        let octets16 = |kind| packet.first(kind).and_then(|value| <[u8; 16]>::try_from(value).ok());
        let v4 = octets4(Attribute::FRAMED_IP_ADDRESS).map(Ipv4Addr::from).filter(|it| !NO_ADDRESS.contains(it));
        let v6 = octets16(Attribute::FRAMED_IPV6_ADDRESS).map(Ipv6Addr::from);
        let addresses = [v4.map(IpAddr::from), v6.map(IpAddr::from)].into_iter().flatten();
        Authorization {
            class: packet.all(Attribute::CLASS).map(<[u8]>::to_vec).collect(),
            filters: packet.all(Attribute::FILTER_ID).map(<[u8]>::to_vec).collect(),
            session_timeout: time(packet, Attribute::SESSION_TIMEOUT),
            idle_timeout: time(packet, Attribute::IDLE_TIMEOUT),
            interim: time(packet, Attribute::ACCT_INTERIM_INTERVAL).map(|time| time.max(MIN_INTERIM)),
            addresses: addresses.filter(|it| !it.is_unspecified() && !it.is_multicast() && !it.is_loopback()).collect(),
        }
    }

    /// The groups of the user. Servers name them in Filter-Id, or by custom in Class, which RFC 2865 §5.25 keeps for
    /// accounts: who asks for no groups does not look at it.
    pub fn groups(&self) -> impl Iterator<Item = &[u8]> {
        self.filters.iter().chain(&self.class).map(Vec::as_slice)
    }
}

/// A number of seconds.
pub fn time(packet: &Packet, kind: Attribute) -> Option<Duration> {
    packet.number(kind).filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::packet::Code;

    fn accept(attributes: &[(Attribute, &[u8])]) -> Packet {
        let attributes = attributes.iter().map(|(kind, value)| (*kind, value.to_vec())).collect();
        Packet { code: Code::ACCESS_ACCEPT, identifier: 1, authenticator: [0; 16], attributes }
    }

    #[test]
    fn an_accept_says_how_long_and_where() {
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let said = Authorization::of(&accept(&[
            (Attribute::CLASS, b"gold"),
            (Attribute::CLASS, &[0, 255]),
            (Attribute::FILTER_ID, b"staff"),
            (Attribute::SESSION_TIMEOUT, &3600u32.to_be_bytes()),
            (Attribute::IDLE_TIMEOUT, &300u32.to_be_bytes()),
            (Attribute::ACCT_INTERIM_INTERVAL, &600u32.to_be_bytes()),
            (Attribute::FRAMED_IP_ADDRESS, &[10, 3, 0, 7]),
            (Attribute::FRAMED_IPV6_ADDRESS, &v6),
        ]));
        assert_eq!(said.class, [b"gold".to_vec(), vec![0, 255]]);
        assert_eq!(said.groups().collect::<Vec<_>>(), [&b"staff"[..], b"gold", &[0, 255]]);
        let times = [said.session_timeout, said.idle_timeout, said.interim].map(|time| time.unwrap().as_secs());
        assert_eq!(times, [3600, 300, 600]);
        let addresses: Vec<_> = said.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.3.0.7", "2001:db8::7"]);
    }

    // RFC 2869 §5.16, RFC 2865 §5.8.
    #[test]
    fn what_cannot_be_meant_is_not_there() {
        let said = Authorization::of(&accept(&[
            (Attribute::ACCT_INTERIM_INTERVAL, &5u32.to_be_bytes()),
            (Attribute::SESSION_TIMEOUT, &[0; 4]),
            (Attribute::IDLE_TIMEOUT, &[1, 2, 3]),
            (Attribute::FRAMED_IP_ADDRESS, &[255, 255, 255, 254]),
        ]));
        let minute = Some(Duration::from_secs(60));
        assert_eq!(said, Authorization { interim: minute, ..Authorization::default() });
    }
}
