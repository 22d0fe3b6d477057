//! Certificate and Certificate Request payloads (RFC 7296 §3.6 and §3.7).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use super::numbers::CertEncoding;

/// A certificate or something that stands for one; not decoded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cert {
    /// How `data` is to be read.
    pub encoding: CertEncoding,
    /// The certificate.
    pub data: Vec<u8>,
}

/// Which certificates would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertReq {
    /// The encoding asked for.
    pub encoding: CertEncoding,
    /// For X.509, SHA-1 hashes of the public keys of trusted authorities, one after the other.
    pub authorities: Vec<u8>,
}

impl Body for Cert {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Cert { encoding: CertEncoding(r.u8()?), data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend_from_slice(&self.data);
    }
}

impl Body for CertReq {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(CertReq { encoding: CertEncoding(r.u8()?), authorities: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend_from_slice(&self.authorities);
    }
}
