//! MD5-Challenge (RFC 3748 §5.4, RFC 1994 §4.1): `| size | challenge or response | name |`.

use alloc::string::String;
use alloc::vec::Vec;

use md5::{Digest, Md5};
use ravelin_types::Secret;
use subtle::ConstantTimeEq;

use super::{Judgement, PeerMethod, ServerMethod, WRONG_PASSWORD};
use crate::turn::Tools;

const LEN: usize = 16;

fn hash(identifier: u8, password: &Secret, challenge: &[u8]) -> [u8; LEN] {
    Md5::new().chain_update([identifier]).chain_update(password.expose()).chain_update(challenge).finalize().into()
}

fn value(data: &[u8]) -> Option<&[u8]> {
    let (size, rest) = data.split_first()?;
    rest.get(..usize::from(*size)).filter(|value| !value.is_empty())
}

pub(super) struct Peer {
    user: Vec<u8>,
    password: Secret,
    answered: bool,
}

impl Peer {
    pub(super) fn new(user: &[u8], password: &Secret) -> Self {
        Peer { user: user.to_vec(), password: password.clone(), answered: false }
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, identifier: u8, data: &[u8], _: Tools<'_>) -> Result<Vec<u8>, String> {
        let challenge = value(data).ok_or("a challenge that is cut short")?;
        let response = hash(identifier, &self.password, challenge);
        self.answered = true;
        Ok([&[LEN as u8][..], &response, &self.user].concat())
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        if self.answered { Ok(None) } else { Err("success before a challenge".into()) }
    }
}

pub(super) struct Server {
    password: Option<Secret>,
    name: Vec<u8>,
    challenge: [u8; LEN],
}

impl Server {
    pub(super) fn new(password: Option<Secret>, name: &[u8]) -> Self {
        Server { password, name: name.to_vec(), challenge: [0; LEN] }
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, _: u8, tools: Tools<'_>) -> Vec<u8> {
        (tools.random)(&mut self.challenge);
        [&[LEN as u8][..], &self.challenge, &self.name].concat()
    }

    fn judge(&mut self, identifier: u8, _: u8, data: &[u8], _: Tools<'_>) -> Judgement {
        let Some(response) = value(data) else { return Judgement::Failed("a response that is cut short".into()) };
        let expected = hash(identifier, self.password.as_ref().unwrap_or(&Secret::default()), &self.challenge);
        let fits = bool::from(expected.ct_eq(response)) & self.password.is_some();
        if fits { Judgement::Passed { msk: None, user: None } } else { Judgement::Failed(WRONG_PASSWORD.into()) }
    }
}
