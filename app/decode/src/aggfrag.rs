//! AGGFRAG payloads of ESP (RFC 9347 §6.1).

use ravelin_wire::aggfrag::Block;

use crate::field::Layer;
use crate::scope::Scope;

/// Reads a payload: its fields, and the packets that are in it wholly.
pub(crate) fn aggfrag(payload: &[u8]) -> (Layer, Vec<&[u8]>) {
    let mut layer = Layer { name: "aggfrag", ..Layer::default() };
    let mut scope = Scope::new(payload, 0, &mut layer.problems);
    let mut packets = Vec::new();
    let _ = read(&mut scope, &mut packets);
    layer.fields = scope.fields;
    (layer, packets)
}

fn read<'a>(scope: &mut Scope<'a, '_>, packets: &mut Vec<&'a [u8]>) -> Option<()> {
    let sub_type = scope.number("aggfrag.sub_type", 1, |n| match n {
        0 => "Sub-type - 0 (no congestion control)".into(),
        1 => "Sub-type - 1 (congestion control)".into(),
        _ => format!("Sub-type - {n}"),
    })?;
    scope.number("aggfrag.flags", 1, |n| format!("Flags - {n:#04x}"))?;
    let offset = scope.number("aggfrag.block_offset", 2, |n| format!("Block Offset - {n}"))? as usize;
    match sub_type {
        0 => {}
        1 => congestion(scope)?,
        _ => {
            scope.problem_at(0, format!("sub-type {sub_type} is not known (RFC 9347 §7.2)"));
            scope.remainder("aggfrag.data", "Data");
            return None;
        }
    }
    let here = offset.min(scope.peek().len());
    if here > 0 {
        let text = format!("Of a packet that began before, {here} bytes of {offset} that are left of it");
        scope.bytes("aggfrag.continued", here, text)?;
    }
    while !scope.is_empty() {
        let left = scope.peek().len();
        match Block::parse(scope.peek()) {
            Some(Block::Packet(len)) if len <= left => {
                packets.push(scope.bytes("aggfrag.packet", len, format!("Packet, {len} bytes"))?);
            }
            Some(Block::Packet(len)) => {
                scope.remainder("aggfrag.begun", format!("Beginning of a packet, {left} bytes of {len}"));
            }
            Some(Block::Stump) => {
                scope.remainder("aggfrag.begun", format!("Beginning of a packet, {left} bytes"));
            }
            Some(Block::Pad) => {
                scope.remainder("aggfrag.pad", format!("Pad, {left} bytes"));
            }
            None => {
                scope.problem("neither a packet nor padding begins here (RFC 9347 §6.1.3)");
                scope.remainder("aggfrag.data", "Data");
            }
        }
    }
    Some(())
}

/// RFC 9347 §6.1.2: 22, 21 and 21 bits of microseconds between whole words.
fn congestion(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("aggfrag.loss_event_rate", 4, |n| match n {
        0 => "Loss Event Rate - none".into(),
        _ => format!("Loss Event Rate - 1/{n}"),
    })?;
    scope.number("aggfrag.delays", 8, |n| {
        let (rtt, echo, transmit) = (n >> 42, n >> 21 & 0x1f_ffff, n & 0x1f_ffff);
        format!("RTT - {rtt} us, Echo Delay - {echo} us, Transmit Delay - {transmit} us")
    })?;
    scope.number("aggfrag.tval", 4, |n| format!("TVal - {n:#010x}"))?;
    scope.number("aggfrag.techo", 4, |n| format!("TEcho - {n:#010x}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(payload: &[u8]) -> (Vec<String>, usize, usize) {
        let (layer, packets) = aggfrag(payload);
        (layer.fields.iter().map(|field| field.text.clone()).collect(), packets.len(), layer.problems.len())
    }

    #[test]
    fn blocks_are_told_apart() {
        let packet = [&[0x45, 0, 0, 24][..], &[7; 20]].concat();
        let payload = [&[0, 0, 0, 3][..], &[9; 3], &packet, &packet[..10]].concat();
        let (lines, packets, problems) = texts(&payload);
        assert_eq!((packets, problems), (1, 0));
        assert_eq!(
            lines[2..],
            [
                "Block Offset - 3",
                "Of a packet that began before, 3 bytes of 3 that are left of it",
                "Packet, 24 bytes",
                "Beginning of a packet, 10 bytes of 24"
            ]
        );
        let (lines, packets, _) = texts(&[&[0, 0, 0, 0][..], &packet, &[0; 5]].concat());
        assert_eq!((lines.last().map(String::as_str), packets), (Some("Pad, 5 bytes"), 1));
        let (lines, ..) = texts(&[0, 0, 0x10, 0, 1, 2]);
        assert_eq!(lines[3], "Of a packet that began before, 2 bytes of 4096 that are left of it");
    }

    #[test]
    fn congestion_control_is_read_and_nonsense_is_a_problem() {
        let mut payload = vec![1, 0, 0, 0, 0, 0, 0, 9];
        payload.extend((1000u64 << 42 | 2000 << 21 | 3000).to_be_bytes());
        payload.extend([0, 0, 0, 5, 0, 0, 0, 6]);
        let (lines, _, problems) = texts(&payload);
        assert_eq!(problems, 0);
        assert_eq!(
            lines[3..5],
            ["Loss Event Rate - 1/9", "RTT - 1000 us, Echo Delay - 2000 us, Transmit Delay - 3000 us"]
        );
        for bad in [&[][..], &[0, 0], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 1], &[0, 0, 0, 0, 0x50]] {
            assert_eq!(texts(bad).2, 1, "{bad:?}");
        }
    }
}
