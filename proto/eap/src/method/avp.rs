//! AVPs, of which what is inside EAP-TTLS consists (RFC 5281 §10):
//! `| code (4) | V M r r r r r r | length (3), without padding | vendor (4), with V | data | zeros to a multiple of 4 |`

use alloc::string::String;
use alloc::vec::Vec;

use ravelin_types::Secret;
use zeroize::Zeroizing;

const VENDOR: u8 = 0x80;
const MANDATORY: u8 = 0x40;
const HEADER: usize = 8;

/// Whose numbers are those of RADIUS.
pub(super) const EAP_MESSAGE: u32 = 79;
const USER_NAME: u32 = 1;
const USER_PASSWORD: u32 = 2;
/// A password is filled up with zeros to a multiple of it, so that nobody sees how long it is (RFC 5281 §11.2.5).
const PASSWORD_BLOCK: usize = 16;

/// What the other side says inside EAP-TTLS.
#[derive(Debug)]
pub(super) enum Said {
    /// An EAP message.
    Eap(Vec<u8>),
    /// A name and a password as they are (RFC 5281 §11.2.5).
    Pap {
        /// The name.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
}

/// A name and a password as they are.
pub(super) fn pap(user: &[u8], password: &Secret) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(password.expose().to_vec());
    let length = padded.len().max(1).next_multiple_of(PASSWORD_BLOCK);
    padded.resize(length, 0);
    let password = Zeroizing::new(emit(USER_PASSWORD, &padded));
    Zeroizing::new([emit(USER_NAME, user).as_slice(), &password].concat())
}

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

/// The EAP message among AVPs, of its pieces in order, or name and password; what need not be understood is left out.
///
/// # Errors
/// When lengths contradict each other, something else must be understood, or it is neither or both.
pub(super) fn parse(mut rest: &[u8]) -> Result<Said, String> {
    let mut message = Vec::new();
    let (mut user, mut password) = (None, None);
    while !rest.is_empty() {
        let (header, _) = rest.split_first_chunk::<HEADER>().ok_or("an AVP that is cut short")?;
        let [c1, c2, c3, c4, flags, l1, l2, l3] = *header;
        let (code, vendor) = (u32::from_be_bytes([c1, c2, c3, c4]), flags & VENDOR != 0);
        let length = usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).unwrap_or(usize::MAX);
        let start = if vendor { HEADER + 4 } else { HEADER };
        let data = rest.get(start..length).ok_or("an AVP whose length is not what it says")?;
        match code {
            EAP_MESSAGE if !vendor => message.extend_from_slice(data),
            USER_NAME if !vendor && user.is_none() => user = Some(data),
            USER_PASSWORD if !vendor && password.is_none() => password = Some(data),
            _ if flags & MANDATORY == 0 => {}
            _ => {
                return Err(alloc::format!("AVP {code}, which is not known here: EAP or PAP is taken inside EAP-TTLS"));
            }
        }
        // The last one may come without its padding.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    match (user, password) {
        (Some(user), Some(password)) if message.is_empty() => {
            let padding = password.iter().rev().take_while(|octet| **octet == 0).count();
            let password = password.get(..password.len() - padding).unwrap_or_default();
            Ok(Said::Pap { user: user.to_vec(), password: Secret::from(password) })
        }
        // Some say the name beside EAP as well.
        (_, None) if !message.is_empty() => Ok(Said::Eap(message)),
        _ => Err("neither an EAP message nor a name with a password inside EAP-TTLS".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avps_are_padded_and_found() {
        assert_eq!(emit(79, &[1]), [0, 0, 0, 79, 0x40, 0, 0, 9, 1, 0, 0, 0]);
        let unknown = [0, 0, 0, 1, 0xc0 & 0x80, 0, 0, 13, 0, 0, 1, 55, 9, 0, 0, 0];
        let all = [&emit(79, &[1])[..], &unknown, &emit(79, &[2, 3])].concat();
        assert!(matches!(parse(&all).unwrap(), Said::Eap(message) if message == [1, 2, 3]));
    }

    #[test]
    fn a_password_hides_its_length() {
        for (password, length) in [("", 16), ("geheim", 16), ("sixteen octets..", 16), ("seventeen octets.", 32)] {
            let secret = Secret::from(password.as_bytes());
            let avps = pap(b"carol", &secret);
            assert_eq!(avps.len(), 16 + 8 + length, "{password}");
            let Said::Pap { user, password: said } = parse(&avps).unwrap() else { panic!() };
            assert_eq!((user.as_slice(), said.expose()), (&b"carol"[..], password.as_bytes()));
        }
        for bad in [
            emit(USER_NAME, b"carol"),
            emit(USER_PASSWORD, b"geheim"),
            [emit(EAP_MESSAGE, &[1]), pap(b"carol", &Secret::from(&b"x"[..])).to_vec()].concat(),
            [emit(USER_NAME, b"dave"), pap(b"carol", &Secret::from(&b"x"[..])).to_vec()].concat(),
            Vec::new(),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    // CVE-2026-25075: lengths below the header, beyond the message, and the largest.
    #[test]
    fn avps_that_lie_about_their_length_are_refused() {
        for length in (0u32..8).chain([10, 0xff_ffff]) {
            let [_, length @ ..] = length.to_be_bytes();
            let avp = [&[0, 0, 0, 79, 0x40][..], &length, &[1]].concat();
            assert!(parse(&avp).is_err(), "{length:?}");
            // Behind one that is right, and where nobody needs to know it.
            assert!(parse(&[emit(79, &[1]), avp].concat()).is_err(), "{length:?}");
            let unknown = [&[0, 0, 0, 200, 0][..], &length, &[1]].concat();
            assert!(parse(&[emit(79, &[1]), unknown].concat()).is_err(), "{length:?}");
        }
        // Padding that is missing at the end, and that is not of zeros.
        for message in [&[0, 0, 0, 79, 0x40, 0, 0, 9, 1][..], &[0, 0, 0, 79, 0x40, 0, 0, 9, 1, 9, 9, 9]] {
            assert!(matches!(parse(message), Ok(Said::Eap(message)) if message == [1]));
        }
        for length in [8u8, 11] {
            assert!(parse(&[0, 0, 0, 79, 0xc0, 0, 0, length, 0, 0, 0, 0]).is_err());
        }
        assert!(parse(&[0, 0, 0, 79, 0x40]).is_err());
        assert!(parse(&emit(3, b"carol")).unwrap_err().contains("AVP 3"));
    }
}
