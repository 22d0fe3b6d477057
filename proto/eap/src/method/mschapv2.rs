//! MSCHAPv2 (draft-kamath-pppext-eap-mschapv2, RFC 2759), with the keys of RFC 3079.
//!
//! ```text
//!   authenticator   Challenge: op 1, ID, length, 16, challenge, name
//!   peer            Response:  op 2, ID, length, 49, peer's challenge, 8 zeros, NT response, flags, name
//!   authenticator   Success:   op 3, ID, length, "S=" 40 digits " M=" text        proves that it knows the password, too
//!   peer            op 3
//!   authenticator   Failure:   op 4, ID, length, "E=691 R=0 C=" ... " V=3 M=" text
//!   peer            op 4
//! ```

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Secret;
use subtle::ConstantTimeEq;

use super::{Judgement, PeerMethod, ServerMethod, WRONG_PASSWORD};
use crate::account::without_domain;
use crate::limits;
use crate::mschap;
use crate::turn::Tools;

const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

const HEADER_LEN: usize = 4;
const CHALLENGE_LEN: usize = 16;
const RESPONSE_LEN: usize = 49;

/// Operation, ID and the rest of a message that has the long header; the length in it must be that of the message.
fn split(data: &[u8]) -> Option<(u8, u8, &[u8])> {
    match data {
        [op, id, high, low, rest @ ..] => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            (len == data.len()).then_some((*op, *id, rest))
        }
        _ => None,
    }
}

fn message(op: u8, id: u8, rest: &[u8]) -> Vec<u8> {
    // Names and texts are bounded, so the length fits.
    let len = (HEADER_LEN + rest.len()) as u16;
    [&[op, id][..], &len.to_be_bytes(), rest].concat()
}

enum Await {
    Challenge,
    Result {
        expected: [u8; 20],
        msk: Secret,
    },
    /// The authenticator knows the password.
    Success(Secret),
    Failure(String),
}

pub(super) struct Peer {
    user: Vec<u8>,
    password: Secret,
    state: Await,
}

impl Peer {
    pub(super) fn new(user: &[u8], password: &Secret) -> Self {
        Peer { user: user.to_vec(), password: password.clone(), state: Await::Challenge }
    }

