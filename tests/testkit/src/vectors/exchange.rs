//! Key exchange: published agreements, and public values that must be refused.

use ravelin_crypto::{CryptoProvider, KeAlg, KePrivate, SecureRandom};
use ravelin_types::transform::KeMethod;
use serde::Deserialize;
use std::sync::Arc;

use super::{Counts, Hex, data};
use crate::random::{ReplayedRandom, SeededRandom};

/// Wycheproof ECDH with encoded points, X25519 and X448.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wycheproof {
    #[serde(rename = "tcId")]
    tc_id: u32,
    public: Hex,
    private: Hex,
    shared: Hex,
    result: String,
    flags: Vec<String>,
}

/// RFC 5903 §8.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ecp {
    group: u16,
    i: Hex,
    gix: Hex,
    giy: Hex,
    r: Hex,
    grx: Hex,
    gry: Hex,
    girx: Hex,
}

/// The prime of a field, and the point with the smallest `x`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EcpEdge {
    group: u16,
    prime: Hex,
    x: i16,
    y: Hex,
}

/// RFC 7748 §5.2, §6.1 and §6.2.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Montgomery {
    case: String,
    private: Hex,
    own: Option<Hex>,
    public: Hex,
    shared: Hex,
}

/// RFC 2409 and RFC 3526.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Modp {
    group: u16,
    prime: Hex,
}

/// RFC 5114 §2 and appendix A.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case)] // As the RFC has them.
struct Subgroup {
    group: u16,
    p: Hex,
    q: Hex,
    g: Hex,
    xA: Hex,
    yA: Hex,
    xB: Hex,
    yB: Hex,
    Z: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    wycheproof_ecp(provider, counts, KeMethod::ECP256, data!("wycheproof/ecdh_secp256r1.json"));
    wycheproof_ecp(provider, counts, KeMethod::ECP384, data!("wycheproof/ecdh_secp384r1.json"));
    wycheproof_ecp(provider, counts, KeMethod::ECP521, data!("wycheproof/ecdh_secp521r1.json"));
    wycheproof_ecp(provider, counts, KeMethod::BRAINPOOL_P256, data!("wycheproof/ecdh_brainpoolP256r1.json"));
    wycheproof_ecp(provider, counts, KeMethod::BRAINPOOL_P384, data!("wycheproof/ecdh_brainpoolP384r1.json"));
    wycheproof_ecp(provider, counts, KeMethod::BRAINPOOL_P512, data!("wycheproof/ecdh_brainpoolP512r1.json"));
    wycheproof_montgomery(provider, counts, KeMethod::CURVE25519, data!("wycheproof/x25519.json"));
    wycheproof_montgomery(provider, counts, KeMethod::CURVE448, data!("wycheproof/x448.json"));
    rfc_ecp(provider, counts);
    rfc_montgomery(provider, counts, KeMethod::CURVE25519, data!("rfc/x25519.json"));
    rfc_montgomery(provider, counts, KeMethod::CURVE448, data!("rfc/x448.json"));
    x25519_small_order(provider, counts);
    ecp_edges(provider, counts);
    modp(provider, counts);
    subgroup(provider, counts);
    for alg in provider.ke {
        any_group(*alg);
        *counts.entry("exchange/any_group").or_default() += 1;
    }
}

/// The algorithm's private value for given bytes: big-endian for ECP, as it is for Curve25519.
fn private(alg: &dyn KeAlg, bytes: &[u8]) -> Arc<dyn KePrivate> {
    alg.generate(&mut ReplayedRandom::new(bytes.to_vec()))
}

/// A big-endian number with its leading zeros brought to `len` bytes.
fn padded(number: &[u8], len: usize) -> Vec<u8> {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let digits = &number[first..];
    let mut out = vec![0; len - digits.len()];
    out.extend_from_slice(digits);
    out
}

