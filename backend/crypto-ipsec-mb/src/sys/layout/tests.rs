//! Our layouts against the installed header, by a C program that does not compile where they differ.

use std::fmt::Write;
use std::mem::offset_of;
use std::process::Command;

use super::*;

/// `offset_of!` on our side, the member's name in the header on the other.
macro_rules! offsets {
    ($out:ident, $ours:ident = $theirs:literal { $($field:ident => $member:literal),* $(,)? }) => {$(
        assertion(&mut $out, &format!("offsetof({}, {})", $theirs, $member), offset_of!($ours, $field));
    )*};
}

macro_rules! numbers {
    ($out:ident, $($ours:ident => $theirs:literal),* $(,)?) => {$(
        assertion(&mut $out, $theirs, $ours as usize);
    )*};
}

fn assertion(out: &mut String, expression: &str, value: usize) {
    writeln!(out, "_Static_assert(({expression}) == {value}, \"{expression} is not {value}\");").unwrap();
}

#[test]
#[cfg_attr(not(ipsec_mb_header), ignore = "needs the header of Debian's libipsec-mb-dev")]
fn layouts_are_those_of_the_header() {
    let mut out = String::from("#define LINUX\n#include <stddef.h>\n#include <intel-ipsec-mb.h>\n");
    out += "_Static_assert(IMB_VERSION_NUM >= 0x10300 && IMB_VERSION_NUM < 0x10400, \"another version\");\n";
    offsets!(out, Manager = "IMB_MGR" {
        features => "features", used_arch => "used_arch", errno => "imb_errno", get_next_job => "get_next_job",
        submit_job_nocheck => "submit_job_nocheck", get_completed_job => "get_completed_job",
        flush_job => "flush_job", keyexp => "keyexp_128", cmac_subkeys => "cmac_subkey_gen_128",
        xcbc_keyexp => "xcbc_keyexp", des_keysched => "des_key_sched", md5_one_block => "md5_one_block",
        sha1_one_block => "sha1_one_block",
        sha256_one_block => "sha256_one_block", sha384_one_block => "sha384_one_block",
        sha512_one_block => "sha512_one_block", sha1 => "sha1", gcm_enc => "gcm128_enc", gcm_dec => "gcm128_dec",
        gcm_pre => "gcm128_pre", gcm_init => "gcm128_init", gcm_enc_update => "gcm128_enc_update",
        gcm_dec_update => "gcm128_dec_update", gcm_enc_finalize => "gcm128_enc_finalize",
        gcm_dec_finalize => "gcm128_dec_finalize", chacha_init => "chacha20_poly1305_init",
        chacha_enc_update => "chacha20_poly1305_enc_update", chacha_dec_update => "chacha20_poly1305_dec_update",
        chacha_finalize => "chacha20_poly1305_finalize", gmac_init => "gmac128_init", gmac_update => "gmac128_update",
        gmac_finalize => "gmac128_finalize",
    });
    assertion(&mut out, "offsetof(IMB_MGR, gmac256_finalize)", offset_of!(Manager, gmac_finalize) + 16);
    assertion(&mut out, "offsetof(IMB_MGR, gcm256_pre)", offset_of!(Manager, gcm_pre) + 16);
    assertion(&mut out, "offsetof(IMB_MGR, gcm256_dec)", offset_of!(Manager, gcm_dec) + 16);
    assertion(&mut out, "offsetof(IMB_MGR, gcm256_enc)", offset_of!(Manager, gcm_enc) + 16);
    assertion(&mut out, "offsetof(IMB_MGR, keyexp_256)", offset_of!(Manager, keyexp) + 16);
    offsets!(out, Job = "IMB_JOB" {
        enc_keys => "enc_keys", dec_keys => "dec_keys", key_len => "key_len_in_bytes", src => "src", dst => "dst",
        cipher_start => "cipher_start_src_offset_in_bytes", cipher_len => "msg_len_to_cipher_in_bytes",
        hash_start => "hash_start_src_offset_in_bytes", hash_len => "msg_len_to_hash_in_bytes", iv => "iv",
        iv_len => "iv_len_in_bytes", tag => "auth_tag_output", tag_len => "auth_tag_output_len_in_bytes",
        of_hash => "u", status => "status", cipher_mode => "cipher_mode", direction => "cipher_direction",
        hash_alg => "hash_alg", chain_order => "chain_order", user_data => "user_data",
    });
    offsets!(out, Hmac = "struct _HMAC_specific_fields" {
        inner => "_hashed_auth_key_xor_ipad", outer => "_hashed_auth_key_xor_opad",
    });
    offsets!(out, OnAes = "struct _AES_XCBC_specific_fields" {
        rounds => "_k1_expanded", whole => "_k2", padded => "_k3",
    });
    offsets!(out, OnAes = "struct _AES_CMAC_specific_fields" {
        rounds => "_key_expanded", whole => "_skey1", padded => "_skey2",
    });
    offsets!(out, Ccm = "struct _AES_CCM_specific_fields" { aad => "aad", aad_len => "aad_len_in_bytes" });
    offsets!(out, Aead = "struct _CHACHA20_POLY1305_specific_fields" {
        aad => "aad", aad_len => "aad_len_in_bytes", context => "ctx",
    });
    assertion(&mut out, "sizeof(struct gcm_key_data)", size_of::<GcmSchedules>());
    assertion(&mut out, "_Alignof(struct gcm_key_data)", align_of::<GcmSchedules>());
    assertion(&mut out, "sizeof(struct gcm_context_data) <= 96", 1);
    assertion(&mut out, "sizeof(struct chacha20_poly1305_context_data) <= 192", 1);
    assertion(&mut out, "sizeof(((IMB_JOB *) 0)->u)", size_of::<OfHash>());
    numbers!(
        out, FEATURE_AESNI => "IMB_FEATURE_AESNI", FEATURE_PCLMULQDQ => "IMB_FEATURE_PCLMULQDQ",
        FEATURE_SELF_TEST => "IMB_FEATURE_SELF_TEST", FEATURE_SELF_TEST_PASS => "IMB_FEATURE_SELF_TEST_PASS",
        ARCH_AVX512 => "IMB_ARCH_AVX512", STATUS_COMPLETED => "IMB_STATUS_COMPLETED",
        DIR_ENCRYPT => "IMB_DIR_ENCRYPT", DIR_DECRYPT => "IMB_DIR_DECRYPT",
        ORDER_CIPHER_HASH => "IMB_ORDER_CIPHER_HASH", ORDER_HASH_CIPHER => "IMB_ORDER_HASH_CIPHER",
        CIPHER_CBC => "IMB_CIPHER_CBC", CIPHER_CHACHA20_POLY1305 => "IMB_CIPHER_CHACHA20_POLY1305",
        CIPHER_CNTR => "IMB_CIPHER_CNTR", CIPHER_NULL => "IMB_CIPHER_NULL", CIPHER_CCM => "IMB_CIPHER_CCM",
        CIPHER_DES => "IMB_CIPHER_DES", CIPHER_DES3 => "IMB_CIPHER_DES3", AUTH_AES_XCBC => "IMB_AUTH_AES_XCBC",
        AUTH_HMAC_MD5 => "IMB_AUTH_MD5", AUTH_NULL => "IMB_AUTH_NULL", AUTH_AES_CCM => "IMB_AUTH_AES_CCM",
        AUTH_AES_CMAC => "IMB_AUTH_AES_CMAC",
        AUTH_HMAC_SHA_1 => "IMB_AUTH_HMAC_SHA_1", AUTH_HMAC_SHA_256 => "IMB_AUTH_HMAC_SHA_256",
        AUTH_HMAC_SHA_384 => "IMB_AUTH_HMAC_SHA_384", AUTH_HMAC_SHA_512 => "IMB_AUTH_HMAC_SHA_512",
        AUTH_CHACHA20_POLY1305 => "IMB_AUTH_CHACHA20_POLY1305", MAX_JOBS => "IMB_MAX_JOBS",
    );
    let source = std::env::temp_dir().join(format!("ravelin-ipsec-mb-layout-{}.c", std::process::id()));
    std::fs::write(&source, out).unwrap();
    let compiled = Command::new("cc").arg("-fsyntax-only").arg(&source).output();
    std::fs::remove_file(&source).unwrap();
    let compiled = compiled.unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
