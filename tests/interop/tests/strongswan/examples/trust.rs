//! Those about whom to believe: authorities, revocation lists, responders, certificates that lie elsewhere.

use super::{Example, Said, gateways, road_warrior};
use crate::papers::Put::{self, Attributes, Attributing, Authority, List, Own};
use crate::servers::Servers;

/// Carol, to either host behind moon.
const fn carol(name: &'static str, child: &'static str, to: &'static str) -> Example {
    road_warrior(name, "192.168.0.100").child(child).to(to)
}

/// The same of dave.
const fn dave(name: &'static str, child: &'static str, to: &'static str) -> Example {
    super::dave(name, "192.168.0.200").child(child).to(to)
}

/// Carol's certificate names a responder.
const ASKS: &[Put] = &[Own("carol", "carol.ocsp", ["", ""])];
/// A responder whom the root has named.
const NAMED: Servers = Servers::LISTS.responder("ocsp");
/// What carol's says.
const BEGINS_GOOD: Said = Said {
    ravelin: &[
        "http://ocsp.strongswan.org:8880 says that the certificate C=CH, O=strongSwan Project, CN=moon.strongswan.org is good",
    ],
    swan: &["ocsp response is valid", "certificate status is good"],
};
/// What moon's says.
const ANSWERS_GOOD: Said = Said {
    ravelin: &[
        "http://ocsp.strongswan.org:8880 says that the certificate C=CH, O=strongSwan Project, OU=OCSP, CN=carol@strongswan.org is good",
    ],
    swan: &["ocsp response is valid", "certificate status is good"],
};
const FAILED: Said =
    Said { ravelin: &["AUTHENTICATION_FAILED"], swan: &["received AUTHENTICATION_FAILED notify error"] };
const REVOKED: Said = Said { ravelin: &["was revoked"], swan: &["certificate was revoked"] };
const UNKNOWN: Said = Said {
    ravelin: &["CN=carol@strongswan.org was revoked cannot be known"],
    swan: &["constraint check failed: RULE_CRL_VALIDATION is FAILED, but requires at least GOOD"],
};
const LISTED: Said =
    Said { ravelin: &["came from http://crl.strongswan.org/strongswan.crl: 2 revoked"], swan: &["crl is valid"] };
const CACHED: Said = Said { ravelin: &[], swan: &["using cached crl", "crl is valid", "certificate status is good"] };
const NO_CHILD: Said =
    Said { ravelin: &["TS_UNACCEPTABLE"], swan: &["received TS_UNACCEPTABLE notify, no CHILD_SA built"] };
const NO_CHILD_V1: Said = Said { ravelin: &["INVALID-ID-INFORMATION"], swan: &["INVALID_ID_INFORMATION"] };

const BELOW: &[Put] = &[
    Own("carol", "carol.research", ["", ""]),
    Own("dave", "dave.sales", ["", ""]),
    Authority("moon", "research", "researchCert.pem"),
    Authority("moon", "sales", "salesCert.pem"),
];
/// Only the road warriors have the authorities above them.
const BROUGHT: &[Put] = &[
    Own("carol", "carol.research", ["", ""]),
    Own("dave", "dave.sales", ["", ""]),
    Authority("carol", "research", "researchCert.pem"),
    Authority("dave", "sales", "salesCert.pem"),
];
const RESEARCH: Said = Said {
    ravelin: &[
        "came from http://crl.strongswan.org/research.crl",
        "came from http://crl.strongswan.org/strongswan.crl",
    ],
    swan: &[
        "fetching crl from 'http://crl.strongswan.org/research.crl'",
        "fetching crl from 'http://crl.strongswan.org/strongswan.crl'",
    ],
};
const SALES: Said = Said {
    ravelin: &["came from http://crl.strongswan.org/sales.crl", "came from http://crl.strongswan.org/strongswan.crl"],
    swan: &[
        "fetching crl from 'http://crl.strongswan.org/sales.crl'",
        "fetching crl from 'http://crl.strongswan.org/strongswan.crl'",
    ],
};
const LEVELS: &[Put] = &[
    Own("carol", "carol.l3", ["", ""]),
    Authority("moon", "levels", "levelsCert.pem"),
    Authority("carol", "levels", "levelsCert.pem"),
    Authority("carol", "levels.l2", "levelsCert_l2.pem"),
    Authority("carol", "levels.l3", "levelsCert_l3.pem"),
];
const ALL_LEVELS: Said = Said {
    ravelin: &["levels.crl", "levels_l2.crl", "levels_l3.crl"],
    swan: &["levels.crl'", "levels_l2.crl'", "levels_l3.crl'"],
};
const LOOP: &[Put] = &[
    Own("carol", "carol.research", ["", ""]),
    Authority("moon", "sales.research", "sales_by_researchCert.pem"),
    Authority("moon", "research.sales", "research_by_salesCert.pem"),
];
const CRITICAL: Said = Said {
    ravelin: &["has a critical extension that is not known here: 1.3.6.1.4.1.36906.1"],
    swan: &["extension not supported"],
};
const ALICE: &str = "10.1.0.10";
const VENUS: &str = "10.1.0.20";

