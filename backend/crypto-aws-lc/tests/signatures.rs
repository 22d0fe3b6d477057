//! Signatures: Wycheproof, signing, keys in files of OpenSSL, and the values that broke other implementations.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{HashAlg, KeyKind, PrivateKey, PublicKey, SignatureScheme, Signatures};
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
        "rsa" => SignatureScheme::RsaPkcs1(hash),
        "pss" => SignatureScheme::RsaPss(hash),
        _ => SignatureScheme::Ed25519,
    }
}

// SECURITY-HISTORY rows 81 to 83: forged PKCS #1 paddings, r or s of zero or beyond the order, and the rest.
#[test]
fn wycheproof() {
    let suite: Value = serde_json::from_str(include_str!("data/wycheproof_signatures.json")).unwrap();
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
    assert!(judged > 600, "{judged}");
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

#[test]
fn every_kind_of_key_signs_and_only_its_own_schemes() {
    let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let ec = |curve| vec!["ecparam", "-genkey", "-noout", "-name", curve];
    let hashes = [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512];
    for (args, kind) in [
        (rsa.to_vec(), KeyKind::Rsa(2048)),
        (ec("prime256v1"), KeyKind::Ecdsa(256)),
        (ec("secp384r1"), KeyKind::Ecdsa(384)),
        (ec("secp521r1"), KeyKind::Ecdsa(521)),
        (vec!["genpkey", "-algorithm", "ed25519"], KeyKind::Ed25519),
    ] {
        let (private, public) = pair(&args);
        assert_eq!(private.kind(), kind);
        let all = hashes.iter().flat_map(|hash| {
            [SignatureScheme::RsaPkcs1(*hash), SignatureScheme::RsaPss(*hash), SignatureScheme::Ecdsa(*hash)]
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
        }
    }
}

// SECURITY-HISTORY rows 78, 82 to 84 and 91: empty and zero signatures, the modulus itself, and beyond it; keys that are
// none. Whatever the library returns that is not success is a refusal.
#[test]
fn signatures_and_keys_that_are_none_are_refused() {
    let (ec, _) = pair(&["ecparam", "-genkey", "-noout", "-name", "prime256v1"]);
    let spki = public_spki(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let modulus = modulus(&spki.1);
    let mut above = modulus.clone();
    *above.last_mut().unwrap() += 1;
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
    for bad in [&b""[..], &[0; 64], &[0x30, 0], &[0x30, 6, 2, 1, 0, 2, 1, 0], &[0x30, 6, 2, 1, 1, 2, 1, 0]] {
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
    for (name, pass) in
        [("pbes2.pem", Some("open")), ("pkcs1.pem", None), ("key.der", None), ("both.p12", Some("open"))]
    {
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
    assert_eq!(read("old.pem", Some("open")).unwrap_err(), BadContainer::OldEncryption);
    assert_eq!(Contents::read(b"hello", None).unwrap_err(), BadContainer::Unknown);
    std::fs::remove_dir_all(directory).unwrap();
}
