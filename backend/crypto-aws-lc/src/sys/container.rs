//! What certificates and keys are kept in: PEM, PKCS #8 under a passphrase, PKCS #12.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use aws_lc_sys as c;
use zeroize::Zeroizing;

use super::key::{Key, clear_errors};

/// One block of PEM.
pub(crate) struct Block {
    pub(crate) label: String,
    /// How it is encrypted, where OpenSSL did that before PKCS #8.
    pub(crate) header: Option<CString>,
    pub(crate) data: Zeroizing<Vec<u8>>,
}

/// The blocks of a text, whatever stands between them, and at most `limit`.
pub(crate) fn pem(text: &[u8], limit: usize) -> Vec<Block> {
    let Ok(len) = isize::try_from(text.len()) else { return Vec::new() };
    // SAFETY: pointer and length describe `text`, which outlives the reader.
    let reader = NonNull::new(unsafe { c::BIO_new_mem_buf(text.as_ptr().cast(), len) }).expect("out of memory");
    let mut blocks = Vec::new();
    while blocks.len() < limit {
        let (mut label, mut header, mut data, mut len) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the reader is valid; on success the three results are ours, two of them C strings, and are freed once.
        let block = unsafe {
            let done =
                c::PEM_read_bio(reader.as_ptr(), &raw mut label, &raw mut header, &raw mut data, &raw mut len) == 1;
            if !done {
                break;
            }
            let len = usize::try_from(len).unwrap_or(0);
            let block = Block {
                label: CStr::from_ptr(label).to_string_lossy().into_owned(),
                header: Some(CStr::from_ptr(header).to_owned()).filter(|header| !header.is_empty()),
                data: std::slice::from_raw_parts(data, len).to_vec().into(),
            };
            c::OPENSSL_cleanse(data.cast(), len);
            c::OPENSSL_free(label.cast());
            c::OPENSSL_free(header.cast());
            c::OPENSSL_free(data.cast());
            block
        };
        blocks.push(block);
    }
    // SAFETY: it is ours.
    unsafe { c::BIO_free(reader.as_ptr()) };
    clear_errors();
    blocks
}

/// What is in a block that OpenSSL encrypted before PKCS #8. `None` when the header names no cipher that is built in, or the
/// passphrase is not the right one.
pub(crate) fn opened(header: &CStr, data: &[u8], passphrase: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // The library counts them in an int.
    let mut len = i64::from(i32::try_from(data.len()).ok()?);
    let mut plain = Zeroizing::new(data.to_vec());
    let mut header = header.to_bytes_with_nul().to_vec();
    let mut cipher = c::EVP_CIPHER_INFO { cipher: ptr::null(), iv: [0; 16] };
    // The copy is not wiped by `CString`, so its bytes are taken back for it.
    let passphrase = CString::new(passphrase).ok()?;
    // SAFETY: the header ends with a zero byte and `cipher` is a valid object; without a callback the last argument is the
    // passphrase as a C string, which is not changed; the data is decrypted in place and gets no longer.
    let done = unsafe {
        c::PEM_get_EVP_CIPHER_INFO(header.as_mut_ptr().cast(), &raw mut cipher) == 1
            && !cipher.cipher.is_null()
            && c::PEM_do_header(
                &raw mut cipher,
                plain.as_mut_ptr(),
                &raw mut len,
                None,
                passphrase.as_ptr().cast_mut().cast(),
            ) == 1
    };
    drop(Zeroizing::new(passphrase.into_bytes()));
    clear_errors();
    plain.truncate(usize::try_from(len).ok()?);
    done.then_some(plain)
}

/// A private key in any of the forms of DER: PKCS #8, PKCS #1, SEC 1.
pub(crate) fn any_private(der: &[u8]) -> Option<Key> {
    let mut at = der.as_ptr();
    let len = i64::try_from(der.len()).ok()?;
    // SAFETY: pointer and length describe `der`; a null result pointer asks for a new key, which is ours.
    unsafe { Key::own(c::d2i_AutoPrivateKey(ptr::null_mut(), &raw mut at, len)) }
}

/// A private key in an EncryptedPrivateKeyInfo.
pub(crate) fn encrypted_private(der: &[u8], passphrase: &[u8]) -> Option<Key> {
    let mut reader = c::CBS { data: der.as_ptr(), len: der.len() };
    // SAFETY: the reader and the passphrase are described by their lengths; the key is ours.
    unsafe {
        let key = c::PKCS8_parse_encrypted_private_key(&raw mut reader, passphrase.as_ptr().cast(), passphrase.len());
        Key::own(key)
    }
}

/// The private key, if there is one, and the certificates of a PKCS #12 file. `None` when it is none, or the passphrase
/// is not the right one.
pub(crate) fn pkcs12(der: &[u8], passphrase: &[u8]) -> Option<(Option<Key>, Vec<Vec<u8>>)> {
    // The copy is not wiped by `CString`, so its bytes are taken back for it.
    let passphrase = CString::new(passphrase).ok()?;
    let mut reader = c::CBS { data: der.as_ptr(), len: der.len() };
    let mut key = ptr::null_mut();
    let mut certificates = Vec::new();
    // SAFETY: no preconditions.
    let stack = NonNull::new(unsafe { c::OPENSSL_sk_new_null() }).expect("out of memory");
    // SAFETY: the stack holds X509 objects, which are ours after success, and is freed after them; `key` is ours.
    let done = unsafe {
        let done =
            c::PKCS12_get_key_and_certs(&raw mut key, stack.as_ptr().cast(), &raw mut reader, passphrase.as_ptr()) == 1;
        for at in 0..c::OPENSSL_sk_num(stack.as_ptr()) {
            let certificate: *mut c::X509 = c::OPENSSL_sk_value(stack.as_ptr(), at).cast();
            let mut out = ptr::null_mut();
            let len = c::i2d_X509(certificate, &raw mut out);
            if let Ok(len @ 1..) = usize::try_from(len) {
                certificates.push(std::slice::from_raw_parts(out, len).to_vec());
                c::OPENSSL_free(out.cast());
            }
            c::X509_free(certificate);
        }
        c::OPENSSL_sk_free(stack.as_ptr());
        done
    };
    drop(Zeroizing::new(passphrase.into_bytes()));
    // SAFETY: see above.
    let key = unsafe { Key::own(key) };
    done.then_some((key, certificates))
}
