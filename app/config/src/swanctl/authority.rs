//! An authority: `authorities.<name>` of swanctl.conf, or the section of VICI's `load-authority`.

use ravelin_pki::Certificate;

use super::reader::{Problems, Reader};
use super::tree::Named;
use crate::papers::certificate;

/// Bytes of a file with a certificate.
const MAX_FILE: usize = 1024 * 1024;

/// Reads an authority.
pub fn read(named: &Named, problems: &mut Problems) -> Option<Certificate> {
    let before = problems.0.len();
    let mut reader = Reader::new(&named.section, &named.at, problems);
    let first = reader.files("cacert", certificate).into_iter().next();
    let path = reader.value("file", |path| {
        let bytes = crate::secret::read_open(path.as_ref(), MAX_FILE).map_err(|error| error.to_string())?;
        certificate(bytes.expose())
    });
    reader.refuse(&["handle", "slot", "module"], "certificates on tokens are not there; name a file in cacert");
    let lists = "revocation lists are not fetched: put them into the folder x509crl";
    reader.refuse(&["crl_uris"], lists);
    reader.refuse(&["ocsp_uris"], "nobody is asked by OCSP; put revocation lists into the folder x509crl");
    reader.refuse(&["cert_uri_base"], "certificates are sent themselves, not where they can be fetched");
    if first.is_none() && path.is_none() && reader.problems.0.len() == before {
        reader.wrong("the option `cacert` with the certificate of the authority is missing");
    }
    reader.finish(&[]);
    first.or(path).filter(|_| problems.0.len() == before)
}