const FETCHED: Said = Said {
    ravelin: &["certificate of a peer came from http://winnetou.strongswan.org/certs/"],
    swan: &["fetched certificate"],
};

/// Revocation, hierarchies of authorities, hash and URL, certificates that are not to be believed.
pub const TRUST: &[Example] = &[
    road_warrior("ikev2/ocsp-signer-cert", "192.168.0.100")
        .put(ASKS)
        .served(NAMED)
        .begun(BEGINS_GOOD)
        .answered(ANSWERS_GOOD),
    road_warrior("ikev2/ocsp-root-cert", "192.168.0.100")
        .put(ASKS)
        .served(Servers::LISTS.responder("root"))
        .begun(BEGINS_GOOD)
        .answered(ANSWERS_GOOD),
    road_warrior("ikev2/ocsp-timeouts-good", "192.168.0.100")
        .put(ASKS)
        .served(NAMED)
        .begun(BEGINS_GOOD)
        .answered(ANSWERS_GOOD),
    road_warrior("ikev2/ocsp-timeouts-unknown", "192.168.0.100")
        .served(Servers::NONE.responder("ocsp"))
        .refused()
        .begun(FAILED)
        .answered(UNKNOWN),
    road_warrior("ikev2/ocsp-no-signer-cert", "192.168.0.100")
        .put(ASKS)
        .served(Servers::NONE.responder("winnetou"))
        .refused()
        .begun(FAILED)
        .answered(UNKNOWN),
    road_warrior("ikev2/ocsp-untrusted-cert", "192.168.0.100")
        .put(ASKS)
        .served(Servers::NONE.responder("ocsp.own"))
        .refused()
        .begun(FAILED)
        .answered(UNKNOWN),
    road_warrior("ikev2/ocsp-revoked", "192.168.0.100")
        .put(&[Own("carol", "carol.revoked", ["", ""])])
        .served(NAMED)
        .refused()
        .begun(FAILED)
        .answered(REVOKED),
    road_warrior("ikev2/ocsp-disabled", "192.168.0.100").put(ASKS).begun(LISTED).answered(LISTED),
    road_warrior("ikev2/crl-from-cache", "192.168.0.100")
        .put(&[List("moon"), List("carol")])
        .served(Servers::NONE)
        .begun(CACHED)
        .answered(CACHED),
    road_warrior("ikev2/crl-revoked", "192.168.0.100")
        .put(&[Own("carol", "carol.revoked", ["", ""])])
        .refused()
        .begun(FAILED)
        .answered(REVOKED),
    carol("ikev2-multi-ca/crls", "alice", ALICE).put(BELOW).begun(LISTED).answered(RESEARCH),
    carol("ikev2-multi-ca/crls", "venus", VENUS).put(BELOW).refused().begun(NO_CHILD).answered(RESEARCH),
    dave("ikev2-multi-ca/crls", "venus", VENUS).put(BELOW).begun(LISTED).answered(SALES),
    dave("ikev2-multi-ca/crls", "alice", ALICE).put(BELOW).refused().begun(NO_CHILD).answered(SALES),
    carol("ikev1-multi-ca/crls", "alice", ALICE).put(BELOW).begun(LISTED).answered(RESEARCH),
    carol("ikev1-multi-ca/crls", "venus", VENUS).put(BELOW).refused().begun(NO_CHILD_V1).answered(RESEARCH),
    dave("ikev1-multi-ca/crls", "venus", VENUS).put(BELOW).begun(LISTED).answered(SALES),
    dave("ikev1-multi-ca/crls", "alice", ALICE).put(BELOW).refused().begun(NO_CHILD_V1).answered(SALES),
    carol("ikev2-multi-ca/crls-l3", "alice", ALICE).put(LEVELS).answered(ALL_LEVELS),
    carol("ikev2-multi-ca/crls-l3", "venus", VENUS).put(LEVELS).refused().begun(NO_CHILD),
    dave("ikev2-multi-ca/crls-l3", "venus", VENUS).put(LEVELS).begun(LISTED).answered(LISTED),
    dave("ikev2-multi-ca/crls-l3", "alice", ALICE).put(LEVELS).refused().begun(NO_CHILD),
    carol("ikev2-multi-ca/certreq-resp", "alice", ALICE).put(BROUGHT).begun(LISTED).answered(RESEARCH),
    dave("ikev2-multi-ca/certreq-resp", "venus", VENUS).put(BROUGHT).begun(LISTED).answered(SALES),
    carol("ikev1-multi-ca/certreq-resp", "alice", ALICE).put(BROUGHT).begun(LISTED).answered(RESEARCH),
    dave("ikev1-multi-ca/certreq-resp", "venus", VENUS).put(BROUGHT).begun(LISTED).answered(SALES),
    moon("ikev2-multi-ca/certreq-init", "carol", "alice", ALICE, "192.168.0.100"),
    moon("ikev2-multi-ca/certreq-init", "dave", "venus", VENUS, "192.168.0.200"),
    moon("ikev1-multi-ca/certreq-init", "carol", "alice", ALICE, "192.168.0.100"),
    moon("ikev1-multi-ca/certreq-init", "dave", "venus", VENUS, "192.168.0.200"),
    carol("ikev2-multi-ca/loop", "alice", ALICE)
        .put(LOOP)
        .refused()
        .begun(FAILED)
        .answered(Said { ravelin: &["which is not trusted here"], swan: &["maximum path length of 7 exceeded"] }),
    carol("ikev2-multi-ca/pathlen", "duck", ALICE)
        .put(&[
            Own("carol", "carol.duck", ["", ""]),
            Authority("moon", "research", "researchCert.pem"),
            Authority("moon", "duck", "duckCert.pem"),
        ])
        .refused()
        .begun(FAILED)
        .answered(Said {
            ravelin: &["CN=Duck Research CA do not permit another one below them"],
            swan: &["path length of 2 violates constraint of 1"],
        }),
    carol("ikev2-multi-ca/revoked", "alice", ALICE)
        .put(&[Own("carol", "carol.research", ["", ""]), Authority("moon", "research.revoked", "researchCert.pem")])
        .refused()
        .begun(FAILED)
        .answered(REVOKED),
    carol("ikev2-multi-ca/skipped", "alice", ALICE)
        .put(&[Own("carol", "carol.research", ["", ""]), Authority("moon", "research.unlisted", "researchCert.pem")])
        .refused()
        .begun(FAILED)
        .answered(Said {
            ravelin: &["CN=Research CA was revoked cannot be known"],
            swan: &["constraint check failed: RULE_CRL_VALIDATION is FAILED, but requires at least GOOD"],
        }),
    carol("ikev2-multi-ca/ocsp-strict-ifuri", "alice", ALICE)
        .put(IF_URI)
        .answered(Said { ravelin: &[], swan: &["authentication of 'carol@strongswan.org' with"] }),
    dave("ikev2-multi-ca/ocsp-strict-ifuri", "venus", VENUS).put(IF_URI).refused().begun(FAILED).answered(Said {
        ravelin: &["CN=dave@strongswan.org was revoked cannot be known"],
        swan: &["constraint check failed: RULE_CRL_VALIDATION is FAILED, but requires at least SKIPPED"],
    }),
    carol("ikev2-multi-ca/rw-hash-and-url", "alice", ALICE).put(BROUGHT).begun(FETCHED).answered(FETCHED),
    carol("ikev2-multi-ca/rw-hash-and-url", "venus", VENUS).put(BROUGHT).refused().begun(NO_CHILD).answered(FETCHED),
    dave("ikev2-multi-ca/rw-hash-and-url", "venus", VENUS).put(BROUGHT).begun(FETCHED).answered(FETCHED),
    dave("ikev2-multi-ca/rw-hash-and-url", "alice", ALICE).put(BROUGHT).refused().begun(NO_CHILD).answered(FETCHED),
    road_warrior("ikev2/rw-hash-and-url", "192.168.0.100").begun(FETCHED).answered(FETCHED),
    super::dave("ikev2/rw-hash-and-url", "192.168.0.200").begun(FETCHED).answered(FETCHED),
    gateways("ikev2/critical-extension")
        .put(&[Own("moon", "moon.critical", ["", ""]), Own("sun", "sun.critical", ["", ""])])
        .refused()
        .begun(FAILED)
        .answered(CRITICAL),
    // Debian's strongSwan has no plugin that reads attribute certificates.
    road_warrior("ikev2/acert-cached", "192.168.0.100").put(CACHED_ATTRIBUTES).we_answer(),
    super::dave("ikev2/acert-cached", "192.168.0.200")
        .put(CACHED_ATTRIBUTES)
        .refused()
        .begun(FAILED)
        .answered(NO_GROUP)
        .we_answer(),
    road_warrior("ikev2/acert-inline", "192.168.0.100").put(OWN_ATTRIBUTES).begun(SENT).we_answer(),
    super::dave("ikev2/acert-inline", "192.168.0.200")
        .put(OWN_ATTRIBUTES)
        .refused()
        .begun(FAILED)
        .answered(NO_GROUP)
        .we_answer(),
    road_warrior("ikev2/acert-fallback", "192.168.0.100").put(FALLBACK).to(VENUS).begun(SENT).we_answer(),
    carol("ikev2/two-certs", "alice", ALICE).put(TWO).answered(Said {
        ravelin: &[],
        swan: &["using certificate \"C=CH, O=strongSwan Project, OU=Research, CN=carol@strongswan.org\""],
    }),
    carol("ikev2/two-certs", "venus", VENUS).put(TWO).answered(Said {
        ravelin: &[],
        swan: &["using certificate \"C=CH, O=strongSwan Project, OU=Research 002, CN=carol@strongswan.org\""],
    }),
];

