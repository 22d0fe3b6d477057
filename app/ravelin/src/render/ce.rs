//! `ce x509`.

use std::fmt::Write;

use ravelin_control::Message;

use super::{field, joined};

/// Certificates and revocation lists: those of the database, or those of a path with the anchor last.
pub fn certificates(out: &mut String, certificates: &Message) {
    for (_, row) in certificates.sections() {
        let valid = format!("{} to {}", field(row, "not-before"), field(row, "not-after"));
        if let Some(issuer) = row.text("crl-of") {
            let what = if field(row, "delta") == "yes" {
                "What has changed of the revocation list"
            } else {
                "Revocation list"
            };
            let _ = writeln!(out, "{what} of {issuer}: {} revoked", field(row, "revoked"));
            let _ = writeln!(out, "  Current: {valid}");
        } else {
            let what = if field(row, "authority") == "yes" { "Authority" } else { "Certificate" };
            let _ = writeln!(out, "{what} {}", field(row, "subject"));
            let _ = writeln!(out, "  Issuer: {}, serial {}", field(row, "issuer"), field(row, "serial"));
            let names = joined(row, "names");
            if !names.is_empty() {
                let _ = writeln!(out, "  Names: {names}");
            }
            let _ = writeln!(out, "  Valid: {valid}");
        }
        if let Some(file) = row.text("file") {
            let key = if field(row, "private-key") == "yes" { ", with its private key" } else { "" };
            let _ = writeln!(out, "  File: {file}, database {}{key}", field(row, "database"));
        }
    }
}
