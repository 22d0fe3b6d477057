//! SIMs for tests: what a card in a telephone computes, and the network about it.
//!
//! The secret of a user is one, in one of these forms:
//!
//! | Form | For |
//! |---|---|
//! | 32 octets: K, then OPc | every method, by MILENAGE |
//! | text: the same in 64 hexadecimal digits, with or without `0x` | the same |
//! | text: lines or words `RAND,SRES,Kc` in hexadecimal digits, each with or without an IMSI and a comma in front | EAP-SIM |
//!
//! The last one is what strongSwan has in `triplets.dat`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ravelin_types::Secret;
use zeroize::Zeroizing;

use super::Kind;
use super::challenge::{Triplet, Vector};
use super::keys::same;
use super::milenage::{Milenage, xor};
use crate::limits;

/// The bit of the AMF that keeps AKA' apart from AKA (RFC 9048 §3.3).
const SEPARATION: u8 = 0x80;
/// 3GPP TS 33.102 §6.3.3: the AMF when the card proves itself.
const NO_AMF: [u8; 2] = [0, 0];

/// A SIM.
pub(super) enum Card {
    /// With key and variant of the operator.
    Milenage(Box<Milenage>),
    /// With what it says to these challenges.
    Triplets(Vec<Triplet>),
}

/// Why a card does not take a challenge.
pub(super) enum Refused {
    /// It is not of its network.
    Autn(&'static str),
    /// It is an old one: what proves which number was seen (AUTS).
    Number([u8; 14]),
}

impl Card {
    /// # Errors
    /// What is expected.
    pub(super) fn parse(secret: &Secret) -> Result<Card, String> {
        let octets = secret.expose();
        if let Ok(both) = <&[u8; 32]>::try_from(octets) {
            return Ok(Card::Milenage(Box::new(Milenage::new(both))));
        }
        let text = core::str::from_utf8(octets).unwrap_or_default().trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if let Some(both) = hex::<32>(digits).map(Zeroizing::new) {
            return Ok(Card::Milenage(Box::new(Milenage::new(&both))));
        }
        let triplets = text.split_whitespace().map(triplet).collect::<Option<Vec<Triplet>>>();
        match triplets.filter(|triplets| !triplets.is_empty() && triplets.len() <= limits::TRIPLETS) {
            Some(triplets) => Ok(Card::Triplets(triplets)),
            None => {
                Err("the secret is not that of a SIM: expected K and OPc in 64 hexadecimal digits, or for EAP-SIM \
                         triplets RAND,SRES,Kc"
                    .into())
            }
        }
    }

    /// What it makes of a challenge of GSM.
    pub(super) fn gsm(&self, rand: &[u8; 16]) -> Option<Triplet> {
        match self {
            // 3GPP TS 55.205 §6: MILENAGE for GSM.
            Card::Milenage(milenage) => {
                let given = milenage.f2345(rand);
                let [a, b, c, d, rest @ ..] = given.res;
                let kc = given.keys.expose().as_chunks::<8>().0.iter().fold([0; 8], |kc, part| xor(kc, *part));
                Some(Triplet { rand: *rand, sres: xor([a, b, c, d], rest), kc })
            }
            Card::Triplets(triplets) => triplets.iter().find(|triplet| triplet.rand == *rand).cloned(),
        }
    }

    /// The network's challenge with this number.
    ///
    /// # Errors
    /// When the card is one of GSM.
    pub(super) fn challenge(&self, kind: Kind, rand: [u8; 16], number: u64) -> Result<Vector, String> {
        let milenage = self.umts(kind)?;
        let amf = if kind == Kind::AkaPrime { [SEPARATION, 0] } else { NO_AMF };
        let (given, sqn) = (milenage.f2345(&rand), sqn(number));
        let (mac, _) = milenage.f1(&rand, sqn, amf);
        let mut autn = [0; 16];
        autn[..6].copy_from_slice(&xor(sqn, given.hides));
        autn[6..8].copy_from_slice(&amf);
        autn[8..].copy_from_slice(&mac);
        Ok(Vector { rand, autn, res: given.res, keys: given.keys })
    }

    /// The number that the card says it has seen.
    pub(super) fn seen(&self, kind: Kind, rand: &[u8; 16], auts: &[u8; 14]) -> Option<u64> {
        let milenage = self.umts(kind).ok()?;
        let [a, b, c, d, e, f, mac @ ..] = *auts;
        let sqn = xor([a, b, c, d, e, f], milenage.f5_star(rand));
        let (_, expected) = milenage.f1(rand, sqn, NO_AMF);
        same(&expected, &mac).then(|| number(sqn))
    }

    /// What the card makes of a challenge, with the number in it; `seen` is the highest one that it took.
    pub(super) fn answer(
        &self,
        kind: Kind,
        (rand, autn): (&[u8; 16], &[u8; 16]),
        seen: u64,
    ) -> Result<(Vector, u64), Refused> {
        let milenage = self.umts(kind).map_err(|_| Refused::Autn("the card is one of GSM"))?;
        let given = milenage.f2345(rand);
        let [a, b, c, d, e, f, m, n, mac @ ..] = *autn;
        let (sqn, amf) = (xor([a, b, c, d, e, f], given.hides), [m, n]);
        let (expected, _) = milenage.f1(rand, sqn, amf);
        if !same(&expected, &mac) {
            return Err(Refused::Autn("the authenticator does not know the key of the SIM"));
        }
        // RFC 9048 §3.3: a challenge for AKA does not do.
        if kind == Kind::AkaPrime && m & SEPARATION == 0 {
            return Err(Refused::Autn("a challenge for AKA, which AKA' does not take"));
        }
        // 3GPP TS 33.102 §6.3.3: each number once.
        if number(sqn) <= seen {
            let sqn = self::sqn(seen);
            let (_, proof) = milenage.f1(rand, sqn, NO_AMF);
            let mut auts = [0; 14];
            auts[..6].copy_from_slice(&xor(sqn, milenage.f5_star(rand)));
            auts[6..].copy_from_slice(&proof);
            return Err(Refused::Number(auts));
        }
        Ok((Vector { rand: *rand, autn: *autn, res: given.res, keys: given.keys }, number(sqn)))
    }

    fn umts(&self, kind: Kind) -> Result<&Milenage, String> {
        match self {
            Card::Milenage(milenage) => Ok(milenage),
            Card::Triplets(_) => Err(alloc::format!("{kind} takes K and OPc, and the secret has triplets")),
        }
    }
}

/// Numbers have 48 bits.
fn sqn(number: u64) -> [u8; 6] {
    let [_, _, sqn @ ..] = number.to_be_bytes();
    sqn
}

fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

fn triplet(word: &str) -> Option<Triplet> {
    let mut parts = word.rsplitn(4, ',');
    let (kc, sres, rand) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Triplet { rand: hex(rand)?, sres: hex(sres)?, kc: hex(kc)? })
}

/// Exactly so many octets, of two digits each.
pub(super) fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *octet = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(octets)
}
