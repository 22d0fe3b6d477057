//! EAP: whatever the other side says, it ends; by SIMs, nobody is taken for proven.

use std::sync::Arc;

use ravelin_eap::tls::{NoTls, Tls, TlsMaker, TlsSide};
use ravelin_eap::{
    Account, Accounts, Authenticator, Client, Conversation, Forgetful, Method, Peer, Server, Step, Tools, limits,
};
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

/// A side and a method, then messages: each the words of its attributes and the data behind the type.
pub fn sims(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else { return };
    let (method, number) = match choice & 3 {
        0 => (Method::Sim, 18),
        1 => (Method::Aka, 23),
        _ => (Method::AkaPrime, 50),
    };
    let user = Identity::Rfc822("0555444333222111@example.org".into());
    let secret = Secret::new((0..32).collect());
    let tools = Tools { tls: &NoTls, random: &|out| out.fill(9), memory: &Forgetful };
    let is_peer = choice & 4 == 0;
    let mut conversation = if is_peer {
        Conversation::Peer(Peer::new(Client { user, methods: vec![method], password: secret, tls: TlsSide::default() }))
    } else {
        let accounts: Arc<[Account]> = [Account { owners: Vec::new(), password: secret }].into();
        let server = Server { methods: vec![method], accounts: Accounts(accounts), ..Server::default() };
        Conversation::Authenticator(Authenticator::new(server, &user))
    };
    let mut identifier = 0;
    if !is_peer {
        let Step::Say(asked) = conversation.turn(None, tools) else { panic!("nothing is asked") };
        identifier = asked.identifier;
    }
    while let Some((length, behind)) = rest.split_first() {
        let (data, behind) = behind.split_at(behind.len().min(3 + usize::from(*length) * 4));
        rest = behind;
        let code = if is_peer { EapCode::REQUEST } else { EapCode::RESPONSE };
        let heard = Eap { code, identifier, data: [&[number], data].concat() };
        match conversation.turn(Some(&heard), tools) {
            Step::Say(said) => identifier = if is_peer { identifier.wrapping_add(1) } else { said.identifier },
            Step::Done { outcome, .. } => {
                assert!(outcome.is_err(), "nobody here knows how to make a MAC");
                return;
            }
        }
    }
    let success = Eap { code: EapCode::SUCCESS, identifier, data: Vec::new() };
    if let (true, Step::Done { outcome, .. }) = (is_peer, conversation.turn(Some(&success), tools)) {
        assert!(outcome.is_err(), "success before the authenticator has proven anything");
    }
}

/// Everything else that talks in EAP, with TLS that hides nothing: a side and a method, then messages, each behind its length in two
/// octets.
pub fn methods(input: &[u8]) {
    const METHODS: [Method; 7] =
        [Method::Md5, Method::Gtc, Method::MsChapV2, Method::Tls, Method::Ttls, Method::TtlsPap, Method::Peap];
    let Some((choice, mut rest)) = input.split_first() else { return };
    let method = METHODS[usize::from(choice & 15) % METHODS.len()];
    let is_peer = choice & 0x10 == 0;
    let user = Identity::Fqdn("carol".into());
    let secret = Secret::from(&b"sesame"[..]);
    let tools = Tools { tls: &ClearMaker, random: &|out| out.fill(9), memory: &Forgetful };
    let mut conversation = if is_peer {
        let tls = TlsSide { trust: Some(Arc::default()), ..TlsSide::default() };
        Conversation::Peer(Peer::new(Client { user, methods: vec![method], password: secret, tls }))
    } else {
        let accounts: Arc<[Account]> = [Account { owners: vec![user.clone()], password: secret }].into();
        let server = Server {
            methods: vec![method],
            ask_identity: true,
            accounts: Accounts(accounts),
            tls: TlsSide { credential: Some(Arc::default()), ..TlsSide::default() },
            ..Server::default()
        };
        Conversation::Authenticator(Authenticator::new(server, &user))
    };
    let (mut identifier, mut heard) = (0, None);
    for turn in 0.. {
        assert!(turn <= limits::TURNS, "it has no end");
        if !is_peer || heard.is_some() {
            match conversation.turn(heard.as_ref(), tools) {
                Step::Say(said) if is_peer => {
                    assert_eq!((said.code, said.identifier), (EapCode::RESPONSE, identifier));
                    identifier = identifier.wrapping_add(1);
                }
                Step::Say(said) => {
                    assert_eq!(said.code, EapCode::REQUEST);
                    identifier = said.identifier;
                }
                Step::Done { last, outcome } => {
                    assert_eq!(last.is_some_and(|last| last.code == EapCode::SUCCESS), !is_peer && outcome.is_ok());
                    let words =
                        outcome.map_or_else(|why| why, |proven| format!("{}", ravelin_eap::identity(&proven.user)));
                    assert!(!words.chars().any(char::is_control), "a peer writes to a log: {words:?}");
                    return;
                }
            }
        }
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        let (data, behind) = behind.split_at(behind.len().min(usize::from(u16::from_be_bytes(*length))));
        rest = behind;
        let code = if is_peer { EapCode::REQUEST } else { EapCode::RESPONSE };
        heard = Some(Eap { code, identifier, data: data.to_vec() });
    }
    if is_peer {
        let success = Eap { code: EapCode::SUCCESS, identifier, data: Vec::new() };
        drop(conversation.turn(Some(&success), tools));
    }
}

/// What the other side writes is what comes out.
#[derive(Default)]
struct Clear {
    heard: Vec<u8>,
    said: Vec<u8>,
}

struct ClearMaker;

impl TlsMaker for ClearMaker {
    fn connect(&self, _: &TlsSide) -> Result<Box<dyn Tls>, String> {
        Ok(Box::new(Clear { said: b"hello".to_vec(), ..Clear::default() }))
    }

    fn accept(&self, _: &TlsSide) -> Result<Box<dyn Tls>, String> {
        Ok(Box::new(Clear::default()))
    }
}

impl Tls for Clear {
    fn hear(&mut self, records: &[u8]) -> Result<(), String> {
        self.heard.extend_from_slice(records);
        if records.starts_with(b"alert") { Err("an alert".into()) } else { Ok(()) }
    }

    fn say(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.said)
    }

    fn is_established(&self) -> bool {
        true
    }

    fn is_version_13(&self) -> bool {
        self.heard.len().is_multiple_of(2)
    }

    fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    fn write(&mut self, data: &[u8]) {
        self.said.extend_from_slice(data);
    }

    fn export(&self, _: &str, _: Option<&[u8]>, out: &mut [u8]) -> Result<(), String> {
        out.fill(1);
        Ok(())
    }

    fn peer(&self) -> Option<ravelin_pki::Certificate> {
        None
    }
}
