//! Generic Token Card (RFC 3748 §5.6): a prompt, and the password or what a token shows as it is. Only inside what is
//! protected and whose other end has proven itself.

use alloc::string::String;
use alloc::vec::Vec;

use ravelin_types::Secret;
use subtle::ConstantTimeEq;

use super::{Judgement, PeerMethod, ServerMethod, WRONG_PASSWORD};
use crate::turn::Tools;

pub(super) struct Peer {
    password: Secret,
    answered: bool,
}

impl Peer {
    pub(super) fn new(password: &Secret) -> Self {
        Peer { password: password.clone(), answered: false }
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, _: u8, _: &[u8], _: Tools<'_>) -> Result<Vec<u8>, String> {
        // A second prompt is for something that a password is not, or after a wrong one.
        if core::mem::replace(&mut self.answered, true) {
            return Err("the authenticator asks for more than the password".into());
        }
        Ok(self.password.expose().to_vec())
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        if self.answered { Ok(None) } else { Err("success before the password".into()) }
    }
}

pub(super) struct Server {
    password: Option<Secret>,
}

impl Server {
    pub(super) fn new(password: Option<Secret>) -> Self {
        Server { password }
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, _: u8, _: Tools<'_>) -> Vec<u8> {
        b"Password: ".to_vec()
    }

    fn judge(&mut self, _: u8, _: u8, data: &[u8], _: Tools<'_>) -> Judgement {
        let expected = self.password.clone().unwrap_or_default();
        let fits = bool::from(expected.expose().ct_eq(data)) & self.password.is_some();
        if fits { Judgement::Passed { msk: None, user: None } } else { Judgement::Failed(WRONG_PASSWORD.into()) }
    }
}
