//! `setkey -D` and `setkey -DP`: the layout of setkey(8), as ipsec-tools have it. What is not known here (times of the
//! clock, who asked) is blank or 0 there.

use std::fmt::Write;

use ravelin_control::Message;

use super::field;

/// Columns of a time that is not known.
const NO_TIME: &str = "                    ";

/// What a script has listed, in its order.
pub fn listings(out: &mut String, listings: &Message) {
    for (_, listing) in listings.sections() {
        if let Some(rows) = listing.section("sas") {
            if rows.sections().next().is_none() {
                out.push_str("No SAD entries.\n");
            }
            rows.sections().for_each(|(seq, row)| sa(out, seq, row));
        }
        if let Some(rows) = listing.section("policies") {
            if rows.sections().next().is_none() {
                out.push_str("No SPD entries.\n");
            }
            rows.sections().for_each(|(seq, row)| policy(out, seq, row));
        }
    }
}

fn sa(out: &mut String, seq: &str, row: &Message) {
    let number = |name: &str| field(row, name).parse::<u64>().unwrap_or(0);
    let _ = writeln!(out, "{} {} ", field(row, "source"), field(row, "destination"));
    let (spi, reqid) = (number("spi"), number("reqid"));
    let _ = writeln!(
        out,
        "\t{} mode={} spi={spi}(0x{spi:08x}) reqid={reqid}(0x{reqid:08x})",
        field(row, "protocol"),
        field(row, "mode")
    );
    for (letter, name) in [("E", "encryption"), ("A", "integrity")] {
        if let Some(algorithm) = row.text(name) {
            let _ = writeln!(out, "\t{letter}: {algorithm} {}", key(row, &format!("{name}-key")));
        }
    }
    let _ = writeln!(
        out,
        "\tseq=0x{:08x} replay={} flags=0x00000000 state={} ",
        number("sequence"),
        field(row, "replay"),
        field(row, "state")
    );
    let limits = |unit: &str| (number(&format!("hard-{unit}")), number(&format!("soft-{unit}")));
    let (hard, soft) = limits("seconds");
    let _ = writeln!(out, "\tcreated: {NO_TIME}\tcurrent: {NO_TIME}");
    let _ = writeln!(out, "\tdiff: 0(s)\thard: {hard}(s)\tsoft: {soft}(s)");
    let _ = writeln!(out, "\tlast: {NO_TIME}\thard: 0(s)\tsoft: 0(s)");
    let (hard, soft) = limits("bytes");
    let _ = writeln!(out, "\tcurrent: {}(bytes)\thard: {hard}(bytes)\tsoft: {soft}(bytes)", number("bytes"));
    let (hard, soft) = limits("packets");
    let _ = writeln!(out, "\tallocated: {}\thard: {hard}\tsoft: {soft}", number("packets"));
    let _ = writeln!(out, "\tsadb_seq={seq} pid=0 refcnt=0");
}

/// Digits in groups of four octets, or how long the key is that was not asked for.
fn key(row: &Message, name: &str) -> String {
    match row.text(name) {
        Some(digits) => {
            let groups = digits.as_bytes().chunks(8).map(String::from_utf8_lossy);
            groups.map(|group| format!(" {group}")).collect()
        }
        None => {
            let octets = field(row, &format!("{name}-len")).parse::<usize>().unwrap_or(0);
            format!(" ({} bits, see --show-keys)", 8 * octets)
        }
    }
}

fn policy(out: &mut String, seq: &str, row: &Message) {
    let device = row.text("device").map(|device| format!(" (device {device})")).unwrap_or_default();
    let _ = writeln!(out, "{} {} {}{device}", field(row, "source"), field(row, "destination"), field(row, "upper"));
    let _ = writeln!(out, "\t{} {}", field(row, "direction"), field(row, "treatment"));
    for rule in row.list("rules").unwrap_or_default() {
        let _ = writeln!(out, "\t{rule}");
    }
    let _ = writeln!(out, "\tspid={} seq={seq} pid=0", field(row, "spid"));
    let _ = writeln!(out, "\trefcnt=1");
}
