//! The layout of document 003 §4.5: a line of when, how long and between whom, then offset, bytes and meaning.

use std::fmt::Write;
use std::net::SocketAddr;

use time::OffsetDateTime;

use super::hidden;
use crate::field::{Decoded, Field, Layer, Secrecy};

/// Bytes on one line.
const PER_LINE: usize = 8;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The most secret content that is shown.
    pub shown: Secrecy,
    /// A dump of the frame in front of its fields.
    pub hex: bool,
}

/// Microseconds since 1970 as document 003 has the time: month, day and year, and milliseconds, in UTC. A dash where no
/// year of four digits is meant.
pub fn time(micros: u64) -> String {
    match OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000) {
        Ok(at) => {
            let (year, month, day) = at.to_calendar_date();
            let (hour, minute, second, milli) = at.to_hms_milli();
            let month = u8::from(month);
            format!("{month:02}-{day:02}-{year} {hour:02}:{minute:02}:{second:02}.{milli:03}")
        }
        Err(_) => "-".into(),
    }
}

/// A message that went through this host, with its head in the words of document 003.
pub fn trace(when: &str, len: usize, remote: SocketAddr, received: bool, layer: &Layer, style: Style) -> String {
    let way = if received { "Received from Remote" } else { "Sent to Remote" };
    let mut out = format!("{when} {len} bytes; remote {} [{}]; {way}\n", remote.ip(), remote.port());
    layer_lines(layer, style, &mut out);
    out
}

/// A frame of a capture. Nothing for frames that hold nothing of IPsec.
pub fn frame(number: usize, when: &str, data: &[u8], decoded: &Decoded, style: Style) -> String {
    let mut out = String::new();
    if decoded.layers.is_empty() && decoded.problems.is_empty() {
        return out;
    }
    let end = |end: Option<SocketAddr>| match end {
        Some(end) if end.port() == 0 => end.ip().to_string(),
        Some(end) => format!("{} [{}]", end.ip(), end.port()),
        None => "?".into(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{number}: {when} {} bytes; {} to {}", data.len(), end(decoded.src), end(decoded.dst));
    if style.hex {
        for (at, line) in (0..).step_by(16).zip(data.chunks(16)) {
            let _ = writeln!(out, "    {at:04x}  {}", hex(line));
        }
    }
    for layer in &decoded.layers {
        let _ = writeln!(out, " {}", title(layer.name));
        layer_lines(layer, style, &mut out);
    }
    if let Some(payload) = &decoded.payload {
        let _ = writeln!(out, " carries {payload}");
    }
    for problem in &decoded.problems {
        let _ = writeln!(out, " problem: {problem}");
    }
    out
}

fn title(name: &str) -> &str {
    match name {
        "isakmp" => "IKE",
        "esp" => "ESP",
        "ah" => "AH",
        "udpencap" => "in UDP or TCP",
        "ipcomp" => "IPComp",
        "aggfrag" => "AGGFRAG",
        other => other,
    }
}

fn layer_lines(layer: &Layer, style: Style, out: &mut String) {
    for field in &layer.fields {
        lines(field, style, out);
    }
    for problem in &layer.problems {
        let _ = writeln!(out, " problem at {:04x}: {}", problem.at, problem.text);
    }
}

fn lines(field: &Field, style: Style, out: &mut String) {
    if field.text.is_empty() {
        field.children.iter().for_each(|child| lines(child, style, out));
        return;
    }
    let name = field.text.split(" - ").next().unwrap_or_default();
    if hidden(field, style.shown) {
        let _ = writeln!(out, " {:04x} {name} - {} bytes, not shown", field.at, field.bytes.len());
        return;
    }
    let mut rows = (field.at..).step_by(PER_LINE).zip(field.bytes.chunks(PER_LINE));
    let (at, first) = rows.next().unwrap_or((field.at, &[]));
    let bytes = hex(first);
    let gap = if bytes.is_empty() { "" } else { " " };
    let _ = writeln!(out, " {at:04x} {bytes}{gap}{}", field.text);
    for (at, row) in rows {
        let _ = writeln!(out, " {at:04x} {}", hex(row));
    }
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(0), "01-01-1970 00:00:00.000");
        assert_eq!(time(1_034_245_142_353_000), "10-10-2002 10:19:02.353");
        assert_eq!(time(951_782_400_000_000), "02-29-2000 00:00:00.000");
        assert_eq!(time(u64::MAX), "-");
    }
}
