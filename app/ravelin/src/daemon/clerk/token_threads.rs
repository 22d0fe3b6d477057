//! Tokens sign in a thread of their own each, one signature after another: whoever waits for a token that is slow, or never
//! answers, keeps nobody else waiting.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ravelin_ike::{Answer, OpId};

use super::Asked;

/// Tokens that have a thread.
const MAX_TOKENS: usize = 16;
/// Questions that wait for one token: more than it signs while their peers have patience.
const MAX_WAITING: usize = 256;

/// The threads of tokens, by the names of these.
#[derive(Default)]
pub struct TokenThreads(Mutex<BTreeMap<String, SyncSender<Asked>>>);

/// The token that the question needs, if its key is on one.
pub fn token((_, question, papers): &Asked) -> Option<String> {
    papers.keys.get(question.key()?)?.token().map(str::to_owned)
}

impl TokenThreads {
    /// Has `serve` answer the question where those of this token are answered.
    ///
    /// # Errors
    /// Why it is not answered there.
    pub fn ask(
        &self,
        token: String,
        asked: Asked,
        serve: impl FnOnce(Receiver<Asked>) + Send + 'static,
    ) -> Result<(), (OpId, Answer)> {
        let op = asked.0;
        let refused = |why: String| (op, Answer::Refused(why));
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !threads.contains_key(&token) {
            if threads.len() >= MAX_TOKENS {
                return Err(refused(format!("{MAX_TOKENS} tokens are in use already")));
            }
            let (questions, received) = sync_channel(MAX_WAITING);
            let begun = thread::Builder::new().name("token".into()).spawn(move || serve(received));
            begun.map_err(|error| refused(format!("no thread for the token: {error}")))?;
            threads.insert(token.clone(), questions);
        }
        let Some(questions) = threads.get(&token) else { return Ok(()) };
        questions.try_send(asked).map_err(|error| match error {
            TrySendError::Full(_) => refused(format!("{MAX_WAITING} signatures wait for the token {token} already")),
            TrySendError::Disconnected(_) => refused(format!("nobody asks the token {token} any more")),
        })
    }
}
