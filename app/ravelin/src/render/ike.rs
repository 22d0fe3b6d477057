//! `ike netstat` and `ike remote -v`.

use std::fmt::Write;

use ravelin_control::Message;

use super::ipsec::selectors;
use super::{field, joined};

/// IKE SAs with their Child SAs.
pub fn sas(out: &mut String, sas: &Message) {
    for (_, sa) in sas.sections() {
        let [remote, state, role] = ["remote", "state", "role"].map(|name| field(sa, name));
        let _ = writeln!(out, "IKESession {remote}: {state}, IKEv{}, {role}", field(sa, "version"));
        let _ =
            writeln!(out, "  SPIs: initiator {}, responder {}", field(sa, "initiator-spi"), field(sa, "responder-spi"));
        for (title, side) in [("Local: ", "local"), ("Remote:", "remote")] {
            let address = field(sa, &format!("{side}-address"));
            let id = sa.text(&format!("{side}-id")).map(|id| format!(", {id}")).unwrap_or_default();
            let _ = writeln!(out, "  {title} {address}{id}");
        }
        if sa.text("encryption").is_some() {
            let _ = writeln!(out, "  Suite: {}", suite(sa, &["prf", "key-exchange"]));
        }
        if sa.text("full-transcript") == Some("yes") {
            out.push_str("  Both messages of IKE_SA_INIT were proven\n");
        }
        let nat = match (sa.text("nat-local"), sa.text("nat-remote")) {
            (Some("yes"), Some("yes")) => "at both ends",
            (Some("yes"), _) => "in front of this host",
            (_, Some("yes")) => "in front of the remote",
            _ => "none found",
        };
        let _ = write!(out, "  NAT: {nat}\n  Age: {} secs", field(sa, "age"));
        if let Some(seconds) = sa.text("rekey-in") {
            let _ = write!(out, ", rekey in {seconds} secs");
        }
        if let Some(seconds) = sa.text("reauth-in") {
            let _ = write!(out, ", authenticated anew in {seconds} secs");
        }
        out.push('\n');
        for (_, child) in sa.section("children").iter().flat_map(|children| children.sections()) {
            child_sa(out, child);
        }
    }
}

fn child_sa(out: &mut String, child: &Message) {
    let name = child.text("policy").unwrap_or("(deleted policy)");
    let [state, mode, inbound, outbound] = ["state", "mode", "inbound", "outbound"].map(|name| field(child, name));
    let _ = writeln!(out, "  {} {name}, SPID={}: {state}, {mode}", field(child, "type"), field(child, "spid"));
    let _ = writeln!(out, "    SPIs: in {inbound}, out {outbound}; age {} secs", field(child, "age"));
    let _ = writeln!(out, "    Suite: {}", suite(child, &["sequence-numbers"]));
    if let Some(processors) = child.text("processors") {
        let _ = writeln!(out, "    Sent on by processors: {processors}");
    }
    if let Some(algorithm) = child.text("ipcomp") {
        let outbound = child.text("cpi-out").unwrap_or("none");
        let _ = writeln!(out, "    IPComp: {algorithm}, CPIs: in {}, out {outbound}", field(child, "cpi-in"));
    }
    let _ = writeln!(out, "    {}", selectors(child));
}

/// The ciphers without a `NONE` for what is not there.
fn suite(sa: &Message, others: &[&str]) -> String {
    let algorithms = ["ah-integrity", "encryption", "integrity"].into_iter().filter_map(|name| sa.text(name));
    let mut parts: Vec<String> = algorithms.filter(|name| *name != "NONE").map(str::to_owned).collect();
    for name in others {
        let value = field(sa, name);
        parts.push(if *name == "prf" { format!("PRF {value}") } else { value.to_owned() });
    }
    parts.join(", ")
}

