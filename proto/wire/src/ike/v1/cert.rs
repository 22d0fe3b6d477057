//! Certificate and Certificate Request payloads (RFC 2408 §3.9, §3.10).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::{Body, CertEncoding};

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cert {
    /// What `data` is.
    pub encoding: CertEncoding,
    /// The certificate.
    pub data: Vec<u8>,
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

/// Whose certificates are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertReq {
    /// The kind of certificate.
    pub encoding: CertEncoding,
    /// The distinguished name of one certification authority; empty: any.
    pub authority: Vec<u8>,
}

impl Body for CertReq {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(CertReq { encoding: CertEncoding(r.u8()?), authority: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.encoding.0);
        out.extend_from_slice(&self.authority);
    }
}
