//! Attribute certificates that strongSwan issued, and what becomes of them when something is wrong.
#![allow(clippy::unwrap_used)]

use ravelin_crypto_aws_lc::provider;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Claim, Credential, Trust, World};
use ravelin_pki::{AttributeCertificate, Certificate, Demand, Fault, Membership, Time, Wish, memory};
use ravelin_types::Identity;

/// 2026-12-02.
const NOW: Time = Time(1_796_169_600);
const WORLD: World<'_> = World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful };

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("data/acert/", $name))
    };
}

const SALES: &[u8] = file!("sales.ac");
const OLD: &[u8] = file!("old.ac");
const DAVES: &[u8] = file!("dave.ac");
const BY_CA: &[u8] = file!("byca.ac");

fn certificate(der: &[u8]) -> Certificate {
    Certificate::parse(der).unwrap()
}

fn attributes(der: &[u8]) -> AttributeCertificate {
    AttributeCertificate::parse(der).unwrap()
}

/// Whether carol is believed who sends this beside her certificate, by whom `change` makes of one who asks for a group.
fn judged(group: &str, sent: &[&[u8]], change: impl FnOnce(&mut Trust), world: World<'_>) -> Result<(), String> {
    let crypto = provider();
    let carol = certificate(file!("carol.crt"));
    let credential = Credential { spki: carol.spki().to_vec(), certificates: vec![carol], ..Credential::default() };
    let key = crypto.signatures.unwrap().private_key(file!("carol.p8")).unwrap();
    let proof = credential.prove(&*key, &Accepts { hashes: Some(vec![2]), methods: None }, b"octets").unwrap();
    let sent = sent.iter().map(|der| (10, der.to_vec()));
    let certificates: Vec<_> = credential.payloads(Wish::default(), world).into_iter().chain(sent).collect();
    let membership = Membership {
        groups: vec![group.to_owned()],
        authorities: [certificate(file!("aa.crt"))].into(),
        ..Membership::default()
    };
    let mut trust = Trust { anchors: [certificate(file!("ca.crt"))].into(), membership, ..Trust::default() };
    change(&mut trust);
    let identity = &Identity::Fqdn("carol.example.org".into());
    let claim = Claim { identity, certificates: &certificates, proof: &proof, octets: b"octets" };
    trust.judge(claim, world, &crypto).map(|_| ()).map_err(|why| why.to_string())
}

#[test]
fn a_certificate_of_strongswan_says_whose_it_is_and_of_which_groups() {
    let sales = attributes(SALES);
    assert_eq!((sales.groups(), sales.der()), (&["sales".to_owned(), "1.2.3.4".to_owned()][..], SALES));
    assert_eq!(sales.issuer().to_string(), "C=CH, O=Ravelin, CN=aa");
    assert!(sales.is_of(&certificate(file!("carol.crt"))) && !sales.is_of(&certificate(file!("dave.crt"))));
    assert!(!sales.is_of(&certificate(file!("ca.crt"))));
}

#[test]
fn a_peer_is_of_a_group_by_what_it_sends_or_what_is_here() {
    assert_eq!(judged("sales", &[SALES], |_| (), WORLD), Ok(()));
    assert_eq!(judged("1.2.3.4", &[b"nonsense", OLD, DAVES, SALES], |_| (), WORLD), Ok(()));
    let known = |trust: &mut Trust| trust.membership.known = [attributes(SALES)].into();
    assert_eq!(judged("sales", &[], known, WORLD), Ok(()));
    // Its certificate may be trusted by itself.
    let pinned = |trust: &mut Trust| trust.pinned = vec![certificate(file!("carol.crt"))];
    assert_eq!(judged("sales", &[SALES], pinned, WORLD), Ok(()));
}

