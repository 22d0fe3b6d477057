//! The Type of a request or response.

use alloc::vec;
use alloc::vec::Vec;

/// The Type of an EAP message (RFC 3748 §5), with those of vendors (§5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodType {
    /// One octet.
    Plain(u8),
    /// Vendor and number.
    Expanded(u32, u32),
}

impl MethodType {
    pub(crate) const IDENTITY: MethodType = MethodType::Plain(1);
    pub(crate) const NOTIFICATION: MethodType = MethodType::Plain(2);
    pub(crate) const NAK_NUMBER: u8 = 3;
    pub(crate) const NAK: MethodType = MethodType::Plain(Self::NAK_NUMBER);

    /// As it stands in front of the type's data.
    pub(crate) fn octets(self) -> Vec<u8> {
        match self {
            MethodType::Plain(number) => vec![number],
            MethodType::Expanded(..) => self.expanded(),
        }
    }

    /// In the long form: type 254, vendor in three octets, number in four.
    pub(crate) fn expanded(self) -> Vec<u8> {
        let (vendor, number) = match self {
            MethodType::Plain(number) => (0, u32::from(number)),
            MethodType::Expanded(vendor, number) => (vendor, number),
        };
        let [_, vendor @ ..] = vendor.to_be_bytes();
        [&[EXPANDED][..], &vendor, &number.to_be_bytes()].concat()
    }
}

const EXPANDED: u8 = 254;

/// The type of a request or response, and its data.
pub(crate) fn split(message: &[u8]) -> Option<(MethodType, &[u8])> {
    match message {
        [EXPANDED, v1, v2, v3, n1, n2, n3, n4, data @ ..] => {
            let (vendor, number) = (u32::from_be_bytes([0, *v1, *v2, *v3]), u32::from_be_bytes([*n1, *n2, *n3, *n4]));
            // RFC 3748 §5.7: vendor 0 has the plain types.
            let plain = u8::try_from(number).ok().filter(|_| vendor == 0);
            Some((plain.map_or(MethodType::Expanded(vendor, number), MethodType::Plain), data))
        }
        [EXPANDED, ..] | [] => None,
        [number, data @ ..] => Some((MethodType::Plain(*number), data)),
    }
}
