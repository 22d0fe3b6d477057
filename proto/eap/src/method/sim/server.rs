//! The authenticator's end: asks a SIM, as the network that has given it out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ravelin_types::Secret;

use super::attribute::{self as at, Draft, Heard, Message};
use super::card::Card;
use super::challenge::Triplet;
use super::keys::{self, Hello, Keys, same};
use super::memory::Again;
use super::{
    CLIENT_ERROR, EARLY, KDF, Kind, NOTIFICATION, PREFERS_PRIME, REAUTHENTICATION, REJECT, REQUEST, RESPONSE, SUCCESS,
    SYNCHRONIZATION, VERSION, split_realm,
};
use crate::account::Accounts;
use crate::authenticator;
use crate::limits;
use crate::method::{Judgement, Method, ServerMethod};
use crate::turn::Tools;

/// The network that keys of AKA' are for: 3GPP TS 24.302 §8.1.1.2 has this name for access that is none of its own kinds.
const NETWORK: &[u8] = b"WLAN";
/// Challenges for EAP-SIM at once; two would give keys of half the strength (RFC 4186 §12.3).
const TRIPLETS: usize = 3;
/// Octets of randomness in a name that is given away.
const NAME: usize = 16;
const NO_SIM: &str = "the SIM is not that of the user, or there is no such user";

pub(in crate::method) struct Server {
    kind: Kind,
    accounts: Accounts,
    /// Whether AKA' is taken as well.
    takes_prime: bool,
    /// What was said about identities (AT_CHECKCODE).
    transcript: Vec<u8>,
    /// The request that was asked last, as a whole message.
    asked: Vec<u8>,
    /// Whom the user said, as it was said: keys come from it.
    said: Vec<u8>,
    /// Who that is, and his secret.
    user: Vec<u8>,
    secret: Secret,
    hello: Hello,
    state: State,
    synchronized: bool,
}

enum State {
    /// The user was asked who he is, by this attribute; `None`: for what else EAP-SIM needs.
    Identity(Option<u8>),
    Challenge(Box<Challenge>),
    Reauthentication(Box<Renewal>),
    /// He is told the result.
    Notification(Result<Secret, String>),
    Over,
}

/// A challenge under way.
struct Challenge {
    rand: [u8; 16],
    /// RES, or every SRES.
    expected: Vec<u8>,
    keys: Keys,
    msk: Secret,
    /// The names that are his when he answers.
    pseudonym: Vec<u8>,
    again: Vec<u8>,
}

/// A fast re-authentication under way.
struct Renewal {
    name: Vec<u8>,
    counter: u16,
    nonce: [u8; 16],
    keys: Keys,
    /// The name that is his when he answers.
    again: Vec<u8>,
}

impl Server {
    pub(in crate::method) fn new(kind: Kind, server: &authenticator::Server) -> Self {
        Server {
            kind,
            accounts: server.accounts.clone(),
            takes_prime: server.methods.contains(&Method::AkaPrime),
            transcript: Vec::new(),
            asked: Vec::new(),
            said: Vec::new(),
            user: Vec::new(),
            secret: Secret::default(),
            hello: Hello { versions: VERSION.to_be_bytes().to_vec(), ..Hello::default() },
            state: State::Over,
            synchronized: false,
        }
    }

    /// Identity, or Start: RFC 4187 §4.1.4, RFC 4186 §4.2.4.
    fn identify(&mut self, identifier: u8, request: Option<u8>) -> Vec<u8> {
        let draft = Draft::new(self.kind.identity());
        let draft = draft.when(self.kind == Kind::Sim, |draft| draft.counted(at::VERSION_LIST, &self.hello.versions));
        let data = match request {
            Some(request) => draft.number(request, 0),
            None => draft,
        };
        let data = data.plain();
        self.state = State::Identity(request);
        self.asked = at::packet(Heard { code: REQUEST, identifier, data: &data }, self.kind);
        data
    }

