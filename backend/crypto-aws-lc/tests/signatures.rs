//! Signatures: Wycheproof, signing, keys in files of OpenSSL, and the values that broke other implementations.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{EcCurve, HashAlg, KeyKind, PrivateKey, PublicKey, SignatureScheme, Signatures};
use ravelin_crypto_aws_lc::{BadContainer, Contents, PROVIDER};
use ravelin_types::Secret;
use serde_json::Value;

fn signatures() -> &'static dyn Signatures {
    let CryptoProvider { signatures, .. } = PROVIDER;
    signatures.unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let text = hex.as_str().unwrap().as_bytes();
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn scheme(name: &str) -> SignatureScheme {
    let hash = match &name[name.len() - 3..] {
        "384" => HashAlg::Sha384,
        "512" => HashAlg::Sha512,
        _ => HashAlg::Sha256,
    };
    match name.split('-').next().unwrap() {
        "ecdsa" => SignatureScheme::Ecdsa(hash),
        "dsa" => SignatureScheme::Dsa(hash),
        "rsa" => SignatureScheme::RsaPkcs1(hash),
        "pss" => SignatureScheme::RsaPss(hash),
        _ => SignatureScheme::Ed25519,
    }
}

// docs/HISTORY.md, rows 81 to 83: forged PKCS #1 paddings, r or s of zero or beyond the order, encodings that are not DER, and
// the rest.
#[test]
fn wycheproof() {
    let suites = [include_str!("data/wycheproof_signatures.json"), include_str!("data/wycheproof_brainpool_dsa.json")];
    for (suite, least) in suites.iter().zip([600, 1400]) {
        let suite: Value = serde_json::from_str(suite).unwrap();
        let keys: Vec<_> =
            suite["keys"].as_array().unwrap().iter().map(|key| signatures().public_key(&bytes(key))).collect();
        let mut judged = 0;
        for test in suite["tests"].as_array().unwrap() {
            let key = keys[usize::try_from(test["key"].as_u64().unwrap()).unwrap()].as_ref().unwrap();
            let name = test["scheme"].as_str().unwrap();
            let verdict = key.verify(scheme(name), &bytes(&test["msg"]), &bytes(&test["sig"]));
            match test["valid"].as_str().unwrap() {
                "valid" => assert!(verdict.is_ok(), "{name} {}", test["id"]),
                "invalid" => assert!(verdict.is_err(), "{name} {}", test["id"]),
                _ => {}
            }
            judged += 1;
        }
        assert!(judged > least, "{judged}");
    }
}

fn generated(args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).output().expect("openssl, of the Debian package of that name");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn pair(args: &[&str]) -> (Box<dyn PrivateKey>, Box<dyn PublicKey>) {
    let mut contents = Contents::read(&generated(args), None).unwrap();
    let private = signatures().private_key(contents.private_keys.remove(0).expose()).unwrap();
    let public = signatures().public_key(&private.public_info()).unwrap();
    assert_eq!(private.kind(), public.kind());
    (private, public)
}

/// What generates a key of DSA.
fn dsa(bits: u16) -> Vec<&'static str> {
    let parameters = match bits {
        1024 => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dsa1024.pem"),
        _ => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dsa2048.pem"),
    };
    vec!["genpkey", "-paramfile", parameters]
}

