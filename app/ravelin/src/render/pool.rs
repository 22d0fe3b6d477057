//! `ike pool -v`.

use std::fmt::Write;

use ravelin_control::Message;

use super::field;

/// Pools of internal addresses.
pub fn pools(out: &mut String, pools: &Message) {
    for (_, row) in pools.sections() {
        let _ = writeln!(
            out,
            "{}: {} to {}, {} {}",
            field(row, "name"),
            field(row, "first"),
            field(row, "last"),
            field(row, "size"),
            match row.text("prefix") {
                None | Some("none") => "addresses".to_owned(),
                Some(bits) => format!("prefixes of {bits} bits"),
            }
        );
        for (label, key) in [("Fixed", "fixed"), ("Lease", "leases")] {
            for line in row.list(key).unwrap_or_default() {
                let _ = writeln!(out, "  {label}: {line}");
            }
        }
    }
}
