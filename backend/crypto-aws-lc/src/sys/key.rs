//! Public and private keys, and the signatures made and verified with them.

use std::ptr::{self, NonNull};

use aws_lc_sys as c;

use super::curve::Curve;

/// A hash function that signatures name.
#[derive(Clone, Copy)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    /// The scheme has its own.
    None,
}

impl Digest {
    fn pointer(self) -> *const c::EVP_MD {
        // SAFETY: these return pointers to static tables and have no preconditions.
        unsafe {
            match self {
                Digest::Sha1 => c::EVP_sha1(),
                Digest::Sha256 => c::EVP_sha256(),
                Digest::Sha384 => c::EVP_sha384(),
                Digest::Sha512 => c::EVP_sha512(),
                Digest::None => ptr::null(),
            }
        }
    }
}

/// What a key is, as far as the library tells.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    Rsa(u32),
    Ec(Curve),
    /// With the bits of `p` and of `q`.
    Dsa(u32, u32),
    Ed25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// One half of a key pair or both. Nothing in it changes after it was read, and the library locks what it computes late,
/// so threads may share it.
pub(crate) struct Key(NonNull<c::EVP_PKEY>);

// SAFETY: an EVP_PKEY has no ties to the thread that made it.
unsafe impl Send for Key {}
// SAFETY: AWS-LC permits signing and verifying with one key on several threads (include/openssl/evp.h, "Concurrency").
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it is ours, and the library wipes what is secret in it.
        unsafe { c::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

impl Key {
    /// Reads a SubjectPublicKeyInfo; nothing may follow it. RSA keys that are too large or even, and points that are not
    /// on their curve, are refused by the library.
    pub(crate) fn public(spki: &[u8]) -> Option<Self> {
        Self::parse(spki, c::EVP_parse_public_key)
    }

    /// Reads a PKCS #8 PrivateKeyInfo; nothing may follow it.
    pub(crate) fn private(pkcs8: &[u8]) -> Option<Self> {
        Self::parse(pkcs8, c::EVP_parse_private_key)
    }

    fn parse(bytes: &[u8], parse: unsafe extern "C" fn(*mut c::CBS) -> *mut c::EVP_PKEY) -> Option<Self> {
        let mut reader = c::CBS { data: bytes.as_ptr(), len: bytes.len() };
        // SAFETY: the reader describes `bytes`, which outlives the call.
        let key = NonNull::new(unsafe { parse(&raw mut reader) }).map(Key);
        clear_errors();
        key.filter(|_| reader.len == 0)
    }

    /// Takes over a key that the library made.
    ///
    /// # Safety
    /// `key` is null or belongs to the caller, who gives it up.
    pub(super) unsafe fn own(key: *mut c::EVP_PKEY) -> Option<Self> {
        clear_errors();
        NonNull::new(key).map(Key)
    }

    /// What it is; `None` for a family that is not built in here.
    pub(crate) fn family(&self) -> Option<Family> {
        let key = self.0.as_ptr();
        // SAFETY: the key is valid; each getter is called for a key of its family.
        unsafe {
            match c::EVP_PKEY_id(key) {
                c::EVP_PKEY_RSA | c::EVP_PKEY_RSA_PSS => Some(Family::Rsa(u32::try_from(c::EVP_PKEY_bits(key)).ok()?)),
                c::EVP_PKEY_EC => {
                    let group = c::EC_KEY_get0_group(c::EVP_PKEY_get0_EC_KEY(key));
                    match c::EC_GROUP_get_curve_name(group) {
                        c::NID_X9_62_prime256v1 => Some(Family::Ec(Curve::P256)),
                        c::NID_secp384r1 => Some(Family::Ec(Curve::P384)),
                        c::NID_secp521r1 => Some(Family::Ec(Curve::P521)),
                        c::NID_brainpoolP256r1 => Some(Family::Ec(Curve::BrainpoolP256)),
                        c::NID_brainpoolP384r1 => Some(Family::Ec(Curve::BrainpoolP384)),
                        c::NID_brainpoolP512r1 => Some(Family::Ec(Curve::BrainpoolP512)),
                        _ => None,
                    }
                }
                c::EVP_PKEY_DSA => {
                    let dsa = c::EVP_PKEY_get0_DSA(key);
                    Some(Family::Dsa(c::BN_num_bits(c::DSA_get0_p(dsa)), c::BN_num_bits(c::DSA_get0_q(dsa))))
                }
                c::EVP_PKEY_ED25519 => Some(Family::Ed25519),
                c::EVP_PKEY_PQDSA => match c::EVP_PKEY_pqdsa_get_type(key) {
                    c::NID_MLDSA44 => Some(Family::MlDsa44),
                    c::NID_MLDSA65 => Some(Family::MlDsa65),
                    c::NID_MLDSA87 => Some(Family::MlDsa87),
                    _ => None,
                },
                _ => None,
            }
        }
    }

    /// Of a DSA key: whether `g` and the public value are in the group of order `q` and are not 1 (FIPS 186-4 §4.2; SP 800-56A
    /// §5.6.2.3.1). What is to be bounded before is the length of `p`.
    pub(crate) fn is_in_group(&self) -> bool {
        // SAFETY: the key is valid; without a DSA key in it, the pointer is null. The numbers belong to the key. The library
        // has `p` odd and both values below it. The contexts and the result are freed once.
        let done = unsafe {
            let dsa = c::EVP_PKEY_get0_DSA(self.0.as_ptr());
            if dsa.is_null() {
                return false;
            }
            let (p, q) = (c::DSA_get0_p(dsa), c::DSA_get0_q(dsa));
            let (context, result) = (c::BN_CTX_new(), c::BN_new());
            assert!(!context.is_null() && !result.is_null(), "out of memory");
            let done = [c::DSA_get0_g(dsa), c::DSA_get0_pub_key(dsa)].into_iter().all(|value| {
                c::BN_is_one(value) == 0
                    && c::BN_mod_exp_mont(result, value, q, p, context, ptr::null()) == 1
                    && c::BN_is_one(result) == 1
            });
            c::BN_free(result);
            c::BN_CTX_free(context);
            done
        };
        clear_errors();
        done
    }

    /// The public half as a SubjectPublicKeyInfo.
    pub(crate) fn public_info(&self) -> Vec<u8> {
        // SAFETY: the key is valid.
        written(|out| unsafe { c::EVP_marshal_public_key(out, self.0.as_ptr()) })
    }

    /// The private half as a PKCS #8 PrivateKeyInfo, in memory that is wiped.
    pub(crate) fn private_info(&self) -> zeroize::Zeroizing<Vec<u8>> {
        // SAFETY: the key is valid.
        written(|out| unsafe { c::EVP_marshal_private_key(out, self.0.as_ptr()) }).into()
    }

    /// Whether `signature` is one over `message`. Only success is success: every other return value is a refusal.
    pub(crate) fn verifies(&self, digest: Digest, pss: bool, message: &[u8], signature: &[u8]) -> bool {
        let context = Context::new();
        let mut options = ptr::null_mut();
        // SAFETY: context and key are valid; the context keeps a reference to the key. `options` belongs to the context
        // and is used before it goes.
        let done = unsafe {
            let init = c::EVP_DigestVerifyInit(
                context.0.as_ptr(),
                &raw mut options,
                digest.pointer(),
                ptr::null_mut(),
                self.0.as_ptr(),
            );
            init == 1
                && (!pss || set_pss(options, digest))
                && c::EVP_DigestVerify(
                    context.0.as_ptr(),
                    signature.as_ptr(),
                    signature.len(),
                    message.as_ptr(),
                    message.len(),
                ) == 1
        };
        clear_errors();
        done
    }

    /// A signature over `message`; `None` when the key is only public or of another family.
    pub(crate) fn sign(&self, digest: Digest, pss: bool, message: &[u8]) -> Option<Vec<u8>> {
        let context = Context::new();
        let mut options = ptr::null_mut();
        let mut len = 0;
        // SAFETY: as in `verifies`; a null output asks for the length, and the second call gets a buffer of that length.
        let signature = unsafe {
            let init = c::EVP_DigestSignInit(
                context.0.as_ptr(),
                &raw mut options,
                digest.pointer(),
                ptr::null_mut(),
                self.0.as_ptr(),
            );
            let ready = init == 1 && (!pss || set_pss(options, digest));
            let sign = |out, len: &mut usize| {
                c::EVP_DigestSign(context.0.as_ptr(), out, len, message.as_ptr(), message.len()) == 1
            };
            (ready && sign(ptr::null_mut(), &mut len)).then(|| vec![0; len]).and_then(|mut out| {
                let done = sign(out.as_mut_ptr(), &mut len);
                out.truncate(len);
                done.then_some(out)
            })
        };
        clear_errors();
        signature
    }

    /// Whether `signature` is one over a hash that is not hashed again; for RSA in PKCS #1 v1.5 padding without the name of
    /// the hash.
    pub(crate) fn verifies_hash(&self, hash: &[u8], signature: &[u8]) -> bool {
        let options = Options::new(self);
        let options = options.0.as_ptr();
        // SAFETY: the context is valid and has a reference to the key; the slices outlive the calls.
        let done = unsafe {
            c::EVP_PKEY_verify_init(options) == 1
                && c::EVP_PKEY_verify(options, signature.as_ptr(), signature.len(), hash.as_ptr(), hash.len()) == 1
        };
        clear_errors();
        done
    }

    /// As [`Key::sign`], over a hash that is not hashed again.
    pub(crate) fn sign_hash(&self, hash: &[u8]) -> Option<Vec<u8>> {
        let options = Options::new(self);
        let options = options.0.as_ptr();
        let mut len = 0;
        // SAFETY: as in `verifies_hash`; a null output asks for the length, and the second call gets a buffer of that length.
        let signature = unsafe {
            let sign = |out, len: &mut usize| c::EVP_PKEY_sign(options, out, len, hash.as_ptr(), hash.len()) == 1;
            let ready = c::EVP_PKEY_sign_init(options) == 1 && sign(ptr::null_mut(), &mut len);
            ready.then(|| vec![0; len]).and_then(|mut out| {
                let done = sign(out.as_mut_ptr(), &mut len);
                out.truncate(len);
                done.then_some(out)
            })
        };
        clear_errors();
        signature
    }
}

/// What a key is used for next.
struct Options(NonNull<c::EVP_PKEY_CTX>);

impl Options {
    fn new(key: &Key) -> Self {
        // SAFETY: the key is valid, and the context takes a reference to it.
        let options = unsafe { c::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) };
        Options(NonNull::new(options).expect("out of memory"))
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { c::EVP_PKEY_CTX_free(self.0.as_ptr()) };
    }
}

