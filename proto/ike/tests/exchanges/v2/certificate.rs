//! Certificates in AUTH: chains, names, what is refused, and CERT payloads of any form.

use std::sync::Arc;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::{Answer, Input, Question};
use ravelin_pki::Crl;
use ravelin_pki::auth::Trust;
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

use super::signature::{begin, der, refused, refuses, unhex};
use crate::lab::*;
use crate::papers::{NAME_A, NAME_B, Papers2, certificate, credential, give_key, trust};

// RFC 7296 §3.6: the first is the one whose key signed; several follow.
#[test]
fn chains_come_in_any_order_and_across_authorities() {
    let (root, other) = (papers::root("root", Kind::P256), papers::root("other root", Kind::Rsa));
    let one = root.intermediate("one", Kind::P384);
    let two = one.intermediate("two", Kind::Ed25519);
    let a = two.peer("a", &[NAME_A], Kind::P256);
    let b = root.peer("b", &[NAME_B], Kind::P256);
    // The certificates between come shuffled, among others that lead nowhere.
    let sent: [&[u8]; 4] = [&one.der, &other.der, &two.der, &root.der];
    let mut lab = Lab::with(|c, d| {
        c.remotes[0].local_auth = LocalAuth::Signature(credential(&a, &sent));
        d.remotes[0].local_auth = LocalAuth::Signature(credential(&b, &[]));
        c.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
        d.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
    });
    give_key(&mut lab.a, &a);
    give_key(&mut lab.b, &b);
    lab.establish();
    // B trusts only the other root, which has signed the first one's key.
    let cross = root.cross_signed_by(&other);
    let sent: [&[u8]; 3] = [&two.der, &one.der, &cross];
    let mut lab = Lab::with(|c, d| {
        c.remotes[0].local_auth = LocalAuth::Signature(credential(&a, &sent));
        d.remotes[0].local_auth = LocalAuth::Signature(credential(&b, &[]));
        c.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
        d.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&other.der])));
    });
    give_key(&mut lab.a, &a);
    give_key(&mut lab.b, &b);
    lab.establish();
}

#[test]
fn identities_are_those_of_the_certificate() {
    let root = papers::root("root", Kind::P256);
    let b = root.peer("b", &[NAME_B], Kind::P256);
    let names = [NAME_A, "192.0.2.1", "2001:db8::1"];
    let mut params = papers::subject("a", &names);
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name("a@Example.org".try_into().unwrap()));
    let a = root.issue(params, Kind::P256);
    let subject = certificate(&a.der).subject().clone();
    let general = Identity::GeneralName([&[0x82, u8::try_from(NAME_A.len()).unwrap()], NAME_A.as_bytes()].concat());
    let papers = Papers2 { root, a, b };
    for identity in [
        Identity::Fqdn("192.0.2.1.EXAMPLE.org".into()),
        Identity::Rfc822("A@example.org".into()),
        Identity::Ipv4("192.0.2.1".parse().unwrap()),
        Identity::Ipv6("2001:db8::1".parse().unwrap()),
        Identity::Dn(subject),
        general,
    ] {
        let mut lab = papers.lab(|a, b| {
            a.remotes[0].local_id = identity.clone();
            b.remotes[0].remote_id = identity.clone();
        });
        lab.establish();
    }
    for identity in [
        Identity::Fqdn("a".into()),
        Identity::Fqdn("example.org".into()),
        Identity::Rfc822("b@example.org".into()),
        Identity::Ipv4("192.0.2.3".parse().unwrap()),
        Identity::Dn("C=CH, O=Ravelin, CN=b".parse().unwrap()),
        Identity::KeyId(b"a".to_vec()),
    ] {
        let lab = papers.lab(|a, b| {
            a.remotes[0].local_id = identity.clone();
            b.remotes[0].remote_id = identity.clone();
        });
        refused(lab, &format!("the peer says it is {identity}, and its certificate names C=CH, O=Ravelin, CN=a"));
    }
}