    fn respond(&mut self, id: u8, rest: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String> {
        let (size, rest) = rest.split_first().ok_or("a challenge that is cut short")?;
        let challenge = rest.first_chunk::<CHALLENGE_LEN>().filter(|_| usize::from(*size) == CHALLENGE_LEN);
        let challenge = challenge.ok_or("a challenge of another length than 16")?;
        let mut own = [0; CHALLENGE_LEN];
        (tools.random)(&mut own);
        let exchange = mschap::Exchange::new(challenge, &own, without_domain(&self.user), &self.password);
        let response = exchange.response();
        self.state = Await::Result { expected: exchange.authenticator(&response), msk: exchange.msk(&response) };
        let mut rest = vec![RESPONSE_LEN as u8];
        rest.extend_from_slice(&own);
        rest.extend_from_slice(&[0; 8]);
        rest.extend_from_slice(&response);
        rest.push(0);
        rest.extend_from_slice(&self.user);
        Ok(message(RESPONSE, id, &rest))
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, _: u8, data: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String> {
        let (op, id, rest) = split(data).ok_or("a message whose length is not what it says")?;
        match (op, &self.state) {
            (CHALLENGE, Await::Challenge) => self.respond(id, rest, tools),
            (SUCCESS, Await::Result { expected, msk }) => {
                let digits = rest.strip_prefix(b"S=").and_then(|rest| rest.first_chunk::<40>());
                let shown = digits.ok_or("a success without a proof")?;
                if !bool::from(mschap::hex(expected).as_bytes().ct_eq(&shown.to_ascii_uppercase())) {
                    return Err("the authenticator does not know the password".into());
                }
                self.state = Await::Success(msk.clone());
                Ok(vec![SUCCESS])
            }
            (FAILURE, Await::Result { .. }) => {
                self.state = Await::Failure(explain(rest));
                Ok(vec![FAILURE])
            }
            _ => Err(alloc::format!("operation {op} out of turn")),
        }
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        match &self.state {
            Await::Success(msk) => Ok(Some(msk.clone())),
            _ => Err("success before the authenticator has proven that it knows the password".into()),
        }
    }

    fn refusal(&self) -> Option<String> {
        match &self.state {
            Await::Failure(why) => Some(why.clone()),
            _ => None,
        }
    }
}

/// What a failure says: `E=691 R=0 C=... V=3 M=text` (RFC 2759 §6).
fn explain(rest: &[u8]) -> String {
    let text = String::from_utf8_lossy(rest);
    let code = text.split(' ').find_map(|word| word.strip_prefix("E=")).unwrap_or_default();
    let meaning = match code {
        "646" => "the account is not allowed to log in at this time",
        "647" => "the account is disabled",
        "648" => "the password has expired",
        "649" => "the account may not dial in",
        "691" => "the authenticator does not take the user name or the password",
        "709" => "the password could not be changed",
        _ => "the authenticator refused",
    };
    let said: String = text.escape_debug().take(limits::MESSAGE).collect();
    alloc::format!("{meaning} (EAP-MSCHAPV2: {said})")
}

enum Asked {
    Response,
    /// The password fits; the peer has yet to say that it takes us, too.
    Success(Secret),
    Failure,
}

pub(super) struct Server {
    user: Vec<u8>,
    password: Option<Secret>,
    name: Vec<u8>,
    challenge: [u8; CHALLENGE_LEN],
    id: u8,
    state: Asked,
}

impl Server {
    pub(super) fn new(user: &[u8], password: Option<Secret>, name: &[u8]) -> Self {
        let (user, name) = (user.to_vec(), name.to_vec());
        Server { user, password, name, challenge: [0; CHALLENGE_LEN], id: 0, state: Asked::Response }
    }

    fn verify(&mut self, rest: &[u8]) -> Judgement {
        let bad = |what: &str| Judgement::Failed(what.to_string());
        let Some((value, name)) = rest.split_first().and_then(|(size, rest)| {
            let value = rest.first_chunk::<RESPONSE_LEN>().filter(|_| usize::from(*size) == RESPONSE_LEN)?;
            Some((value, rest.get(RESPONSE_LEN..)?))
        }) else {
            return bad("a response that is cut short");
        };
        // Whoever says one name and proves another must not be taken for the first.
        if without_domain(name) != without_domain(&self.user) {
            return bad("the response is under another name than the identity");
        }
        let (Some(own), Some(response)) = (value.first_chunk::<CHALLENGE_LEN>(), value.get(24..48)) else {
            return bad("a response that is cut short");
        };
        let nobody = Secret::default();
        let password = self.password.as_ref().unwrap_or(&nobody);
        let exchange = mschap::Exchange::new(&self.challenge, own, without_domain(name), password);
        let expected = exchange.response();
        if !(bool::from(expected.ct_eq(response)) & self.password.is_some()) {
            self.state = Asked::Failure;
            let text = alloc::format!("E=691 R=0 C={} V=3 M=Access denied", mschap::hex(&self.challenge));
            return Judgement::Ask(message(FAILURE, self.id, text.as_bytes()));
        }
        self.state = Asked::Success(exchange.msk(&expected));
        let text = alloc::format!("S={} M=Welcome", mschap::hex(&exchange.authenticator(&expected)));
        Judgement::Ask(message(SUCCESS, self.id, text.as_bytes()))
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, identifier: u8, tools: Tools<'_>) -> Vec<u8> {
        (tools.random)(&mut self.challenge);
        self.id = identifier;
        let rest = [&[CHALLENGE_LEN as u8][..], &self.challenge, &self.name].concat();
        message(CHALLENGE, self.id, &rest)
    }

    fn judge(&mut self, _: u8, _: u8, data: &[u8], _: Tools<'_>) -> Judgement {
        match (&self.state, data) {
            (Asked::Response, _) => match split(data) {
                Some((RESPONSE, id, rest)) if id == self.id => self.verify(rest),
                _ => Judgement::Failed("something else than a response to the challenge".into()),
            },
            (Asked::Success(msk), [SUCCESS, ..]) => Judgement::Passed { msk: Some(msk.clone()), user: None },
            (Asked::Success(_), _) => Judgement::Failed("the user does not take our proof".into()),
            (Asked::Failure, _) => Judgement::Failed(WRONG_PASSWORD.into()),
        }
    }

    fn verdict(&self) -> Option<&str> {
        matches!(self.state, Asked::Failure).then_some(WRONG_PASSWORD)
    }
}
