//! Keys on a token of SoftHSM: signatures that AWS-LC verifies, and what is said when a key cannot be had.
//!
//! SoftHSM learns from its environment where its tokens are, and a process keeps a module that it has loaded: so each test
//! runs once more, by itself, with a token of its own.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use ravelin_crypto::signature::{EcCurve, HashAlg, KeyKind, MlDsa, PrivateKey, SignatureScheme, Unsigned};
use ravelin_crypto_aws_lc::PROVIDER;
use ravelin_pkcs11::{Key, Place, Trouble};
use ravelin_testkit::papers::{self, Kind};
use ravelin_types::Secret;

const PIN: &str = "5678";
const CONF: &str = "SOFTHSM2_CONF";

/// Runs `test` in a process whose SoftHSM has the token `lab`; `make` puts keys on it.
fn with_token(name: &str, make: impl FnOnce(&Path), test: impl FnOnce()) {
    if std::env::var_os(CONF).is_some() {
        return test();
    }
    let folder = std::env::temp_dir().join(format!("ravelin-pkcs11-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("tokens")).unwrap();
    let conf = folder.join("conf");
    fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.join("tokens").display()))
        .unwrap();
    softhsm(&conf, &["--init-token", "--free", "--label", "lab", "--so-pin", "1234", "--pin", PIN]);
    make(&conf);
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args([name, "--exact", "--nocapture"]).env(CONF, &conf).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn softhsm(conf: &Path, args: &[&str]) {
    let mut command = Command::new("softhsm2-util");
    let output = command.args(args).env(CONF, conf).output().expect("softhsm2-util, of the Debian package softhsm2");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn import(conf: &Path, label: &str, id: &str, kind: Kind) {
    let file = conf.with_file_name(label).display().to_string();
    match kind {
        // SoftHSM reads this kind in the oldest form alone.
        Kind::Ed25519 => openssl(&["genpkey", "-algorithm", "ed25519", "-out", &file]),
        _ => fs::write(&file, papers::root(label, kind).key_pem).unwrap(),
    }
    put(conf, &file, label, id);
}

fn put(conf: &Path, file: &str, label: &str, id: &str) {
    softhsm(conf, &["--import", file, "--token", "lab", "--label", label, "--id", id, "--pin", PIN]);
}

fn openssl(args: &[&str]) {
    let made = Command::new("openssl").args(args).output().expect("openssl, of the Debian package of that name");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn open(uri: &str, pin: Option<&str>) -> Result<Key, Trouble> {
    let place = Place::parse(&format!("{uri}?module-name=softhsm2")).unwrap();
    Key::open(&place, pin.map(|pin| Secret::from(pin.as_bytes())), PROVIDER)
}

fn refusal(uri: &str, pin: Option<&str>) -> String {
    open(uri, pin).err().unwrap().to_string()
}

#[test]
fn a_key_on_a_token_signs_by_every_scheme_of_its_kind() {
    use HashAlg::{Sha1, Sha256, Sha384, Sha512};
    let name = "a_key_on_a_token_signs_by_every_scheme_of_its_kind";
    let make = |conf: &Path| {
        import(conf, "rsa", "01", Kind::Rsa);
        import(conf, "p256", "02", Kind::P256);
        import(conf, "p384", "03", Kind::P384);
        import(conf, "p521", "04", Kind::P521);
        import(conf, "ed25519", "05", Kind::Ed25519);
    };
    with_token(name, make, || {
        let hashes = [Sha1, Sha256, Sha384, Sha512];
        let rsa = hashes.map(SignatureScheme::RsaPkcs1).into_iter().chain(hashes.map(SignatureScheme::RsaPss));
        let rsa: Vec<_> = rsa.chain([SignatureScheme::Bare]).collect();
        let ecdsa: Vec<_> = hashes.map(SignatureScheme::Ecdsa).into_iter().chain([SignatureScheme::Bare]).collect();
        for (label, kind, schemes) in [
            ("object=rsa", KeyKind::Rsa(2048), &rsa),
            ("id=%02", KeyKind::Ecdsa(EcCurve::P256), &ecdsa),
            ("object=p384", KeyKind::Ecdsa(EcCurve::P384), &ecdsa),
            ("object=p521;id=%04;type=private", KeyKind::Ecdsa(EcCurve::P521), &ecdsa),
            ("object=ed25519", KeyKind::Ed25519, &vec![SignatureScheme::Ed25519]),
        ] {
            let key = open(&format!("pkcs11:token=lab;{label}"), Some(PIN)).map_err(|error| error.to_string()).unwrap();
            assert_eq!(key.kind(), kind);
            assert!(key.token().is_some_and(|token| token.starts_with("lab (serial number")), "{label}");
            let public = PROVIDER.signatures.unwrap().public_key(&key.public_info()).unwrap();
            for scheme in schemes {
                let message = [7; 32];
                let signature = key.sign(*scheme, &message).unwrap();
                assert_eq!(public.verify(*scheme, &message, &signature), Ok(()), "{label} {scheme}");
                assert!(public.verify(*scheme, &[8; 32], &signature).is_err(), "{label} {scheme}");
            }
            let foreign = SignatureScheme::MlDsa(MlDsa::L65);
            assert_eq!(key.sign(foreign, b""), Err(Unsigned::Scheme));
        }
    });
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let name = "what_is_not_there_is_named_with_what_is";
    let make = |conf: &Path| {
        import(conf, "one", "01", Kind::P256);
        import(conf, "two", "02", Kind::P256);
    };
    with_token(name, make, || {
        assert!(refusal("pkcs11:token=other", Some(PIN)).starts_with("no such token: there are lab (serial number "));
        let missing = refusal("pkcs11:token=lab;object=three", Some(PIN));
        assert!(missing.starts_with("the key three is not on the token lab"), "{missing}");
        assert!(refusal("pkcs11:token=lab", Some(PIN)).starts_with("several keys on the token lab"));
        let place = Place::parse("pkcs11:?module-name=nobody").unwrap();
        let why = Key::open(&place, None, PROVIDER).err().unwrap().to_string();
        assert!(why.contains("no nobody.module is in /etc/pkcs11/modules"), "{why}");
        let place = Place::parse("pkcs11:?module-path=/nonexistent.so").unwrap();
        let why = Key::open(&place, None, PROVIDER).err().unwrap().to_string();
        assert!(why.starts_with("the module /nonexistent.so cannot be used: "), "{why}");
    });
}

#[test]
fn a_wrong_pin_is_given_to_the_token_once() {
    let name = "a_wrong_pin_is_given_to_the_token_once";
    with_token(
        name,
        |conf| import(conf, "key", "01", Kind::P256),
        || {
            let uri = "pkcs11:token=lab;object=key";
            assert!(refusal(uri, None).contains("as far as it shows without a PIN"));
            assert!(matches!(open(uri, Some("1111")), Err(Trouble::WrongPin(_))));
            assert!(matches!(open(uri, Some("1111")), Err(Trouble::RefusedPin(_))));
            assert!(matches!(open(uri, Some("2222")), Err(Trouble::WrongPin(_))));
            // The right one is not kept from it, and what is open is not open to whoever has another.
            let key = open(uri, Some(PIN)).map_err(|error| error.to_string()).unwrap();
            assert!(matches!(open(uri, Some("3333")), Err(Trouble::OtherPin(_))));
            assert!(key.sign(SignatureScheme::Ecdsa(HashAlg::Sha256), b"message").is_ok());
        },
    );
}

// What a token that was taken out and put in again leaves of a session.
#[test]
fn a_session_that_was_lost_is_opened_again_with_its_pin() {
    let name = "a_session_that_was_lost_is_opened_again_with_its_pin";
    with_token(
        name,
        |conf| import(conf, "key", "01", Kind::P256),
        || {
            let scheme = SignatureScheme::Ecdsa(HashAlg::Sha256);
            let key = open("pkcs11:token=lab", Some(PIN)).map_err(|error| error.to_string()).unwrap();
            assert!(key.sign(scheme, b"one").is_ok());
            // The library is one for the process.
            let module = fs::read_to_string("/usr/share/p11-kit/modules/softhsm2.module").unwrap();
            let file = module.lines().find_map(|line| line.strip_prefix("module:")).unwrap().trim();
            let library = Pkcs11::new(file).unwrap();
            library.clone().finalize().unwrap();
            library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
            assert!(key.sign(scheme, b"two").is_ok());
        },
    );
}

#[test]
fn a_key_that_cannot_sign_on_a_token_is_refused_with_what_can() {
    let name = "a_key_that_cannot_sign_on_a_token_is_refused_with_what_can";
    let make = |conf: &Path| {
        let file = |name| conf.with_file_name(name).display().to_string();
        let (parameters, dsa, ed448) = (file("parameters"), file("dsa"), file("ed448"));
        openssl(&[
            "genpkey",
            "-genparam",
            "-algorithm",
            "DSA",
            "-pkeyopt",
            "dsa_paramgen_bits:1024",
            "-out",
            &parameters,
        ]);
        openssl(&["genpkey", "-paramfile", &parameters, "-out", &dsa]);
        openssl(&["genpkey", "-algorithm", "ed448", "-out", &ed448]);
        put(conf, &dsa, "dsa", "01");
        put(conf, &ed448, "ed448", "02");
    };
    with_token(name, make, || {
        for label in ["dsa", "ed448"] {
            let why = refusal(&format!("pkcs11:token=lab;object={label}"), Some(PIN));
            assert!(why.contains("of a kind that cannot sign there: RSA, ECDSA and Ed25519 can"), "{label}: {why}");
        }
    });
}
