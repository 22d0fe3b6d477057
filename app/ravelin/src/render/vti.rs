//! `vti show`.

use std::fmt::Write;

use ravelin_control::Message;

use super::{field, joined};

/// Virtual interfaces.
pub fn interfaces(out: &mut String, interfaces: &Message) {
    for (_, row) in interfaces.sections() {
        let kind = match (row.text("key"), row.text("remote")) {
            (Some(key), Some(remote)) => format!("VTI with key {key}, {} to {remote}", field(row, "local")),
            _ => match row.text("if-id") {
                Some(number) => format!("virtual interface {number}"),
                None => "virtual interface".to_owned(),
            },
        };
        let _ = writeln!(out, "{}: {kind}", field(row, "name"));
        for (label, key) in [("Addresses", "addresses"), ("Policies", "policies")] {
            let list = joined(row, key);
            if !list.is_empty() {
                let _ = writeln!(out, "  {label}: {list}");
            }
        }
        for (label, key) in [("VRF", "vrf"), ("Namespace", "namespace")] {
            if let Some(place) = row.text(key) {
                let _ = writeln!(out, "  {label}: {place}");
            }
        }
        if let Some(state) = row.text("state") {
            let _ = writeln!(out, "  State: {state}, MTU {}", field(row, "mtu"));
            let count = |way: &str| {
                let of = |what: &str| row.text(&format!("{way}-{what}")).unwrap_or_default();
                format!("{} packets, {} bytes", of("packets"), of("bytes"))
            };
            let _ = writeln!(out, "  Received: {}; sent: {}", count("received"), count("sent"));
        }
    }
}
