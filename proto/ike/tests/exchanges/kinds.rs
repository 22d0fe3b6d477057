//! Keys on the curves of Brainpool and keys of DSA, with certificates by OpenSSL, which also judges what is signed and signs
//! what is judged: no peer that we know of has DSA any more.

use std::fs;
use std::path::PathBuf;
use std::process::Command as Process;
use std::sync::Arc;

use ravelin_crypto::signature::HashAlg::{Sha1, Sha256};
use ravelin_crypto_aws_lc::Contents;
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Answer, Command, Config, Input, Question};
use ravelin_pki::algorithm;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Credential, Proof, Trust};
use ravelin_pki::restriction::{Family, Restrictions, SchemeRule};
use ravelin_testkit::papers;
use ravelin_types::Secret;

use crate::lab::*;
use crate::papers::{certificate, trust};
use crate::v1::v1;

/// An authority and what both ends have.
struct Stored {
    root: Vec<u8>,
    ends: [(Vec<u8>, Secret); 2],
}

impl Stored {
    fn new(kind: &str) -> Self {
        let contents = Contents::read(papers::stored(kind).as_bytes(), None).unwrap();
        let [root, a, b] = contents.certificates.try_into().unwrap();
        let [key_a, key_b] = contents.private_keys.try_into().unwrap();
        Stored { root, ends: [(a, key_a), (b, key_b)] }
    }

    fn credential(&self, end: usize, restrictions: &Restrictions) -> Credential {
        let own = certificate(&self.ends[end].0);
        let spki = own.spki().to_vec();
        Credential {
            spki,
            certificates: vec![own],
            key: "key".into(),
            restrictions: restrictions.clone(),
            ..Credential::default()
        }
    }

    /// Both ends sign and accept what `restrictions` says.
    fn lab(&self, restrictions: &Restrictions, change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
        let mut lab = Lab::with(|a, b| {
            for (end, config) in [&mut *a, &mut *b].into_iter().enumerate() {
                let own = self.credential(end, restrictions);
                config.remotes[0].local_auth = LocalAuth::Signature(Arc::new(own));
                let trust = Trust { restrictions: restrictions.clone(), ..trust(&[&self.root]) };
                config.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust));
            }
            change(a, b);
        });
        for (host, (_, key)) in [&mut lab.a, &mut lab.b].into_iter().zip(&self.ends) {
            let key = provider().signatures.unwrap().private_key(key.expose()).unwrap();
            host.papers.keys.insert("key".into(), key.into());
        }
        lab
    }
}

/// DSA by name, with these hashes in certificates and in AUTH.
fn dsa(hashes: &[ravelin_crypto::signature::HashAlg]) -> Restrictions {
    let rules: Vec<_> = hashes.iter().map(|hash| SchemeRule { family: Family::Dsa, hash: Some(*hash) }).collect();
    Restrictions { words: "dsa".into(), dsa: true, keys: vec![], chain: rules.clone(), auth: rules }
}

/// What OpenSSL says about a signature of the one whose certificate this is, and one of its own with the same key.
struct OpenSsl(PathBuf);