fn wycheproof_ecp(
    provider: &CryptoProvider,
    counts: &mut Counts,
    id: KeMethod,
    (file, vectors): (&'static str, Vec<Wycheproof>),
) {
    let Some(alg) = provider.ke(id) else { return };
    let len = alg.public_len().0 / 2;
    for vector in &vectors {
        let case = format!("{file} {}", vector.tc_id);
        let private = private(alg, &padded(&vector.private, len));
        // Wycheproof prefixes 04; IKE has no other form than x | y, so a compressed point has a wrong length here.
        let compressed = vector.flags.iter().any(|flag| flag == "CompressedPoint");
        let peer = if compressed { &vector.public[..] } else { vector.public.get(1..).unwrap_or_default() };
        match private.agree(peer) {
            Ok(shared) => {
                assert!(vector.result == "valid" && !compressed, "{case}: accepted");
                assert_eq!(shared.expose(), &*vector.shared, "{case}: shared secret");
            }
            Err(_) => assert!(vector.result == "invalid" || compressed, "{case}: refused"),
        }
        *counts.entry(file).or_default() += 1;
    }
}

fn wycheproof_montgomery(
    provider: &CryptoProvider,
    counts: &mut Counts,
    id: KeMethod,
    (file, vectors): (&'static str, Vec<Wycheproof>),
) {
    let Some(alg) = provider.ke(id) else { return };
    for vector in &vectors {
        let case = format!("{file} {}", vector.tc_id);
        let agreed = private(alg, &vector.private).agree(&vector.public);
        // RFC 7748 §5 takes twisted and non-canonical values; those that lead to zero are refused (§6.1).
        if vector.shared.iter().all(|byte| *byte == 0) {
            assert!(agreed.is_err(), "{case}: an all-zero secret was accepted");
        } else {
            assert_eq!(agreed.expect(&case).expose(), &*vector.shared, "{case}: shared secret");
        }
        *counts.entry(file).or_default() += 1;
    }
}

fn rfc_ecp(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Ecp>) = data!("rfc/ecp.json");
    for vector in &vectors {
        let Some(alg) = provider.ke(KeMethod(vector.group)) else { continue };
        let case = format!("{file} group {}", vector.group);
        let len = alg.public_len().0 / 2;
        let point = |x: &[u8], y: &[u8]| [padded(x, len), padded(y, len)].concat();
        let (gi, gr) = (point(&vector.gix, &vector.giy), point(&vector.grx, &vector.gry));
        for (own, public, peer) in [(&vector.i, &gi, &gr), (&vector.r, &gr, &gi)] {
            let private = private(alg, &padded(own, len));
            assert_eq!(private.public(), &public[..], "{case}: public value");
            assert_eq!(private.agree(peer).expect(&case).expose(), padded(&vector.girx, len), "{case}: secret");
        }
        *counts.entry(file).or_default() += 1;
    }
}

fn rfc_montgomery(
    provider: &CryptoProvider,
    counts: &mut Counts,
    id: KeMethod,
    (file, vectors): (&'static str, Vec<Montgomery>),
) {
    let Some(alg) = provider.ke(id) else { return };
    for vector in &vectors {
        let private = private(alg, &vector.private);
        if let Some(own) = &vector.own {
            assert_eq!(private.public(), &**own, "{}: public value", vector.case);
        }
        let shared = private.agree(&vector.public).expect(&vector.case);
        assert_eq!(shared.expose(), &*vector.shared, "{}: secret", vector.case);
        *counts.entry(file).or_default() += 1;
    }
}

/// Every encoding of a point of small order, with and without the bit that RFC 7748 §5 masks, gives zero and is
/// refused. Other values above the prime are reduced: refusing them would break RFC 7748 §5.
fn x25519_small_order(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, points): (_, Vec<Hex>) = data!("rfc/x25519_small_order.json");
    let Some(alg) = provider.ke(KeMethod::CURVE25519) else { return };
    let own = alg.generate(&mut SeededRandom::new(31));
    for point in &points {
        let mut point = point.to_vec();
        for _ in 0..2 {
            assert!(own.agree(&point).is_err(), "{file}: {point:02x?}");
            assert!(alg.respond(&point, &mut SeededRandom::new(31)).is_err(), "{file}: {point:02x?}");
            point[31] ^= 0x80;
        }
        *counts.entry(file).or_default() += 1;
    }
    // 2^255 - 1 = 18 modulo the prime.
    let mut eighteen = [0; 32];
    eighteen[0] = 18;
    let (all_ones, small) = (own.agree(&[0xff; 32]), own.agree(&eighteen));
    assert_eq!(all_ones.expect(file).expose(), small.expect(file).expose(), "{file}: all ones is 18");
}

/// `prime + delta`, in the prime's length: both primes of a kind end in bytes that leave room for it.
fn near(prime: &[u8], delta: i16) -> Vec<u8> {
    let mut number = prime.to_vec();
    let mut carry = delta;
    for byte in number.iter_mut().rev() {
        let sum = i16::from(*byte) + carry;
        *byte = sum.rem_euclid(256) as u8;
        carry = sum.div_euclid(256);
    }
    number
}

/// A coordinate is below the prime, and the point is on the curve.
fn ecp_edges(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<EcpEdge>) = data!("rfc/ecp_edges.json");
    for vector in &vectors {
        let Some(alg) = provider.ke(KeMethod(vector.group)) else { continue };
        let case = format!("{file} group {}", vector.group);
        let own = alg.generate(&mut SeededRandom::new(u64::from(vector.group)));
        let (p, y) = (&*vector.prime, &*vector.y);
        let zero = vec![0; p.len()];
        let x = near(&zero, vector.x);
        let minus_y: Vec<u8> = subtract(p, y);
        assert!(own.agree(&[&x[..], y].concat()).is_ok(), "{case}: (x, y) is on the curve");
        assert!(own.agree(&[&x[..], &minus_y].concat()).is_ok(), "{case}: (x, -y) is on the curve");
        let refused: [(&str, &[u8], &[u8]); 9] = [
            ("p + x stands for x", &near(p, vector.x), y),
            ("x = p - 1", &near(p, -1), y),
            ("p + x + 1", &near(p, vector.x + 1), y),
            ("x one off", &near(&x, 1), y),
            ("x = all ones", &vec![0xff; p.len()], y),
            ("y = 0", &x, &zero),
            ("y one off", &x, &near(y, 1)),
            ("y = p", &x, p),
            ("y = all ones", &x, &vec![0xff; p.len()]),
        ];
        for (what, x, y) in refused {
            assert!(own.agree(&[x, y].concat()).is_err(), "{case}: {what}");
        }
        // Other encodings of a point: marked, compressed, and infinity.
        let own_public = own.public();
        assert!(own.agree(&[&[4], own_public].concat()).is_err(), "{case}: marked as uncompressed");
        assert!(own.agree(&[&[2], &own_public[..p.len()]].concat()).is_err(), "{case}: compressed");
        assert!(own.agree(&[0]).is_err(), "{case}: infinity");
        *counts.entry(file).or_default() += 1;
    }
}

