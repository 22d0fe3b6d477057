//! The peer: answers for a user, by one method (RFC 3748 §2.1, §4, §5; RFC 4137 §4).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::account;
use crate::limits;
use crate::method::{Method, PeerMethod};
use crate::method_type::{self, MethodType};
use crate::tls::TlsSide;
use crate::turn::{Proven, Step, Tools};

/// A user, as the configuration has him.
#[derive(Clone, Debug)]
pub struct Client {
    /// His name.
    pub user: Identity,
    /// The methods by which he may prove himself.
    pub methods: Vec<Method>,
    /// His password, for methods with one.
    pub password: Secret,
    /// What he brings to methods over TLS.
    pub tls: TlsSide,
}

/// One conversation of a user.
pub struct Peer {
    user: Vec<u8>,
    client: Client,
    /// The method, once the authenticator has asked by one that we take.
    method: Option<(Method, Box<dyn PeerMethod>)>,
    heard: u32,
}

impl Peer {
    /// A conversation that the authenticator will begin.
    pub fn new(client: Client) -> Self {
        Peer { user: account::user(&client.user), client, method: None, heard: 0 }
    }

    #[cfg(test)]
    pub(crate) fn into_client(self) -> Client {
        self.client
    }

    pub(crate) fn hear(&mut self, heard: &Eap, tools: Tools<'_>) -> Step {
        self.heard += 1;
        if self.heard > limits::TURNS {
            return Step::failed("the authenticator asks without end");
        }
        match heard.code {
            EapCode::REQUEST => self.answer(heard, tools),
            // RFC 3748 §4.2: before the method is content, Success is somebody else's, or a fault.
            EapCode::SUCCESS => match self.outcome() {
                Ok(proven) => Step::Done { last: None, outcome: Ok(proven) },
                Err(why) => Step::failed(why),
            },
            EapCode::FAILURE => Step::failed(self.refusal()),
            other => Step::failed(alloc::format!("the authenticator sent an EAP message {other}")),
        }
    }

    /// The methods that may be taken, and what those over TLS are done with.
    pub(crate) fn means(&self) -> (&[Method], &TlsSide) {
        (&self.client.methods, &self.client.tls)
    }

    /// His name, as EAP carries it.
    pub(crate) fn user(&self) -> &[u8] {
        &self.user
    }

    /// What is proven, if the authenticator may say success now.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn outcome(&self) -> Result<Proven, String> {
        let (method, run) = self.method.as_ref().ok_or("the authenticator says success before anything was proven")?;
        Ok(Proven { user: self.user.clone(), method: method.number(), msk: run.outcome()?, admission: None })
    }

    /// Why the authenticator refuses.
    pub(crate) fn refusal(&self) -> String {
        match &self.method {
            Some((method, run)) => {
                run.refusal().unwrap_or_else(|| alloc::format!("the authenticator refused {}", method.name()))
            }
            None => self.no_method(),
        }
    }

    fn answer(&mut self, request: &Eap, tools: Tools<'_>) -> Step {
        let Some((kind, data)) = method_type::split(&request.data) else {
            return Step::failed("the authenticator sent a request without a type");
        };
        let say = |kind: MethodType, data: &[u8]| {
            let data = [&kind.octets(), data].concat();
            Step::Say(Eap { code: EapCode::RESPONSE, identifier: request.identifier, data })
        };
        match kind {
            // RFC 3748 §5.1: the identity is asked for before the method.
            MethodType::IDENTITY if self.method.is_none() => say(kind, &self.user),
            MethodType::NOTIFICATION => say(kind, &[]),
            kind => {
                if self.method.is_none() {
                    let taken = self.client.methods.iter().find(|method| method.number() == kind).copied();
                    let Some(taken) = taken else { return self.nak(kind, say) };
                    let run = taken.peer(&self.user, &self.client);
                    self.method = Some((taken, run));
                }
                let Some((method, run)) = self.method.as_mut().filter(|(method, _)| method.number() == kind) else {
                    // RFC 3748 §2.1: one method in a conversation.
                    return Step::failed(alloc::format!("the authenticator went over to {kind}"));
                };
                match run.answer(request.identifier, data, tools) {
                    Ok(data) => say(kind, &data),
                    Err(why) => Step::failed(alloc::format!("{}: {why}", method.name())),
                }
            }
        }
    }

    /// RFC 3748 §5.3: which ones we take instead.
    fn nak(&self, refused: MethodType, say: impl Fn(MethodType, &[u8]) -> Step) -> Step {
        let ours = self.client.methods.iter().map(|method| method.number());
        match refused {
            MethodType::Plain(_) => {
                let numbers: Vec<u8> = ours.flat_map(|number| number.octets()).collect();
                say(MethodType::NAK, if numbers.is_empty() { &[0] } else { &numbers })
            }
            MethodType::Expanded(..) => {
                let expanded = |number: MethodType| number.expanded();
                let none = vec![MethodType::Plain(0)];
                let ours: Vec<MethodType> = ours.collect();
                let list = if ours.is_empty() { none } else { ours };
                let data: Vec<u8> = list.into_iter().flat_map(expanded).collect();
                say(MethodType::Expanded(0, u32::from(MethodType::NAK_NUMBER)), &data)
            }
        }
    }

    fn no_method(&self) -> String {
        let ours: Vec<String> = self.client.methods.iter().map(ToString::to_string).collect();
        alloc::format!("the authenticator does not take {}", ours.join(" or "))
    }
}
