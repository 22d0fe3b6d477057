//! `ce x509`: the local trust database.

use std::path::PathBuf;

use clap::Args;

use super::{Command, Conflict};
use crate::papers::{KeyAt, key_at};
use crate::spec::X509Spec;
use crate::value::uri;

/// The flags of `ce x509`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct X509Args {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong, display_order = 1001)]
    help: Option<bool>,
    /// Add the certificates or the revocation list of a file: PEM, DER or PKCS #12
    #[arg(short = 'a', long, value_name = "FILE")]
    add: Option<PathBuf>,
    /// Number of the database
    #[arg(short = 'd', long, value_name = "NUMBER", default_value = "1")]
    database: u32,
    /// File with the private key of the certificate, readable by its owner only, or where a token has the key:
    /// pkcs11:token=LABEL;object=LABEL?module-name=NAME&pin-source=file:/PATH; the certificate is our own then
    #[arg(short = 'k', long, value_name = "FILE", requires = "add", value_parser = key_at)]
    key: Option<KeyAt>,
    /// File with the passphrase of the key, readable by its owner only
    #[arg(long, value_name = "FILE", requires = "add")]
    passphrase_file: Option<PathBuf>,
    /// Send hash and URL in the place of certificates that the authority in the file issued, to peers that look them up (RFC 7296
    /// §3.6): the URL is this one with the digits of the certificate's SHA-1 behind it
    #[arg(long, value_name = "URL", requires = "add", value_parser = uri::http)]
    cert_uri_base: Option<String>,
    /// The same of a bundle of such a certificate and those that are sent with it, in the place of all of them
    #[arg(long, value_name = "URL", requires = "add", value_parser = uri::http)]
    bundle_uri_base: Option<String>,
    /// List what is there
    #[arg(short = 'v', long)]
    view: bool,
    /// Delete the file of this name from the database
    #[arg(short = 'x', long, value_name = "FILE")]
    delete: Option<PathBuf>,
    /// Say whether the certificate in a file would be accepted from a peer
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// Forget what was fetched about revocation, and which servers failed
    #[arg(long)]
    forget: bool,
    /// List as JSON
    #[arg(long, requires = "view")]
    json: bool,
}

impl X509Args {
    /// Whether a listing shall be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    pub(super) fn interpret(&self) -> Result<Command, Conflict> {
        if self.forget {
            let other = self.add.is_some() || self.delete.is_some() || self.verify.is_some() || self.view;
            return match other {
                true => Err(Conflict::missing("--forget goes by itself")),
                false => Ok(Command::ForgetLists),
            };
        }
        match (&self.add, &self.delete, &self.verify, self.view) {
            (Some(file), None, None, false) => Ok(Command::AddCertificate(X509Spec {
                file: file.clone(),
                database: self.database,
                key: self.key.clone(),
                passphrase: self.passphrase_file.clone(),
                cert_uri_base: self.cert_uri_base.clone(),
                bundle_uri_base: self.bundle_uri_base.clone(),
            })),
            (None, Some(file), None, false) => Ok(Command::DeleteCertificate(file.clone())),
            (None, None, Some(file), false) => Ok(Command::VerifyCertificate(file.clone())),
            (None, None, None, true) => Ok(Command::ViewCertificates),
            _ => Err(Conflict::missing("expected one of -a FILE, -x FILE, -v, --verify FILE and --forget")),
        }
    }
}
