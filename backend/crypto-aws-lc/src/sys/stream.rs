//! AEAD ciphers over text in pieces, by `EVP_CIPHER`: the faster `EVP_AEAD` takes one piece.
//!
//! A context of it is allocated, so each thread has one for each cipher, from the first such packet on. A packet puts its key
//! there and takes it away again, which costs less than to copy a large packet and more than to copy a small one.

use std::cell::RefCell;
use std::ptr::{self, NonNull};

use aws_lc_sys as c;
use ravelin_crypto::PiecesMut;

use super::aead::{AeadCipher, NONCE_LEN};

const MAX_KEY_LEN: usize = 32;
const ENCRYPT: i32 = 1;
const DECRYPT: i32 = 0;

thread_local! {
    static CONTEXTS: RefCell<[Option<Context>; 4]> = const { RefCell::new([const { None }; 4]) };
}

/// Encrypts in place and writes the tag.
pub(crate) fn encrypt(
    (cipher, key): (AeadCipher, &[u8]),
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    text: &mut dyn PiecesMut,
    tag: &mut [u8],
) {
    with(cipher, |context| {
        context.begin(key, nonce, ENCRYPT);
        context.update(aad, text);
        assert!(context.finish() && context.get_tag(tag), "only data beyond 64 GiB cannot be sealed");
    });
}

/// Verifies the tag in constant time and decrypts in place. On `false` the text is zeros.
pub(crate) fn decrypt(
    (cipher, key): (AeadCipher, &[u8]),
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    text: &mut dyn PiecesMut,
    tag: &[u8],
) -> bool {
    let genuine = with(cipher, |context| {
        context.begin(key, nonce, DECRYPT);
        context.update(aad, text);
        context.set_tag(tag) && context.finish()
    });
    if !genuine {
        text.wipe();
    }
    genuine
}

fn with<R>(cipher: AeadCipher, run: impl FnOnce(&mut Context) -> R) -> R {
    CONTEXTS.with_borrow_mut(|contexts| {
        let context = contexts[cipher as usize].get_or_insert_with(|| Context::new(cipher));
        let result = run(context);
        context.begin(&[0; MAX_KEY_LEN], &[0; NONCE_LEN], ENCRYPT);
        result
    })
}

/// A context of one cipher, which is freed with it.
struct Context(NonNull<c::EVP_CIPHER_CTX>);

impl Context {
    fn new(cipher: AeadCipher) -> Self {
        // SAFETY: the calls have no preconditions; the context is checked before it is used, and no key is looked at yet.
        unsafe {
            let method = match cipher {
                AeadCipher::Aes128Gcm => c::EVP_aes_128_gcm(),
                AeadCipher::Aes192Gcm => c::EVP_aes_192_gcm(),
                AeadCipher::Aes256Gcm => c::EVP_aes_256_gcm(),
                AeadCipher::ChaCha20Poly1305 => c::EVP_chacha20_poly1305(),
            };
            let context = NonNull::new(c::EVP_CIPHER_CTX_new()).expect("there is memory for a context");
            let engine = ptr::null_mut();
            let done = c::EVP_CipherInit_ex(context.as_ptr(), method, engine, ptr::null(), ptr::null(), ENCRYPT);
            assert_eq!(done, 1, "there is memory for the state of the cipher");
            Context(context)
        }
    }

    /// The key has the cipher's length, or more.
    fn begin(&mut self, key: &[u8], nonce: &[u8; NONCE_LEN], direction: i32) {
        let context = self.0.as_ptr();
        // SAFETY: the context has its cipher, of which the nonce has the length, and as many bytes of key as that takes are
        // there.
        let done = unsafe {
            assert!(key.len() >= c::EVP_CIPHER_CTX_key_length(context) as usize);
            c::EVP_CipherInit_ex(context, ptr::null(), ptr::null_mut(), key.as_ptr(), nonce.as_ptr(), direction)
        };
        assert_eq!(done, 1, "a key of the cipher's length is taken");
    }

    fn update(&mut self, aad: &[u8], text: &mut dyn PiecesMut) {
        self.step(ptr::null_mut(), aad.as_ptr(), aad.len());
        for n in 0..text.count() {
            let piece = text.piece_mut(n);
            let data = piece.as_mut_ptr();
            self.step(data, data, piece.len());
        }
    }

    /// `len` bytes from `data` go to `out`, which is the same, or null for additional data.
    fn step(&mut self, out: *mut u8, data: *const u8, len: usize) {
        // Nothing would be the end.
        if len == 0 {
            return;
        }
        let (mut written, len) = (0, i32::try_from(len).expect("no piece of a packet is longer"));
        // SAFETY: the context has key and nonce; `update` describes ranges of this length, which it borrows.
        let done = unsafe { c::EVP_CipherUpdate(self.0.as_ptr(), out, &raw mut written, data, len) };
        assert_eq!(done, 1, "only data beyond 64 GiB is too much");
    }

    fn finish(&mut self) -> bool {
        let mut none = 0;
        let mut out = [0; 16];
        // SAFETY: the context has key and nonce, and there is room for a block, of which these ciphers write nothing.
        unsafe { c::EVP_CipherFinal_ex(self.0.as_ptr(), out.as_mut_ptr(), &raw mut none) == 1 }
    }

    fn get_tag(&mut self, tag: &mut [u8]) -> bool {
        let len = tag.len() as i32;
        // SAFETY: pointer and length describe `tag`.
        unsafe { c::EVP_CIPHER_CTX_ctrl(self.0.as_ptr(), c::EVP_CTRL_AEAD_GET_TAG, len, tag.as_mut_ptr().cast()) == 1 }
    }

    fn set_tag(&mut self, tag: &[u8]) -> bool {
        let (len, tag) = (tag.len() as i32, tag.as_ptr().cast_mut().cast());
        // SAFETY: pointer and length describe the tag, which the call reads.
        unsafe { c::EVP_CIPHER_CTX_ctrl(self.0.as_ptr(), c::EVP_CTRL_AEAD_SET_TAG, len, tag) == 1 }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context was made by the library and is not used after this; the call wipes what it frees.
        unsafe { c::EVP_CIPHER_CTX_free(self.0.as_ptr()) };
    }
}