/// RFC 8017 §8.1 with MGF1 over the same hash and a salt of its length.
///
/// # Safety
/// `options` belongs to an initialized context.
unsafe fn set_pss(options: *mut c::EVP_PKEY_CTX, digest: Digest) -> bool {
    // -1 stands for the length of the hash, for signing and for verifying.
    // SAFETY: the caller's promise.
    unsafe {
        c::EVP_PKEY_CTX_set_rsa_padding(options, c::RSA_PKCS1_PSS_PADDING) == 1
            && c::EVP_PKEY_CTX_set_rsa_pss_saltlen(options, -1) == 1
            && c::EVP_PKEY_CTX_set_rsa_mgf1_md(options, digest.pointer()) == 1
    }
}

struct Context(NonNull<c::EVP_MD_CTX>);

impl Context {
    fn new() -> Self {
        // SAFETY: no preconditions.
        Context(NonNull::new(unsafe { c::EVP_MD_CTX_new() }).expect("out of memory"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { c::EVP_MD_CTX_free(self.0.as_ptr()) };
    }
}

/// What `write` puts into a growing buffer of the library.
fn written(write: impl FnOnce(*mut c::CBB) -> i32) -> Vec<u8> {
    let mut builder = std::mem::MaybeUninit::<c::CBB>::uninit();
    let (mut data, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the builder is initialized before it is used and finished after; the finished buffer is copied, wiped and
    // freed once.
    unsafe {
        assert_eq!(c::CBB_init(builder.as_mut_ptr(), 512), 1, "out of memory");
        let done =
            write(builder.as_mut_ptr()) == 1 && c::CBB_finish(builder.as_mut_ptr(), &raw mut data, &raw mut len) == 1;
        if !done {
            c::CBB_cleanup(builder.as_mut_ptr());
            clear_errors();
            return Vec::new();
        }
        let out = std::slice::from_raw_parts(data, len).to_vec();
        c::OPENSSL_cleanse(data.cast(), len);
        c::OPENSSL_free(data.cast());
        out
    }
}

/// Empties the library's list of errors, which would grow otherwise.
pub(super) fn clear_errors() {
    // SAFETY: no preconditions.
    unsafe { c::ERR_clear_error() };
}
