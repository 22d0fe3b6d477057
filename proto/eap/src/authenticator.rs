//! The authenticator: asks who the user is, and by which method he proves it (RFC 3748 §2, §5; RFC 4137 §5).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::aaa::Aaa;
use crate::account::{self, Accounts};
use crate::limits;
use crate::method::{Judgement, Method, ServerMethod};
use crate::method_type::{self, MethodType};
use crate::tls::TlsSide;
use crate::turn::{Proven, Step, Tools};

/// What users may prove themselves by.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// The methods, in order of preference.
    pub methods: Vec<Method>,
    /// Whether the user is asked who he is; else he is whoever the protocol around says.
    pub ask_identity: bool,
    /// Passwords.
    pub accounts: Accounts,
    /// Servers elsewhere that know the users: then they choose the methods.
    pub relay: Option<Arc<Aaa>>,
    /// What we bring to methods over TLS.
    pub tls: TlsSide,
    /// What we call ourselves.
    pub name: Vec<u8>,
}

impl Server {
    /// Whether anybody can prove himself.
    pub fn is_usable(&self) -> bool {
        match &self.relay {
            Some(aaa) => !(aaa.secret.is_empty() || aaa.servers.is_empty() && aaa.names.is_empty()),
            None => !self.methods.is_empty(),
        }
    }

    /// Whether every method proves us, too. What a server elsewhere chooses is not known.
    pub fn is_mutual(&self) -> bool {
        self.relay.is_none() && self.methods.iter().all(|method| method.is_mutual())
    }
}

/// One conversation with a user.
pub struct Authenticator {
    server: Server,
    /// His name, as far as it is known.
    user: Vec<u8>,
    state: State,
    identifier: u8,
    heard: u32,
}

enum State {
    /// Nothing was said.
    New,
    /// He was asked who he is.
    Identity,
    /// A method runs; before he has answered by it, he may want another.
    Method { at: usize, run: Box<dyn ServerMethod>, begun: bool },
    /// It is over.
    Over,
}

impl Authenticator {
    /// A conversation with whoever the protocol around says.
    pub fn new(server: Server, user: &Identity) -> Self {
        Authenticator { server, user: account::user(user), state: State::New, identifier: 0, heard: 0 }
    }

    /// The methods that may be taken, and what those over TLS are done with.
    pub(crate) fn means(&self) -> (&[Method], &TlsSide) {
        (&self.server.methods, &self.server.tls)
    }

    pub(crate) fn begin(&mut self, tools: Tools<'_>) -> Step {
        let mut first = [0];
        (tools.random)(&mut first);
        self.identifier = first[0];
        if self.server.ask_identity {
            self.state = State::Identity;
            return self.ask(MethodType::IDENTITY, &[]);
        }
        self.begin_method(0, tools)
    }

    /// In the place of another that asked who the user is, with this identifier; he has not been heard.
    pub(crate) fn asked(server: Server, user: &Identity, identifier: u8) -> Self {
        Authenticator { state: State::Identity, identifier, ..Authenticator::new(server, user) }
    }

    /// The identifier with which he was asked who he is, while he has not said it.
    pub(crate) fn asks_identity(&self) -> Option<u8> {
        matches!(self.state, State::Identity).then_some(self.identifier)
    }

    /// The last request went out with this identifier.
    pub(crate) fn renumbered(&mut self, identifier: u8) -> u8 {
        self.identifier = identifier;
        identifier
    }

    pub(crate) fn hear(&mut self, heard: &Eap, tools: Tools<'_>) -> Step {
        self.heard += 1;
        if self.heard > limits::TURNS {
            return self.failed("the conversation has no end");
        }
        // RFC 3748 §4.1: a response has the identifier of its request.
        if heard.code != EapCode::RESPONSE || heard.identifier != self.identifier {
            return self.failed("an EAP message that answers nothing");
        }
        let Some((kind, data)) = method_type::split(&heard.data) else {
            return self.failed("a response without a type");
        };
        match core::mem::replace(&mut self.state, State::Over) {
            State::New | State::Over => self.failed("nothing was asked"),
            State::Identity if kind == MethodType::IDENTITY => {
                // RFC 3748 §5.1: what follows a NUL is not of the name.
                let name = data.split(|octet| *octet == 0).next().unwrap_or_default();
                if name.is_empty() || name.len() > limits::IDENTITY {
                    return self.failed("an identity that is empty or too long");
                }
                self.user = name.to_vec();
                self.begin_method(0, tools)
            }
            State::Identity => self.failed("the identity was asked for, and something else was answered"),
            State::Method { at, begun: false, .. } if kind == MethodType::NAK => self.other_method(at, data, tools),
            State::Method { at, run, .. } => self.judge(at, run, kind, data, tools),
        }
    }

