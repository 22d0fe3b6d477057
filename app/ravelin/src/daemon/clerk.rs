//! Who answers what IKE asks about signatures, certificates, EAP and slow key exchanges: a few threads, so that no peer waits
//! for the papers or the Diffie-Hellman of another. What a RADIUS server is asked about, or
//! is told, is with one thread more, which waits for all of them at once, and each token that has a key of ours has its own.
//! Names of hosts are looked up in other threads (`host/host_names.rs`).
//!
//! ```text
//!   Core: Output::Ask ─► questions() ─► Clerk::ask ─┬► threads ─┬► Question::answer ──────────┬► Clerk::answers ─► Core: Input::Done
//!                                                   │  ▲        ├► tokens: Question::answer ──┤
//!                                                   │  │        ├► turns of TLS ──────────────┤
//!                                                   │  └ fetch ◄┘ something is missing        │
//!                                                   ├► RADIUS: Client::ask ───────────────────┤
//!                                                   └► names of hosts: HostNames::ask ────────┘
//! ```

pub mod fetch;
pub mod token_threads;
mod turns;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_config::Papers;
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_eap::{Conversation, Memory, Sims, Tools};
use ravelin_ike::{Answer, Desk, OpId, Question};
use ravelin_pki::auth::World;
use ravelin_pki::memory::{self, Seen};
use ravelin_pki::reference::{self, Reference};
use ravelin_pki::{Crl, Lookup, Time};
use ravelin_radius_client::{Authorizer, Client, Demand, Heard, Record, Verdict};
use ravelin_tls::{Maker, Register};

use self::fetch::{Fetcher, Library, Sought};
use self::token_threads::TokenThreads;
use self::turns::{Registry, TurnThreads};
use super::host::host_names::HostNames;

/// Threads: about as many as processors, since they sign, verify and compute, and never only one, which one long computation
/// would keep from everybody else.
const THREADS: RangeInclusive<usize> = 4..=8;

/// A question with what was true when it was asked.
pub type Asked = (OpId, Question, Arc<Papers>);

/// The threads and the ways to and from them.
pub struct Clerk {
    to_threads: Sender<Asked>,
    radius: Client<OpId>,
    host_names: HostNames,
    from_threads: Receiver<(OpId, Answer)>,
    demands: Receiver<Demand>,
    wake: UnixStream,
}

/// What every thread that answers has.
#[derive(Clone)]
struct Answerer {
    done: Sender<(OpId, Answer)>,
    waker: Arc<UnixStream>,
    crypto: CryptoProvider,
    library: Arc<Library>,
    fetcher: Arc<Fetcher>,
    sims: Arc<Kept>,
    shown: Arc<Shown>,
}

/// What the threads have that everything goes through first.
#[derive(Clone)]
struct Front {
    answerer: Answerer,
    tokens: Arc<TokenThreads>,
    turns: Arc<TurnThreads>,
}

/// What is known of SIMs, from the start of the daemon on.
#[derive(Default)]
struct Kept(Mutex<Sims>);