/// `a - b` for big-endian numbers of one length.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut out: Vec<u8> = Vec::with_capacity(a.len());
    for (a, b) in a.iter().zip(b).rev() {
        let difference = i16::from(*a) - i16::from(*b) - borrow;
        borrow = i16::from(difference < 0);
        out.push(difference.rem_euclid(256) as u8);
    }
    out.reverse();
    out
}

/// The prime is the published one and the generator is 2, seen from outside: `2` and `p - 2` are the first and the
/// last value accepted, and they give `2^x` and `±2^x` where `2^x` is our own public value.
fn modp(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Modp>) = data!("rfc/modp.json");
    for vector in &vectors {
        let Some(alg) = provider.ke(KeMethod(vector.group)) else { continue };
        let case = format!("{file} group {}", vector.group);
        let p = &*vector.prime;
        let zero = vec![0; p.len()];
        let own = alg.generate(&mut SeededRandom::new(u64::from(vector.group)));
        let of_two = own.agree(&near(&zero, 2)).expect(&case);
        assert_eq!(of_two.expose(), own.public(), "{case}: 2^x");
        let of_minus_two = own.agree(&near(p, -2)).expect(&case);
        let minus = subtract(p, own.public());
        assert!([own.public(), &minus].contains(&of_minus_two.expose()), "{case}: (-2)^x");
        // RFC 6989 §2.1: 1 < y < p - 1.
        for (what, value) in [
            ("0", zero.clone()),
            ("1", near(&zero, 1)),
            ("p - 1", near(p, -1)),
            ("p", p.to_vec()),
            ("p + 1", near(p, 1)),
            ("all ones", vec![0xff; p.len()]),
        ] {
            assert!(own.agree(&value).is_err(), "{case}: {what}");
        }
        *counts.entry(file).or_default() += 1;
    }
}

