//! Ed448: the vectors of RFC 8032 §7.4 without a context, and keys and signatures of OpenSSL.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use ravelin_crypto::signature::{HashAlg, KeyKind, SignatureScheme, Signatures};
use ravelin_crypto_rustcrypto::PROVIDER;

/// Secret key, public key, message, signature.
const VECTORS: &[[&str; 4]] = &[
    [
        "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e\
         7549a20098f95b",
        "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa\
         1abeafe8256180",
        "",
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c5\
         9bd0a21bfd3980ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f0\
         5a7363268c71d95808ff2e652600",
    ],
    [
        "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef802\
         1e954e0a12274e",
        "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c2351\
         60627b4c3a9480",
        "03",
        "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1b\
         f037ab7cd779805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab2\
         1aa4adafd1d234441cf807c03a00",
    ],
    [
        "cd23d24f714274e744343237b93290f511f6425f98e64459ff203e8985083ffdf60500553abc0e05cd02184bdb89c4ccd67e\
         187951267eb328",
        "dcea9e78f35a1bf3499a831b10b86c90aac01cd84b67a0109b55a36e9328b1e365fce161d71ce7131a543ea4cb5f7e9f1d8b\
         00696447001400",
        "0c3e544074ec63b0265e0c",
        "1f0a8888ce25e8d458a21130879b840a9089d999aaba039eaf3e3afa090a09d389dba82c4ff2ae8ac5cdfb7c55e94d5d961a\
         29fe0109941e00b8dbdeea6d3b051068df7254c0cdc129cbe62db2dc957dbb47b51fd3f213fb8698f064774250a5028961c9\
         bf8ffd973fe5d5c206492b140e00",
    ],
    [
        "258cdd4ada32ed9c9ff54e63756ae582fb8fab2ac721f2c8e676a72768513d939f63dddb55609133f29adf86ec9929dccb52\
         c1c5fd2ff7e21b",
        "3ba16da0c6f2cc1f30187740756f5e798d6bc5fc015d7c63cc9510ee3fd44adc24d8e968b6e46e6f94d19b945361726bd75e\
         149ef09817f580",
        "64a65f3cdedcdd66811e2915",
        "7eeeab7c4e50fb799b418ee5e3197ff6bf15d43a14c34389b59dd1a7b1b85b4ae90438aca634bea45e3a2695f1270f07fdcd\
         f7c62b8efeaf00b45c2c96ba457eb1a8bf075a3db28e5c24f6b923ed4ad747c3c9e03c7079efb87cb110d3a99861e72003cb\
         ae6d6b8b827e4e6c143064ff3c00",
    ],
    [
        "7ef4e84544236752fbb56b8f31a23a10e42814f5f55ca037cdcc11c64c9a3b2949c1bb60700314611732a6c2fea98eebc026\
         6a11a93970100e",
        "b3da079b0aa493a5772029f0467baebee5a8112d9d3a22532361da294f7bb3815c5dc59e176b4d9f381ca0938e13c6c07b17\
         4be65dfa578e80",
        "64a65f3cdedcdd66811e2915e7",
        "6a12066f55331b6c22acd5d5bfc5d71228fbda80ae8dec26bdd306743c5027cb4890810c162c027468675ecf645a83176c0d\
         7323a2ccde2d80efe5a1268e8aca1d6fbc194d3f77c44986eb4ab4177919ad8bec33eb47bbb5fc6e28196fd1caf56b4e7e0b\
         a5519234d047155ac727a1053100",
    ],
    [
        "d65df341ad13e008567688baedda8e9dcdc17dc024974ea5b4227b6530e339bff21f99e68ca6968f3cca6dfe0fb9f4fab4fa\
         135d5542ea3f01",
        "df9705f58edbab802c7f8363cfe5560ab1c6132c20a9f1dd163483a26f8ac53a39d6808bf4a1dfbd261b099bb03b3fb50906\
         cb28bd8a081f00",
        "bd0f6a3747cd561bdddf4640a332461a4a30a12a434cd0bf40d766d9c6d458e5512204a30c17d1f50b5079631f64eb311218\
         2da3005835461113718d1a5ef944",
        "554bc2480860b49eab8532d2a533b7d578ef473eeb58c98bb2d0e1ce488a98b18dfde9b9b90775e67f47d4a1c3482058efc9\
         f40d2ca033a0801b63d45b3b722ef552bad3b4ccb667da350192b61c508cf7b6b5adadc2c8d9a446ef003fb05cba5f30e88e\
         36ec2703b349ca229c2670833900",
    ],
];

