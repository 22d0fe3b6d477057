//! What `ce x509 -a` asks for.

use std::path::PathBuf;

use crate::papers::KeyAt;

/// A file to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Spec {
    /// The file, as written.
    pub file: PathBuf,
    /// The database.
    pub database: u32,
    /// Where the private key is, as written.
    pub key: Option<KeyAt>,
    /// Where its passphrase is, as written.
    pub passphrase: Option<PathBuf>,
    /// Under which URL each certificate lies that the authority in the file issued.
    pub cert_uri_base: Option<String>,
    /// Under which URL bundles of one and those above it lie.
    pub bundle_uri_base: Option<String>,
}