    fn hear(&mut self, heard: Heard<'_>, next: u8, tools: Tools<'_>) -> Result<Judgement, String> {
        let message = Message::parse(heard)?;
        let state = core::mem::replace(&mut self.state, State::Over);
        match (message.subtype, state) {
            // RFC 4187 §6.2: whatever he says to his result.
            (_, State::Notification(result)) => Ok(match result {
                Ok(msk) => Judgement::Passed { msk: Some(msk), user: Some(core::mem::take(&mut self.user)) },
                Err(why) => Judgement::Failed(why),
            }),
            (CLIENT_ERROR, _) => {
                let code = message.number(at::CLIENT_ERROR_CODE)?.unwrap_or_default();
                Ok(Judgement::Failed(client_error(code)))
            }
            (REJECT, State::Challenge(_)) if self.kind != Kind::Sim => Ok(Judgement::Failed(
                "the SIM does not take the challenge: it has another key, or was asked by another method".into(),
            )),
            (subtype, State::Identity(request)) if subtype == self.kind.identity() => {
                self.identity(&message, request, next, tools)
            }
            (subtype, State::Challenge(challenge)) if subtype == self.kind.challenge() => {
                self.answered(&message, *challenge, next, tools)
            }
            (SYNCHRONIZATION, State::Challenge(challenge)) if self.kind != Kind::Sim => {
                self.synchronize(&message, &challenge, next, tools)
            }
            (REAUTHENTICATION, State::Reauthentication(renewal)) => self.renewed(&message, *renewal, next, tools),
            (other, _) => Err(alloc::format!("a response of the subtype {other} out of turn")),
        }
    }

    /// RFC 4187 §4.1.7, RFC 4186 §4.2.6.
    fn identity(
        &mut self,
        message: &Message<'_>,
        request: Option<u8>,
        next: u8,
        tools: Tools<'_>,
    ) -> Result<Judgement, String> {
        let of_sim: &[u8] = if self.kind == Kind::Sim { &[at::NONCE_MT, at::SELECTED_VERSION] } else { &[] };
        message.only(&[&[at::IDENTITY], of_sim].concat())?;
        self.transcript.append(&mut self.asked);
        self.transcript.extend_from_slice(&message.packet(self.kind));
        let Some(request) = request else { return self.challenge_sim(message, next, tools) };
        let name = message.counted(at::IDENTITY)?.filter(|name| !name.is_empty() && name.len() <= limits::IDENTITY);
        self.said = name.ok_or("no name, or one that is too long")?.to_vec();
        let (kind, said) = (self.kind, &self.said);
        let found = tools.sims(|sims| sims.find(said, kind));
        // Whose account went, or has another SIM now, begins anew.
        let found = found.filter(|found| {
            self.accounts.sim(&found.user).is_some_and(|secret| same(secret.expose(), found.secret.expose()))
        });
        if let Some(found) = found {
            (self.user, self.secret) = (found.user, found.secret);
            return match found.again {
                Some(again) if request == at::ANY_ID_REQ => Ok(self.reauthenticate(again, next, tools)),
                _ => self.challenge_full(message, next, tools),
            };
        }
        let [_, pseudonym, again] = kind.marks();
        let given = is_given(said, &[pseudonym, again]);
        match self.accounts.sim(said).filter(|_| !given) {
            Some(secret) => {
                (self.user, self.secret) = (self.said.clone(), secret.clone());
                self.challenge_full(message, next, tools)
            }
            None => {
                let further = match request {
                    at::ANY_ID_REQ if is_given(said, &[pseudonym]) => at::PERMANENT_ID_REQ,
                    at::ANY_ID_REQ => at::FULLAUTH_ID_REQ,
                    at::FULLAUTH_ID_REQ => at::PERMANENT_ID_REQ,
                    _ => return Err(NO_SIM.into()),
                };
                Ok(Judgement::Ask(self.identify(next, Some(further))))
            }
        }
    }

    fn challenge_full(&mut self, message: &Message<'_>, next: u8, tools: Tools<'_>) -> Result<Judgement, String> {
        match self.kind {
            Kind::Sim => self.challenge_sim(message, next, tools),
            Kind::Aka | Kind::AkaPrime => self.challenge_aka(None, next, tools),
        }
    }

