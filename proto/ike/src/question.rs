//! Slow or outside work: signing with a private key, judging a peer's certificates and signature, the turns of an EAP
//! conversation, behind which a server elsewhere may stand, key exchanges that take long, and where a host of a name is.
//!
//! The endpoint asks ([`Output::Ask`](crate::Output::Ask)), goes on with other peers, and takes the answer when it comes
//! ([`Input::Done`](crate::Input::Done)). Whoever answers may do so in a thread, from a token, or at once with
//! [`Question::answer`].

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto::{BadPublicValue, CryptoProvider, KePrivate, SecureRandom};
use ravelin_eap::{Conversation, Step, Tools};
use ravelin_pki::Wish;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Claim, Credential, Proof, Refusal, Trust, World};
use ravelin_types::transform::KeMethod;
use ravelin_types::{HostName, Identity, Secret};
use ravelin_wire::ike::v2::{Eap, PuzzleSolution};

use crate::open::Gateway;
use crate::puzzle::Puzzle;

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// Sign, so that the peer can verify.
    Sign {
        /// With what.
        credential: Arc<Credential>,
        /// What the peer lets us prove ourselves with.
        peer: Accepts,
        /// What it wants beside the signature.
        wish: Wish,
        /// What AUTH covers.
        octets: Vec<u8>,
    },
    /// Sign a hash as IKEv1 does.
    SignHash {
        /// With what.
        credential: Arc<Credential>,
        /// HASH_I or HASH_R.
        hash: Vec<u8>,
    },
    /// Say whether a peer is who it says it is.
    Judge {
        /// Whom we believe.
        trust: Arc<Trust>,
        /// Who it says it is.
        identity: Identity,
        /// Encoding and data of its CERT payloads.
        certificates: Vec<(u8, Vec<u8>)>,
        /// Its AUTH.
        proof: Proof,
        /// What AUTH covers.
        octets: Vec<u8>,
    },
    /// Take a turn in an EAP conversation.
    Converse {
        /// The conversation, which comes back with the answer.
        conversation: Box<Conversation>,
        /// What the other side said; `None`: nobody has said anything yet.
        heard: Option<Eap>,
    },
    /// Solve a puzzle. It takes seconds of computing.
    Solve(Puzzle),
    /// Take the initiator's first step of a key exchange. Whoever refuses a step leaves it to the endpoint.
    Generate {
        /// By which method.
        method: KeMethod,
    },
    /// Take the initiator's second step.
    Agree {
        /// What the first one gave.
        private: Arc<dyn KePrivate>,
        /// The peer's public value.
        public: Vec<u8>,
    },
    /// Take the responder's step.
    Exchange {
        /// By which method.
        method: KeMethod,
        /// The peer's public value.
        public: Vec<u8>,
    },
    /// Say where the host of this name is. That may take seconds of waiting for servers elsewhere.
    LookUp(HostName),
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// AUTH, and encoding and data of the CERT payloads that go with it in IKEv2.
    Signed(Proof, Vec<(u8, Vec<u8>)>),
    /// It is.
    Proven,
    /// The conversation, and what comes of the turn.
    Conversed(Box<(Conversation, Step)>),
    /// A fresh private value.
    Generated(Arc<dyn KePrivate>),
    /// The shared secret, or that the peer's value is none.
    Agreed(Result<Secret, BadPublicValue>),
    /// Our public value and the shared secret, or that the peer's value is none.
    Exchanged(Result<(Vec<u8>, Secret), BadPublicValue>),
    /// The addresses of the host, in the order in which they are to be tried, each with ours from which it is reached.
    Found(Vec<Gateway>),
    /// The solution of the puzzle.
    Solved(PuzzleSolution),
    /// It cannot be done, or it is not: why, in words for the operator.
    Refused(String),
}

/// What it takes to answer.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Private keys by the names in credentials.
    pub keys: &'a dyn Fn(&str) -> Option<Arc<dyn PrivateKey>>,
    /// The time, and what is known about revocation.
    pub world: World<'a>,
    /// Who verifies.
    pub crypto: &'a CryptoProvider,
    /// What a turn of an EAP conversation takes.
    pub eap: Tools<'a>,
}

impl Question {
    /// The name of the private key that the answer takes.
    pub fn key(&self) -> Option<&str> {
        match self {
            Question::Sign { credential, .. } | Question::SignHash { credential, .. } => Some(&credential.key),
            Question::Converse { conversation, .. } => conversation.key(),
            Question::Judge { .. }
            | Question::Generate { .. }
            | Question::Agree { .. }
            | Question::Exchange { .. }
            | Question::Solve(_)
            | Question::LookUp(_) => None,
        }
    }

    /// The answer. It takes up to some milliseconds, but that of a puzzle, which takes seconds.
    pub fn answer(self, desk: Desk<'_>) -> Answer {
        match self {
            Question::Sign { credential, peer, wish, octets } => {
                match sign(desk, &credential, |key| credential.prove(key, &peer, &octets)) {
                    Ok(proof) => Answer::Signed(proof, credential.payloads(wish, desk.world)),
                    Err(why) => Answer::Refused(why),
                }
            }
            Question::SignHash { credential, hash } => {
                match sign(desk, &credential, |key| credential.prove_bare(key, &hash)) {
                    Ok(proof) => Answer::Signed(proof, Vec::new()),
                    Err(why) => Answer::Refused(why),
                }
            }
            Question::Judge { trust, identity, certificates, proof, octets } => {
                let claim = Claim { identity: &identity, certificates: &certificates, proof: &proof, octets: &octets };
                match trust.judge(claim, desk.world, desk.crypto) {
                    Ok(_) => Answer::Proven,
                    Err(refusal) => Answer::Refused(refusal.to_string()),
                }
            }
            Question::Converse { mut conversation, heard } => {
                let step = conversation.turn(heard.as_ref(), desk.eap);
                Answer::Conversed(Box::new((*conversation, step)))
            }
            Question::Solve(puzzle) => match puzzle.solve(desk.crypto) {
                Some(solution) => Answer::Solved(solution),
                None => Answer::Refused("no solution of the puzzle was found".into()),
            },
            Question::Generate { method } => match desk.crypto.ke(method) {
                Some(alg) => Answer::Generated(alg.generate(&mut Drawn(desk.eap.random))),
                None => Answer::Refused(NOT_BUILT_IN.into()),
            },
            Question::Agree { private, public } => Answer::Agreed(private.agree(&public)),
            Question::Exchange { method, public } => match desk.crypto.ke(method) {
                Some(alg) => Answer::Exchanged(alg.respond(&public, &mut Drawn(desk.eap.random))),
                None => Answer::Refused(NOT_BUILT_IN.into()),
            },
            // It takes a resolver, which is outside.
            Question::LookUp(_) => {
                Answer::Refused("this program looks up no names: give the address as a number".into())
            }
        }
    }
}

const NOT_BUILT_IN: &str = "the key exchange method is not built in";

/// The randomness of whoever answers.
struct Drawn<'a>(&'a (dyn Fn(&mut [u8]) + Sync));

impl SecureRandom for Drawn<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        (self.0)(out);
    }
}

fn sign(
    desk: Desk<'_>,
    credential: &Credential,
    prove: impl FnOnce(&dyn PrivateKey) -> Result<Proof, Refusal>,
) -> Result<Proof, String> {
    let gone = || alloc::format!("the private key {} is not there any more", credential.key);
    let key = (desk.keys)(&credential.key).ok_or_else(gone)?;
    prove(&*key).map_err(|refusal| refusal.to_string())
}
