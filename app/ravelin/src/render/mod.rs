//! What an operator sees: the daemon's answers as tables in document 003's layout, or as JSON.
//!
//! Everything from a peer was escaped where it was turned into text (identities, failures), so nothing here can write
//! to a terminal what a peer chose.

mod ce;
mod flows;
mod ike;
mod ipsec;
mod json;
mod pool;
mod setkey;
mod vti;
mod why;

use ravelin_config::command::Shown;
use ravelin_control::Message;
use ravelin_decode::Secrecy;

pub use json::json;

/// What a level means to the decoder.
pub fn secrecy(shown: Shown) -> Secrecy {
    match shown {
        Shown::Public => Secrecy::Open,
        Shown::Identities => Secrecy::Identity,
        Shown::Secrets => Secrecy::Secret,
    }
}

/// Every listing in the answer, in document 003's order: SAs before policies.
pub fn tables(answer: &Message) -> String {
    let mut out = String::new();
    if let Some(flows) = answer.section("flows") {
        flows::flows(&mut out, flows);
    }
    match answer.section("sas") {
        Some(sas) if answer.text("layout") == Some("flows") => flows::sad(&mut out, sas),
        Some(sas) => ipsec::sessions(&mut out, sas),
        None => {}
    }
    if let Some(policies) = answer.section("policies") {
        ipsec::policies(&mut out, policies);
    }
    if let Some(counters) = answer.section("counters") {
        counters_table(&mut out, "Counters", counters);
    }
    if let Some(sas) = answer.section("ike-sas") {
        ike::sas(&mut out, sas);
    }
    if let Some(counters) = answer.section("ike-counters") {
        counters_table(&mut out, "IKE counters", counters);
    }
    if let Some(remotes) = answer.section("remotes") {
        ike::remotes(&mut out, remotes);
    }
    if let Some(peers) = answer.section("why") {
        why::peers(&mut out, peers);
    }
    if let Some(statistics) = answer.section("statistics") {
        counters_table(&mut out, "Statistics", statistics);
    }
    for name in ["differences", "changes"] {
        let lines = answer.list(name).unwrap_or_default();
        lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
    }
    if let Some(certificates) = answer.section("certificates") {
        ce::certificates(&mut out, certificates);
    }
    if let Some(interfaces) = answer.section("interfaces") {
        vti::interfaces(&mut out, interfaces);
    }
    if let Some(pools) = answer.section("pools") {
        pool::pools(&mut out, pools);
    }
    if let Some(listings) = answer.section("setkey") {
        setkey::listings(&mut out, listings);
    }
    if let Some(failures) = answer.section("failures") {
        ike::unknown_peers(&mut out, failures);
    }
    out
}

/// The counters that are not zero; nothing when all are.
fn counters_table(out: &mut String, title: &str, counters: &Message) {
    let counted = counters.items().map(|(name, _)| (name, field(counters, name))).filter(|(_, value)| *value != "0");
    let lines: String = counted.map(|(name, value)| format!("  {name}: {value}\n")).collect();
    if !lines.is_empty() {
        out.push_str(&format!("{title}\n{lines}"));
    }
}

/// A value that every row of a listing has; an empty one if the daemon is of another version.
fn field<'a>(row: &'a Message, name: &str) -> &'a str {
    row.text(name).unwrap_or_default()
}

fn joined(row: &Message, name: &str) -> String {
    row.list(name).unwrap_or_default().join(", ")
}

#[cfg(test)]
mod tests;