#[test]
fn certificates_that_are_not_good_are_refused_with_the_reason() {
    let papers = Papers2::new(Kind::P256);
    let stranger = papers::root("stranger", Kind::P256);
    // Nobody here trusts its authority; nor does sending the authority along help.
    let theirs = stranger.peer("a", &[NAME_A], Kind::P256);
    for (sent, words) in [
        (
            &[][..],
            "the certificate C=CH, O=Ravelin, CN=a was issued by C=CH, O=Ravelin, CN=stranger, which is not trusted",
        ),
        (&[&stranger.der[..]], "CN=stranger is signed by itself and not among those that are trusted here"),
    ] {
        let mut lab = papers.lab(|a, _| a.remotes[0].local_auth = LocalAuth::Signature(credential(&theirs, sent)));
        give_key(&mut lab.a, &theirs);
        refused(lab, words);
    }
    // An authority of the trusted one's name with another key.
    let same_name = papers::root("root", Kind::P256);
    let theirs = same_name.peer("a", &[NAME_A], Kind::P256);
    let mut lab =
        papers.lab(|a, _| a.remotes[0].local_auth = LocalAuth::Signature(credential(&theirs, &[&same_name.der])));
    give_key(&mut lab.a, &theirs);
    refused(lab, "CN=root is not by the authority of that name known here");
    // Out of its time.
    let mut params = papers::subject("a", &[NAME_A]);
    params.not_after = rcgen::date_time_ymd(2025, 3, 1);
    let expired = papers.root.issue(params, Kind::P256);
    let mut params = papers::subject("a", &[NAME_A]);
    params.not_before = rcgen::date_time_ymd(2027, 3, 1);
    let early = papers.root.issue(params, Kind::P256);
    // For something else.
    let mut params = papers::subject("a", &[NAME_A]);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    let code = papers.root.issue(params, Kind::P256);
    let mut params = papers::subject("a", &[NAME_A]);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    let agreement = papers.root.issue(params, Kind::P256);
    // docs/HISTORY.md, row 89: an end certificate that poses as an authority.
    let poser = papers.root.peer("poser", &["poser"], Kind::P256);
    let posed = poser.peer("a", &[NAME_A], Kind::P256);
    for (paper, sent, words) in [
        (&expired, &[][..], "CN=a expired on 2025-03-01 00:00:00 UTC"),
        (&early, &[], "CN=a is valid only from 2027-03-01"),
        (&code, &[], "is not for authenticating a peer"),
        (&agreement, &[], "is not for authenticating a peer"),
        (&posed, &[&poser.der[..]], "the certificate C=CH, O=Ravelin, CN=poser is not that of an authority"),
    ] {
        let mut lab = papers.lab(|a, _| a.remotes[0].local_auth = LocalAuth::Signature(credential(paper, sent)));
        give_key(&mut lab.a, paper);
        refused(lab, words);
    }
    // docs/HISTORY.md, row 84: a good certificate, and a key that is not its own.
    let mut lab = papers.lab(|_, _| ());
    give_key(&mut lab.a, &papers.b);
    refused(lab, "is not by the key of the certificate");
    // As the responder, all the same.
    let mut lab = papers.lab(|_, b| b.remotes[0].local_auth = LocalAuth::Signature(credential(&expired, &[])));
    give_key(&mut lab.b, &expired);
    refuses(lab, "CN=a expired on 2025-03-01");
    let mut lab = papers.lab(|_, _| ());
    give_key(&mut lab.b, &papers.a);
    refuses(lab, "is not by the key of the certificate");
}

// Row 89 of docs/HISTORY.md: authorities that nobody made ones, and what a peer brings along gives no trust.
#[test]
fn nobody_makes_himself_an_authority() {
    let papers = Papers2::new(Kind::P256);
    let with = |a: &Paper, more: &[&[u8]]| {
        let mut lab = papers.lab(|c, _| c.remotes[0].local_auth = LocalAuth::Signature(credential(a, more)));
        give_key(&mut lab.a, a);
        lab
    };
    // By itself, under its own name, and under that of the authority; with and without what an authority says.
    for name in ["a", "root"] {
        for params in [papers::subject(name, &[NAME_A]), papers::authority(papers::subject(name, &[NAME_A]))] {
            let own = papers::own(params, Kind::P256);
            for more in [&[][..], &[own.der.as_slice(), &papers.root.der]] {
                refused(with(&own, more), if name == "a" { "trusted here" } else { "signature" });
            }
        }
    }
    // By a peer of the authority, whose name is the authority's own or another one.
    for name in ["root", "middle"] {
        let middle = papers.root.peer(name, &[NAME_A], Kind::P256);
        let below = middle.issue(papers::subject("a", &[NAME_A]), Kind::P256);
        refused(with(&below, &[&middle.der]), "");
    }
    // By an authority that comes along with its peer.
    let stranger = papers::root("stranger", Kind::P256);
    refused(with(&stranger.peer("a", &[NAME_A], Kind::P256), &[&stranger.der]), "trusted here");
    with(&papers.a, &[&stranger.der]).establish();
}

