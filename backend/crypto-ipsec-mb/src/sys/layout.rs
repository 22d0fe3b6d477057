//! The parts of `intel-ipsec-mb.h` 1.3 that are used here, in our own words. A test compiles a C program against the
//! installed header and compares every offset, size and number.

use std::ffi::{c_int, c_void};

/// What one of these layouts has in common with the header: `0x10300` is 1.3.0.
pub(super) const FIRST_VERSION: u32 = 0x1_03_00;
/// The first version with another layout.
pub(super) const NEXT_LAYOUT: u32 = 0x1_04_00;

pub(super) const FEATURE_AESNI: u64 = 1 << 1;
pub(super) const FEATURE_PCLMULQDQ: u64 = 1 << 2;
pub(super) const FEATURE_SELF_TEST: u64 = 1 << 20;
pub(super) const FEATURE_SELF_TEST_PASS: u64 = 1 << 21;

pub(super) const ARCH_AVX512: c_int = 5;

pub(super) const STATUS_COMPLETED: u32 = 3;
pub(super) const DIR_ENCRYPT: u32 = 1;
pub(super) const DIR_DECRYPT: u32 = 2;
pub(super) const ORDER_CIPHER_HASH: u32 = 1;
pub(super) const ORDER_HASH_CIPHER: u32 = 2;
pub(super) const CIPHER_CBC: u32 = 1;
pub(super) const CIPHER_CNTR: u32 = 2;
pub(super) const CIPHER_NULL: u32 = 3;
pub(super) const CIPHER_DES: u32 = 7;
pub(super) const CIPHER_CCM: u32 = 9;
pub(super) const CIPHER_DES3: u32 = 10;
pub(super) const CIPHER_CHACHA20_POLY1305: u32 = 19;
pub(super) const AUTH_HMAC_SHA_1: u32 = 1;
pub(super) const AUTH_HMAC_SHA_256: u32 = 3;
pub(super) const AUTH_HMAC_SHA_384: u32 = 4;
pub(super) const AUTH_HMAC_SHA_512: u32 = 5;
pub(super) const AUTH_AES_XCBC: u32 = 6;
pub(super) const AUTH_HMAC_MD5: u32 = 7;
pub(super) const AUTH_NULL: u32 = 8;
pub(super) const AUTH_AES_CCM: u32 = 11;
pub(super) const AUTH_AES_CMAC: u32 = 12;
pub(super) const AUTH_CHACHA20_POLY1305: u32 = 29;

/// The round keys of the longest AES key, in one direction.
pub(super) const AES_SCHEDULE_LEN: usize = 15 * 16;

/// Jobs that a manager holds before it finishes the oldest by itself.
pub(super) const MAX_JOBS: usize = 256;

/// `IMB_MGR`, as far as we look into it; the library allocates it and knows the rest.
#[repr(C)]
pub(super) struct Manager {
    pub flags: u64,
    pub features: u64,
    pub reserved: [u64; 5],
    pub used_arch: u32,
    pub errno: c_int,
    pub get_next_job: Option<JobFn>,
    pub submit_job: Unused,
    pub submit_job_nocheck: Option<JobFn>,
    pub get_completed_job: Option<JobFn>,
    pub flush_job: Option<JobFn>,
    pub queue_size: Unused,
    /// For keys of 16, 24 and 32 bytes, as all the triples below.
    pub keyexp: [Option<KeyExpansionFn>; 3],
    pub cmac_subkeys: Option<CmacSubkeysFn>,
    pub xcbc_keyexp: Option<XcbcKeyExpansionFn>,
    pub des_keysched: Option<DesKeyScheduleFn>,
    pub sha1_one_block: Option<OneBlockFn>,
    pub sha224_one_block: Unused,
    pub sha256_one_block: Option<OneBlockFn>,
    pub sha384_one_block: Option<OneBlockFn>,
    pub sha512_one_block: Option<OneBlockFn>,
    pub md5_one_block: Option<OneBlockFn>,
    pub sha1: Option<HashFn>,
    pub sha2: [Unused; 4],
    pub cfb: Unused,
    pub gcm_enc: [Option<GcmFn>; 3],
    pub gcm_dec: [Option<GcmFn>; 3],
    pub gcm_init: [Option<GcmInitFn>; 3],
    pub gcm_enc_update: [Option<GcmUpdateFn>; 3],
    pub gcm_dec_update: [Option<GcmUpdateFn>; 3],
    pub gcm_enc_finalize: [Option<GcmFinalizeFn>; 3],
    pub gcm_dec_finalize: [Option<GcmFinalizeFn>; 3],
    pub gcm_precomp: [Unused; 3],
    pub gcm_pre: [Option<GcmPrepareFn>; 3],
    pub others: [Unused; 31],
    pub gmac_init: [Option<GmacInitFn>; 3],
    pub gmac_update: [Option<GmacUpdateFn>; 3],
    pub gmac_finalize: [Option<GmacFinalizeFn>; 3],
    pub more: [Unused; 16],
    pub chacha_init: Option<ChaChaInitFn>,
    pub chacha_enc_update: Option<ChaChaUpdateFn>,
    pub chacha_dec_update: Option<ChaChaUpdateFn>,
    pub chacha_finalize: Option<ChaChaFinalizeFn>,
}

