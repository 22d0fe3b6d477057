//! The matrix of peer, case and role: `docs/INTEROP.md`, and what a run of the lab ends with.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::case::{Case, Need, Own};
use crate::node::example::Stack;
use crate::peers::Peer;

const HEAD: &str = "# Interoperability

Made by `cargo xtask interop --page` from the folders of `tests/interop/cases`; a test holds it to them. What is listed runs in CI, which
fails when a case fails or its peer is missing, with Debian's Linux 6.1 in the guest, and once more with Linux 6.12 what is over the
kernel's IPsec (`xfrm-`, and the contract of data planes). The nightly run also does what says `--full`, and with 7.3 what says `--kernel`.
`tests/interop/README.md` says what a case asserts: the peer's own listing and packets that crossed.

**I**: Ravelin begins the exchange and must succeed, or be refused where the case is about a refusal. **R**: the peer does.
";

/// What no case can show, and why; looked up in the packages of the lab: strongSwan 5.9.8 and 6.1.0, Libreswan 4.10 and 5.2, OpenIKED 7.2.
const TAIL: &str = "
## What no peer of the lab has

Between our two ends and by the octets of the RFCs alone, since no package of the lab has the other end:

| Extension | Of the peers |
|---|---|
| RFC 9464, encrypted DNS | none knows the attributes, and none can be told to send octets that have zeros among them |
| RFC 5739, prefixes | strongSwan gives its octets as attributes of a pool (`native-prefixes-client`); none asks for one |
| RFC 9329, IKE and ESP in TCP | Libreswan has it over `espintcp` of the kernel, which Debian's kernels are built without |
| downgrade prevention | a branch of strongSwan, and a Libreswan later than 5.2 |
| RFC 4739, a certificate and then NULL | Libreswan and OpenIKED have but the names of the notifies, strongSwan has no NULL; we refuse NULL in a round |
| RFC 7296 §2.3, windows above one | none sends SET_WINDOW_SIZE |
| EAP-PEAP as server | strongSwan is packaged without its plugin; wpa_supplicant's `eapol_test` is the user instead (`tests/eapol.rs`) |
";

/// The page: a table for each peer and each thing that runs Ravelin.
pub fn markdown(cases: &[Case]) -> String {
    let mut tables: BTreeMap<(Peer, &str), Vec<&Case>> = BTreeMap::new();
    for case in cases {
        tables.entry((case.peer, own(case.own))).or_default().push(case);
    }
    let mut page = HEAD.to_owned();
    for ((peer, own), cases) in tables {
        let _ = write!(
            page,
            "\n## {own}, against {}\n\n| Case | I | R | What it shows |\n|---|---|---|---|\n",
            peer.name()
        );
        for case in cases {
            let (initiator, responder) = roles(case);
            let mark = |role: bool| if role { "x" } else { "" };
            let about = match case.kernel {
                Some(Need::Iptfs(false)) | None => case.about.clone(),
                Some(need) => format!("{} Needs {need}: `--kernel`.", case.about),
            };
            let _ = writeln!(page, "| {} | {} | {} | {about} |", case.name, mark(initiator), mark(responder));
        }
    }
    page + TAIL
}

/// The end of a run: for each peer, how its cases went for each role.
pub fn results(cases: &[Case], results: &BTreeMap<String, String>) -> String {
    let mut text = format!("{:<44} {:<10} {:<10} peer\n", "case", "initiator", "responder");
    for case in cases {
        let Some(result) = results.get(&case.name) else { continue };
        let (initiator, responder) = roles(case);
        let mark = |role: bool| if role { result.as_str() } else { "-" };
        let line = format!("{:<44} {:<10} {:<10} {}", case.name, mark(initiator), mark(responder), case.peer.name());
        let _ = writeln!(text, "{line}");
    }
    text
}

fn own(own: Own) -> &'static str {
    match own {
        Own::Daemon => "The daemon over TUN",
        Own::Example(Stack::Smoltcp) => "The engine under smoltcp",
        Own::Example(Stack::Lwip) => "The engine under lwIP, from C",
        Own::Kernel => "The daemon over the kernel's IPsec",
    }
}

/// Whether Ravelin begins an exchange of the case, and whether the peer does. In neither is where keys are set by hand.
fn roles(case: &Case) -> (bool, bool) {
    let begins = |side: &str| {
        case.steps.iter().any(|step| match step.words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["up" | "ondemand" | "refuse", who, ..] => who == side,
            ["connect", who, ..] | ["processors", _, who, ..] => who == side,
            ["sh", who, line] => who == side && line.contains("ping"),
            ["flows" | "crowd", ..] => side == "ravelin",
            ["swanctl", arguments, ..] => side == "ravelin" && arguments.contains("--initiate"),
            ["suite", ..] => true,
            _ => false,
        })
    };
    let at_once = ["--start now", "start_action = start"].iter().any(|words| case.ravelin.template().contains(words));
    (begins("ravelin") || at_once, begins("swan"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::case;

    #[test]
    fn the_page_is_what_the_cases_are() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cases = case::load_all(&folder.join("cases")).unwrap();
        let written = std::fs::read_to_string(folder.join("../../docs/INTEROP.md")).unwrap_or_default();
        assert!(written == markdown(&cases), "run `cargo xtask interop --page` and commit docs/INTEROP.md");
    }

    #[test]
    fn every_case_with_a_negotiation_has_a_role() {
        let cases = case::load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap();
        let without: Vec<&str> =
            cases.iter().filter(|case| roles(case) == (false, false)).map(|case| case.name.as_str()).collect();
        let by_hand = |name: &&str| ["manual", "static", "setkey"].iter().any(|word| name.contains(word));
        assert!(without.iter().all(by_hand), "{without:?}");
    }
}