/// Remotes with what failed lately.
pub fn remotes(out: &mut String, remotes: &Message) {
    for (_, remote) in remotes.sections() {
        let ways: Vec<&str> =
            ["initiate", "accept"].into_iter().filter(|way| remote.text(way) == Some("yes")).collect();
        let _ = writeln!(
            out,
            "Remote {}: {}, IKEv{}, {}",
            field(remote, "name"),
            field(remote, "endpoint"),
            field(remote, "version"),
            ways.join(" and ")
        );
        if let Some(others) = remote.list("alternates") {
            let _ = writeln!(out, "  Where it does not answer: {}", others.join(", "));
        }
        for line in remote.list("names").unwrap_or_default() {
            let _ = writeln!(out, "  {line}");
        }
        if field(remote, "aggressive") == "yes" {
            let _ = writeln!(out, "  Aggressive mode");
        }
        let _ = writeln!(out, "  Own id: {}, peer id: {}", field(remote, "own-id"), field(remote, "peer-id"));
        let _ = match remote.text("secret-file") {
            Some(file) => writeln!(out, "  Auth: {}, file {file}", field(remote, "auth")),
            None => {
                let peer = remote.text("peer-certificate").map(|file| format!(", peer's {file}")).unwrap_or_default();
                writeln!(
                    out,
                    "  Auth: {}, certificates {}{peer}",
                    field(remote, "auth"),
                    joined(remote, "certificates")
                )
            }
        };
        for (name, who) in [("then-own", "We prove"), ("then-peer", "The peer proves")] {
            for proof in remote.list(name).unwrap_or_default() {
                let _ = writeln!(out, "  {who} after that: {proof}");
            }
        }
        if let Some(number) = remote.text("if-id") {
            let _ = writeln!(out, "  Virtual interface of each IKE SA: {number}");
        }
        for proposal in remote.list("proposals").unwrap_or_default() {
            let _ = writeln!(out, "  {proposal}");
        }
        let _ = writeln!(
            out,
            "  Life={} secs, first retransmission after {} ms, {} tries, liveness check {}",
            field(remote, "lifetime"),
            field(remote, "retransmit-ms"),
            field(remote, "tries"),
            match (field(remote, "liveness"), field(remote, "liveness-regular")) {
                ("off", _) => "off".to_owned(),
                (seconds, "yes") => format!("after {seconds} secs"),
                (seconds, _) => format!("when sending after {seconds} secs"),
            }
        );
        if field(remote, "encap") == "yes" {
            let _ = writeln!(out, "  ESP always in UDP");
        }
        if field(remote, "mobike") == "yes" {
            let _ = writeln!(out, "  MOBIKE");
        }
        match remote.text("full-transcript") {
            Some("require") => out.push_str("  Both messages of IKE_SA_INIT must be proven\n"),
            Some("never") => out.push_str("  Both messages of IKE_SA_INIT are not proven\n"),
            _ => {}
        }
        if let Some(seconds) = remote.text("reauth") {
            let _ = writeln!(out, "  Authenticated anew after {seconds} secs");
        }
        if let Some(unique) = remote.text("unique").filter(|word| *word != "no") {
            let _ = writeln!(out, "  Unique: {unique}");
        }
        if let Some(id) = remote.text("ppk-id") {
            let required = if field(remote, "ppk-required") == "yes" { "required" } else { "optional" };
            let exchange = match field(remote, "ppk-in") {
                "auth" => ", in IKE_AUTH",
                "intermediate" => ", in IKE_INTERMEDIATE",
                _ => "",
            };
            let _ = writeln!(out, "  Post-quantum pre-shared key: {id}, {required}{exchange}");
        }
        let _ = writeln!(out, "  Policies: {}", joined(remote, "policies"));
        if let Some(command) = remote.text("command") {
            let _ = writeln!(out, "  Command: {command}");
        }
        for (_, failure) in remote.section("failures").iter().flat_map(|failures| failures.sections()) {
            self::failure(out, "  ", failure);
        }
    }
}

/// Failures of peers that no remote is configured for.
pub fn unknown_peers(out: &mut String, failures: &Message) {
    for (_, failure) in failures.sections() {
        self::failure(out, "", failure);
    }
}

fn failure(out: &mut String, indent: &str, failure: &Message) {
    let [age, exchange, address, what] = ["age", "exchange", "address", "what"].map(|name| field(failure, name));
    let _ = writeln!(out, "{indent}Failure {age} secs ago: {exchange} with {address}: {what}");
    for (title, name) in [("theirs", "theirs"), ("ours", "ours")] {
        for line in failure.list(name).unwrap_or_default() {
            let _ = writeln!(out, "{indent}  {title}: {line}");
        }
    }
    match field(failure, "advice") {
        "" => {}
        advice => {
            let _ = writeln!(out, "{indent}  advice: {advice}");
        }
    }
}
