//! OpenSSL and we verify each other's signatures, and we read its keys in every form that it writes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ravelin_crypto::signature::{EcCurve, HashAlg, KeyKind, SignatureScheme, Signatures};
use ravelin_crypto_aws_lc::{BadContainer, Contents, PROVIDER};
use ravelin_types::Secret;

/// A folder that goes away, and the commands of OpenSSL in it.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ravelin-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Desk(folder)
    }

    fn run(&self, line: &str) -> bool {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(&self.0).output();
        output.expect("openssl, of the Debian package of that name").status.success()
    }

    fn done(&self, line: &str) {
        assert!(self.run(line), "openssl {line}");
    }

    fn contents(&self, name: &str, passphrase: Option<&str>) -> Result<Contents, BadContainer> {
        let passphrase = passphrase.map(|text| Secret::from(text.as_bytes()));
        Contents::read(&fs::read(self.0.join(name)).unwrap(), passphrase.as_ref())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn signatures() -> &'static dyn Signatures {
    PROVIDER.signatures.unwrap()
}

/// The ways in which OpenSSL makes a key of each kind, with what SEC 1 or the like calls the private half, if anything does.
fn kinds() -> Vec<(KeyKind, String)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let ec = |name: &str| format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{name} -out key.pem");
    let dsa = |name: &str| format!("genpkey -paramfile {} -out key.pem", data.join(name).display());
    vec![
        (KeyKind::Rsa(2048), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem".into()),
        (KeyKind::Ecdsa(EcCurve::P256), ec("P-256")),
        (KeyKind::Ecdsa(EcCurve::P384), ec("P-384")),
        (KeyKind::Ecdsa(EcCurve::P521), ec("P-521")),
        (KeyKind::Ecdsa(EcCurve::BrainpoolP256), ec("brainpoolP256r1")),
        (KeyKind::Ecdsa(EcCurve::BrainpoolP384), ec("brainpoolP384r1")),
        (KeyKind::Ecdsa(EcCurve::BrainpoolP512), ec("brainpoolP512r1")),
        (KeyKind::Dsa(1024, 160), dsa("dsa1024.pem")),
        (KeyKind::Dsa(2048, 256), dsa("dsa2048.pem")),
    ]
}

#[test]
fn openssl_and_we_verify_each_others_signatures() {
    let hashes = [
        (HashAlg::Sha1, "sha1"),
        (HashAlg::Sha256, "sha256"),
        (HashAlg::Sha384, "sha384"),
        (HashAlg::Sha512, "sha512"),
    ];
    let desk = Desk::new("signed");
    fs::write(desk.0.join("message"), "what both sign").unwrap();
    for (kind, generate) in kinds() {
        desk.done(&generate);
        desk.done("pkey -in key.pem -pubout -out public.pem");
        let key = signatures().private_key(desk.contents("key.pem", None).unwrap().private_keys[0].expose()).unwrap();
        let spki = desk.contents("public.pem", None).unwrap().public_keys.remove(0);
        let public = signatures().public_key(&spki).unwrap();
        assert_eq!((key.kind(), public.kind()), (kind, kind));
        assert_eq!(key.public_info(), spki, "{kind}");
        for (hash, name) in hashes {
            let schemes = [
                SignatureScheme::RsaPkcs1(hash),
                SignatureScheme::RsaPss(hash),
                SignatureScheme::Ecdsa(hash),
                SignatureScheme::Dsa(hash),
            ];
            for scheme in schemes.into_iter().filter(|scheme| kind.makes(*scheme)) {
                let pss = match scheme {
                    SignatureScheme::RsaPss(_) => " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
                    _ => "",
                };
                desk.done(&format!("dgst -{name} -sign key.pem{pss} -out theirs message"));
                let theirs = fs::read(desk.0.join("theirs")).unwrap();
                assert!(public.verify(scheme, b"what both sign", &theirs).is_ok(), "{kind} {scheme}");
                assert!(public.verify(scheme, b"what none signs", &theirs).is_err(), "{kind} {scheme}");
                fs::write(desk.0.join("ours"), key.sign(scheme, b"what both sign").unwrap()).unwrap();
                desk.done(&format!("dgst -{name} -verify public.pem{pss} -signature ours message"));
                fs::write(desk.0.join("ours"), key.sign(scheme, b"something else").unwrap()).unwrap();
                assert!(!desk.run(&format!("dgst -{name} -verify public.pem{pss} -signature ours message")));
            }
        }
    }
}

#[test]
fn keys_of_every_kind_are_read_in_every_form() {
    let desk = Desk::new("forms");
    let ed25519 = (KeyKind::Ed25519, "genpkey -algorithm ed25519 -out key.pem".to_owned());
    let ed448 = (KeyKind::Ed448, "genpkey -algorithm ed448 -out key.pem".to_owned());
    for (kind, generate) in kinds().into_iter().chain([ed25519, ed448]) {
        desk.done(&generate);
        desk.done("req -new -x509 -key key.pem -subj /CN=a -out cert.pem");
        desk.done("pkey -in key.pem -outform DER -out key.der");
        desk.done("pkcs8 -topk8 -in key.pem -passout pass:open -out sealed.pem");
        desk.done("pkcs8 -topk8 -in key.pem -passout pass:open -outform DER -out sealed.der");
        desk.done("pkcs12 -export -inkey key.pem -in cert.pem -passout pass:open -out both.p12");
        // What says which key it is: the public half, and of a kind that another provider has, the bytes.
        let identified = |key: &Secret| match signatures().private_key(key.expose()) {
            Ok(key) => key.public_info(),
            Err(_) => key.expose().to_vec(),
        };
        let of = |name: &str, passphrase| {
            let contents = desk.contents(name, passphrase).unwrap_or_else(|bad| panic!("{kind} {name}: {bad}"));
            assert_eq!(contents.private_keys.len(), 1, "{kind} {name}");
            identified(&contents.private_keys[0])
        };
        let plain = of("key.pem", None);
        assert_eq!(of("key.der", None), plain, "{kind}");
        for name in ["sealed.pem", "sealed.der", "both.p12"] {
            assert_eq!(of(name, Some("open")), plain, "{kind} {name}");
            assert_eq!(desk.contents(name, None).unwrap_err(), BadContainer::NeedsPassphrase, "{kind} {name}");
            assert_eq!(desk.contents(name, Some("shut")).unwrap_err(), BadContainer::WrongPassphrase, "{kind} {name}");
        }
        assert_eq!(desk.contents("both.p12", Some("open")).unwrap().certificates.len(), 1, "{kind}");
        if matches!(kind, KeyKind::Rsa(_) | KeyKind::Ecdsa(_) | KeyKind::Dsa(..)) {
            desk.done("pkey -in key.pem -traditional -out old.pem");
            desk.done("pkey -in key.pem -traditional -outform DER -out old.der");
            assert_eq!([of("old.pem", None), of("old.der", None)], [plain.clone(), plain], "{kind}");
        }
    }
    desk.done("pkcs8 -topk8 -in key.pem -scrypt -passout pass:open -out scrypt.pem");
    assert_eq!(desk.contents("scrypt.pem", Some("open")).unwrap().private_keys.len(), 1);
}