    fn challenge_sim(&mut self, message: &Message<'_>, next: u8, tools: Tools<'_>) -> Result<Judgement, String> {
        // RFC 4186 §4.1: one that was listed.
        let selected = message.number(at::SELECTED_VERSION)?.filter(|selected| *selected == VERSION);
        self.hello.selected = selected.ok_or("no version of EAP-SIM that was listed")?;
        self.hello.nonce = message.fixed(at::NONCE_MT)?.ok_or("no nonce")?;
        let card = Card::parse(&self.secret)?;
        let triplets: Vec<Triplet> = match &card {
            Card::Milenage(_) => (0..TRIPLETS).filter_map(|_| card.gsm(&tools.random_octets())).collect(),
            Card::Triplets(all) => {
                let start = tools.sims(|sims| sims.next_triplets(&self.user, TRIPLETS));
                let turned = (0..all.len()).filter_map(|at| all.get((start + at) % all.len()));
                let mut chosen: Vec<Triplet> = Vec::new();
                for triplet in turned {
                    if chosen.len() < TRIPLETS && chosen.iter().all(|other| other.rand != triplet.rand) {
                        chosen.push(triplet.clone());
                    }
                }
                chosen
            }
        };
        if triplets.len() < 2 {
            return Err("EAP-SIM takes two or three triplets, and the user has fewer".into());
        }
        let (keys, msk) = Keys::of_triplets(&self.said, &triplets, &self.hello);
        let rands: Vec<u8> = triplets.iter().flat_map(|triplet| triplet.rand).collect();
        let expected = triplets.iter().flat_map(|triplet| triplet.sres).collect();
        let draft = Draft::new(self.kind.challenge()).fixed(at::RAND, &rands);
        let nonce = self.hello.nonce;
        let challenge = Challenge { rand: [0; 16], expected, keys, msk, pseudonym: Vec::new(), again: Vec::new() };
        Ok(self.ask(draft, challenge, next, &nonce, tools))
    }

    /// With a number; `None`: the next one.
    fn challenge_aka(&mut self, number: Option<u64>, next: u8, tools: Tools<'_>) -> Result<Judgement, String> {
        let (card, user) = (Card::parse(&self.secret)?, &self.user);
        let number = tools.sims(|sims| {
            if let Some(number) = number {
                sims.set_number(user, number);
            }
            sims.next_number(user)
        });
        let vector = card.challenge(self.kind, tools.random_octets(), number)?;
        let (keys, msk) = Keys::of_vector(self.kind, &self.said, &vector, NETWORK);
        let draft = Draft::new(self.kind.challenge()).fixed(at::RAND, &vector.rand).fixed(at::AUTN, &vector.autn);
        let draft = match self.kind {
            Kind::AkaPrime => draft.number(at::KDF, KDF).counted(at::KDF_INPUT, NETWORK),
            // RFC 9048 §4: the user hears of AKA', whoever is on the way.
            _ => draft.when(self.takes_prime, |draft| draft.number(at::BIDDING, PREFERS_PRIME)),
        };
        let draft = draft.fixed(at::CHECKCODE, &keys::checkcode(self.kind, &self.transcript));
        let (rand, expected) = (vector.rand, vector.res.to_vec());
        let challenge = Challenge { rand, expected, keys, msk, pseudonym: Vec::new(), again: Vec::new() };
        Ok(self.ask(draft, challenge, next, &[], tools))
    }

    /// The challenge, with names for the next time.
    fn ask(&mut self, draft: Draft, mut challenge: Challenge, next: u8, covered: &[u8], tools: Tools<'_>) -> Judgement {
        let [_, pseudonym, again] = self.kind.marks();
        let (_, realm) = split_realm(&self.user);
        challenge.pseudonym = name(pseudonym, tools);
        challenge.again = [&name(again, tools), realm].concat();
        let inner = Draft::inner()
            .counted(at::NEXT_PSEUDONYM, &challenge.pseudonym)
            .counted(at::NEXT_REAUTH_ID, &challenge.again);
        let keys = &challenge.keys;
        let draft = draft.sealed(keys, tools.random_octets(), inner).number(at::RESULT_IND, 0);
        let data = draft.signed(keys, self.kind, (REQUEST, next), covered);
        self.state = State::Challenge(Box::new(challenge));
        Judgement::Ask(data)
    }

