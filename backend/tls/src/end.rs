//! One end of a connection: what rustls wants read and written, as values.

use std::io::{Read, Write};

use ravelin_eap::tls::Tls;
use ravelin_pki::Certificate;
use rustls::{AlertDescription, Connection, Error, ProtocolVersion};

use crate::judge::Found;

pub(crate) struct End {
    connection: Connection,
    found: Found,
    /// What was written by the other side and not read yet.
    plain: Vec<u8>,
}

impl End {
    pub(crate) fn new(connection: Connection, found: Found) -> Self {
        End { connection, found, plain: Vec::new() }
    }
}

impl Tls for End {
    fn hear(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() {
            self.connection.read_tls(&mut records).map_err(|error| error.to_string())?;
            let state = self.connection.process_new_packets().map_err(|error| match self.found.get() {
                Some(Err(refusal)) => refusal.to_string(),
                _ => words(&error),
            })?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut plain).map_err(|error| error.to_string())?;
            self.plain.extend(plain);
        }
        Ok(())
    }

    fn say(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        // Nothing that is written to memory fails.
        while self.connection.wants_write() && self.connection.write_tls(&mut records).is_ok_and(|len| len > 0) {}
        records
    }

    fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    fn is_version_13(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }

    fn write(&mut self, data: &[u8]) {
        // It goes to memory, up to a bound that no method comes near.
        let _ = self.connection.writer().write_all(data);
    }

    fn export(&self, label: &str, context: Option<&[u8]>, out: &mut [u8]) -> Result<(), String> {
        let made = self.connection.export_keying_material(out, label.as_bytes(), context);
        made.map(drop).map_err(|error| error.to_string())
    }

    fn peer(&self) -> Option<Certificate> {
        self.found.get()?.as_ref().ok().cloned()
    }
}

/// Why it is over, for the operator.
fn words(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => "the other side has no certificate".to_owned(),
        Error::AlertReceived(alert) => format!("the other side refused: {}", alert_words(*alert)),
        other => other.to_string(),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::BadCertificate => "our certificate is wrong (bad_certificate)".into(),
        AlertDescription::CertificateUnknown => "our certificate does not convince it (certificate_unknown)".into(),
        AlertDescription::UnknownCA => "it does not know who issued our certificate (unknown_ca)".into(),
        AlertDescription::CertificateExpired => {
            "our certificate is not in force by its clock (certificate_expired)".into()
        }
        AlertDescription::UnsupportedCertificate => {
            "our certificate is not for this, or of a kind it does not know (unsupported_certificate)".into()
        }
        AlertDescription::CertificateRevoked => "our certificate was revoked (certificate_revoked)".into(),
        AlertDescription::CertificateRequired => "it wants a certificate (certificate_required)".into(),
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3 (protocol_version)".into(),
        AlertDescription::HandshakeFailure => {
            "it found nothing in common, or does not take our certificate (handshake_failure)".into()
        }
        other => format!("alert {other:?}"),
    }
}
