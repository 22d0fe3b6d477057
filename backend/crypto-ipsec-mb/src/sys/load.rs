//! Finding the library and judging it.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::layout::{
    AES_SCHEDULE_LEN, ARCH_AVX512, AllocFn, ChaChaFinalizeFn, ChaChaInitFn, ChaChaUpdateFn, CmacSubkeysFn,
    DesKeyScheduleFn, FEATURE_AESNI, FEATURE_PCLMULQDQ, FEATURE_SELF_TEST, FEATURE_SELF_TEST_PASS, FIRST_VERSION,
    FreeFn, GcmFinalizeFn, GcmFn, GcmInitFn, GcmPrepareFn, GcmUpdateFn, GetVersionFn, GmacFinalizeFn, GmacInitFn,
    GmacUpdateFn, HashFn, InitFn, JobFn, KeyExpansionFn, Manager, NEXT_LAYOUT, OneBlockFn, XcbcKeyExpansionFn,
};
use zeroize::Zeroize;

use crate::Reason;

/// The name says which binary interface; the version is asked for beyond that.
const NAME: &CStr = c"libIPSec_MB.so.1";

/// The functions of the library for this processor.
pub(crate) struct Library {
    pub(super) alloc: AllocFn,
    pub(super) free: FreeFn,
    pub(super) init: InitFn,
    pub(super) jobs: Jobs,
    /// For keys of 16, 24 and 32 bytes, as the triples below.
    pub(super) keyexp: [KeyExpansionFn; 3],
    pub(super) cmac_subkeys: CmacSubkeysFn,
    pub(super) xcbc_keyexp: XcbcKeyExpansionFn,
    pub(super) des_keysched: DesKeyScheduleFn,
    pub(super) gcm_enc: [GcmFn; 3],
    pub(super) gcm_dec: [GcmFn; 3],
    pub(super) gcm_pre: [GcmPrepareFn; 3],
    pub(super) gcm_init: [GcmInitFn; 3],
    /// To encrypt and to decrypt, as `gcm_finalize`.
    pub(super) gcm_update: [[GcmUpdateFn; 3]; 2],
    pub(super) gcm_finalize: [[GcmFinalizeFn; 3]; 2],
    pub(super) gmac_init: [GmacInitFn; 3],
    pub(super) gmac_update: [GmacUpdateFn; 3],
    pub(super) gmac_finalize: [GmacFinalizeFn; 3],
    pub(super) chacha_init: ChaChaInitFn,
    /// To encrypt and to decrypt.
    pub(super) chacha_update: [ChaChaUpdateFn; 2],
    pub(super) chacha_finalize: ChaChaFinalizeFn,
    /// One block of MD5, SHA-1, SHA-256, SHA-384, SHA-512.
    pub(super) one_block: [OneBlockFn; 5],
    pub(super) sha1: HashFn,
    /// Whether the processor has what makes the library's ChaCha20-Poly1305 the faster one.
    pub(crate) avx512: bool,
}

/// How jobs go through a manager.
pub(super) struct Jobs {
    pub next: JobFn,
    pub submit: JobFn,
    pub completed: JobFn,
    pub flush: JobFn,
}

/// The library, looked for once.
pub(crate) fn library() -> Result<&'static Library, &'static Reason> {
    static LIBRARY: OnceLock<Result<Library, Reason>> = OnceLock::new();
    LIBRARY.get_or_init(load).as_ref()
}

fn load() -> Result<Library, Reason> {
    if !cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        return Err(Reason::Architecture);
    }
    let opened = Opened::new()?;
    // SAFETY: the types are those of the header for these names.
    let (get_version, alloc, free, init) = unsafe {
        (
            opened.function::<GetVersionFn>(c"imb_get_version")?,
            opened.function::<AllocFn>(c"alloc_mb_mgr")?,
            opened.function::<FreeFn>(c"free_mb_mgr")?,
            opened.function::<InitFn>(c"init_mb_mgr_auto")?,
        )
    };
    // SAFETY: the function takes nothing and returns a number.
    let version = unsafe { get_version() };
    if !(FIRST_VERSION..NEXT_LAYOUT).contains(&version) {
        return Err(Reason::Version { major: version >> 16, minor: version >> 8 & 0xff, patch: version & 0xff });
    }
    let mut arch: c_int = 0;
    // SAFETY: no flags are wanted; null is looked for below.
    let manager = NonNull::new(unsafe { alloc(0) }).ok_or(Reason::NoMemory)?;
    // SAFETY: the manager was allocated for this call, which fills it in; afterwards it is only read, through the
    // layout of its version.
    let judged = unsafe {
        init(manager.as_ptr(), &raw mut arch);
        judge(manager.as_ref(), arch, (alloc, free, init))
    };
    // SAFETY: the manager comes from `alloc` and nothing refers to it: the functions were copied.
    unsafe { free(manager.as_ptr()) };
    judged
}