#[test]
fn every_kind_of_key_signs_and_only_its_own_schemes() {
    let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let ec = |curve| vec!["ecparam", "-genkey", "-noout", "-name", curve];
    let hashes = [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512];
    for (args, kind) in [
        (rsa.to_vec(), KeyKind::Rsa(2048)),
        (ec("prime256v1"), KeyKind::Ecdsa(EcCurve::P256)),
        (ec("secp384r1"), KeyKind::Ecdsa(EcCurve::P384)),
        (ec("secp521r1"), KeyKind::Ecdsa(EcCurve::P521)),
        (ec("brainpoolP256r1"), KeyKind::Ecdsa(EcCurve::BrainpoolP256)),
        (ec("brainpoolP384r1"), KeyKind::Ecdsa(EcCurve::BrainpoolP384)),
        (ec("brainpoolP512r1"), KeyKind::Ecdsa(EcCurve::BrainpoolP512)),
        (dsa(1024), KeyKind::Dsa(1024, 160)),
        (dsa(2048), KeyKind::Dsa(2048, 256)),
        (vec!["genpkey", "-algorithm", "ed25519"], KeyKind::Ed25519),
    ] {
        let (private, public) = pair(&args);
        assert_eq!(private.kind(), kind);
        let all = hashes.iter().flat_map(|hash| {
            let hash = *hash;
            [
                SignatureScheme::RsaPkcs1(hash),
                SignatureScheme::RsaPss(hash),
                SignatureScheme::Ecdsa(hash),
                SignatureScheme::Dsa(hash),
            ]
        });
        for scheme in all.chain([SignatureScheme::Ed25519, SignatureScheme::Bare]) {
            let signed = private.sign(scheme, b"message");
            assert_eq!(signed.is_ok(), kind.makes(scheme), "{kind} {scheme}");
            let Ok(signature) = signed else { continue };
            assert!(public.verify(scheme, b"message", &signature).is_ok(), "{kind} {scheme}");
            assert!(public.verify(scheme, b"massage", &signature).is_err());
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut bent = signature.clone();
                bent[at] ^= 1;
                assert!(public.verify(scheme, b"message", &bent).is_err(), "{kind} {scheme} {at}");
            }
            // Row 83 of docs/HISTORY.md: nothing, zeros, ones, and another length.
            let len = signature.len();
            let longer = [&signature[..], &[0]].concat();
            for bad in
                [&[][..], &[0], &vec![0; len], &vec![0xff; len], &vec![0; 2 * len], &signature[..len - 1], &longer]
            {
                assert!(public.verify(scheme, b"message", bad).is_err(), "{kind} {scheme} {} octets", bad.len());
            }
        }
    }
}

