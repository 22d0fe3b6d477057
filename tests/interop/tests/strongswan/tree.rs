//! What the root issues beside the certificates of the hosts, and the authorities below it and beside it issue.
//!
//! ```text
//!   strongSwan Root CA ─┬─ Research CA ─┬─ carol
//!     (one level below) │               └─ Duck Research CA ── carol
//!                       └─ Sales CA ── dave
//!   strongSwan Levels Root CA ── Levels L2 CA ── Levels L3 CA ── carol
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use ravelin_testkit::papers::{self, CertificateParams, Kind, Paper};

use crate::hosts::identity;
use crate::papers::{Issued, listed, openssl, subject};
use crate::write;

/// Papers by their names.
pub struct Tree(BTreeMap<&'static str, Paper>);

/// Where the responder is.
const RESPONDER: &str = "http://ocsp.strongswan.org:8880";

/// What was revoked by the root.
const REVOKED: [&str; 2] = ["carol.revoked", "research.revoked"];

/// Authorities with their lists, and what is in these.
const LISTS: [(&str, &str); 6] = [
    ("root", "strongswan"),
    ("research", "research"),
    ("sales", "sales"),
    ("levels", "levels"),
    ("levels.l2", "levels_l2"),
    ("levels.l3", "levels_l3"),
];

/// What the root has issued and a responder knows.
const KNOWN: [&str; 8] = ["moon", "sun", "carol", "dave", "carol.ocsp", "carol.revoked", "research", "sales"];

/// Whose certificates are had by their hash, and below which folder of the web server.
const HAD: [(&str, &str); 8] = [
    ("moon", "certs"),
    ("sun", "certs"),
    ("carol", "certs"),
    ("dave", "certs"),
    ("research", "certs"),
    ("sales", "certs"),
    ("carol.research", "certs/research"),
    ("dave.sales", "certs/sales"),
];

impl Tree {
    pub fn new(issued: &Issued) -> Self {
        let root = &issued.authority;
        let mut tree = BTreeMap::new();
        let mut add = |name, paper: Paper| drop(tree.insert(name, paper));
        let authority = |name: &str, unit: &str| papers::in_unit(papers::authority(subject(name, &[])), unit);
        let user = |host: &str, unit: &str| papers::in_unit(subject(&identity(host), &[&identity(host)]), unit);
        let at = |params: CertificateParams| listed(params, "strongswan");
        let by_root = |params: CertificateParams| root.issue(at(params), Kind::Rsa);

        add("carol.revoked", by_root(user("carol", "Research")));
        add("carol.second", by_root(user("carol", "Research 002")));
        add("carol.ocsp", by_root(papers::answered_at(user("carol", "OCSP"), RESPONDER)));
        add("ocsp", by_root(papers::responder(user("ocsp", "OCSP Signing Authority"))));
        add("ocsp.own", papers::own(papers::responder(user("ocsp", "OCSP Self-Signed Authority")), Kind::Rsa));
        for name in ["winnetou", "aaa"] {
            add(name, by_root(subject(&identity(name), &[&identity(name)])));
        }
        add("aa", by_root(subject("strongSwan Attribute Authority", &[])));
        add("aa.old", by_root(papers::until(subject("strongSwan Legacy AA", &[]), 2025)));
        for (name, host) in [("moon.critical", "moon"), ("sun.critical", "sun")] {
            add(name, by_root(papers::with_critical(user(host, "Critical Extension"))));
        }

        let research = by_root(authority("Research CA", "Research"));
        let sales = by_root(authority("Sales CA", "Sales"));
        let again = |unit: &str, number| papers::numbered(authority(&format!("{unit} CA"), unit), number);
        add("research.revoked", root.issue_for(at(again("Research", 10)), &research));
        add("research.unlisted", root.issue_for(listed(again("Research", 11), "not-available"), &research));
        add("research.sales", sales.issue_for(listed(again("Research", 3), "sales"), &research));
        add("sales.research", research.issue_for(listed(again("Sales", 3), "research"), &sales));
        let duck = research.issue(listed(authority("Duck Research CA", "Research"), "research"), Kind::Rsa);
        add("carol.duck", duck.issue(user("carol", "Duck Research"), Kind::Rsa));
        add("duck", duck);
        add("carol.research", research.issue(listed(user("carol", "Research"), "research"), Kind::Rsa));
        add("carol.unlisted", research.issue(user("carol", "Research"), Kind::Rsa));
        add("dave.sales", sales.issue(listed(user("dave", "Sales"), "sales"), Kind::Rsa));
        let silent = papers::answered_at(user("dave", "Sales"), "http://ocsp2.strongswan.org:8882");
        add("dave.silent", sales.issue(silent, Kind::Rsa));
        add("research", research);
        add("sales", sales);

        let levels = papers::authority(subject("strongSwan Levels Root CA", &[]));
        let levels = papers::own(papers::of_depth(levels, 2), Kind::Rsa);
        let second = levels.issue(listed(authority("Levels L2 CA", "L2"), "levels"), Kind::Rsa);
        let third = second.issue(listed(authority("Levels L3 CA", "L3"), "levels_l2"), Kind::Rsa);
        add("carol.l3", third.issue(listed(user("carol", "L3"), "levels_l3"), Kind::Rsa));
        add("levels", levels);
        add("levels.l2", second);
        add("levels.l3", third);
        Tree(tree)
    }

    pub fn of(&self, name: &str) -> Result<&Paper> {
        self.0.get(name).with_context(|| format!("nothing is issued for {name}"))
    }

    /// Writes what programs have: papers for them and the index of the responder into `folder`, lists and certificates into `web`.
    pub fn publish(&self, issued: &Issued, folder: &Path, web: &Path) -> Result<()> {
        let of = |name: &str| match issued.hosts.iter().find(|(host, _)| *host == name) {
            _ if name == "root" => Ok(&issued.authority),
            Some((_, paper)) => Ok(paper),
            None => self.of(name),
        };
        for name in ["root", "ocsp", "ocsp.own", "winnetou", "aaa", "aa", "aa.old", "carol", "dave"] {
            write(&folder.join(format!("{name}.pem")), of(name)?.pem.as_bytes())?;
            write(&folder.join(format!("{name}.key")), of(name)?.key_pem.as_bytes())?;
        }
        let revoked = REVOKED.iter().map(|name| self.of(name)).collect::<Result<Vec<_>>>()?;
        for (name, list) in LISTS {
            let revoked: &[&Paper] = if name == "root" { &revoked } else { &[] };
            write(&web.join(format!("{list}.crl")), &of(name)?.crl(revoked))?;
        }
        let mut index = String::new();
        for name in KNOWN {
            let status = if REVOKED.contains(&name) { "R\t491231235959Z\t260101000000Z" } else { "V\t491231235959Z\t" };
            let serial: String = of(name)?.serial().iter().map(|octet| format!("{octet:02X}")).collect();
            writeln!(index, "{status}\t{serial}\tunknown\t/CN={name}")?;
        }
        fs::write(folder.join("index"), index)?;
        for (name, place) in HAD {
            let der = &of(name)?.der;
            let hash = String::from_utf8(openssl(&["dgst", "-sha1", "-r"], der)?)?;
            let hash = hash.split_whitespace().next().context("a hash")?;
            write(&web.join(place).join(hash), der)?;
        }
        Ok(())
    }
}
