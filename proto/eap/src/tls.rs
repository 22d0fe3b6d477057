//! TLS as the methods over it see it: records in, records out, and a key at the end. Who makes it is somebody else: a
//! backend, by a library that this crate does not know.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_pki::Certificate;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_types::Identity;

/// What one side brings, as the configuration has it.
#[derive(Clone, Debug, Default)]
pub struct TlsSide {
    /// What we prove ourselves with. A server always does.
    pub credential: Option<Arc<Credential>>,
    /// Whom we believe. A server without it asks for no certificate; a client cannot be without.
    pub trust: Option<Arc<Trust>>,
    /// Whom the certificate of the other side must name; `None`: whoever is believed.
    pub peer: Option<Identity>,
}

/// Makes ends of TLS.
pub trait TlsMaker {
    /// A client.
    ///
    /// # Errors
    /// Why there is none, for the operator.
    fn connect(&self, side: &TlsSide) -> Result<Box<dyn Tls>, String>;

    /// A server.
    ///
    /// # Errors
    /// As [`TlsMaker::connect`].
    fn accept(&self, side: &TlsSide) -> Result<Box<dyn Tls>, String>;
}

/// One end of TLS without a transport.
pub trait Tls: Send {
    /// Takes records.
    ///
    /// # Errors
    /// Why the connection is over, for the operator. An alert may be there to be said.
    fn hear(&mut self, records: &[u8]) -> Result<(), String>;

    /// Records for the other side; none when it is its turn.
    fn say(&mut self) -> Vec<u8>;

    /// Whether both sides have finished the handshake, as far as this one knows.
    fn is_established(&self) -> bool;

    /// Whether it is TLS 1.3, which has other keys and another end of the handshake.
    fn is_version_13(&self) -> bool;

    /// What the other side has written since it was read last.
    fn read(&mut self) -> Vec<u8>;

    /// Writes for the other side; it comes out as records.
    fn write(&mut self, data: &[u8]);

    /// Key material of the connection (RFC 5705, RFC 8446 §7.5).
    ///
    /// # Errors
    /// When there is none yet.
    fn export(&self, label: &str, context: Option<&[u8]>, out: &mut [u8]) -> Result<(), String>;

    /// The certificate of the other side, once it was judged.
    fn peer(&self) -> Option<Certificate>;
}

/// For whoever has no TLS: every method over it fails with a reason.
#[derive(Clone, Copy, Debug)]
pub struct NoTls;

impl TlsMaker for NoTls {
    fn connect(&self, _: &TlsSide) -> Result<Box<dyn Tls>, String> {
        Err("TLS is not built in".into())
    }

    fn accept(&self, _: &TlsSide) -> Result<Box<dyn Tls>, String> {
        Err("TLS is not built in".into())
    }
}
