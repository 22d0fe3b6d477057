//! Published suites for path validation: NIST PKITS and x509-limbo. Each case that is judged otherwise here stands in a
//! list with the reason; the lists hold nothing else.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use ravelin_crypto_aws_lc::{Contents, provider};
use ravelin_pki::revocation::Revocation;
use ravelin_pki::{Certificate, Crl, Demand, Fault, Path, Restrictions, Rules, Time, Usage, memory, path};
use serde_json::Value;

fn der(base64: &str) -> Vec<u8> {
    let label = if base64.starts_with("-----") { "" } else { "CERTIFICATE" };
    let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", folded(base64));
    Contents::read(text.as_bytes(), None).unwrap().certificates.remove(0)
}

fn folded(base64: &str) -> String {
    base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn nist_pkits() {
    // Why our verdict is another one.
    let other: BTreeMap<&str, &str> = [
        ("4.1 Valid DSA Parameter Inheritance Test5", "parameters of DSA are not inherited"),
        ("4.2 Valid pre2000 UTC notBefore Date Test3", "valid from before 1970, which `der` does not take"),
        ("4.5 Valid Basic Self-Issued New With Old Test3", "its list is signed with the key that it introduces"),
    ]
    .into();
    let suite: Value = serde_json::from_str(include_str!("data/pkits.json")).unwrap();
    let file = |name: &str| der(suite["files"][name].as_str().unwrap_or_else(|| panic!("{name}")));
    let anchor = Certificate::parse(&file("TrustAnchorRootCertificate.crt")).unwrap();
    let mut failed = Vec::new();
    for case in suite["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let crls: Vec<String> = texts(&case["crls"]).into_iter().chain(["TrustAnchorRootCRL.crl".into()]).collect();
        let crls: Vec<Crl> = crls.iter().filter_map(|name| Crl::parse(&file(name)).ok()).collect();
        let judge = || -> Result<Path, Fault> {
            let leaf = Certificate::parse(&file(case["leaf"].as_str().unwrap()))?;
            let others: Vec<_> =
                texts(&case["others"]).iter().filter_map(|name| Certificate::parse(&file(name)).ok()).collect();
            let revocation = Revocation { crls: &crls, answers: &[], places: &[], demand: Demand::Strict };
            // 2011 to 2030 is when the suite is valid.
            let rules = Rules {
                now: Time(1_500_000_000),
                usage: Usage::Any,
                policies: &[],
                revocation,
                restrictions: &Restrictions::default(),
                memory: &memory::Forgetful,
            };
            path::find(&leaf, &others, std::slice::from_ref(&anchor), &rules, &provider()).map(|(path, _)| path)
        };
        let judged = judge();
        let differs = judged.is_ok() != case["valid"].as_bool().unwrap();
        if differs != other.contains_key(name) {
            failed.push(format!("{name}: {judged:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn x509_limbo() {
    const ISSUER: &str = "a slip of the issuer that gives nobody a right";
    const WEB: &str = "a rule of browsers";
    let other: BTreeMap<&str, &str> = [
        ("pathlen::max-chain-depth-0-exhausted", "the depth is no setting"),
        ("pathlen::max-chain-depth-1-exhausted", "the depth is no setting"),
        ("rfc5280::aki::critical-aki", ISSUER),
        ("rfc5280::aki::cross-signed-root-missing-aki", ISSUER),
        ("rfc5280::ee-critical-aia-invalid", ISSUER),
        ("rfc5280::eku::ee-wrong-eku", "client authentication serves IKE in both roles"),
        ("rfc5280::leaf-ku-keycertsign", ISSUER),
        ("rfc5280::pc::ica-noncritical-pc", ISSUER),
        ("rfc5280::root-non-critical-basic-constraints", ISSUER),
        ("rfc5280::serial::negative", ISSUER),
        ("rfc5280::ski::root-missing-ski", ISSUER),
        ("webpki::aki::root-with-aki-authoritycertissuer", WEB),
        ("webpki::aki::root-with-aki-authoritycertserialnumber", WEB),
        ("webpki::aki::root-with-aki-missing-keyidentifier", WEB),
        ("webpki::cn::ipv4-hex-mismatch", WEB),
        ("webpki::cn::ipv4-leading-zeros-mismatch", WEB),
        ("webpki::cn::ipv6-non-rfc5952-mismatch", WEB),
        ("webpki::cn::not-in-san", WEB),
        ("webpki::cn::punycode-not-in-san", WEB),
        ("webpki::ee-basicconstraints-ca", WEB),
        ("webpki::eku::ee-critical-eku", WEB),
        ("webpki::san::leftmost-wildcard-san", "a peer has one name, so no wildcard is followed"),
    ]
    .into();
    let suite: Value = serde_json::from_str(include_str!("data/limbo.json")).unwrap();
    let mut failed = Vec::new();
    for case in suite.as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let parsed =
            |list: &Value| texts(list).iter().filter_map(|one| Certificate::parse(&der(one)).ok()).collect::<Vec<_>>();
        let crls: Vec<Crl> = texts(&case["crls"]).iter().filter_map(|one| Crl::parse(&der(one)).ok()).collect();
        let now =
            case["time"].as_str().map_or(1_764_400_000, |text| text.get(..19).unwrap().parse::<Seconds>().unwrap().0);
        let judge = || -> Result<(), Fault> {
            let leaf = Certificate::parse(&der(case["leaf"].as_str().unwrap()))?;
            let rules = Rules {
                now: Time(now),
                usage: Usage::Ike,
                policies: &[],
                revocation: Revocation { crls: &crls, answers: &[], places: &[], demand: Demand::Relaxed },
                restrictions: &Restrictions::default(),
                memory: &memory::Forgetful,
            };
            path::find(&leaf, &parsed(&case["others"]), &parsed(&case["trusted"]), &rules, &provider())?;
            match case["name"]["value"].as_str() {
                Some(name) if case["name"]["kind"] == "DNS" => {
                    ravelin_pki::names::check(&ravelin_types::Identity::Fqdn(name.into()), &leaf)
                }
                Some(name) if case["name"]["kind"] == "IP" => {
                    let address: std::net::IpAddr = name.parse().unwrap();
                    ravelin_pki::names::check(&address.into(), &leaf)
                }
                _ => Ok(()),
            }
        };
        let judged = judge();
        let differs = judged.is_ok() != case["valid"].as_bool().unwrap();
        if differs != other.contains_key(id) {
            failed.push(format!("{id}: {:?} {judged:?}", case["valid"]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// `2016-09-01T00:00:00` as seconds since 1970.
struct Seconds(u64);

impl std::str::FromStr for Seconds {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<u64>, _> = text.split(['-', 'T', ':']).map(str::parse).collect();
        let [year, month, day, hour, minute, second] = numbers?[..] else { panic!("{text}") };
        // Days from civil, for years after 1970.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
        Ok(Seconds(days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}
