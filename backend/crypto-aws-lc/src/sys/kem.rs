//! Key encapsulation.

use std::ptr::{self, NonNull};

use aws_lc_sys as c;

/// Bytes of the shared secret of every parameter set.
const SHARED_LEN: usize = 32;

/// The parameter sets of ML-KEM.
#[derive(Clone, Copy)]
pub(crate) enum Kem {
    MlKem512,
    MlKem768,
    MlKem1024,
}

impl Kem {
    fn nid(self) -> i32 {
        match self {
            Kem::MlKem512 => c::NID_MLKEM512,
            Kem::MlKem768 => c::NID_MLKEM768,
            Kem::MlKem1024 => c::NID_MLKEM1024,
        }
    }

    /// Encapsulates to `peer` with the random value `seed`: ciphertext, of `ciphertext_len` bytes, and shared secret.
    /// `None` unless `peer` is an encapsulation key.
    pub(crate) fn encapsulate(self, peer: &[u8], seed: &[u8; 32], ciphertext_len: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        // SAFETY: pointer and length describe `peer`.
        let key = Key::new(unsafe { c::EVP_PKEY_kem_new_raw_public_key(self.nid(), peer.as_ptr(), peer.len()) })?;
        let context = Context::of(&key);
        let (mut ciphertext, mut shared) = (vec![0; ciphertext_len], vec![0; SHARED_LEN]);
        let (mut lens, mut seed_len) = ((ciphertext.len(), shared.len()), seed.len());
        // SAFETY: the context is valid; pointers and lengths describe the two vectors and the seed.
        let done = unsafe {
            c::EVP_PKEY_encapsulate_deterministic(
                context.0.as_ptr(),
                ciphertext.as_mut_ptr(),
                &raw mut lens.0,
                shared.as_mut_ptr(),
                &raw mut lens.1,
                seed.as_ptr(),
                &raw mut seed_len,
            )
        };
        (done == 1 && lens == (ciphertext.len(), shared.len())).then_some((ciphertext, shared))
    }
}

/// A pair of keys, or a public one; wiped by the library when freed.
struct Key(NonNull<c::EVP_PKEY>);

impl Key {
    fn new(key: *mut c::EVP_PKEY) -> Option<Self> {
        NonNull::new(key).map(Key)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key is ours and not used afterwards.
        unsafe { c::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

struct Context(NonNull<c::EVP_PKEY_CTX>);

impl Context {
    fn of(key: &Key) -> Self {
        // SAFETY: the key is valid; the context keeps a reference to it.
        let context = unsafe { c::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) };
        Context(NonNull::new(context).expect("out of memory"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours and not used afterwards.
        unsafe { c::EVP_PKEY_CTX_free(self.0.as_ptr()) };
    }
}

/// A pair of keys.
pub(crate) struct KemKey(Key);

// SAFETY: the key is only read after it was made, and AWS-LC reads keys from any thread, and from several at once: it counts who
// refers to them atomically.
unsafe impl Send for KemKey {}
// SAFETY: as above.
unsafe impl Sync for KemKey {}

impl KemKey {
    /// The pair made of `d | z` (FIPS 203 §7.1).
    pub(crate) fn generate(kem: Kem, seed: &[u8; 64]) -> Self {
        let mut key = ptr::null_mut();
        let mut seed_len = seed.len();
        // SAFETY: a context for KEM keys is made and given the parameter set before use; pointer and length describe the
        // seed; a null key asks for a new one.
        let done = unsafe {
            let context = c::EVP_PKEY_CTX_new_id(c::EVP_PKEY_KEM, ptr::null_mut());
            let context = Context(NonNull::new(context).expect("out of memory"));
            let context = context.0.as_ptr();
            c::EVP_PKEY_CTX_kem_set_params(context, kem.nid()) == 1
                && c::EVP_PKEY_keygen_init(context) == 1
                && c::EVP_PKEY_keygen_deterministic(context, &raw mut key, seed.as_ptr(), &raw mut seed_len) == 1
        };
        assert!(done, "out of memory");
        KemKey(Key::new(key).expect("a key, since it was made"))
    }

    /// The encapsulation key, of `len` bytes.
    pub(crate) fn public(&self, len: usize) -> Vec<u8> {
        let mut public = vec![0; len];
        let mut written = len;
        // SAFETY: the key is valid; pointer and length describe the vector.
        let done = unsafe { c::EVP_PKEY_get_raw_public_key(self.0.0.as_ptr(), public.as_mut_ptr(), &raw mut written) };
        assert!(done == 1 && written == len, "the length of an encapsulation key is fixed");
        public
    }

    /// The shared secret in `ciphertext`, or, of a ciphertext that nobody made for this key, a value that nobody can
    /// tell from one (FIPS 203 §7.3). `None` for a ciphertext of a wrong length.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let context = Context::of(&self.0);
        let mut shared = vec![0; SHARED_LEN];
        let mut len = shared.len();
        // SAFETY: the context is valid; pointers and lengths describe the vector and the ciphertext.
        let done = unsafe {
            c::EVP_PKEY_decapsulate(
                context.0.as_ptr(),
                shared.as_mut_ptr(),
                &raw mut len,
                ciphertext.as_ptr(),
                ciphertext.len(),
            )
        };
        (done == 1 && len == SHARED_LEN).then_some(shared)
    }
}
