//! The two ends against each other, and ends that break the rules; `vectors.rs`: what the RFCs publish.

mod vectors;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use std::sync::Mutex;

use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use super::attribute::{self as at, Draft, Heard, Message};
use super::card::Card;
use super::challenge::{Triplet, Vector};
use super::keys::{Hello, Keys};
use super::*;
use crate::tls::{NoTls, TlsSide};
use crate::{Account, Accounts, Authenticator, Client, Conversation, Method, Proven, Step, Tools};

pub(super) fn hex<const N: usize>(digits: &str) -> [u8; N] {
    super::card::hex(&digits.replace(' ', "")).unwrap()
}

/// Test set 1 of 3GPP TS 35.208.
fn secret() -> Secret {
    Secret::from(&b"0x465b5ce8b199b49faa5f0a2ee238a6bccd63cb71954a9f4e48a5994e37a02baf"[..])
}

const METHODS: [Method; 3] = [Method::Sim, Method::Aka, Method::AkaPrime];
const USER: &str = "0262010000000001@example.org";

/// Remembers, as a daemon does.
#[derive(Default)]
struct Remembers(Mutex<Sims>);

impl Memory for Remembers {
    fn with(&self, act: &mut dyn FnMut(&mut Sims)) {
        act(&mut self.0.lock().unwrap());
    }
}

/// A user and who asks him, each with a memory of its own.
struct Ends {
    client: Client,
    server: crate::Server,
    memories: [Remembers; 2],
    drawn: Mutex<u8>,
}

type Outcome = Result<Proven, String>;

impl Ends {
    fn new(methods: &[Method]) -> Self {
        let user = Identity::Rfc822(USER.into());
        let (methods, tls) = (methods.to_vec(), TlsSide::default());
        let account = Account { owners: vec![Identity::Fqdn("262010000000001".into())], password: secret() };
        let accounts = Accounts(vec![account].into());
        let server = crate::Server { methods: methods.clone(), accounts, ask_identity: true, ..Default::default() };
        let client = Client { user, methods, password: secret(), tls };
        Ends { client, server, memories: Default::default(), drawn: Mutex::new(0) }
    }