#[test]
fn nobody_else_says_of_which_group_a_peer_is() {
    let nothing = "is not shown to be of the group sales: no attribute certificate says so";
    let unknown = |trust: &mut Trust| trust.membership.authorities = [].into();
    let later = World { now: Time(3_300_000_000), ..WORLD };
    let strict = |trust: &mut Trust| trust.revocation = Demand::Strict;
    assert!(judged("sales", &[], |_| (), WORLD).unwrap_err().contains(nothing));
    assert!(judged("sales", &[DAVES], |_| (), WORLD).unwrap_err().contains(nothing), "of another");
    assert!(judged("finance", &[SALES], |_| (), WORLD).unwrap_err().contains("no attribute certificate"));
    assert!(judged("finance", &[OLD], |_| (), WORLD).unwrap_err().contains("expired on 2026-01-02"));
    assert!(judged("sales", &[SALES], unknown, WORLD).unwrap_err().contains("which is not trusted here"));
    // The authority of certificates has no say, nor has it with the name of the other.
    assert!(judged("sales", &[BY_CA], |_| (), WORLD).unwrap_err().contains("issued by C=CH, O=Ravelin, CN=ca"));
    assert!(judged("sales", &[SALES], |_| (), later).is_err());
    assert!(judged("sales", &[SALES], strict, WORLD).unwrap_err().contains("revoked cannot be known"));
    assert!(Membership::authority(&certificate(file!("ca.crt"))).unwrap_err().contains("RFC 5755 §4.5"));
    assert_eq!(Membership::authority(&certificate(file!("aa.crt"))), Ok(()));
}

/// DER of these parts under this tag.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let len = u8::try_from(body.len()).unwrap();
    let head = if len < 0x80 { vec![tag, len] } else { vec![tag, 0x81, len] };
    [head, body].concat()
}

/// An attribute certificate for whoever has this name in his certificate.
fn held_by(name: &[u8]) -> AttributeCertificate {
    let oid = |der: &[u8]| tlv(6, &[der]);
    let cn = tlv(0x31, &[&tlv(0x30, &[&oid(&[0x55, 4, 3]), &tlv(12, &[b"aa"])])]);
    let issuer = tlv(0xa0, &[&tlv(0x30, &[&tlv(0xa4, &[&tlv(0x30, &[&cn])])])]);
    // sha256WithRSAEncryption
    let algorithm = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11])]);
    let validity = tlv(0x30, &[&tlv(0x18, &[b"20260101000000Z"]), &tlv(0x18, &[b"20700101000000Z"])]);
    let holder = tlv(0x30, &[&tlv(0xa1, &[name])]);
    let info = [&tlv(2, &[&[1]]), &holder, &issuer, &algorithm, &tlv(2, &[&[7]]), &validity, &tlv(0x30, &[])];
    let info = tlv(0x30, &info.map(Vec::as_slice));
    attributes(&tlv(0x30, &[&info, &algorithm, &tlv(3, &[&[0; 9]])]))
}

// Names of kinds that are not compared, as the UPN that Active Directory gives to everybody, are nobody's.
#[test]
fn a_name_that_cannot_be_compared_is_nobodys() {
    let mallory = certificate(file!("mallory.crt"));
    let upn = |user: &[u8]| {
        let kind = tlv(6, &[&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3]]);
        held_by(&tlv(0xa0, &[&kind, &tlv(0xa0, &[&tlv(12, &[user])])]))
    };
    assert!(!upn(b"carol@example.org").is_of(&mallory));
    // Names of the others are compared as certificates compare them.
    assert!(held_by(&tlv(0x82, &[b"Carol.example.ORG"])).is_of(&certificate(file!("carol.crt"))));
    assert!(!held_by(&tlv(0x82, &[b"dave.example.org"])).is_of(&certificate(file!("carol.crt"))));
}

// What a peer sends is hostile: one octet that is another makes none of it good, and nothing panics.
#[test]
fn no_octet_may_be_another() {
    let aa = [certificate(file!("aa.crt"))];
    for at in 0..SALES.len() {
        for bit in [1, 0x80] {
            let mut changed = SALES.to_vec();
            changed[at] ^= bit;
            if let Ok(parsed) = AttributeCertificate::parse(&changed) {
                assert_ne!(parsed, attributes(SALES));
                let of = parsed.groups().first().cloned().unwrap_or_default();
                let authorities = aa.clone().into();
                let believed = |trust: &mut Trust| trust.membership.authorities = authorities;
                assert!(judged(&of, &[&changed], believed, WORLD).is_err(), "octet {at}");
            }
        }
    }
    for len in 0..SALES.len() {
        assert!(AttributeCertificate::parse(&SALES[..len]).is_err(), "{len} octets");
    }
    assert!(matches!(AttributeCertificate::parse(&vec![0x30; 100_000]), Err(Fault::TooMuch(_))));
}
