//! An authority: `authorities.<name>` of swanctl.conf, or the section of VICI's `load-authority`.

use ravelin_pki::Places;

use super::reader::{Problems, Reader};
use super::tree::Named;
use crate::papers::certificate;
use crate::value::uri::http;

/// Bytes of a file with a certificate.
const MAX_FILE: usize = 1024 * 1024;

/// Reads an authority.
pub fn read(named: &Named, problems: &mut Problems) -> Option<Places> {
    let before = problems.0.len();
    let mut reader = Reader::new(&named.section, &named.at, problems);
    let first = reader.files("cacert", certificate).into_iter().next();
    let path = reader.value("file", |path| {
        let bytes = crate::secret::read_open(path.as_ref(), MAX_FILE).map_err(|error| error.to_string())?;
        certificate(bytes.expose())
    });
    reader.refuse(&["handle", "slot", "module"], "certificates on tokens are not read; name a file in cacert");
    let uri = |text: &str| http(text).map_err(|bad| bad.message);
    let crl_uris = reader.list("crl_uris", uri).unwrap_or_default();
    let ocsp_uris = reader.list("ocsp_uris", uri).unwrap_or_default();
    let cert_uri_base = reader.value("cert_uri_base", uri);
    // Ours: strongSwan makes no bundles.
    let bundle_uri_base = reader.value("bundle_uri_base", uri);
    if first.is_none() && path.is_none() && reader.problems.0.len() == before {
        reader.wrong("the option `cacert` with the certificate of the authority is missing");
    }
    reader.finish(&[]);
    let authority = first.or(path).filter(|_| problems.0.len() == before)?;
    Some(Places { authority, crl_uris, ocsp_uris, cert_uri_base, bundle_uri_base })
}