    fn tools<T>(&self, side: usize, act: impl FnOnce(Tools<'_>) -> T) -> T {
        let random = |out: &mut [u8]| {
            let mut drawn = self.drawn.lock().unwrap();
            out.iter_mut().for_each(|octet| *octet = drawn.wrapping_mul(7));
            if let Some(first) = out.first_mut() {
                *first ^= 0x80 | *drawn;
            }
            *drawn = drawn.wrapping_add(1);
        };
        act(Tools { tls: &NoTls, random: &random, memory: &self.memories[side] })
    }

    fn talk(&self) -> (Outcome, Outcome, Vec<Eap>) {
        self.talk_with(|_, _| {})
    }

    /// With what somebody on the way does to the message of this number.
    fn talk_with(&self, mut on_the_way: impl FnMut(usize, &mut Eap)) -> (Outcome, Outcome, Vec<Eap>) {
        let mut peer = Conversation::Peer(crate::Peer::new(self.client.clone()));
        let nobody = Identity::Fqdn("nobody".into());
        let mut server = Conversation::Authenticator(Authenticator::new(self.server.clone(), &nobody));
        let mut step = self.tools(0, |tools| server.turn(None, tools));
        let mut asked = Err(String::from("the peer gave up"));
        let mut said = Vec::new();
        for number in 0.. {
            let mut heard = match step {
                Step::Say(eap) => eap,
                Step::Done { last, outcome } => {
                    asked = outcome;
                    last.unwrap()
                }
            };
            on_the_way(2 * number, &mut heard);
            said.push(heard.clone());
            match self.tools(1, |tools| peer.turn(Some(&heard), tools)) {
                Step::Say(mut eap) => {
                    on_the_way(2 * number + 1, &mut eap);
                    said.push(eap.clone());
                    step = self.tools(0, |tools| server.turn(Some(&eap), tools));
                }
                Step::Done { outcome, .. } => return (outcome, asked, said),
            }
            assert!(number < 20, "no end");
        }
        unreachable!()
    }

    /// Both sides agree; the subtypes of the requests.
    fn passes(&self) -> Vec<u8> {
        let (there, here, said) = self.talk();
        let (there, here) = (there.unwrap(), here.unwrap());
        assert_eq!(here.user, USER.as_bytes());
        let key = |proven: &Proven| proven.msk.as_ref().unwrap().expose().to_vec();
        assert_eq!((key(&there).len(), key(&there)), (64, key(&here)));
        let requests = said.iter().filter(|eap| eap.code == EapCode::REQUEST);
        requests.skip(1).map(|eap| eap.data[1]).collect()
    }
}

#[test]
fn both_ends_agree_and_go_on_from_there() {
    for method in METHODS {
        let ends = Ends::new(&[method]);
        let (identity, challenge) = if method == Method::Sim { (10, 11) } else { (5, 1) };
        assert_eq!(ends.passes(), [identity, challenge, NOTIFICATION], "{method}");
        // Fast, by the names of the last time, again and again.
        for _ in 0..3 {
            assert_eq!(ends.passes(), [identity, REAUTHENTICATION, NOTIFICATION], "{method}");
        }
        // Who asks has forgotten: neither name is known, and the card has seen a higher number.
        let ends = Ends { memories: [Remembers::default(), ends.memories.into_iter().nth(1).unwrap()], ..ends };
        let mut expected = vec![identity, identity, identity, challenge, challenge, NOTIFICATION];
        if method == Method::Sim {
            expected.remove(3);
        }
        assert_eq!(ends.passes(), expected, "{method}");
        // The user has forgotten.
        let ends = Ends { memories: [ends.memories.into_iter().next().unwrap(), Remembers::default()], ..ends };
        assert_eq!(ends.passes(), [identity, challenge, NOTIFICATION], "{method}");
    }
}

#[test]
fn names_of_the_last_time_hide_the_user() {
    for method in METHODS {
        let ends = Ends::new(&[method]);
        ends.passes();
        // What is said in the method, not before it.
        let hidden = |said: &[Eap]| {
            let said = said.iter().skip(2);
            said.filter(|eap| eap.data.windows(14).any(|octets| octets == b"26201000000000")).count() == 0
        };
        assert!(hidden(&ends.talk().2), "{method}");
        // A pseudonym, once there is nothing to go on from.
        let user = USER.as_bytes();
        let kind = [Kind::Sim, Kind::Aka, Kind::AkaPrime][METHODS.iter().position(|it| *it == method).unwrap()];
        assert!(ends.memories[1].0.lock().unwrap().take_again(user, kind).is_some());
        let (there, _, said) = ends.talk();
        assert!(there.is_ok() && hidden(&said), "{method}");
    }
}

#[test]
fn triplets_do_for_eap_sim_alone() {
    let mut ends = Ends::new(&[Method::Sim]);
    let triplets = Secret::from(vectors::rfc4186::TRIPLETS.as_bytes());
    ends.client.password = triplets.clone();
    ends.server.accounts = Accounts(vec![Account { owners: Vec::new(), password: triplets.clone() }].into());
    ends.passes();
    let mut ends = Ends::new(&[Method::Aka]);
    ends.server.accounts = Accounts(vec![Account { owners: Vec::new(), password: triplets }].into());
    assert!(ends.talk().1.unwrap_err().contains("takes K and OPc"));
}

#[test]
fn another_sim_and_an_unknown_user_are_refused() {
    for method in METHODS {
        let mut ends = Ends::new(&[method]);
        ends.client.password = Secret::new(vec![7; 32]);
        let (there, here, _) = ends.talk();
        assert!(there.unwrap_err().contains("does not know the key of the SIM"), "{method}");
        let here = here.unwrap_err();
        assert!(here.contains("gave up") || here.contains("does not take the challenge"), "{method}: {here}");
        let mut ends = Ends::new(&[method]);
        ends.client.user = Identity::Fqdn("0999".into());
        let (there, here, _) = ends.talk();
        assert!(here.unwrap_err().contains("there is no such user"), "{method}");
        assert!(there.unwrap_err().contains("does not take the user"), "{method}");
    }
}

// RFC 4187 §5.3: names of the last time are worth nothing when the account is not there, or has another SIM.
#[test]
fn who_is_known_no_more_does_not_go_on() {
    for method in METHODS {
        for password in [None, Some(Secret::new(vec![9; 32]))] {
            let mut ends = Ends::new(&[method]);
            ends.passes();
            let owners = vec![Identity::Fqdn("262010000000001".into())];
            let account = password.map(|password| Account { owners, password });
            ends.server.accounts = Accounts(account.into_iter().collect());
            assert!(ends.talk().1.is_err(), "{method}");
        }
    }
}

// Every octet of every message, damaged, and every message cut short: nobody comes to a good end by it.
#[test]
fn damaged_messages_end_it() {
    for method in METHODS {
        for rounds in [0, 1] {
            let count = {
                let ends = Ends::new(&[method]);
                (0..rounds).for_each(|_| drop(ends.talk()));
                ends.talk().2
            };
            for (number, message) in count.iter().enumerate().skip(2) {
                // What AT_MAC, the last attribute, has in front of the MAC is ignored (RFC 4187 §10.15).
                let ignored = message.data.len().saturating_sub(18)..message.data.len().saturating_sub(16);
                for offset in (1..message.data.len()).step_by(3).filter(|offset| !ignored.contains(offset)) {
                    for cut in [true, false] {
                        let ends = Ends::new(&[method]);
                        (0..rounds).for_each(|_| drop(ends.talk()));
                        let (there, here, _) = ends.talk_with(|at, eap| match (at == number, cut) {
                            (true, true) => eap.data.truncate(offset),
                            (true, false) => eap.data[offset] ^= 0x41,
                            (false, _) => {}
                        });
                        let protected = number + 3 < count.len();
                        let both = there.is_ok() && here.is_ok();
                        assert!(
                            !both || !protected || method == Method::Sim,
                            "{method} {rounds} {number} {offset} {cut}"
                        );
                        // The realm of a name for the next time is covered by nothing in EAP-SIM: then the keys differ, and the
                        // protocol around finds that out.
                        let realm = method == Method::Sim && rounds == 1 && number == 3;
                        if let (Ok(there), Ok(here)) = (there, here) {
                            let key = |proven: &Proven| proven.msk.as_ref().unwrap().expose().to_vec();
                            assert!(key(&there) == key(&here) || realm, "{method} {rounds} {number} {offset}");
                        }
                    }
                }
            }
        }
    }
}

/// A request to a peer of one method, after the ones of a good conversation so far.
fn answer_to(ends: &Ends, before: usize, data: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut said = None;
    let mut number = 0;
    let _ = ends.talk_with(|at, eap| {
        number = at;
        if at == before {
            eap.data = [&eap.data[..1], &data].concat();
        }
        if at == before + 1 {
            said = Some(eap.data[1..].to_vec());
        }
    });
    said.ok_or_else(|| number.to_string())
}

fn client_error_of(said: &[u8]) -> Option<u16> {
    let message = Message::parse(Heard { code: 2, identifier: 0, data: said }).ok()?;
    message.number(at::CLIENT_ERROR_CODE).ok().flatten().filter(|_| message.subtype == CLIENT_ERROR)
}

#[test]
fn what_breaks_the_rules_is_answered_by_a_client_error() {
    let rand = [1; 16];
    let twice = Draft::new(11).fixed(at::RAND, &[rand, [2; 16], rand].concat());
    let one = Draft::new(11).fixed(at::RAND, &rand);
    let four = Draft::new(11).fixed(at::RAND, &[[1; 16], [2; 16], [3; 16], [4; 16]].concat());
    let no_mac = Draft::new(11).fixed(at::RAND, &[rand, [2; 16]].concat());
    let versions = |list: &[u8]| Draft::new(10).number(at::ANY_ID_REQ, 0).counted(at::VERSION_LIST, list);
    let two_questions = versions(&[0, 1]).number(at::FULLAUTH_ID_REQ, 0);
    for (method, before, draft, code) in [
        (Method::Sim, 4, twice, 0),
        (Method::Sim, 4, four, 0),
        (Method::Sim, 4, one, 2),
        (Method::Sim, 4, no_mac, 0),
        (Method::Sim, 2, versions(&[0, 9]), 1),
        (Method::Sim, 2, versions(&[0]), 0),
        (Method::Sim, 2, two_questions, 0),
        // A challenge before the start, an unknown subtype, an attribute that must not be skipped, one twice, none.
        (Method::Sim, 2, Draft::new(11).fixed(at::RAND, &[rand, [2; 16]].concat()), 0),
        (Method::Aka, 2, Draft::new(99), 0),
        (Method::Aka, 2, Draft::new(5).number(at::ANY_ID_REQ, 0).number(127, 0), 0),
        (Method::Aka, 2, Draft::new(5).number(at::ANY_ID_REQ, 0).number(at::ANY_ID_REQ, 0), 0),
        (Method::Aka, 2, Draft::new(5), 0),
        (Method::Aka, 4, Draft::new(1).fixed(at::AUTN, &rand), 0),
        (Method::Aka, 4, Draft::new(REAUTHENTICATION), 0),
        // The same question again, and what was more asked for before.
        (Method::Aka, 4, Draft::new(5).number(at::ANY_ID_REQ, 0), 0),
        // A result before anything was proven.
        (Method::Aka, 4, Draft::new(NOTIFICATION).number(at::NOTIFICATION, SUCCESS), 0),
        (Method::Aka, 4, Draft::new(NOTIFICATION), 0),
    ] {
        let data = draft.plain();
        let said = answer_to(&Ends::new(&[method]), before, data.clone()).unwrap();
        assert_eq!(client_error_of(&said), Some(code), "{method} {data:02x?}: {said:02x?}");
    }
    // Row 103 of docs/HISTORY.md: attributes of no length, beyond the end, cut short, and of another length than theirs, at the end and
    // with more behind them; those that may be skipped, too.
    let more = Draft::new(5).number(at::ANY_ID_REQ, 0).plain();
    for kind in [at::ANY_ID_REQ, at::PADDING, 100, 200, at::IV, at::ENCR_DATA, 255] {
        for length in [0, 2, 5, 0x40, 0xff] {
            let odd = [kind, length, 0, 0];
            let mut all = vec![[&more[..3], &odd].concat(), [&more[..], &odd].concat()];
            if length == 0 {
                all.push([&more[..3], &odd, &more[3..]].concat());
            }
            for data in all {
                let said = answer_to(&Ends::new(&[Method::Aka]), 2, data.clone()).unwrap();
                assert_eq!(client_error_of(&said), Some(0), "{data:02x?}: {said:02x?}");
            }
        }
    }
    for cut in 0..more.len() {
        let said = answer_to(&Ends::new(&[Method::Aka]), 2, more[..cut].to_vec()).unwrap();
        assert_eq!(client_error_of(&said), Some(0), "{cut} octets: {said:02x?}");
    }
    // What may be skipped is.
    let skippable = Draft::new(5).number(at::ANY_ID_REQ, 0).number(200, 0).plain();
    assert_eq!(answer_to(&Ends::new(&[Method::Aka]), 2, skippable).unwrap()[0], 5);
}

// RFC 4187 §6.3.1: an AUTN that is not of the network is rejected, one with an old number asks for a higher one.
// Row 103 of docs/HISTORY.md: what is encrypted is of whole blocks, and the attributes in it are held to the same.
#[test]
fn what_is_encrypted_is_held_to_its_lengths() {
    let (keys, _) = Keys::of_triplets(USER.as_bytes(), &[], &Hello::default());
    let iv = [7; 16];
    let open = |draft: Draft| {
        let data = draft.plain();
        let message = Message::parse(Heard { code: 1, identifier: 0, data: &data })?;
        message.open(&keys)?.attributes().map(|attributes| attributes.has(at::COUNTER))
    };
    let sealed = |plain: &[u8]| {
        let mut plain = plain.to_vec();
        keys.seal(&iv, &mut plain);
        Draft::new(REAUTHENTICATION).fixed(at::IV, &iv).fixed(at::ENCR_DATA, &plain)
    };
    let counter = [at::COUNTER, 1, 0, 1];
    let with = |rest: &[u8]| [&counter[..], rest].concat();
    assert_eq!(open(sealed(&with(&[&[at::PADDING, 3][..], &[0; 10]].concat()))), Ok(true));
    for length in [0, 4, 12, 20, 28, 36] {
        let draft = Draft::new(REAUTHENTICATION).fixed(at::IV, &iv).fixed(at::ENCR_DATA, &vec![0; length]);
        assert!(open(draft).unwrap_err().contains("whole blocks"), "{length}");
    }
    for (iv, encrypted) in
        [(None, Some(16)), (Some(16), None), (Some(12), Some(16)), (Some(20), Some(16)), (Some(0), Some(16))]
    {
        let draft = Draft::new(REAUTHENTICATION);
        let draft = draft.when(iv.is_some(), |draft| draft.fixed(at::IV, &vec![7; iv.unwrap_or(0)]));
        let draft =
            draft.when(encrypted.is_some(), |draft| draft.fixed(at::ENCR_DATA, &vec![0; encrypted.unwrap_or(0)]));
        assert!(open(draft).is_err(), "{iv:?} {encrypted:?}");
    }
    // AT_PADDING and others of no length, beyond the end, and padding that says something.
    for rest in [
        [&[at::PADDING, 0][..], &[0; 10]].concat(),
        [&[at::PADDING, 4][..], &[0; 10]].concat(),
        [&[at::PADDING, 255][..], &[0; 10]].concat(),
        [&[at::PADDING, 3][..], &[0; 9], &[1]].concat(),
        [&[at::PADDING, 1, 0, 0, at::PADDING, 2][..], &[0; 6]].concat(),
        [&[at::NONCE_S, 0][..], &[0; 10]].concat(),
        [&[at::NEXT_REAUTH_ID, 4][..], &[0; 10]].concat(),
        [&[200, 0][..], &[0; 10]].concat(),
        vec![0; 12],
    ] {
        assert!(open(sealed(&with(&rest))).is_err(), "{rest:02x?}");
    }
}

#[test]
fn challenges_of_others_and_old_ones() {
    for method in [Method::Aka, Method::AkaPrime] {
        let kind = if method == Method::Aka { Kind::Aka } else { Kind::AkaPrime };
        let card = Card::parse(&secret()).unwrap();
        let ask = |vector: &Vector, functions: &[u16]| {
            let draft = Draft::new(1).fixed(at::RAND, &vector.rand).fixed(at::AUTN, &vector.autn);
            let draft = functions.iter().fold(draft, |draft, function| draft.number(at::KDF, *function));
            draft.when(!functions.is_empty(), |draft| draft.counted(at::KDF_INPUT, b"WLAN"))
        };
        let functions: &[u16] = if kind == Kind::AkaPrime { &[KDF] } else { &[] };
        let mut forged = card.challenge(kind, [5; 16], 320).unwrap();
        forged.autn[15] ^= 1;
        let said = answer_to(&Ends::new(&[method]), 4, ask(&forged, functions).plain()).unwrap();
        assert_eq!(said, Draft::new(REJECT).plain(), "{method}");
        // A number that the card has seen, of which it proves the highest.
        let ends = Ends::new(&[method]);
        ends.memories[1].0.lock().unwrap().saw(USER.as_bytes(), 320);
        let old = card.challenge(kind, [5; 16], 320).unwrap();
        let said = answer_to(&ends, 4, ask(&old, functions).plain()).unwrap();
        let message = Message::parse(Heard { code: 2, identifier: 0, data: &said }).unwrap();
        let auts = message.get(at::AUTS).unwrap().try_into().unwrap();
        assert_eq!((message.subtype, message.numbers(at::KDF).unwrap()), (SYNCHRONIZATION, functions.to_vec()));
        assert_eq!(card.seen(kind, &[5; 16], auts), Some(320));
        // The same challenge that passed, once more.
        let ends = Ends::new(&[method]);
        let (.., said) = ends.talk();
        let replayed = said[4].data[1..].to_vec();
        ends.memories[1].0.lock().unwrap().take_again(USER.as_bytes(), kind);
        assert_eq!(answer_to(&ends, 4, replayed).unwrap()[0], SYNCHRONIZATION, "{method}");
    }
}

// RFC 9048 §3: functions of keys, names of networks, challenges for AKA.
#[test]
fn what_aka_prime_alone_checks() {
    let card = Card::parse(&secret()).unwrap();
    let good = card.challenge(Kind::AkaPrime, [5; 16], 320).unwrap();
    let for_aka = card.challenge(Kind::Aka, [5; 16], 320).unwrap();
    let ask = |vector: &Vector, network: Option<&[u8]>, functions: &[u16]| {
        let draft = Draft::new(1).fixed(at::RAND, &vector.rand).fixed(at::AUTN, &vector.autn);
        let draft = functions.iter().fold(draft, |draft, function| draft.number(at::KDF, *function));
        let (keys, _) = Keys::of_vector(Kind::AkaPrime, USER.as_bytes(), vector, network.unwrap_or_default());
        let draft = match network {
            Some(network) => draft.counted(at::KDF_INPUT, network),
            None => draft,
        };
        // The identifier of the third request.
        (draft, keys)
    };
    let network: Option<&[u8]> = Some(b"WLAN");
    let reject = Draft::new(REJECT).plain();
    for (vector, network, functions) in [
        (&for_aka, network, &[1][..]),
        (&good, None, &[1]),
        (&good, Some(&b""[..]), &[1]),
        (&good, network, &[]),
        (&good, network, &[2]),
        (&good, network, &[1, 2, 2]),
        (&good, network, &[1, 1]),
    ] {
        let (draft, _) = ask(vector, network, functions);
        assert_eq!(answer_to(&Ends::new(&[Method::AkaPrime]), 4, draft.plain()).unwrap(), reject, "{functions:?}");
    }
    // Another function than the first is asked for, and must then be the first of the same list.
    let (draft, _) = ask(&good, network, &[2, 1]);
    let asked = answer_to(&Ends::new(&[Method::AkaPrime]), 4, draft.plain()).unwrap();
    assert_eq!(asked, Draft::new(1).number(at::KDF, KDF).plain());
    let ends = Ends::new(&[Method::AkaPrime]);
    for (then, passes) in [(&[1, 2, 1][..], true), (&[1, 2], false), (&[2, 1], false), (&[1, 2, 1, 3], false)] {
        let mut peer = super::Peer::new(Kind::AkaPrime, USER.as_bytes(), &ends.client);
        let said = ends.tools(1, |tools| {
            let (first, _) = ask(&good, network, &[2, 1]);
            crate::method::PeerMethod::answer(&mut peer, 7, &first.plain(), tools).unwrap();
            let (second, keys) = ask(&good, network, then);
            let second = second.signed(&keys, Kind::AkaPrime, (1, 8), &[]);
            crate::method::PeerMethod::answer(&mut peer, 8, &second, tools).unwrap()
        });
        assert_eq!(said[0] == 1, passes, "{then:?}: {said:02x?}");
        ends.memories[1].0.lock().unwrap().saw(USER.as_bytes(), 0);
    }
}

// RFC 9048 §4: somebody on the way wants EAP-AKA where both would have taken EAP-AKA'.
#[test]
fn nobody_is_bid_down() {
    let mut ends = Ends::new(&[Method::AkaPrime, Method::Aka]);
    ends.server.methods = vec![Method::Aka, Method::AkaPrime];
    let (there, here, _) = ends.talk();
    assert!(there.unwrap_err().contains("both sides take EAP-AKA'") && here.is_err());
    let mut ends = Ends::new(&[Method::Aka]);
    ends.server.methods = vec![Method::AkaPrime, Method::Aka];
    assert!(ends.talk().0.is_ok());
}

// RFC 4187 §5.5.
#[test]
fn a_counter_that_was_there_leads_to_a_full_authentication() {
    for (method, kind) in METHODS.into_iter().zip([Kind::Sim, Kind::Aka, Kind::AkaPrime]) {
        let ends = Ends::new(&[method]);
        ends.passes();
        let mut sims = ends.memories[1].0.lock().unwrap();
        let mut again = sims.take_again(USER.as_bytes(), kind).unwrap();
        again.counter = 9;
        sims.keep(USER.as_bytes(), kind, None, Some(again));
        drop(sims);
        let expected: &[u8] = if method == Method::Sim { &[10, 13, 10, 11, 12] } else { &[5, 13, 1, 12] };
        assert_eq!(ends.passes(), expected, "{method}");
    }
}

// CVE-2021-45079: success at every moment before the end, and failure that comes as a result.
#[test]
fn early_success_is_never_believed() {
    for method in METHODS {
        for before in [0, 2, 4, 6] {
            let (there, ..) = Ends::new(&[method]).talk_with(|at, eap| {
                if at == before {
                    *eap = Eap { code: EapCode::SUCCESS, identifier: eap.identifier, data: Vec::new() };
                }
            });
            assert!(there.unwrap_err().contains("success before"), "{method} {before}");
        }
        let denied = Draft::new(NOTIFICATION).number(at::NOTIFICATION, EARLY).plain();
        let (there, ..) = Ends::new(&[method]).talk_with(|at, eap| {
            if at == 4 {
                eap.data = [&eap.data[..1], &denied].concat();
            }
        });
        assert!(there.is_err(), "{method}");
    }
}
