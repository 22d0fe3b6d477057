//! A private key on a token.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use cryptoki::error::Error;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{HashAlg, KeyKind, PrivateKey, SignatureScheme, Unsigned};
use ravelin_pki::algorithm;
use ravelin_types::Secret;
use ravelin_types::transform::PrfId;

use crate::module;
use crate::place::Place;
use crate::public;
use crate::token::{Broken, Token};
use crate::trouble::Trouble;

/// Seconds that an operator's command waits for a token.
const PATIENCE: u64 = 5;

/// A private key on a token.
pub struct Key {
    token: Arc<Token>,
    place: Place,
    pin: Option<Secret>,
    kind: KeyKind,
    public: Vec<u8>,
    crypto: CryptoProvider,
}

impl Key {
    /// The key at this place, which the PIN opens. It waits some seconds for the token, so it is for an operator's command
    /// and not for what peers ask.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn open(place: &Place, pin: Option<Secret>, crypto: CryptoProvider) -> Result<Self, Trouble> {
        let (done, heard) = channel();
        let place = place.clone();
        let looking = move || drop(done.send(look(place, pin, crypto)));
        let begun = thread::Builder::new().name("token".into()).spawn(looking);
        begun.map_err(|error| Trouble::Token(String::new(), error.to_string()))?;
        heard.recv_timeout(Duration::from_secs(PATIENCE)).unwrap_or(Err(Trouble::Silent(PATIENCE)))
    }
}

fn look(place: Place, pin: Option<Secret>, crypto: CryptoProvider) -> Result<Key, Trouble> {
    let token = module::library(&place.module)?.token(&place)?;
    let shown = || token.shown().to_owned();
    let public = token.with(pin.as_ref(), |session| {
        let key = find(session, &place, &token, pin.is_some())?;
        if !public::signs(session, key)? {
            return Err(Broken::Other(Trouble::Kind(shown())));
        }
        Ok(public::info(session, key)?)
    })?;
    let public = public.ok_or_else(|| {
        Trouble::Public(
            shown(),
            "it is not there; put the public key or the certificate on it, with the same ID".into(),
        )
    })?;
    let readied = crypto.signatures.and_then(|signatures| signatures.public_key(&public).ok());
    let kind = readied.ok_or_else(|| Trouble::Public(shown(), "keys of its kind are not known here".into()))?.kind();
    Ok(Key { token, place, pin, kind, public, crypto })
}

fn find(session: &Session, place: &Place, token: &Token, has_pin: bool) -> Result<ObjectHandle, Broken> {
    let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    wanted.extend(place.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    wanted.extend(place.id.as_ref().map(|id| Attribute::Id(id.clone())));
    let shown = || (token.shown().to_owned(), place.to_string());
    match session.find_objects(&wanted)?.as_slice() {
        [key] => Ok(*key),
        [] => Err(Broken::Other(Trouble::NoKey(shown().0, shown().1, has_pin))),
        _ => Err(Broken::Other(Trouble::Keys(shown().0, shown().1))),
    }
}

impl Key {
    fn signature(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Trouble> {
        let (mechanism, hashed) = self.how(scheme, message).ok_or(Trouble::Scheme)?;
        let message = hashed.as_deref().unwrap_or(message);
        let signature = self.token.with(self.pin.as_ref(), |session| {
            let key = find(session, &self.place, &self.token, self.pin.is_some())?;
            Ok(session.sign(&mechanism, key, message)?)
        })?;
        match self.kind {
            KeyKind::Ecdsa(_) => {
                algorithm::from_raw(&signature).ok_or_else(|| Trouble::of(self.token.shown(), &Error::InvalidValue))
            }
            _ => Ok(signature),
        }
    }

    /// The mechanism of a scheme, and what the token signs where it does not hash by itself: for ECDSA, since many tokens
    /// do not.
    fn how(&self, scheme: SignatureScheme, message: &[u8]) -> Option<(Mechanism<'static>, Option<Vec<u8>>)> {
        if !self.kind.makes(scheme) {
            return None;
        }
        Some(match (scheme, self.kind) {
            (SignatureScheme::RsaPkcs1(hash), _) => (
                match hash {
                    HashAlg::Sha1 => Mechanism::Sha1RsaPkcs,
                    HashAlg::Sha256 => Mechanism::Sha256RsaPkcs,
                    HashAlg::Sha384 => Mechanism::Sha384RsaPkcs,
                    HashAlg::Sha512 => Mechanism::Sha512RsaPkcs,
                },
                None,
            ),
            (SignatureScheme::RsaPss(hash), _) => {
                let parameters = |hash_alg, mgf, len: u8| PkcsPssParams { hash_alg, mgf, s_len: u64::from(len).into() };
                let mechanism = match hash {
                    HashAlg::Sha1 => {
                        Mechanism::Sha1RsaPkcsPss(parameters(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, 20))
                    }
                    HashAlg::Sha256 => {
                        Mechanism::Sha256RsaPkcsPss(parameters(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32))
                    }
                    HashAlg::Sha384 => {
                        Mechanism::Sha384RsaPkcsPss(parameters(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48))
                    }
                    HashAlg::Sha512 => {
                        Mechanism::Sha512RsaPkcsPss(parameters(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64))
                    }
                };
                (mechanism, None)
            }
            (SignatureScheme::Ecdsa(hash), KeyKind::Ecdsa(curve)) => {
                let mut digest = self.hash(hash, message)?;
                // FIPS 186-5 §6.4.1: the leftmost bits of a longer hash; not every token cuts it.
                digest.truncate(usize::from(curve.bits().div_ceil(8)));
                (Mechanism::Ecdsa, Some(digest))
            }
            (SignatureScheme::Bare, KeyKind::Rsa(_)) => (Mechanism::RsaPkcs, None),
            (SignatureScheme::Bare, KeyKind::Ecdsa(_)) => (Mechanism::Ecdsa, None),
            (SignatureScheme::Ed25519, _) => (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), None),
            _ => return None,
        })
    }

    fn hash(&self, hash: HashAlg, message: &[u8]) -> Option<Vec<u8>> {
        let prf = match hash {
            HashAlg::Sha1 => PrfId::HMAC_SHA1,
            HashAlg::Sha256 => PrfId::HMAC_SHA2_256,
            HashAlg::Sha384 => PrfId::HMAC_SHA2_384,
            HashAlg::Sha512 => PrfId::HMAC_SHA2_512,
        };
        let prf = self.crypto.prf(prf)?;
        let mut digest = vec![0; prf.output_len()];
        prf.hash()?(&[message], &mut digest);
        Some(digest)
    }
}

impl PrivateKey for Key {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_info(&self) -> Vec<u8> {
        self.public.clone()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        self.signature(scheme, message).map_err(|trouble| match trouble {
            Trouble::Scheme => Unsigned::Scheme,
            trouble => Unsigned::Token(trouble.to_string()),
        })
    }

    fn token(&self) -> Option<&str> {
        Some(self.token.shown())
    }
}
