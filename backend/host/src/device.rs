//! By which device packets leave, and whether it does the cryptography of ESP: what `ip route get` and `ethtool -k` say.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer,
    NlasIterator,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_GENERIC;
use ravelin_rtnetlink::Socket;

/// The family of generic netlink that gives the others their numbers: `GENL_ID_CTRL`.
const CONTROL: u16 = 16;
/// `CTRL_CMD_GETFAMILY`, and in it and its answer `CTRL_ATTR_FAMILY_NAME` and `CTRL_ATTR_FAMILY_ID`.
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const FAMILY_ID: u16 = 1;
/// The family that tells of devices: `ETHTOOL_GENL_NAME`.
const ETHTOOL: &[u8] = b"ethtool\0";
/// `ETHTOOL_MSG_FEATURES_GET`, and in it `ETHTOOL_A_FEATURES_HEADER` with `ETHTOOL_A_HEADER_DEV_INDEX`.
const GET_FEATURES: u8 = 11;
const HEADER: u16 = 1;
const DEVICE: u16 = 1;
/// In its answer what is switched on, `ETHTOOL_A_FEATURES_ACTIVE`: in `ETHTOOL_A_BITSET_BITS` an `ETHTOOL_A_BITSET_BITS_BIT` with its
/// `ETHTOOL_A_BITSET_BIT_NAME` for each.
const ACTIVE: u16 = 4;
const BITS: u16 = 3;
const BIT: u16 = 1;
const NAME: u16 = 2;
/// The feature of devices that do the cryptography of ESP: `NETIF_F_HW_ESP`.
const ESP: &[u8] = b"esp-hw-offload";

/// The number of the device by which packets to `remote` leave, from `local` where that is given.
///
/// # Errors
/// Where there is no route, and when the kernel does not answer.
pub fn towards(local: Option<IpAddr>, remote: IpAddr) -> io::Result<Option<u32>> {
    let mut message = RouteMessage::default();
    let (family, bits) = if remote.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(remote.into()));
    if let Some(local) = local {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(RouteAddress::from(local)));
    }
    let mut device = None;
    Socket::open()?.ask(RouteNetlinkMessage::GetRoute(message), &mut |answer| {
        if let RouteNetlinkMessage::NewRoute(route) = answer {
            device = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
        }
    })?;
    Ok(device)
}

/// Whether a device does the cryptography of ESP, and that is not switched off: `esp-hw-offload` of `ethtool -k`.
///
/// # Errors
/// When the kernel does not answer: before Linux 5.6, and where there is no such device.
pub fn takes_esp(index: u32) -> io::Result<bool> {
    let mut socket = Socket::open_at(NETLINK_GENERIC)?;
    let mut family = None;
    let name = nla(FAMILY_NAME, ETHTOOL.to_vec());
    socket.ask(Generic::asking(CONTROL, GET_FAMILY, &name), &mut |answer: Generic| {
        let id = attributes(&answer.body).find(|(kind, _)| *kind == FAMILY_ID);
        family = id.and_then(|(_, id)| Some(u16::from_ne_bytes(*id.first_chunk()?)));
    })?;
    let family = family.ok_or(io::ErrorKind::Unsupported)?;
    let header = nla(HEADER | NLA_F_NESTED, nla(DEVICE, index.to_ne_bytes().to_vec()));
    let mut takes = false;
    socket.ask(Generic::asking(family, GET_FEATURES, &header), &mut |answer: Generic| takes = has_esp(&answer.body))?;
    Ok(takes)
}

/// Whether the feature is among those of an answer that are switched on.
fn has_esp(body: &[u8]) -> bool {
    let of = |bytes: &[u8], wanted: u16| -> Vec<Vec<u8>> {
        attributes(bytes).filter(|(kind, _)| *kind == wanted).map(|(_, value)| value).collect()
    };
    let bits = of(body, ACTIVE).into_iter().flat_map(|set| of(&set, BITS)).flat_map(|bits| of(&bits, BIT));
    bits.flat_map(|bit| of(&bit, NAME)).any(|name| name.split(|byte| *byte == 0).next() == Some(ESP))
}

/// Up to the first that is cut short.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, Vec<u8>)> + '_ {
    let whole = NlasIterator::new(bytes).map_while(Result::ok);
    whole.map(|attribute: NlaBuffer<&[u8]>| (attribute.kind(), attribute.value().to_vec()))
}

fn nla(kind: u16, value: Vec<u8>) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value);
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// A message of generic netlink: its family, its command, and its attributes.
struct Generic {
    family: u16,
    command: u8,
    body: Vec<u8>,
}

impl Generic {
    /// Bytes of the command, the version of the family and what is reserved.
    const HEADER: usize = 4;

    fn asking(family: u16, command: u8, body: &[u8]) -> Self {
        Generic { family, command, body: body.to_vec() }
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        Self::HEADER + self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..Self::HEADER].copy_from_slice(&[self.command, 1, 0, 0]);
        buffer[Self::HEADER..].copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        let command = payload.first().copied().unwrap_or_default();
        let body = payload.get(Self::HEADER..).unwrap_or_default().to_vec();
        Ok(Generic { family: header.message_type, command, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        nla(kind | NLA_F_NESTED, parts.concat())
    }

    /// An answer with these features in the set of this kind.
    fn answer(set: u16, names: &[&str]) -> Vec<u8> {
        let bit = |name: &&str| nested(BIT, &[nla(1, vec![7, 0, 0, 0]), nla(NAME, [name.as_bytes(), b"\0"].concat())]);
        let bits: Vec<Vec<u8>> = names.iter().map(bit).collect();
        let size = nla(2, vec![64, 0, 0, 0]);
        [nested(HEADER, &[nla(DEVICE, vec![1, 0, 0, 0])]), nested(set, &[size, nested(BITS, &bits)])].concat()
    }

    #[test]
    fn only_what_is_switched_on_counts() {
        assert!(has_esp(&answer(ACTIVE, &["tx-checksum-ipv4", "esp-hw-offload"])));
        assert!(!has_esp(&answer(ACTIVE, &["esp-hw-offload-not", "tx-esp-segmentation"])));
        // What the device could do if it were switched on.
        assert!(!has_esp(&answer(2, &["esp-hw-offload"])));
        let whole = answer(ACTIVE, &["esp-hw-offload"]);
        (0..whole.len()).for_each(|length| assert!(!has_esp(&whole[..length])));
    }

    // Of this machine's kernel, as it is.
    #[test]
    fn the_loopback_device_takes_nothing_and_leads_to_itself() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let device = towards(None, here).unwrap().unwrap();
        assert_eq!(towards(Some(here), here).unwrap(), Some(device));
        assert!(!takes_esp(device).unwrap());
        assert!(takes_esp(u32::MAX).is_err());
    }
}