/// Takes what is needed out of a manager.
fn judge(manager: &Manager, arch: c_int, (alloc, free, init): (AllocFn, FreeFn, InitFn)) -> Result<Library, Reason> {
    let has = |feature| manager.features & feature == feature;
    // Without these instructions the library emulates them, neither fast nor in constant time.
    if !has(FEATURE_AESNI | FEATURE_PCLMULQDQ) {
        return Err(Reason::Processor);
    }
    if has(FEATURE_SELF_TEST) && !has(FEATURE_SELF_TEST_PASS) || manager.errno != 0 {
        return Err(Reason::SelfTest);
    }
    let one_block = [manager.md5_one_block, manager.sha1_one_block, manager.sha256_one_block];
    Ok(Library {
        alloc,
        free,
        init,
        jobs: Jobs {
            next: present(manager.get_next_job)?,
            submit: present(manager.submit_job_nocheck)?,
            completed: present(manager.get_completed_job)?,
            flush: present(manager.flush_job)?,
        },
        keyexp: all(manager.keyexp)?,
        cmac_subkeys: present(manager.cmac_subkeys)?,
        xcbc_keyexp: present(manager.xcbc_keyexp)?,
        des_keysched: present(manager.des_keysched)?,
        gcm_enc: all(manager.gcm_enc)?,
        gcm_dec: all(manager.gcm_dec)?,
        gcm_pre: all(manager.gcm_pre)?,
        gcm_init: all(manager.gcm_init)?,
        gcm_update: [all(manager.gcm_enc_update)?, all(manager.gcm_dec_update)?],
        gcm_finalize: [all(manager.gcm_enc_finalize)?, all(manager.gcm_dec_finalize)?],
        gmac_init: all(manager.gmac_init)?,
        gmac_update: all(manager.gmac_update)?,
        gmac_finalize: all(manager.gmac_finalize)?,
        chacha_init: present(manager.chacha_init)?,
        chacha_update: [present(manager.chacha_enc_update)?, present(manager.chacha_dec_update)?],
        chacha_finalize: present(manager.chacha_finalize)?,
        one_block: {
            let [md5, sha1, sha256] = all(one_block)?;
            [md5, sha1, sha256, present(manager.sha384_one_block)?, present(manager.sha512_one_block)?]
        },
        sha1: present(manager.sha1)?,
        avx512: arch == ARCH_AVX512,
    })
}

fn present<F>(function: Option<F>) -> Result<F, Reason> {
    function.ok_or(Reason::Incomplete)
}

fn all<F>([a, b, c]: [Option<F>; 3]) -> Result<[F; 3], Reason> {
    Ok([present(a)?, present(b)?, present(c)?])
}

/// A loaded library. It is never unloaded: keys and threads hold its functions.
struct Opened(NonNull<c_void>);

impl Opened {
    fn new() -> Result<Self, Reason> {
        // SAFETY: the name ends with a zero; the library's initialisers do nothing but fill its own tables.
        let handle = unsafe { libc::dlopen(NAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Opened).ok_or_else(|| {
            // SAFETY: after a failed dlopen this is the text about it, valid until the next such call in this thread.
            let text = unsafe { libc::dlerror() };
            if text.is_null() {
                return Reason::Missing(String::new());
            }
            // SAFETY: as above; the text ends with a zero.
            Reason::Missing(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        })
    }

    /// # Safety
    /// `F` is the function pointer type that the header gives for `name`.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, Reason> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open and the name ends with a zero.
        let symbol = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        if symbol.is_null() {
            return Err(Reason::Incomplete);
        }
        // SAFETY: the symbol is there, and the caller answers for its type.
        Ok(unsafe { std::mem::transmute_copy(&symbol) })
    }
}

impl Library {
    /// Writes the encryption schedule of an AES key. The other, which comes with it, is wiped.
    ///
    /// # Safety
    /// The key has 16, 24 or 32 bytes, and `schedule` is aligned to 16 and has room for its 11, 13 or 15 round keys.
    pub(super) unsafe fn expand(&self, key: &[u8], schedule: *mut u8) {
        #[repr(C, align(16))]
        struct Other([u8; AES_SCHEDULE_LEN]);
        let mut other = Other([0; _]);
        // SAFETY: the caller answers for the key and its schedule, and the other has room for the longest.
        unsafe {
            (self.keyexp[key.len() / 8 - 2])(key.as_ptr().cast(), schedule.cast(), other.0.as_mut_ptr().cast());
        }
        other.0.zeroize();
    }

    /// SHA-1 over the concatenation of the parts.
    pub(crate) fn sha1(&self, parts: &[&[u8]]) -> [u8; 20] {
        let data = parts.concat();
        let mut digest = [0; 20];
        // SAFETY: pointer and length describe `data`, and the digest has its length.
        unsafe { (self.sha1)(data.as_ptr().cast(), data.len() as u64, digest.as_mut_ptr().cast()) };
        digest
    }
}