/// A function pointer of the table that is never called.
pub(super) type Unused = *const c_void;

pub(super) type JobFn = unsafe extern "C" fn(*mut Manager) -> *mut Job;
/// Key, encryption schedule, decryption schedule.
pub(super) type KeyExpansionFn = unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void);
/// Schedule, first mask, second mask.
pub(super) type CmacSubkeysFn = unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void);
/// Key, schedule, first mask, second mask.
pub(super) type XcbcKeyExpansionFn = unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void, *mut c_void);
/// Schedule, key. Returns zero unless one is null.
pub(super) type DesKeyScheduleFn = unsafe extern "C" fn(*mut u64, *const c_void) -> c_int;
/// Block, state.
pub(super) type OneBlockFn = unsafe extern "C" fn(*const c_void, *mut c_void);
/// Data, length, digest.
pub(super) type HashFn = unsafe extern "C" fn(*const c_void, u64, *mut c_void);
/// Key, schedules.
pub(super) type GcmPrepareFn = unsafe extern "C" fn(*const c_void, *mut GcmSchedules);
/// Schedules, context, output, input, length, nonce, additional data, its length, tag, its length.
pub(super) type GcmFn = unsafe extern "C" fn(
    *const GcmSchedules,
    *mut GcmContext,
    *mut u8,
    *const u8,
    u64,
    *const u8,
    *const u8,
    u64,
    *mut u8,
    u64,
);

/// Schedules, context, nonce, additional data, its length.
pub(super) type GcmInitFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *const u8, *const u8, u64);
/// Schedules, context, output, input, length.
pub(super) type GcmUpdateFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *mut u8, *const u8, u64);
/// Schedules, context, tag, its length.
pub(super) type GcmFinalizeFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *mut u8, u64);

/// Key, context, nonce, additional data, its length.
pub(super) type ChaChaInitFn =
    unsafe extern "C" fn(*const c_void, *mut ChaChaContext, *const c_void, *const c_void, u64);
/// Key, context, output, input, length.
pub(super) type ChaChaUpdateFn =
    unsafe extern "C" fn(*const c_void, *mut ChaChaContext, *mut c_void, *const c_void, u64);
/// Context, tag, its length.
pub(super) type ChaChaFinalizeFn = unsafe extern "C" fn(*mut ChaChaContext, *mut c_void, u64);

/// Schedules, context, nonce, its length.
pub(super) type GmacInitFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *const u8, u64);
/// Schedules, context, data, its length.
pub(super) type GmacUpdateFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *const u8, u64);
/// Schedules, context, tag, its length.
pub(super) type GmacFinalizeFn = unsafe extern "C" fn(*const GcmSchedules, *mut GcmContext, *mut u8, u64);

pub(super) type GetVersionFn = unsafe extern "C" fn() -> u32;
pub(super) type AllocFn = unsafe extern "C" fn(u64) -> *mut Manager;
pub(super) type FreeFn = unsafe extern "C" fn(*mut Manager);
/// The second argument receives the kind of processor.
pub(super) type InitFn = unsafe extern "C" fn(*mut Manager, *mut c_int);

/// `struct gcm_key_data`: expanded AES key and powers of the hash key.
#[repr(C, align(64))]
pub(super) struct GcmSchedules(pub [u8; 1008]);

/// `struct gcm_context_data`: the state of one packet.
#[repr(C, align(16))]
pub(super) struct GcmContext(pub [u8; 88]);

/// `struct chacha20_poly1305_context_data`: the state of one packet, keys of its own among it.
#[repr(C, align(16))]
pub(super) struct ChaChaContext(pub [u8; 192]);

/// `IMB_JOB`. It lies in the manager; what follows in it concerns other algorithms.
#[repr(C)]
pub(super) struct Job {
    pub enc_keys: *const c_void,
    pub dec_keys: *const c_void,
    pub key_len: u64,
    pub src: *const u8,
    pub dst: *mut u8,
    pub cipher_start: u64,
    pub cipher_len: u64,
    pub hash_start: u64,
    pub hash_len: u64,
    pub iv: *const u8,
    pub iv_len: u64,
    pub tag: *mut u8,
    pub tag_len: u64,
    pub of_hash: OfHash,
    pub status: u32,
    pub cipher_mode: u32,
    pub direction: u32,
    pub hash_alg: u32,
    pub chain_order: u32,
    pub user_data: *mut c_void,
}

/// What a hash algorithm wants beyond the common fields.
#[repr(C)]
pub(super) union OfHash {
    pub hmac: Hmac,
    pub on_aes: OnAes,
    pub ccm: Ccm,
    pub aead: Aead,
}

/// Hash states behind the padded keys.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Hmac {
    pub inner: *const u8,
    pub outer: *const u8,
    pub unused: *const c_void,
}

/// AES-XCBC and AES-CMAC: round keys, and what masks the last block, whole or padded.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct OnAes {
    pub rounds: *const u8,
    pub whole: *const u8,
    pub padded: *const u8,
}

/// Additional data of AES-CCM.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Ccm {
    pub aad: *const u8,
    pub aad_len: u64,
}

/// Additional data of an AEAD cipher.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Aead {
    pub aad: *const u8,
    pub aad_len: u64,
    pub context: *mut c_void,
}

#[cfg(test)]
mod tests;