    fn answered(
        &mut self,
        message: &Message<'_>,
        challenge: Challenge,
        next: u8,
        tools: Tools<'_>,
    ) -> Result<Judgement, String> {
        let Challenge { expected, keys, msk, pseudonym, again, .. } = challenge;
        let (covered, allowed): (&[u8], &[u8]) = match self.kind {
            Kind::Sim => (&expected, &[at::MAC, at::RESULT_IND, at::IV, at::ENCR_DATA]),
            _ => (&[], &[at::MAC, at::RES, at::CHECKCODE, at::RESULT_IND, at::IV, at::ENCR_DATA]),
        };
        // RFC 9048 §3.2: one function of keys was offered, so there is no other to ask for.
        if !message.is_authentic(&keys, self.kind, covered) {
            return Err(NO_SIM.into());
        }
        message.only(allowed)?;
        if self.kind != Kind::Sim {
            let res = message.get(at::RES).and_then(|value| value.split_first_chunk::<2>());
            let (bits, res) = res.ok_or("no RES")?;
            if usize::from(u16::from_be_bytes(*bits)) != expected.len() * 8 || !same(res, &expected) {
                return Err(NO_SIM.into());
            }
            self.check_transcript(message)?;
        }
        let (kind, user, secret) = (self.kind, &self.user, &self.secret);
        let going_on = Again { name: again.clone(), counter: 0, keys: keys.clone() };
        tools.sims(|sims| {
            sims.give(kind, user, secret, &pseudonym, None);
            sims.give(kind, user, secret, &again, Some(going_on.clone()));
        });
        Ok(self.passed(message.has(at::RESULT_IND), (msk, &keys, None), next, tools))
    }

    /// He has seen a higher number (RFC 4187 §6.3.1).
    fn synchronize(
        &mut self,
        message: &Message<'_>,
        challenge: &Challenge,
        next: u8,
        tools: Tools<'_>,
    ) -> Result<Judgement, String> {
        message.only(&[at::AUTS, at::KDF])?;
        if core::mem::replace(&mut self.synchronized, true) {
            return Err("the SIM asks for another number again".into());
        }
        let expected: &[u16] = if self.kind == Kind::AkaPrime { &[KDF] } else { &[] };
        if message.numbers(at::KDF)? != expected {
            return Err("the functions of keys were changed on their way".into());
        }
        let auts = message.get(at::AUTS).and_then(|auts| auts.try_into().ok()).ok_or("no AUTS")?;
        let seen = Card::parse(&self.secret)?.seen(self.kind, &challenge.rand, auts).ok_or(NO_SIM)?;
        self.challenge_aka(Some(seen), next, tools)
    }

    /// RFC 4187 §5.4.
    fn reauthenticate(&mut self, again: Again, next: u8, tools: Tools<'_>) -> Judgement {
        let Again { name: said, counter, keys } = again;
        let [.., mark] = self.kind.marks();
        let (_, realm) = split_realm(&self.user);
        let again = [&name(mark, tools), realm].concat();
        let (counter, nonce) = (counter.saturating_add(1), tools.random_octets());
        let inner = Draft::inner().number(at::COUNTER, counter).fixed(at::NONCE_S, &nonce);
        // RFC 4187 §5.1: a counter that has come to its end needs another full authentication.
        let inner = inner.when(counter < limits::REAUTHENTICATIONS, |inner| inner.counted(at::NEXT_REAUTH_ID, &again));
        let draft = Draft::new(REAUTHENTICATION).sealed(&keys, tools.random_octets(), inner);
        let code = keys::checkcode(self.kind, &self.transcript);
        let draft = draft.when(self.kind != Kind::Sim, |draft| draft.fixed(at::CHECKCODE, &code));
        let data = draft.number(at::RESULT_IND, 0).signed(&keys, self.kind, (REQUEST, next), &[]);
        // The keys come from the name as it was said, which may have another realm.
        let name = if self.said.is_empty() { said } else { self.said.clone() };
        self.state = State::Reauthentication(Box::new(Renewal { name, counter, nonce, keys, again }));
        Judgement::Ask(data)
    }

