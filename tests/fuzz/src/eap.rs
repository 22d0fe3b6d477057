//! EAP-SIM, AKA and AKA': whatever the other side says, it ends, and nobody is taken for proven.

use std::sync::Arc;

use ravelin_eap::tls::{NoTls, TlsSide};
use ravelin_eap::{
    Account, Accounts, Authenticator, Client, Conversation, Forgetful, Method, Peer, Server, Step, Tools,
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