/// Moon has what the attribute authority says.
const CACHED_ATTRIBUTES: &[Put] = &[
    Attributing("moon", "aa"),
    Attributes("moon", "aa", "carol", &["sales", "finance"], true),
    Attributes("moon", "aa", "dave", &["sales"], false),
    Attributes("moon", "aa", "dave", &["marketing"], true),
];
/// The road warriors have it, and dave has what an expired one says.
const OWN_ATTRIBUTES: &[Put] = &[
    Attributing("moon", "aa"),
    Attributing("moon", "aa.old"),
    Attributes("carol", "aa", "carol", &["sales"], true),
    Attributes("dave", "aa", "dave", &["marketing"], true),
    Attributes("dave", "aa.old", "dave", &["sales"], true),
];
const FALLBACK: &[Put] = &[
    Attributing("moon", "aa"),
    Attributes("carol", "aa", "carol", &["finance"], false),
    Attributes("carol", "aa", "carol", &["sales"], true),
];
const SENT: Said = Said {
    ravelin: &[],
    swan: &[
        "sending attribute certificate issued by \"C=CH, O=strongSwan Project, CN=strongSwan Attribute Authority\"",
    ],
};
const NO_GROUP: Said = Said { ravelin: &["is not shown to be of the group"], swan: &[] };

const TWO: &[Put] = &[Own("carol", "carol.second", ["-002", "-002"])];
const IF_URI: &[Put] = &[
    Own("carol", "carol.unlisted", ["", ""]),
    Own("dave", "dave.silent", ["", ""]),
    Authority("moon", "research", "researchCert.pem"),
    Authority("moon", "sales", "salesCert.pem"),
];

/// Moon begins.
const fn moon(
    name: &'static str,
    to: &'static str,
    child: &'static str,
    from: &'static str,
    address: &'static str,
) -> Example {
    let example = Example { hosts: [to, "moon"], packet: [from, address], ..gateways(name) }.child(child).put(BROUGHT);
    match child.as_bytes() {
        b"alice" => example.begun(RESEARCH),
        _ => example.begun(SALES),
    }
}