    fn renewed(
        &mut self,
        message: &Message<'_>,
        renewal: Renewal,
        next: u8,
        tools: Tools<'_>,
    ) -> Result<Judgement, String> {
        let Renewal { name, counter, nonce, keys, again } = renewal;
        if !message.is_authentic(&keys, self.kind, &nonce) {
            return Err("the user does not know the keys of the last time".into());
        }
        message.only(&[at::MAC, at::CHECKCODE, at::RESULT_IND, at::IV, at::ENCR_DATA])?;
        let opened = message.open(&keys)?;
        let inner = opened.attributes()?;
        if inner.number(at::COUNTER)? != Some(counter) {
            return Err("another counter than in the request".into());
        }
        if inner.has(at::COUNTER_TOO_SMALL) {
            return match self.kind {
                Kind::Sim => Ok(Judgement::Ask(self.identify(next, None))),
                Kind::Aka | Kind::AkaPrime => self.challenge_aka(None, next, tools),
            };
        }
        if self.kind != Kind::Sim {
            self.check_transcript(message)?;
        }
        if counter < limits::REAUTHENTICATIONS {
            let (kind, user, secret) = (self.kind, &self.user, &self.secret);
            let going_on = Again { name: again.clone(), counter, keys: keys.clone() };
            tools.sims(|sims| sims.give(kind, user, secret, &again, Some(going_on.clone())));
        }
        let msk = keys.renewed(&name, counter, &nonce);
        Ok(self.passed(message.has(at::RESULT_IND), (msk, &keys, Some(counter)), next, tools))
    }

    /// RFC 4187 §10.13.
    fn check_transcript(&self, message: &Message<'_>) -> Result<(), String> {
        let ours = keys::checkcode(self.kind, &self.transcript);
        let theirs = message.get(at::CHECKCODE).map(|value| value.get(2..).unwrap_or_default());
        match theirs.is_none_or(|theirs| same(theirs, &ours)) {
            true => Ok(()),
            false => Err("what was said about identities was changed on its way".into()),
        }
    }

    /// He has proven himself; where he wants that, he is told so protected.
    fn passed(
        &mut self,
        told: bool,
        (msk, keys, counter): (Secret, &Keys, Option<u16>),
        next: u8,
        tools: Tools<'_>,
    ) -> Judgement {
        if !told {
            return Judgement::Passed { msk: Some(msk), user: Some(core::mem::take(&mut self.user)) };
        }
        let draft = Draft::new(NOTIFICATION).number(at::NOTIFICATION, SUCCESS);
        let draft = match counter {
            Some(counter) => draft.sealed(keys, tools.random_octets(), Draft::inner().number(at::COUNTER, counter)),
            None => draft,
        };
        self.state = State::Notification(Ok(msk));
        Judgement::Ask(draft.signed(keys, self.kind, (REQUEST, next), &[]))
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, identifier: u8, _: Tools<'_>) -> Vec<u8> {
        self.identify(identifier, Some(at::ANY_ID_REQ))
    }

    fn judge(&mut self, identifier: u8, next: u8, data: &[u8], tools: Tools<'_>) -> Judgement {
        match self.hear(Heard { code: RESPONSE, identifier, data }, next, tools) {
            Ok(judgement) => judgement,
            // RFC 4187 §6.3.2: the user hears of it before he is refused. Nothing was proven, so nothing is protected.
            Err(why) => {
                self.state = State::Notification(Err(why));
                Judgement::Ask(Draft::new(NOTIFICATION).number(at::NOTIFICATION, EARLY).plain())
            }
        }
    }

    fn verdict(&self) -> Option<&str> {
        match &self.state {
            State::Notification(Err(why)) => Some(why),
            _ => None,
        }
    }
}

/// A name for the next time, without a realm.
fn name(mark: u8, tools: Tools<'_>) -> Vec<u8> {
    let random: [u8; NAME] = tools.random_octets();
    let digits = random.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let digit = |nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
    core::iter::once(mark).chain(digits.map(digit)).collect()
}

/// Whether a name has the form of those that are given away.
fn is_given(said: &[u8], marks: &[u8]) -> bool {
    let (bare, _) = split_realm(said);
    bare.len() == 1 + 2 * NAME && bare.first().is_some_and(|mark| marks.contains(mark))
}

/// What a user says when he cannot go on (RFC 4186 §10.19).
fn client_error(code: u16) -> String {
    let why = match code {
        1 => "it knows no version of EAP-SIM that was listed",
        2 => "it wants more challenges for the SIM",
        3 => "it takes the challenges for the SIM for old ones",
        _ => "it could not process what was asked",
    };
    alloc::format!("the user's side gave up: {why} (error {code})")
}
