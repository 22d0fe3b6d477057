//! IPv4 and IPv6 headers, read for what stands behind them: addresses, and the bytes of the protocol inside.

use std::net::IpAddr;

use ravelin_wire::ip::{Fragment, Header, Malformed};

/// What an IP packet carries.
pub(crate) struct Inside<'a> {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// The next layer protocol, behind the extension headers that were passed over.
    pub protocol: u8,
    pub payload: &'a [u8],
    /// A fragment that does not begin with the header of `protocol`.
    pub later_fragment: bool,
    /// What is wrong with the packet, when part of it can be read all the same.
    pub problem: Option<String>,
}

/// Reads the headers of the packet that starts `bytes`.
///
/// # Errors
/// When it has no IP header.
pub(crate) fn open(bytes: &[u8]) -> Result<Inside<'_>, String> {
    let whole = Header::parse(bytes);
    let (header, problem) = match whole {
        Ok(header) => (header, None),
        Err(Malformed::Truncated) => {
            let stated = stated_len(bytes).ok_or_else(|| Malformed::Truncated.to_string())?;
            // Read as if the missing bytes were there, which are not looked at then.
            let mut padded = bytes.to_vec();
            padded.resize(stated.max(bytes.len()), 0);
            let header = Header::parse(&padded).map_err(|error| error.to_string())?;
            let text = format!("the packet has {stated} bytes by its header, and {} were captured", bytes.len());
            (header, Some(text))
        }
        Err(error) => return Err(error.to_string()),
    };
    let end = header.total_len.min(bytes.len());
    Ok(Inside {
        src: header.src,
        dst: header.dst,
        protocol: header.protocol,
        payload: bytes.get(header.payload_at..end).unwrap_or_default(),
        later_fragment: header.fragment == Fragment::Later,
        problem,
    })
}

fn stated_len(bytes: &[u8]) -> Option<usize> {
    let be16 = |at: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    match bytes.first()? >> 4 {
        4 if bytes.len() >= 20 => be16(2),
        6 if bytes.len() >= 40 => Some(be16(4)? + 40),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_captured_is_told() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([7; 20]);
        assert_eq!(open(&packet).unwrap().payload.len(), 20);
        let cut = open(&packet[..30]).unwrap();
        assert_eq!((cut.payload.len(), cut.protocol), (10, 17));
        assert_eq!(cut.problem.unwrap(), "the packet has 40 bytes by its header, and 30 were captured");
        for len in 0..20 {
            assert!(open(&packet[..len]).is_err());
        }
        assert!(open(&[0x55; 40]).is_err());
    }
}
