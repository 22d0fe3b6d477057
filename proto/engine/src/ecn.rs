//! Explicit congestion notification through a tunnel (RFC 6040, which takes the place of what RFC 7296 §2.24 asks for), normal mode.

use ravelin_wire::ip::{v4, v6};

/// Congestion was experienced; also the mask of the field.
pub(crate) const CE: u8 = 0b11;

/// What the inner header says after it left the tunnel (RFC 6040 §4.2); `None`: the packet is to be dropped, because
/// the outer header reports congestion that the inner one cannot carry on. Both values are whole TOS bytes.
pub(crate) fn decapsulate(inner: u8, outer: u8) -> Option<u8> {
    const NOT_ECT: u8 = 0b00;
    const ECT_1: u8 = 0b01;
    const ECT_0: u8 = 0b10;
    let ecn = match (inner & CE, outer & CE) {
        (NOT_ECT, CE) => return None,
        (_, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (inner, _) => inner,
    };
    Some(inner & !CE | ecn)
}

/// Writes DSCP and ECN into the header of an IP packet.
pub(crate) fn set_tos(packet: &mut [u8], tos: u8) {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.first_chunk_mut().map(|header| v4::set_tos(header, tos)),
        _ => packet.first_chunk_mut().map(|header| v6::set_tos(header, tos)),
    };
}

#[cfg(test)]
mod tests {
    use super::decapsulate;

    // RFC 7296 §2.24: no indication of congestion is lost.
    #[test]
    fn the_table_of_rfc_6040() {
        // RFC 6040 §4.2, figure 4; rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer in the same order.
        let codes = [0b00, 0b10, 0b01, 0b11];
        let table = [
            [Some(0b00), Some(0b00), Some(0b00), None],
            [Some(0b10), Some(0b10), Some(0b01), Some(0b11)],
            [Some(0b01), Some(0b01), Some(0b01), Some(0b11)],
            [Some(0b11), Some(0b11), Some(0b11), Some(0b11)],
        ];
        for (inner, row) in codes.iter().zip(table) {
            for (outer, expected) in codes.iter().zip(row) {
                let dscp = 0b1011_1000;
                let result = decapsulate(dscp | inner, 0b0100_0000 | outer);
                assert_eq!(result, expected.map(|ecn| dscp | ecn), "inner {inner:02b} outer {outer:02b}");
            }
        }
    }
}