/// Gives these, from the end.
struct Draws(Vec<Vec<u8>>);

impl SecureRandom for Draws {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.pop().expect("no more is drawn"));
    }
}

/// RFC 6989 §2.2: what is not of the subgroup is refused, though it is between 1 and p - 1.
fn subgroup(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Subgroup>) = data!("rfc/modp_subgroup.json");
    for vector in &vectors {
        let Some(alg) = provider.ke(KeMethod(vector.group)) else { continue };
        let case = format!("{file} group {}", vector.group);
        let (p, g) = (&*vector.p, &*vector.g);
        for (x, own, peer) in [(&vector.xA, &vector.yA, &vector.yB), (&vector.xB, &vector.yB, &vector.yA)] {
            let private = private(alg, x);
            assert_eq!(private.public(), padded(own, p.len()), "{case}: public value");
            let shared = private.agree(&padded(peer, p.len())).expect(&case);
            assert_eq!(shared.expose(), padded(&vector.Z, p.len()), "{case}: secret");
            assert_eq!(private.agree(g).expect(&case).expose(), private.public(), "{case}: g^x");
        }
        // An exponent is below the order: what is drawn first here is not, and is drawn again.
        let mut draws = Draws(vec![padded(&vector.xA, vector.q.len()), vector.q.to_vec()]);
        assert_eq!(alg.generate(&mut draws).public(), padded(&vector.yA, p.len()), "{case}: exponent");
        let own = alg.generate(&mut SeededRandom::new(u64::from(vector.group)));
        let zero = vec![0; p.len()];
        for (what, value) in [
            ("0", zero.clone()),
            ("1", near(&zero, 1)),
            ("2", near(&zero, 2)),
            ("p - 1, of order 2", near(p, -1)),
            ("-g, of order 2q", subtract(p, g)),
            ("p", p.to_vec()),
            ("p + 1", near(p, 1)),
        ] {
            assert!(own.agree(&value).is_err(), "{case}: {what}");
            assert!(alg.respond(&value, &mut SeededRandom::new(1)).is_err(), "{case}: {what} to respond to");
        }
        *counts.entry(file).or_default() += 1;
    }
}

/// What holds for every method: both sides agree, one seed gives one run, and a wrong length is refused.
fn any_group(alg: &dyn KeAlg) {
    let case = alg.id().to_string();
    let (initiator_len, responder_len) = alg.public_len();
    let initiator = alg.generate(&mut SeededRandom::new(1));
    assert_eq!(initiator.public().len(), initiator_len, "{case}: length");
    let (public, shared) = alg.respond(initiator.public(), &mut SeededRandom::new(2)).expect(&case);
    assert_eq!(public.len(), responder_len, "{case}: length");
    let agreed = initiator.agree(&public).expect(&case);
    assert_eq!(agreed.expose(), shared.expose(), "{case}: both sides have the same secret");
    assert!(shared.expose().iter().any(|byte| *byte != 0), "{case}: the secret is not zero");

    let again = alg.generate(&mut SeededRandom::new(1));
    assert_eq!(again.public(), initiator.public(), "{case}: the seed decides");
    let other = alg.generate(&mut SeededRandom::new(3));
    assert_ne!(other.public(), initiator.public(), "{case}: the seed decides");

    // A KE payload holds at most 65535 octets less its headers.
    let long = vec![2; 65527];
    for len in (0..=long.len()).filter(|len| *len != responder_len) {
        assert!(initiator.agree(&long[..len]).is_err(), "{case}: {len} bytes");
    }
    for len in [0, 1, initiator_len - 1, initiator_len + 1, 2 * initiator_len, long.len()] {
        assert!(alg.respond(&long[..len], &mut SeededRandom::new(2)).is_err(), "{case}: {len} bytes to respond to");
    }
    // A ciphertext has no form: one of zeros gives a secret that nobody else has (FIPS 203 §7.3).
    if [KeMethod::ML_KEM_512, KeMethod::ML_KEM_768, KeMethod::ML_KEM_1024].contains(&alg.id()) {
        return;
    }
    assert!(initiator.agree(&vec![0; responder_len]).is_err(), "{case}: all zeros");
    assert!(alg.respond(&vec![0; initiator_len], &mut SeededRandom::new(2)).is_err(), "{case}: all zeros");
}
