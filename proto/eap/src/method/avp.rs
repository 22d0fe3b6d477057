//! AVPs, of which what is inside EAP-TTLS consists (RFC 5281 §10):
//! `| code (4) | V M r r r r r r | length (3), without padding | vendor (4), with V | data | zeros to a multiple of 4 |`

use alloc::string::String;
use alloc::vec::Vec;

const VENDOR: u8 = 0x80;
const MANDATORY: u8 = 0x40;
const HEADER: usize = 8;

/// Whose numbers are those of RADIUS.
pub(super) const EAP_MESSAGE: u32 = 79;

/// An AVP that must be understood.
pub(super) fn emit(code: u32, data: &[u8]) -> Vec<u8> {
    let mut avp = code.to_be_bytes().to_vec();
    // Bounded by what an EAP message can be.
    let [_, length @ ..] = ((HEADER + data.len()) as u32).to_be_bytes();
    avp.push(MANDATORY);
    avp.extend_from_slice(&length);
    avp.extend_from_slice(data);
    avp.resize(avp.len().next_multiple_of(4), 0);
    avp
}

/// The EAP message among AVPs, of its pieces in order; what need not be understood is left out.
///
/// # Errors
/// When lengths contradict each other, or something else must be understood.
pub(super) fn eap(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut message = Vec::new();
    while !rest.is_empty() {
        let (header, _) = rest.split_first_chunk::<HEADER>().ok_or("an AVP that is cut short")?;
        let [c1, c2, c3, c4, flags, l1, l2, l3] = *header;
        let (code, vendor) = (u32::from_be_bytes([c1, c2, c3, c4]), flags & VENDOR != 0);
        let length = usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).unwrap_or(usize::MAX);
        let start = if vendor { HEADER + 4 } else { HEADER };
        let data = rest.get(start..length).ok_or("an AVP whose length is not what it says")?;
        match code {
            EAP_MESSAGE if !vendor => message.extend_from_slice(data),
            _ if flags & MANDATORY == 0 => {}
            _ => return Err(alloc::format!("AVP {code}, which is not known here: only EAP is taken inside EAP-TTLS")),
        }
        // The last one may come without its padding.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avps_are_padded_and_found() {
        assert_eq!(emit(79, &[1]), [0, 0, 0, 79, 0x40, 0, 0, 9, 1, 0, 0, 0]);
        let unknown = [0, 0, 0, 1, 0xc0 & 0x80, 0, 0, 13, 0, 0, 1, 55, 9, 0, 0, 0];
        let all = [&emit(79, &[1])[..], &unknown, &emit(79, &[2, 3])].concat();
        assert_eq!(eap(&all).unwrap(), [1, 2, 3]);
    }

    // CVE-2026-25075: lengths below the header, beyond the message, and the largest.
    #[test]
    fn avps_that_lie_about_their_length_are_refused() {
        for length in [0u32, 1, 7, 10, 0xff_ffff] {
            let [_, length @ ..] = length.to_be_bytes();
            let avp = [&[0, 0, 0, 79, 0x40][..], &length, &[1]].concat();
            assert!(eap(&avp).is_err(), "{length:?}");
        }
        for length in [8u8, 11] {
            assert!(eap(&[0, 0, 0, 79, 0xc0, 0, 0, length, 0, 0, 0, 0]).is_err());
        }
        assert!(eap(&[0, 0, 0, 79, 0x40]).is_err());
        assert!(eap(&emit(1, b"carol")).unwrap_err().contains("AVP 1"));
    }
}
