//! `ipsec netstat` and `ipsec policy -v`: the tables of document 003 §5.1.

use std::fmt::Write;

use ravelin_control::Message;

use super::{field, joined};

const HEADER: [&str; 8] = ["spid", "pri", "proto", "policy", "src-id", "dst-id", "mode", "gateway"];
/// The document's widths; a longer value widens its column.
const WIDTHS: [usize; 8] = [4, 3, 5, 6, 14, 14, 4, 0];

/// What an SA drops, and how a listing says so.
const DROPS: [(&str, &str); 11] = [
    ("replayed", "replayed"),
    ("too-old", "too old"),
    ("forged", "forged"),
    ("bad-length", "of a bad length"),
    ("bad-padding", "with bad padding"),
    ("bad-next-header", "with a bad next header"),
    ("bad-inner", "malformed inside"),
    ("bad-selector", "outside the selectors"),
    ("bad-policy", "of another policy"),
    ("expired", "after the hard lifetime"),
    ("unsendable", "that could not be sent"),
];

/// The SPD, and below it what else was configured when there is such (`ipsec policy -v`).
pub fn policies(out: &mut String, policies: &Message) {
    let rows: Vec<[String; 8]> = policies
        .sections()
        .map(|(_, row)| {
            let names = ["spid", "priority", "protocol", "action", "source", "destination", "mode", "gateway"];
            names.map(|name| match (name, row.text("direction")) {
                ("action", Some(way)) => format!("{} {way}", field(row, name)),
                _ => field(row, name).to_owned(),
            })
        })
        .collect();
    let mut widths = WIDTHS;
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(HEADER.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    for (_, policy) in policies.sections() {
        detail(out, policy);
    }
}

fn detail(out: &mut String, policy: &Message) {
    let Some(remote) = policy.text("remote") else { return };
    let missing = if policy.text("remote-configured") == Some("no") { " (not configured)" } else { "" };
    let _ = writeln!(out, "Policy {}, SPID={}", field(policy, "name"), field(policy, "spid"));
    let _ = writeln!(out, "  Remote: {remote}{missing}, start {}", field(policy, "start"));
    if let Some(names) = policy.list("for") {
        let _ = writeln!(out, "  For: {}", names.join("; "));
    }
    for proposal in policy.list("proposals").unwrap_or_default() {
        let _ = writeln!(out, "  {proposal}");
    }
    if let Some(around) = policy.list("ah") {
        let _ = writeln!(out, "  AH around it: {}", around.join(", "));
    }
    let _ = write!(out, "  Life={} secs", field(policy, "hard-seconds"));
    for (name, unit) in [("hard-bytes", "bytes"), ("hard-packets", "packets")] {
        if let Some(limit) = policy.text(name) {
            let _ = write!(out, ", {limit} {unit}");
        }
    }
    let _ = writeln!(out, "; replay window {} packets", field(policy, "replay-window"));
    if let Some(pfp) = policy.text("pfp") {
        let _ = writeln!(out, "  Clone: an SA for each packet's own {pfp}");
    }
    if let Some(seconds) = policy.text("inactivity") {
        let _ = writeln!(out, "  Deleted after {seconds} secs without a packet");
    }
    if let Some(options) = policy.text("options") {
        let _ = writeln!(out, "  Options: {options}");
    }
    if let Some(command) = policy.text("updown") {
        let _ = writeln!(out, "  Up and down: {command}");
    }
}

/// The SAs, in pairs.
pub fn sessions(out: &mut String, sas: &Message) {
    for (_, session) in sas.sections() {
        let _ = writeln!(out, "IPSecSession SPI={}, SPID={}", field(session, "spi"), field(session, "spid"));
        let _ = write!(
            out,
            "  CreateTime={}, Life={} secs",
            session.text("created").unwrap_or("-"),
            session.text("hard-seconds").unwrap_or("-")
        );
        for (name, title) in [("hard-in", "HardExpiry"), ("soft-in", "SoftExpiry")] {
            if let Some(seconds) = session.text(name) {
                let _ = write!(out, ", {title} in {seconds} secs");
            }
        }
        out.push('\n');
        if session.text("cloned") == Some("yes") {
            let _ = writeln!(out, "  Cloned: {}", selectors(session));
        }
        if let Some(outbound) = session.section("outbound") {
            sa(out, "Outbound", "transmitted", outbound);
        }
        if let Some(inbound) = session.section("inbound") {
            sa(out, "Inbound", "received", inbound);
        }
    }
}

fn sa(out: &mut String, direction: &str, verb: &str, sa: &Message) {
    let _ = writeln!(out, "{} {direction} SA, SPI={}", field(sa, "type"), field(sa, "spi"));
    if let Some(spi) = sa.text("ah-spi") {
        let _ = writeln!(out, "  AH: SPI={spi}");
    }
    if let Some(name) = sa.text("ah-integrity") {
        auth(out, name, sa, "ah-integrity-key");
    }
    if let Some(encryption) = sa.text("encryption") {
        auth(out, field(sa, "integrity"), sa, "integrity-key");
        // Document 003 §5.1 prints it so.
        let encryption = if encryption == "3DES-CBC" { "3DES" } else { encryption };
        let _ = writeln!(out, "  Encryption: {encryption}");
        let key = sa.text("encryption-key").map(|key| format!(" {key}")).unwrap_or_default();
        let _ = writeln!(out, "    Key: [len={}]{key}", field(sa, "encryption-key-len"));
    }
    if let Some(options) = sa.text("options") {
        let _ = writeln!(out, "  Options: {options}");
    }
    let _ = writeln!(out, "Dummy pkts {verb}: {}", field(sa, "dummy-packets"));
    let _ = writeln!(out, "Pkts {verb}: {}, bytes: {}", field(sa, "packets"), field(sa, "bytes"));
    let dropped: Vec<String> = DROPS
        .iter()
        .filter_map(|(name, words)| Some((sa.text(name)?, name, words)))
        // The three that there were always; the others where there is something to say.
        .filter(|(count, name, _)| ["replayed", "forged", "bad-selector"].contains(name) || *count != "0")
        .map(|(count, _, words)| format!("{count} {words}"))
        .collect();
    if !dropped.is_empty() {
        let _ = writeln!(out, "Pkts dropped: {}", dropped.join(", "));
    }
}

/// The document puts the long authentication key on a line of its own and the short encryption key beside.
fn auth(out: &mut String, name: &str, sa: &Message, key: &str) {
    let _ = writeln!(out, "  HMAC-Auth: {name}");
    let _ = writeln!(out, "    Key: [len={}]", field(sa, &format!("{key}-len")));
    if let Some(key) = sa.text(key) {
        let _ = writeln!(out, "{key}");
    }
}

/// `10.1.0.0/16 === 10.2.0.0/16`
pub fn selectors(sa: &Message) -> String {
    format!("{} === {}", joined(sa, "local-ts"), joined(sa, "remote-ts"))
}