// docs/HISTORY.md, row 89: chains that go round, and authorities that certify each other.
#[test]
fn chains_without_end_end() {
    let papers = Papers2::new(Kind::P256);
    let (one, two) = (papers::root("one", Kind::P256), papers::root("two", Kind::P256));
    let a = one.peer("a", &[NAME_A], Kind::P256);
    let (round, back) = (one.cross_signed_by(&two), two.cross_signed_by(&one));
    let mut lab = papers.lab(|c, _| {
        c.remotes[0].local_auth = LocalAuth::Signature(credential(&a, &[&round, &back, &one.der, &two.der]));
    });
    give_key(&mut lab.a, &a);
    refused(lab, "which is not trusted here");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let papers = Papers2::new(Kind::P256);
    let list = |der: &[u8]| Crl::parse(der).unwrap();
    let mut lab = papers.lab(|_, _| ());
    lab.b.papers.crls = vec![list(&papers.root.crl(&[&papers.a]))];
    refused(lab, "the certificate C=CH, O=Ravelin, CN=a was revoked");
    // A list of somebody else of that name, and a list that revokes another, change nothing.
    let mut lab = papers.lab(|_, _| ());
    let forged = papers::root("root", Kind::P256).crl(&[&papers.a]);
    lab.b.papers.crls = vec![list(&forged), list(&papers.root.crl(&[&papers.b]))];
    lab.establish();
    // Where it must be known, no list or an old one is not enough.
    for crl in [None, Some(papers.root.crl_until(&[], 2024))] {
        let mut lab = papers.lab(|_, b| {
            let strict = Trust { revocation: ravelin_pki::Demand::Strict, ..trust(&[&papers.root.der]) };
            b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(strict));
        });
        lab.b.papers.crls = crl.iter().map(|der| list(der)).collect();
        refused(lab, "whether the certificate C=CH, O=Ravelin, CN=a was revoked cannot be known");
    }
}