/// What RFC 8410 §7 and §4 put in front of the octets of a private and of a public key.
const PKCS8: &str = "3047020100300506032b6571043b0439";
const SPKI: &str = "3043300506032b6571033a00";

/// The order of the group (RFC 8032 §5.2), little end first.
const ORDER: &str = "f34458ab92c27823558fc58d72c26c219036d6ae49db4ec4e923ca7c\
                     ffffffffffffffffffffffffffffffffffffffffffffffffffffff3f00";

fn signatures() -> &'static dyn Signatures {
    PROVIDER.signatures.unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn the_vectors_of_rfc_8032() {
    for [secret, public, message, signature] in VECTORS {
        let (message, signature) = (hex(message), hex(signature));
        let private = signatures().private_key(&hex(&format!("{PKCS8}{secret}"))).unwrap();
        assert_eq!(private.public_info(), hex(&format!("{SPKI}{public}")));
        assert_eq!(private.sign(SignatureScheme::Ed448, &message).unwrap(), signature);
        let public = signatures().public_key(&private.public_info()).unwrap();
        assert_eq!((private.kind(), public.kind()), (KeyKind::Ed448, KeyKind::Ed448));
        public.verify(SignatureScheme::Ed448, &message, &signature).unwrap();
        public.verify(SignatureScheme::Ed448, b"another message", &signature).unwrap_err();
        for at in [0, 56, 57, 112, 113] {
            let mut bent = signature.clone();
            bent[at] ^= 1;
            public.verify(SignatureScheme::Ed448, &message, &bent).unwrap_err();
        }
    }
}

// docs/HISTORY.md, rows 78 and 82: signatures that are none, one that is made of another by adding the order, and keys that
// are none.
#[test]
fn what_is_no_key_or_no_signature_is_refused() {
    let [secret, public, message, signature] = VECTORS[0];
    let key = signatures().public_key(&hex(&format!("{SPKI}{public}"))).unwrap();
    let (message, signature) = (hex(message), hex(signature));
    for bad in [vec![], vec![0; 114], signature[..113].to_vec(), [&signature[..], &[0]].concat()] {
        key.verify(SignatureScheme::Ed448, &message, &bad).unwrap_err();
    }
    // RFC 8032 §5.2.7: S is below the order.
    let mut more = signature.clone();
    let mut carry = 0;
    for (octet, add) in more[57..].iter_mut().zip(hex(ORDER)) {
        let sum = u16::from(*octet) + u16::from(add) + carry;
        *octet = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    key.verify(SignatureScheme::Ed448, &message, &more).unwrap_err();
    let private = signatures().private_key(&hex(&format!("{PKCS8}{secret}"))).unwrap();
    for scheme in [SignatureScheme::Ed25519, SignatureScheme::Bare, SignatureScheme::Ecdsa(HashAlg::Sha256)] {
        key.verify(scheme, &message, &signature).unwrap_err();
        private.sign(scheme, &message).unwrap_err();
    }
    let identity = format!("01{}", "00".repeat(56));
    for bad in [&identity, &public[2..], &format!("{public}00"), &"ff".repeat(57)] {
        assert!(signatures().public_key(&hex(&format!("{SPKI}{bad}"))).is_err(), "{bad}");
    }
    assert!(signatures().private_key(&hex(&format!("{PKCS8}{}", &secret[2..]))).is_err());
}

#[test]
fn openssl_agrees() {
    let folder = std::env::temp_dir().join(format!("ravelin-ed448-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let openssl = |args: &str| {
        let done = Command::new("openssl").current_dir(&folder).args(args.split(' ')).output();
        let done = done.expect("openssl, of the Debian package of that name");
        assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    };
    fs::write(folder.join("message"), b"what both sign").unwrap();
    openssl("genpkey -algorithm ed448 -outform DER -out key");
    openssl("pkey -inform DER -in key -pubout -outform DER -out public");
    openssl("pkeyutl -sign -rawin -keyform DER -inkey key -in message -out theirs");
    let private = signatures().private_key(&fs::read(folder.join("key")).unwrap()).unwrap();
    assert_eq!(private.public_info(), fs::read(folder.join("public")).unwrap());
    // No randomness is in it, so both make the same.
    let ours = private.sign(SignatureScheme::Ed448, b"what both sign").unwrap();
    assert_eq!(ours, fs::read(folder.join("theirs")).unwrap());
    fs::remove_dir_all(&folder).unwrap();
}