impl OpenSsl {
    fn new(name: &str, (certificate, key): &(Vec<u8>, Secret)) -> Self {
        let folder = std::env::temp_dir().join(format!("ravelin-kinds-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let desk = OpenSsl(folder);
        desk.write("cert.der", certificate);
        desk.write("key.der", key.expose());
        assert!(desk.run("x509 -inform DER -in cert.der -noout -pubkey -out public.pem"));
        desk
    }

    fn write(&self, name: &str, data: &[u8]) {
        fs::write(self.0.join(name), data).unwrap();
    }

    fn run(&self, line: &str) -> bool {
        let output = Process::new("openssl").args(line.split(' ')).current_dir(&self.0).output();
        output.expect("openssl, of the Debian package of that name").status.success()
    }

    /// Whether this is a signature over the data, hashed by `hash` or, without, as it is.
    fn verifies(&self, hash: Option<&str>, data: &[u8], signature: &[u8]) -> bool {
        self.write("data", data);
        self.write("signature", signature);
        match hash {
            Some(hash) => self.run(&format!("dgst -{hash} -verify public.pem -signature signature data")),
            None => self.run("pkeyutl -verify -pubin -inkey public.pem -in data -sigfile signature"),
        }
    }

    fn signs(&self, hash: Option<&str>, data: &[u8]) -> Vec<u8> {
        self.write("data", data);
        assert!(match hash {
            Some(hash) => self.run(&format!("dgst -{hash} -keyform DER -sign key.der -out signature data")),
            None => self.run("pkeyutl -sign -keyform DER -inkey key.der -in data -out signature"),
        });
        fs::read(self.0.join("signature")).unwrap()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn keys_on_the_curves_of_brainpool_authenticate_both_sides() {
    for kind in ["brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"] {
        let stored = Stored::new(kind);
        let mut lab = stored.lab(&Restrictions::default(), |_, _| ());
        lab.establish();
        lab.assert_mirrored();
        // RFC 4754 §3: the methods of old are for the curves of NIST alone.
        let key = lab.a.papers.keys["key"].clone();
        let own = stored.credential(0, &Restrictions::default());
        assert!(
            own.prove(&*key, &Accepts::default(), b"octets").unwrap_err().to_string().contains("makes no signature")
        );
        assert!(own.method_v1(&provider()).is_none() && own.prove_bare(&*key, &[1; 32]).is_err());
    }
}

#[test]
fn dsa_authenticates_where_it_is_named_and_nowhere_else() {
    for (kind, named) in [("dsa2048", dsa(&[Sha256])), ("dsa1024", dsa(&[Sha256, Sha1]))] {
        let stored = Stored::new(kind);
        let mut lab = stored.lab(&named, |_, _| ());
        lab.establish();
        lab.assert_mirrored();
        // B does not name it.
        let mut lab = stored.lab(&named, |_, b| {
            b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&stored.root])));
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let there = lab.b.failure(Part::Certificate).to_string();
        assert!(there.contains("DSA") && there.contains("not accepted"), "{there}");
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        // A does not.
        let mut lab = stored.lab(&Restrictions::default(), |_, _| ());
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let here = lab.a.failure(Part::Configuration).to_string();
        assert!(here.contains("DSA"), "{here}");
    }
    // SHA-1 is named apart.
    let stored = Stored::new("dsa1024");
    let mut lab = stored.lab(&dsa(&[Sha256]), |_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Certificate).to_string();
    assert!(there.contains("is signed by DSA with SHA-1, where `dsa` is asked for"), "{there}");
}

/// Runs A against B until nothing moves; `change` sees each question before it is answered, and may answer itself.
fn run(lab: &mut Lab, mut change: impl FnMut(bool, &mut Question) -> Option<Answer>) {
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..40 {
        for (of_a, host) in [(true, &mut lab.a), (false, &mut lab.b)] {
            while let Some((op, mut question)) = host.asked.pop_front() {
                let answer = change(of_a, &mut question).unwrap_or_else(|| host.papers.answer(question));
                host.input(Input::Done(op, answer.into()));
            }
        }
        if !lab.a.sent.is_empty() {
            lab.a_to_b();
        } else if !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
}

/// The certificates of a credential as CERT payloads have them.
fn sent(credential: &Credential) -> Vec<(u8, Vec<u8>)> {
    credential.certificates.iter().map(|certificate| (4, certificate.der().to_vec())).collect()
}

// RFC 7296 §3.8: DSS Digital Signature, over a SHA-1 hash.
#[test]
fn openssl_and_we_agree_on_the_dss_signature_of_ikev2() {
    for (kind, len) in [("dsa1024", 20), ("dsa2048", 32)] {
        let stored = Stored::new(kind);
        let theirs =
            [OpenSsl::new(&format!("{kind}-a"), &stored.ends[0]), OpenSsl::new(&format!("{kind}-b"), &stored.ends[1])];
        for by_openssl in [false, true] {
            let mut lab = stored.lab(&dsa(&[Sha256, Sha1]), |_, _| ());
            let mut judged = 0;
            run(&mut lab, |of_a, question| match question {
                Question::Sign { credential, peer, octets, .. } => {
                    // As if the peer knew no RFC 7427.
                    peer.hashes = None;
                    let der = by_openssl.then(|| theirs[usize::from(!of_a)].signs(Some("sha1"), octets));
                    let proof = |der: Vec<u8>| Proof { method: 3, data: algorithm::to_raw(&der, len).unwrap() };
                    der.map(|der| Answer::Signed(proof(der), sent(credential)))
                }
                Question::Judge { proof, octets, .. } => {
                    assert_eq!((proof.method, proof.data.len()), (3, 2 * len));
                    let der = algorithm::from_raw(&proof.data).unwrap();
                    let signer = &theirs[usize::from(of_a)];
                    assert!(signer.verifies(Some("sha1"), octets, &der));
                    assert!(!signer.verifies(Some("sha1"), &octets[1..], &der));
                    judged += 1;
                    None
                }
                _ => None,
            });
            assert_eq!((lab.a.failures(), lab.b.failures(), judged), (vec![], vec![], 2));
            lab.assert_mirrored();
        }
    }
}

// RFC 2409 §5.1: over HASH_I and HASH_R by HMAC-SHA-1, though the negotiated hash is another, as r followed by s.
#[test]
fn openssl_and_we_agree_on_the_dss_signature_of_ikev1() {
    for (kind, len) in [("dsa1024", 20), ("dsa2048", 32)] {
        let stored = Stored::new(kind);
        let theirs =
            [OpenSsl::new(&format!("{kind}-i"), &stored.ends[0]), OpenSsl::new(&format!("{kind}-r"), &stored.ends[1])];
        for (aggressive, by_openssl) in [(false, false), (false, true), (true, false)] {
            let mut lab = stored.lab(&dsa(&[Sha256, Sha1]), |a, b| {
                v1(a, aggressive);
                v1(b, aggressive);
            });
            let mut judged = 0;
            run(&mut lab, |of_a, question| match question {
                Question::SignHash { credential, hash } => {
                    assert_eq!(hash.len(), 20);
                    let der = by_openssl.then(|| theirs[usize::from(!of_a)].signs(None, hash));
                    let raw = |der: Vec<u8>| algorithm::to_raw(&der, len).unwrap();
                    der.map(|der| Answer::Signed(Proof { method: Proof::BARE, data: raw(der) }, sent(credential)))
                }
                Question::Judge { proof, octets, .. } => {
                    assert_eq!((proof.data.len(), octets.len()), (2 * len, 20));
                    let der = algorithm::from_raw(&proof.data).unwrap();
                    assert!(theirs[usize::from(of_a)].verifies(None, octets, &der));
                    judged += 1;
                    None
                }
                _ => None,
            });
            assert_eq!((lab.a.failures(), lab.b.failures(), judged), (vec![], vec![], 2));
            lab.assert_mirrored();
        }
    }
}

// FIPS 186-4 §4.7 and docs/HISTORY.md, rows 81 to 83: numbers of zero, of the order and above, and other lengths.
#[test]
fn dss_signatures_that_are_none_are_refused() {
    let stored = Stored::new("dsa2048");
    let order = {
        let public = provider().signatures.unwrap().private_key(stored.ends[0].1.expose()).unwrap().public_info();
        // The second number of the parameters: 33 octets with a zero in front.
        let at = public.windows(3).position(|window| window == [2, 0x21, 0]).unwrap() + 3;
        public[at..at + 32].to_vec()
    };
    let one = [&[0; 31][..], &[1]].concat();
    let both = |r: &[u8], s: &[u8]| [r, s].concat();
    for bad in [
        vec![],
        vec![0; 64],
        vec![0xff; 64],
        both(&one, &[0; 32]),
        both(&[0; 32], &one),
        both(&one, &order),
        both(&order, &one),
        both(&one, &one),
        vec![1; 63],
        vec![1; 40],
    ] {
        let mut lab = stored.lab(&dsa(&[Sha256, Sha1]), |_, _| ());
        run(&mut lab, |of_a, question| match question {
            Question::Sign { credential, .. } if of_a => {
                Some(Answer::Signed(Proof { method: 3, data: bad.clone() }, sent(credential)))
            }
            _ => None,
        });
        lab.b.failure(Part::Certificate);
        assert!(lab.b.sas.is_empty(), "{bad:?}");
    }
}
