//! The hashes as plain structs: copying one copies its state, and nothing is on the heap.

use std::mem::MaybeUninit;

use aws_lc_sys as c;

/// A running hash. It wipes itself: under HMAC the state is as good as the key.
pub(crate) trait Hash: Clone + Send + Sync + 'static {
    /// Bytes of digest.
    const OUTPUT: usize;
    /// Bytes of block.
    const BLOCK: usize;

    /// The empty hash.
    fn new() -> Self;
    /// Adds data.
    fn update(&mut self, data: &[u8]);
    /// Writes the digest to `out`, which has [`Hash::OUTPUT`] bytes. The state is of no use afterwards.
    fn finish(&mut self, out: &mut [u8]);
}

macro_rules! hashes {
    ($($name:ident: $context:ident, $output:literal, $block:literal, $init:ident, $update:ident, $last:ident;)*) => {$(
        #[derive(Clone)]
        pub(crate) struct $name(c::$context);

        impl Hash for $name {
            const OUTPUT: usize = $output;
            const BLOCK: usize = $block;

            fn new() -> Self {
                let mut context = MaybeUninit::zeroed();
                // SAFETY: the call initialises the context, whose plain integers are valid as zeros already.
                unsafe {
                    c::$init(context.as_mut_ptr());
                    $name(context.assume_init())
                }
            }

            #[inline]
            fn update(&mut self, data: &[u8]) {
                // SAFETY: the context is initialised; pointer and length describe `data`. The call always succeeds.
                unsafe { c::$update(&raw mut self.0, data.as_ptr().cast(), data.len()) };
            }

            #[inline]
            fn finish(&mut self, out: &mut [u8]) {
                assert_eq!(out.len(), Self::OUTPUT, "room for exactly one digest");
                // SAFETY: the context is initialised and `out` has the room that was just checked.
                unsafe { c::$last(out.as_mut_ptr(), &raw mut self.0) };
            }
        }

        impl Drop for $name {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: zeros are valid for the plain integers of the context.
                unsafe { super::cleanse(&mut self.0) };
            }
        }
    )*};
}

hashes! {
    Sha1: SHA_CTX, 20, 64, SHA1_Init, SHA1_Update, SHA1_Final;
    Sha256: SHA256_CTX, 32, 64, SHA256_Init, SHA256_Update, SHA256_Final;
    Sha384: SHA512_CTX, 48, 128, SHA384_Init, SHA384_Update, SHA384_Final;
    Sha512: SHA512_CTX, 64, 128, SHA512_Init, SHA512_Update, SHA512_Final;
}