    pub(crate) fn verdict(&self) -> Option<String> {
        let State::Method { at, run, .. } = &self.state else { return None };
        Some(self.words(*self.server.methods.get(*at)?, run.verdict()?))
    }

    fn words(&self, method: Method, why: &str) -> String {
        alloc::format!("{} of {}: {why}", method.name(), shown(&self.user))
    }

    fn judge(
        &mut self,
        at: usize,
        mut run: Box<dyn ServerMethod>,
        kind: MethodType,
        data: &[u8],
        t: Tools<'_>,
    ) -> Step {
        let Some(method) = self.server.methods.get(at).copied().filter(|method| method.number() == kind) else {
            return self.failed(alloc::format!("answered by {kind}, which was not asked for"));
        };
        let next = self.identifier.wrapping_add(1);
        match run.judge(self.identifier, next, data, t) {
            Judgement::Ask(data) => {
                self.state = State::Method { at, run, begun: true };
                self.ask(kind, &data)
            }
            Judgement::Passed { msk, user } => {
                let last = Some(self.result(EapCode::SUCCESS));
                let user = user.unwrap_or_else(|| core::mem::take(&mut self.user));
                Step::Done { last, outcome: Ok(Proven { user, method: method.number(), msk, admission: None }) }
            }
            Judgement::Failed(why) => {
                let why = self.words(method, &why);
                self.failed(why)
            }
        }
    }

    /// He wants another method: the first of ours that is among his and was not tried.
    fn other_method(&mut self, at: usize, wanted: &[u8], tools: Tools<'_>) -> Step {
        let mut later = self.server.methods.iter().enumerate().skip(at + 1);
        let number = |method: &Method| method.number();
        let found = later.find(|(_, method)| wanted.iter().any(|octet| MethodType::Plain(*octet) == number(method)));
        match found.map(|(next, _)| next) {
            Some(next) => self.begin_method(next, tools),
            None => {
                let theirs: Vec<String> =
                    wanted.iter().take(8).map(|number| MethodType::Plain(*number).to_string()).collect();
                let ours: Vec<String> = self.server.methods.iter().map(ToString::to_string).collect();
                self.failed(alloc::format!(
                    "{} takes {}, and not {}",
                    shown(&self.user),
                    theirs.join(" or "),
                    ours.join(" or ")
                ))
            }
        }
    }

    fn begin_method(&mut self, at: usize, tools: Tools<'_>) -> Step {
        let Some(method) = self.server.methods.get(at).copied() else {
            return self.failed("no method is configured");
        };
        let mut run = method.server(&self.user, &self.server);
        let data = run.begin(self.identifier.wrapping_add(1), tools);
        self.state = State::Method { at, run, begun: false };
        self.ask(method.number(), &data)
    }

    fn ask(&mut self, kind: MethodType, data: &[u8]) -> Step {
        self.identifier = self.identifier.wrapping_add(1);
        let data = [&kind.octets(), data].concat();
        Step::Say(Eap { code: EapCode::REQUEST, identifier: self.identifier, data })
    }

    fn failed(&mut self, why: impl Into<String>) -> Step {
        self.state = State::Over;
        Step::Done { last: Some(self.result(EapCode::FAILURE)), outcome: Err(why.into()) }
    }

    /// RFC 3748 §4.2: with the identifier of the response that it answers.
    fn result(&self, code: EapCode) -> Eap {
        Eap { code, identifier: self.identifier, data: Vec::new() }
    }
}

/// A user's name for a report.
fn shown(user: &[u8]) -> String {
    alloc::format!("{}", account::identity(user))
}