// docs/HISTORY.md, rows 78, 82 to 84 and 91: empty and zero signatures, the modulus itself, and beyond it; keys that are
// none. Whatever the library returns that is not success is a refusal.
#[test]
fn signatures_and_keys_that_are_none_are_refused() {
    let (ec, _) = pair(&["ecparam", "-genkey", "-noout", "-name", "prime256v1"]);
    let spki = public_spki(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let modulus = modulus(&spki.1);
    let mut above = modulus.clone();
    for octet in above.iter_mut().rev() {
        *octet = octet.wrapping_add(1);
        if *octet != 0 {
            break;
        }
    }
    let of_rsa =
        [SignatureScheme::RsaPkcs1(HashAlg::Sha256), SignatureScheme::RsaPss(HashAlg::Sha256), SignatureScheme::Bare];
    for scheme in of_rsa {
        for bad in
            [vec![], vec![0], vec![0; 256], vec![0; 255], vec![0; 257], modulus.clone(), above.clone(), vec![1; 256]]
        {
            assert!(spki.0.verify(scheme, b"message", &bad).is_err(), "{scheme} {}", bad.len());
        }
    }
    let ec = signatures().public_key(&ec.public_info()).unwrap();
    for bad in [
        &b""[..],
        &[0; 64],
        &[0x30, 0],
        &[0x30, 6, 2, 1, 0, 2, 1, 0],
        &[0x30, 6, 2, 1, 1, 2, 1, 0],
        &[0x30, 6, 2, 1, 0, 2, 1, 1],
        &[0x30, 6, 2, 1, 0xff, 2, 1, 1],
    ] {
        assert!(ec.verify(SignatureScheme::Ecdsa(HashAlg::Sha256), b"message", bad).is_err(), "{bad:?}");
    }
    // An even modulus, an even exponent, an exponent of one, a point off its curve, and octets behind.
    let at = spki.1.windows(modulus.len()).position(|window| window == modulus).unwrap();
    let exponent = spki.1.len() - 3;
    assert_eq!(spki.1[exponent..], [1, 0, 1]);
    let bent = |place: usize, value: u8| {
        let mut spki = spki.1.clone();
        spki[place] = value;
        spki
    };
    let mut ones = bent(exponent, 0);
    ones[exponent + 2] = 1;
    for bad in [bent(at + 255, 0), bent(exponent + 2, 0), ones, [&spki.1[..], &[0]].concat(), vec![], vec![0x30; 50]] {
        assert!(signatures().public_key(&bad).is_err());
    }
    let (ec, _) = pair(&["ecparam", "-genkey", "-noout", "-name", "prime256v1"]);
    let mut point = ec.public_info();
    *point.last_mut().unwrap() ^= 1;
    assert!(signatures().public_key(&point).is_err());
}

/// A key and its SubjectPublicKeyInfo.
fn public_spki(args: &[&str]) -> (Box<dyn PublicKey>, Vec<u8>) {
    let (private, public) = pair(args);
    (public, private.public_info())
}

/// The modulus of an RSA key of 2048 bits: the longest number in it.
fn modulus(spki: &[u8]) -> Vec<u8> {
    let at = spki.windows(5).position(|window| window == [2, 0x82, 1, 1, 0]).unwrap() + 5;
    spki[at..at + 256].to_vec()
}

/// A key of RSA, and what has a signature open to any block of octets.
struct Forger {
    public: Box<dyn PublicKey>,
    folder: std::path::PathBuf,
}

impl Forger {
    /// A forger needs no private key where the exponent is 3 and the block leaves room; this one has it, and so any block.
    fn new(exponent: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("ravelin-forger-{exponent}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let option = format!("rsa_keygen_pubexp:{exponent}");
        let bits = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt"];
        let pem = generated(&[&bits[..], &[&option]].concat());
        let private = Contents::read(&pem, None).unwrap().private_keys.remove(0);
        std::fs::write(folder.join("key.pem"), pem).unwrap();
        let private = signatures().private_key(private.expose()).unwrap();
        Forger { public: signatures().public_key(&private.public_info()).unwrap(), folder }
    }

    fn takes(&self, scheme: SignatureScheme, message: &[u8], block: &[u8]) -> bool {
        assert_eq!(block.len(), 256);
        let [key, data] = ["key.pem", "block"].map(|name| self.folder.join(name));
        std::fs::write(&data, block).unwrap();
        let (key, data) = (key.to_str().unwrap(), data.to_str().unwrap());
        let raw = ["pkeyutl", "-decrypt", "-pkeyopt", "rsa_padding_mode:none", "-inkey", key, "-in", data];
        self.public.verify(scheme, message, &generated(&raw)).is_ok()
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `00 01 FF .. FF 00` and what is padded so.
fn padded(what: &[u8]) -> Vec<u8> {
    [&[0, 1][..], &vec![0xff; 253 - what.len()], &[0], what].concat()
}

/// So few octets of padding, and octets behind that make up for it.
fn garbage_behind(padding: usize, what: &[u8]) -> Vec<u8> {
    let mut block = [&[0, 1][..], &vec![0xff; padding], &[0], what].concat();
    block.resize(256, 0x5a);
    block
}

// Rows 3, 4 and 81 of docs/HISTORY.md: what RFC 8017 §8.2.2 lets stand in a signature is one encoding; anything else that looks like it
// is refused, of IKEv1 (the hash alone) and of IKEv2 (DigestInfo), whatever the exponent.
#[test]
fn paddings_that_are_not_the_one_encoding_are_refused() {
    let message = b"message";
    let hash = generated_hash(message);
    let short_hash = &hash[..20];
    let info = |head: &[u8], hash: &[u8]| [head, hash].concat();
    let oid = [0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    // SEQUENCE { SEQUENCE { SHA-256, parameters }, OCTET STRING }
    let digest = |parameters: &[u8], hash: &[u8]| {
        let algorithm = der(0x30, &[&oid, parameters]);
        der(0x30, &[&algorithm, &der(4, &[hash])])
    };
    let right = digest(&[5, 0], &hash);
    for exponent in [3, 65_537] {
        let forger = Forger::new(exponent);
        let (bare, named) = (SignatureScheme::Bare, SignatureScheme::RsaPkcs1(HashAlg::Sha256));
        assert!(forger.takes(bare, short_hash, &padded(short_hash)));
        assert!(forger.takes(named, message, &padded(&right)));
        for (scheme, message, what) in [(bare, short_hash, short_hash), (named, &message[..], &right[..])] {
            let good = padded(what);
            let changed = |at: usize, value: u8| {
                let mut block = good.clone();
                block[at] = value;
                block
            };
            let mut bad = vec![
                changed(0, 1),
                changed(1, 0),
                changed(1, 2),
                changed(2, 0xfe),
                changed(2, 0),
                changed(100, 0),
                changed(255 - what.len(), 0xff),
                changed(254 - what.len(), 0),
                garbage_behind(0, what),
                garbage_behind(1, what),
                garbage_behind(8, what),
                garbage_behind(200, what),
                [&[0; 100][..], &good[..156 - what.len() - 1], &[0], what].concat(),
                [&[0, 1, 0][..], what, &vec![0; 253 - what.len()]].concat(),
                [&vec![0; 256 - what.len()], what].concat(),
                padded(&[what, &[0]].concat()),
                padded(&[&[0], what].concat()),
                padded(&[]),
            ];
            bad.extend((1..what.len()).step_by(6).map(|cut| padded(&what[..what.len() - cut])));
            bad.extend((1..what.len()).step_by(6).map(|cut| padded(&what[cut..])));
            for block in bad {
                assert!(!forger.takes(scheme, message, &block), "{scheme} {block:02x?}");
            }
        }
        // DigestInfo in other encodings, with other parameters, and of another hash.
        let long = |head: &[u8]| info(head, &[&oid[..], &[5, 0, 4, 0x20], &hash].concat());
        for (why, what) in [
            ("no parameters", digest(&[], &hash)),
            ("a NULL with an octet", digest(&[5, 1, 0], &hash)),
            ("two parameters", digest(&[5, 0, 5, 0], &hash)),
            (
                "garbage for parameters",
                digest(&[4, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20], &hash),
            ),
            ("a hash that is too short", digest(&[5, 0], &hash[..31])),
            ("no hash", digest(&[5, 0], &[])),
            ("a hash that is too long", digest(&[5, 0], &[&hash[..], &[0]].concat())),
            ("the hash alone", hash.clone()),
            ("an octet behind", [&right[..], &[0]].concat()),
            (
                "something behind the hash inside",
                der(0x30, &[&der(0x30, &[&oid, &[5, 0]]), &der(4, &[&hash]), &[5, 0]]),
            ),
            ("a long length", long(&[0x30, 0x81, 0x31, 0x30, 0x0d])),
            ("a long length inside", long(&[0x30, 0x32, 0x30, 0x81, 0x0d])),
            ("a length without end", [&long(&[0x30, 0x80, 0x30, 0x0d])[..], &[0, 0]].concat()),
            ("a length beyond", long(&[0x30, 0x32, 0x30, 0x0d])),
            ("another hash by name", {
                let mut other = right.clone();
                other[14] = 2;
                other
            }),
        ] {
            assert!(!forger.takes(named, message, &padded(&what)), "{why}");
            assert!(!forger.takes(named, message, &garbage_behind(8, &what)), "{why}, and garbage");
        }
        assert!(!forger.takes(bare, short_hash, &padded(&right)), "IKEv1 names no hash");
    }
}

/// SHA-256 of a message.
fn generated_hash(message: &[u8]) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("ravelin-message-{}", std::process::id()));
    std::fs::write(&file, message).unwrap();
    let hash = generated(&["dgst", "-sha256", "-binary", file.to_str().unwrap()]);
    std::fs::remove_file(file).unwrap();
    hash
}

// Row 2 of docs/HISTORY.md: exponents and moduli of nothing, even ones, tiny and huge ones.
#[test]
fn public_keys_of_rsa_that_are_none_are_refused() {
    let spki = public_spki(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let good = modulus(&spki.1);
    let oid = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let key = |n: &[u8], e: &[u8]| {
        let numbers = der(0x30, &[&number(n), &number(e)]);
        der(0x30, &[&der(0x30, &[&oid]), &der(3, &[&[0], &numbers])])
    };
    assert_eq!(key(&good, &[1, 0, 1]), spki.1);
    let even = [&good[..255], &[good[255] ^ 1]].concat();
    let (tiny, huge) = ([0xc5; 8], vec![0xc5; 16_384 / 8 + 1]);
    for (why, n, e) in [
        ("e = 0", &good[..], &[0][..]),
        ("e = 1", &good, &[1]),
        ("e = 2", &good, &[2]),
        ("an even e", &good, &[1, 0, 0]),
        ("a long e", &good, &[0xff; 9]),
        ("e = n", &good, &good),
        ("n = 0", &[0], &[1, 0, 1]),
        ("an even n", &even, &[1, 0, 1]),
        ("n of more than 16,384 bits", &huge, &[1, 0, 1]),
    ] {
        assert!(signatures().public_key(&key(n, e)).is_err(), "{why}");
    }
    // A modulus that has no room for a hash, if it is taken for a key at all, verifies nothing.
    for n in [&[1][..], &tiny] {
        let Ok(key) = signatures().public_key(&key(n, &[1, 0, 1])) else { continue };
        for scheme in [SignatureScheme::RsaPkcs1(HashAlg::Sha256), SignatureScheme::RsaPss(HashAlg::Sha256)] {
            for signature in [vec![], vec![0; n.len()], vec![1; n.len()], n.to_vec()] {
                assert!(key.verify(scheme, b"message", &signature).is_err());
            }
        }
    }
    let negative = {
        let mut key = spki.1.clone();
        let at = key.windows(5).position(|window| window == [2, 0x82, 1, 1, 0]).unwrap();
        key[at + 4] = 0x80;
        key
    };
    assert!(signatures().public_key(&negative).is_err(), "a number below zero");
}

#[test]
fn keys_and_certificates_are_read_from_what_tools_write() {
    let directory = std::env::temp_dir().join(format!("ravelin-keys-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let at = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (at("key.pem"), at("cert.pem"));
    generated(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=a",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ]);
    generated(&["pkcs8", "-topk8", "-in", &key, "-out", &at("pbes2.pem"), "-passout", "pass:open"]);
    generated(&["rsa", "-in", &key, "-traditional", "-out", &at("pkcs1.pem")]);
    generated(&["rsa", "-in", &key, "-traditional", "-aes128", "-passout", "pass:open", "-out", &at("old.pem")]);
    generated(&["pkey", "-in", &key, "-outform", "DER", "-out", &at("key.der")]);
    generated(&["x509", "-in", &certificate, "-outform", "DER", "-out", &at("cert.der")]);
    let p12 = ["pkcs12", "-export", "-inkey", &key, "-in", &certificate, "-passout", "pass:open", "-out"];
    generated(&[&p12[..], &[&at("both.p12")]].concat());
    let read = |name: &str, pass: Option<&str>| {
        let pass = pass.map(|pass| Secret::from(pass.as_bytes()));
        Contents::read(&std::fs::read(directory.join(name)).unwrap(), pass.as_ref())
    };
    let plain = read("key.pem", None).unwrap().private_keys.remove(0);
    for (name, pass) in [
        ("pbes2.pem", Some("open")),
        ("pkcs1.pem", None),
        ("old.pem", Some("open")),
        ("key.der", None),
        ("both.p12", Some("open")),
    ] {
        let contents = read(name, pass).unwrap();
        assert_eq!(contents.private_keys[0].expose(), plain.expose(), "{name}");
    }
    let der = std::fs::read(at("cert.der")).unwrap();
    for (name, pass) in [("cert.pem", None), ("cert.der", None), ("both.p12", Some("open"))] {
        assert_eq!(read(name, pass).unwrap().certificates, std::slice::from_ref(&der), "{name}");
    }
    assert_eq!(read("pbes2.pem", None).unwrap_err(), BadContainer::NeedsPassphrase);
    assert_eq!(read("pbes2.pem", Some("shut")).unwrap_err(), BadContainer::WrongPassphrase);
    assert_eq!(read("both.p12", None).unwrap_err(), BadContainer::NeedsPassphrase);
    assert_eq!(read("both.p12", Some("shut")).unwrap_err(), BadContainer::WrongPassphrase);
    assert_eq!(read("old.pem", None).unwrap_err(), BadContainer::NeedsPassphrase);
    assert_eq!(read("old.pem", Some("shut")).unwrap_err(), BadContainer::WrongPassphrase);
    assert_eq!(Contents::read(b"hello", None).unwrap_err(), BadContainer::Unknown);
    std::fs::remove_dir_all(directory).unwrap();
}

/// A value of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    let len: &[u8] = match body.len() {
        0..0x80 => &[low],
        0x80..0x100 => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag][..], len, &body].concat()
}

/// A number that is not negative.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let zero: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
    der(2, &[zero, bytes])
}

/// The numbers of a public key of DSA, in the order p, q, g, y.
fn numbers_of_dsa(spki: &[u8]) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    let mut at = spki.windows(9).position(|window| window == [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1]).unwrap() + 9;
    while at < spki.len() {
        let (len, body) = match spki[at + 1] {
            0x81 => (usize::from(spki[at + 2]), at + 3),
            0x82 => (usize::from(u16::from_be_bytes([spki[at + 2], spki[at + 3]])), at + 4),
            short => (usize::from(short), at + 2),
        };
        // Into the sequence of the parameters, and behind the octet of unused bits.
        at = match spki[at] {
            0x30 => body,
            3 => body + 1,
            _ => {
                numbers.push(spki[body..body + len].to_vec());
                body + len
            }
        };
    }
    numbers
}

fn spki_of_dsa(parameters: Option<[&[u8]; 3]>, public: &[u8]) -> Vec<u8> {
    let oid = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
    let parameters = parameters.map(|[p, q, g]| der(0x30, &[&number(p), &number(q), &number(g)]));
    let algorithm = der(0x30, &[&oid, parameters.as_deref().unwrap_or_default()]);
    der(0x30, &[&algorithm, &der(3, &[&[0], &number(public)])])
}

// FIPS 186-4 §4.2. What has other lengths is refused before anything is computed with it: a verifier's time is bounded.
#[test]
fn parameters_of_dsa_that_are_none_are_refused() {
    let (_, spki) = public_spki(&dsa(2048));
    let numbers = numbers_of_dsa(&spki);
    let [p, q, g, y] = [0, 1, 2, 3].map(|at: usize| &numbers[at][..]);
    assert_eq!(spki_of_dsa(Some([p, q, g]), y), spki);
    assert!(signatures().public_key(&spki).is_ok());
    let minus_one = {
        let mut p = p.to_vec();
        *p.last_mut().unwrap() -= 1;
        p
    };
    let above = {
        let mut p = p.to_vec();
        *p.last_mut().unwrap() += 2;
        p
    };
    let (_, small) = public_spki(&dsa(1024));
    let small = numbers_of_dsa(&small);
    let odd = |len: usize| {
        let mut number = vec![0xff; len];
        number[len - 1] = 0x7f;
        number
    };
    for (why, parameters, public) in [
        ("inherited parameters", None, y),
        ("a longer p", Some([&[&[0][..], p, &[1]].concat()[..], q, g]), y),
        ("p of 10,000 bits", Some([&odd(1250)[..], q, g]), y),
        ("p of 60,000 bits", Some([&odd(7500)[..], q, g]), y),
        ("p of 512 bits", Some([&odd(64)[..], q, &[2]]), &[3][..]),
        ("an even p", Some([&minus_one[..], q, g]), y),
        ("another p", Some([&above[..], q, g]), y),
        ("q of 160 bits", Some([p, &small[1][..], g]), y),
        ("q of one", Some([p, &[1][..], g]), y),
        ("q of 2048 bits", Some([p, &odd(256)[..], g]), y),
        ("another q", Some([p, &odd(32)[..], g]), y),
        ("g of zero", Some([p, q, &[0][..]]), y),
        ("g of one", Some([p, q, &[1][..]]), y),
        ("g of two", Some([p, q, &[2][..]]), y),
        ("g of p - 1", Some([p, q, &minus_one[..]]), y),
        ("g above p", Some([p, q, &above[..]]), y),
        ("y of zero", Some([p, q, g]), &[0][..]),
        ("y of one", Some([p, q, g]), &[1][..]),
        ("y of two", Some([p, q, g]), &[2][..]),
        ("y of p - 1", Some([p, q, g]), &minus_one[..]),
        ("y of p", Some([p, q, g]), p),
    ] {
        assert!(signatures().public_key(&spki_of_dsa(parameters, public)).is_err(), "{why}");
    }
    assert!(signatures().public_key(&[&spki[..], &[0]].concat()).is_err(), "an octet behind");
}

#[test]
fn points_and_scalars_that_are_none_are_refused_on_the_curves_of_brainpool() {
    let name = |last: u8| [6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, last];
    let key = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let spki = |curve: u8, point: &[u8]| der(0x30, &[&der(0x30, &[&key, &name(curve)]), &der(3, &[&[0], point])]);
    let point = |args: &[&str], len: usize| {
        let public = public_spki(args).1;
        public[public.len() - 2 * len - 1..].to_vec()
    };
    let good = point(&["ecparam", "-genkey", "-noout", "-name", "brainpoolP256r1"], 32);
    let nist = point(&["ecparam", "-genkey", "-noout", "-name", "prime256v1"], 32);
    assert!(signatures().public_key(&spki(7, &good)).is_ok());
    let bent = {
        let mut bent = good.clone();
        bent[64] ^= 1;
        bent
    };
    let sign = 2 + (good[64] & 1);
    let compressed = [&[sign][..], &good[1..33]].concat();
    assert!(signatures().public_key(&spki(7, &compressed)).is_ok());
    for (why, curve, point) in [
        ("off the curve", 7, &bent[..]),
        ("of P-256", 7, &nist),
        ("of brainpoolP256r1 on the twisted curve", 8, &good),
        ("of brainpoolP256r1 on brainpoolP384r1", 11, &good),
        ("brainpoolP224r1", 5, &good[..57]),
        ("brainpoolP320r1", 9, &[4; 81]),
        ("infinity", 7, &[0]),
        ("nothing", 7, &[]),
        ("above the prime", 7, &[&[4][..], &[0xff; 64]].concat()),
        ("cut short", 7, &good[..64]),
        ("with an octet behind", 7, &[&good[..], &[0]].concat()),
    ] {
        assert!(signatures().public_key(&spki(curve, point)).is_err(), "{why}");
    }
    let pkcs8 = |scalar: &[u8], public: Option<&[u8]>| {
        let public = public.map(|point| der(0xa1, &[&der(3, &[&[0], point])]));
        let key_1 = der(0x30, &[&[2, 1, 1], &der(4, &[scalar]), public.as_deref().unwrap_or_default()]);
        der(0x30, &[&[2, 1, 0], &der(0x30, &[&key, &name(7)]), &der(4, &[&key_1])])
    };
    let one = [&[0; 31][..], &[1]].concat();
    let key = signatures().private_key(&pkcs8(&one, None)).unwrap();
    let generator = key.public_info()[key.public_info().len() - 65..].to_vec();
    assert!(signatures().private_key(&pkcs8(&one, Some(&generator))).is_ok());
    for (why, scalar, public) in [
        ("zero", &[0; 32][..], None),
        ("above the order", &[0xff; 32], None),
        ("with the public half of another", &one, Some(&good[..])),
    ] {
        assert!(signatures().private_key(&pkcs8(scalar, public)).is_err(), "{why}");
    }
}