// docs/HISTORY.md, rows 54, 67, 87, 88, 90: CERT payloads of every kind and length, before anybody is authenticated.
#[test]
fn cert_payloads_of_any_form_neither_help_nor_harm() {
    let papers = Papers2::new(Kind::P256);
    let good = (4, papers.a.der.clone());
    // An extension with no entry in it: its octets are `30 00`.
    let empty = |oid: &[u64]| {
        let mut params = papers::subject("a", &[]);
        params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(oid, vec![0x30, 0]));
        papers.root.issue(params, Kind::P256).der
    };
    let judge = |certificates: &[(u8, Vec<u8>)]| {
        let mut lab = papers.lab(|_, _| ());
        begin(&mut lab);
        assert!(lab.a.answer());
        lab.a_to_b();
        let (op, mut question) = lab.b.asked.pop_front().unwrap();
        let Question::Judge { certificates: sent, .. } = &mut question else { panic!() };
        *sent = certificates.to_vec();
        let answer = lab.b.papers.answer(question);
        let again = match &answer {
            Answer::Refused(why) => Answer::Refused(why.clone()),
            Answer::Proven => Answer::Proven,
            other => panic!("{other:?}"),
        };
        lab.b.input(Input::Done(op, again.into()));
        answer
    };
    assert!(matches!(judge(std::slice::from_ref(&good)), Answer::Proven));
    // PKCS #7, PGP, hash and URL of no form, and unknown encodings are passed over: nothing is fetched (docs/HISTORY.md, row 66).
    let others: Vec<(u8, Vec<u8>)> =
        [1, 2, 3, 6, 7, 8, 10, 12, 13, 14, 200].map(|e| (e, vec![0x30, 0x80, 0, 0])).to_vec();
    let with_others: Vec<_> = others.iter().cloned().chain([good.clone()]).chain(others.clone()).collect();
    assert!(matches!(judge(&with_others), Answer::Proven));
    let refused = |certificates: &[(u8, Vec<u8>)], words: &str| match judge(certificates) {
        Answer::Refused(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    refused(&others, "no certificate");
    refused(&[], "no certificate");
    refused(&[(4, vec![])], "cannot be read");
    refused(&[(4, vec![0x30; 60_000])], "cannot be read");
    refused(&[(4, [&[0x30, 0x82, 0xff, 0xff][..], &[0x30, 0x80].repeat(10_000)].concat())], "cannot be read");
    refused(&[(4, vec![0; 70_000])], "too many bytes of a certificate");
    // subjectAltName, nameConstraints, cRLDistributionPoints, certificatePolicies, policyMappings, extKeyUsage, authorityInfoAccess.
    let extensions: [&[u64]; 7] = [
        &[2, 5, 29, 17],
        &[2, 5, 29, 30],
        &[2, 5, 29, 31],
        &[2, 5, 29, 32],
        &[2, 5, 29, 33],
        &[2, 5, 29, 37],
        &[1, 3, 6, 1, 5, 5, 7, 1, 1],
    ];
    extensions.iter().for_each(|oid| refused(&[(4, empty(oid))], "an extension is empty"));
    // Times that are none, and names whose parts have no end.
    let time = papers.a.der.windows(2).position(|two| two == [0x17, 0x0d]).unwrap() + 2;
    for (at, wrong) in [(0, b'Z'), (2, b'2'), (4, b'4'), (6, b'3'), (12, b'0'), (12, b'+')] {
        let mut bent = papers.a.der.clone();
        bent[time + at] = wrong;
        refused(&[(4, bent)], "cannot be read");
    }
    let name = papers.a.der.windows(5).position(|five| five == [6, 3, 0x55, 4, 6]).unwrap() - 4;
    for (at, wrong) in [(1, 0), (1, 0x7f), (3, 0), (3, 0x7f), (3, 0x80), (5, 0x7f)] {
        let mut bent = papers.a.der.clone();
        bent[name + at] = wrong;
        refused(&[(4, bent)], "cannot be read");
    }
    // PKCS #7 holds nothing that counts: the right certificate, nothing in its sets, something encrypted, itself.
    let content =
        |oid: u8, inside: &[u8]| der(0x30, &[&unhex("06092a864886f70d0107"), &[oid], &der(0xa0, &[inside])]).to_vec();
    let signed = |certificates: &[u8]| {
        let data = der(0x30, &[&unhex("06092a864886f70d010701")]);
        content(2, &der(0x30, &[&[2, 1, 1, 0x31, 0], &data, &der(0xa0, &[certificates]), &[0x31, 0]]))
    };
    let enveloped = content(3, &der(0x30, &[&[2, 1, 0, 0x31, 0], &der(0x30, &[&unhex("06092a864886f70d010701")])]));
    let nested = (0..200).fold(vec![0x30, 0], |inside, _| content(1, &inside));
    for pkcs7 in [signed(&papers.a.der), signed(&[]), enveloped, nested, vec![0x30, 0x80, 0, 0]] {
        refused(&[(1, pkcs7.clone())], "no certificate");
        assert!(matches!(judge(&[(1, pkcs7), good.clone()]), Answer::Proven));
    }
    refused(&vec![good.clone(); 17], "too many certificates of a peer");
    refused(&[(15, vec![]), good.clone()], "is not the certificate that is configured");
    // Row 2 of docs/HISTORY.md: by a trusted authority, for keys of RSA that are none.
    for (modulus, exponent) in [
        (&[0xc5; 256][..], &[0][..]),
        (&[0xc5; 256], &[1]),
        (&[0xc5; 256], &[1, 0, 0]),
        (&[0xc4; 256], &[1, 0, 1]),
        (&[0], &[1, 0, 1]),
        (&[], &[]),
        (&[0xc5; 8], &[1, 0, 1]),
        (&[0xc5; 2049], &[1, 0, 1]),
    ] {
        let der = papers.root.issue_for_numbers(papers::subject("a", &[NAME_A]), modulus, exponent);
        refused(&[(4, der)], "has a key (");
    }
    // Cut off anywhere, and changed anywhere: refused or proven, never more.
    let whole = &papers.a.der;
    for len in (0..whole.len()).step_by(3) {
        refused(&[(4, whole[..len].to_vec())], "cannot be read");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut bent = whole.clone();
        bent[at] ^= 0x55;
        assert!(matches!(judge(&[(4, bent)]), Answer::Refused(_)), "{at}");
    }
}
