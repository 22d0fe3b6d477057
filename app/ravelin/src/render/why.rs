//! `why PEER`.

use std::fmt::Write;

use ravelin_control::Message;

use super::field;

/// The last failure of each exchange, with what differs.
pub fn peers(out: &mut String, peers: &Message) {
    for (_, peer) in peers.sections() {
        let name = match field(peer, "name") {
            "" => field(peer, "address").to_owned(),
            name => format!("{name} ({})", field(peer, "address")),
        };
        let _ = writeln!(out, "{name}: {}", field(peer, "state"));
        for line in peer.list("names").unwrap_or_default() {
            let _ = writeln!(out, "  {line}");
        }
        let exchanges = peer.section("exchanges");
        if exchanges.is_none_or(|exchanges| exchanges.sections().next().is_none()) {
            let _ = writeln!(out, "  nothing failed since the start");
        }
        exchanges.iter().flat_map(|exchanges| exchanges.sections()).for_each(|(_, one)| exchange(out, one));
        peer.list("notes").unwrap_or_default().iter().for_each(|note| _ = writeln!(out, "  note: {note}"));
    }
}

fn exchange(out: &mut String, one: &Message) {
    let policy = one.text("policy").map(|policy| format!(" for {policy}")).unwrap_or_default();
    let resolved = if field(one, "resolved") == "yes" { " (it went well since)" } else { "" };
    let [name, age, what] = ["exchange", "age", "what"].map(|name| field(one, name));
    let _ = writeln!(out, "  {name}{policy}, {age} secs ago: {what}{resolved}");
    for (_, gap) in one.section("differences").iter().flat_map(|gaps| gaps.sections()) {
        let _ = writeln!(out, "    {}:", field(gap, "of"));
        for (title, name) in [("peer", "peer"), ("here", "here")] {
            let values = gap.list(name).unwrap_or_default();
            let _ =
                writeln!(out, "      {title}: {}", if values.is_empty() { "none".into() } else { values.join(", ") });
        }
    }
    for (title, name) in [("peer", "peer"), ("here", "here"), ("change", "change")] {
        for line in one.list(name).unwrap_or_default() {
            let _ = writeln!(out, "    {title}: {line}");
        }
    }
}