impl Memory for Kept {
    fn with(&self, act: &mut dyn FnMut(&mut Sims)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is remembered of certificates that peers have shown, from the start of the daemon on.
#[derive(Default)]
struct Shown(Mutex<Seen>);

impl memory::Memory for Shown {
    fn with(&self, act: &mut dyn FnMut(&mut Seen)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clerk {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(crypto: CryptoProvider, library: Arc<Library>) -> std::io::Result<Self> {
        let (to_threads, work) = channel::<Asked>();
        let (done, from_threads) = channel();
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let work = Arc::new(Mutex::new(work));
        let fetcher = Arc::new(Fetcher::new(library.clone(), to_threads.clone(), crypto));
        let waker = Arc::new(waker);
        let answerer = Answerer {
            done: done.clone(),
            waker: waker.clone(),
            crypto,
            library,
            fetcher,
            sims: Arc::default(),
            shown: Arc::default(),
        };
        let names = answerer.clone();
        let host_names = HostNames::of_the_system(move |op, answer| _ = names.give((op, answer)));
        let front = Front { answerer, tokens: Arc::default(), turns: Arc::default() };
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).clamp(*THREADS.start(), *THREADS.end()) {
            let (work, front) = (work.clone(), front.clone());
            let next = move || work.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            thread::Builder::new().name("clerk".into()).spawn(move || front.serve(next))?;
        }
        let (demanded, demands) = channel();
        let radius = Client::start(
            |out| SystemRandom.fill(out),
            move |heard| {
                let taken = match heard {
                    Heard::Turned(op, relay, step) => {
                        let answer = Answer::Conversed(Box::new((Conversation::Relay(relay), step)));
                        done.send((op, answer)).is_ok()
                    }
                    Heard::Demand(demand) => demanded.send(demand).is_ok(),
                    Heard::Trouble(trouble) => {
                        tracing::warn!("{trouble}");
                        true
                    }
                };
                let _ = (&*waker).write(&[1]);
                taken
            },
        )?;
        Ok(Clerk { to_threads, radius, host_names, from_threads, demands, wake })
    }

    /// Hands over a question.
    pub fn ask(&self, asked: Asked) {
        let asked = match asked {
            (op, Question::LookUp(name), _) => return self.host_names.ask(op, name),
            (op, Question::Converse { conversation, heard }, papers) => match *conversation {
                Conversation::Relay(relay) => return self.radius.ask(op, relay, heard),
                conversation => (op, Question::Converse { conversation: Box::new(conversation), heard }, papers),
            },
            asked => asked,
        };
        if self.to_threads.send(asked).is_err() {
            tracing::error!("nobody is left to answer questions about certificates");
        }
    }

    /// Hands over a record of an account.
    pub fn record(&self, record: Record) {
        self.radius.record(record);
    }

    /// Those who may end and change sessions from now on.
    pub fn listen(&self, authorizers: Vec<Authorizer>) {
        self.radius.listen(authorizers);
    }

    /// What they want.
    pub fn demands(&self) -> Vec<Demand> {
        self.demands.try_iter().collect()
    }

    /// Answers what one of them wants.
    pub fn judge(&self, demand: Demand, verdict: Verdict) {
        self.radius.judge(demand, verdict);
    }

    /// The daemon ends: waits until the accounts are with their servers.
    pub fn settle(&self, patience: Duration) {
        match self.radius.settle(patience) {
            Some(0) => {}
            Some(left) => tracing::error!("{left} records of accounts are lost: no RADIUS server took them"),
            None => tracing::error!("records of accounts are lost: no RADIUS server took them within {patience:?}"),
        }
    }

    /// Readable when there are answers or demands.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The answers that are there.
    pub fn answers(&mut self) -> BTreeMap<OpId, Answer> {
        let mut bytes = [0; 256];
        while self.wake.read(&mut bytes).is_ok_and(|len| len > 0) {}
        self.from_threads.try_iter().collect()
    }
}

impl Front {
    /// Sees to one after another.
    fn serve(&self, next: impl Fn() -> Option<Asked>) {
        while let Some(asked) = next() {
            let Some(asked) = self.enough(asked) else { continue };
            let goes_on = match token_threads::token(&asked) {
                token if self.turns.take(&asked, token.is_some()) => self.give_a_thread(asked),
                Some(token) => self.give_to(token, asked),
                None => self.answerer.answer(asked),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Has it answered in a thread of its own. `false`: nobody takes answers any more.
    fn give_a_thread(&self, asked: Asked) -> bool {
        let answerer = self.answerer.clone();
        match self.turns.ask(asked, move |asked| _ = answerer.answer(asked)) {
            Ok(()) => true,
            Err(refused) => self.answerer.give(refused),
        }
    }

    /// Has the token's own thread answer. `false`: nobody takes answers any more.
    fn give_to(&self, token: String, asked: Asked) -> bool {
        let answerer = self.answerer.clone();
        let serve =
            move |questions: Receiver<Asked>| while questions.recv().is_ok_and(|asked| answerer.answer(asked)) {};
        match self.tokens.ask(token, asked, serve) {
            Ok(()) => true,
            Err(refused) => self.answerer.give(refused),
        }
    }

    /// The question, unless it waits from now on for what is to be had elsewhere.
    fn enough(&self, mut asked: Asked) -> Option<Asked> {
        let Answerer { library, fetcher, crypto, shown, .. } = &self.answerer;
        let time = now();
        if let Question::Judge { trust, certificates, .. } = &mut asked.1 {
            let permitted = |reference: &Reference| trust.lookup.permits(&reference.url);
            let left = reference::fill(certificates, |it| library.shelf.find(it).filter(|_| permitted(it)));
            let guarded = trust.lookup == Lookup::Anywhere;
            let sought = left.into_iter().filter(permitted).map(|reference| Sought { reference, guarded });
            if let Some(next) = sought.into_iter().find(|sought| library.shelf.is_due(sought, time)) {
                return fetcher.look_up(next, asked).err();
            }
        }
        let (crls, answers) = (known(library, &asked.2), library.answers());
        let world = World { now: time, crls: &crls, answers: &answers, memory: &**shown };
        let wanted = match &asked.1 {
            Question::Judge { trust, certificates, .. } => trust.sources(certificates, world, crypto),
            Question::Sign { credential, wish, .. } => credential.sources(*wish, world),
            _ => Vec::new(),
        };
        match library.next(&wanted, time) {
            Some(source) => fetcher.fetch(source, asked),
            None => Some(asked),
        }
    }
}

impl Answerer {
    /// `false`: nobody takes answers any more.
    fn answer(&self, (op, question, papers): Asked) -> bool {
        let (crls, answers) = (known(&self.library, &papers), self.library.answers());
        let world = World { now: now(), crls: &crls, answers: &answers, memory: &*self.shown };
        let crypto = &self.crypto;
        let (library, fetcher) = (self.library.clone(), self.fetcher.clone());
        let register: Arc<dyn Register> = Arc::new(Registry { library, fetcher, papers: papers.clone() });
        let keys = |name: &str| papers.keys.get(name).cloned();
        let answer = question.answer(Desk {
            keys: &keys,
            world,
            crypto,
            eap: Tools {
                random: &|out| SystemRandom.fill(out),
                memory: &*self.sims,
                tls: &Maker { keys: &keys, world, register: Some(&register), crypto },
            },
        });
        self.give((op, answer))
    }

    fn give(&self, answer: (OpId, Answer)) -> bool {
        let taken = self.done.send(answer).is_ok();
        // A full pipe wakes as well.
        let _ = (&*self.waker).write(&[1]);
        taken
    }
}

/// The revocation lists that are known.
fn known(library: &Library, papers: &Papers) -> Vec<Crl> {
    [library.lists(), papers.crls.clone()].concat()
}

/// The time of certificates.
pub fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate};
    use ravelin_types::Secret;
    use ravelin_types::transform::KeMethod;
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// Whether [`Waits`] may go on.
    static TOLD: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// A key exchange that takes as long as the test likes.
    struct Waits;

    impl KeAlg for Waits {
        fn id(&self) -> KeMethod {
            KeMethod::MODP8192
        }

        fn public_len(&self) -> (usize, usize) {
            (0, 0)
        }

        fn generate(&self, _: &mut dyn SecureRandom) -> Arc<dyn KePrivate> {
            unreachable!("the responder's step is asked for")
        }

        fn respond(&self, _: &[u8], _: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue> {
            let told = TOLD.0.lock().unwrap();
            let _told = TOLD.1.wait_while(told, |told| !*told).unwrap();
            Err(BadPublicValue)
        }
    }

    /// The next answers, however long they take.
    fn next(clerk: &mut Clerk) -> BTreeMap<OpId, Answer> {
        loop {
            let answers = clerk.answers();
            if !answers.is_empty() {
                return answers;
            }
            poll(&mut [PollFd::from_borrowed_fd(clerk.fd(), PollFlags::IN)], None).unwrap();
        }
    }

    #[test]
    fn an_exchange_that_does_not_end_keeps_no_other_waiting() {
        let crypto = ravelin_crypto_aws_lc::provider();
        let curve = crypto.ke(KeMethod::CURVE25519).unwrap();
        let crypto = CryptoProvider { ke: Vec::leak(vec![&Waits as &dyn KeAlg, curve]), ..crypto };
        let mut clerk = Clerk::start(crypto, Arc::default()).unwrap();
        let ask = |clerk: &Clerk, op, method, public| {
            clerk.ask((OpId(op), Question::Exchange { method, public }, Arc::default()));
        };
        ask(&clerk, 1, KeMethod::MODP8192, Vec::new());
        let peer = curve.generate(&mut SystemRandom);
        for op in 2..20 {
            ask(&clerk, op, KeMethod::CURVE25519, peer.public().to_vec());
            let answers = next(&mut clerk);
            let Some(Answer::Exchanged(Ok((public, shared)))) = answers.get(&OpId(op)) else { panic!("{answers:?}") };
            assert_eq!(peer.agree(public).unwrap().expose(), shared.expose());
        }
        *TOLD.0.lock().unwrap() = true;
        TOLD.1.notify_all();
        assert!(matches!(next(&mut clerk).get(&OpId(1)), Some(Answer::Exchanged(Err(BadPublicValue)))));
    }
}
