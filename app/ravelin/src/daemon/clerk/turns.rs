//! Turns of EAP in which certificates may be judged have a thread of their own each: what nobody knows yet about revocation is
//! asked for in the middle of the handshake, which waits for that. Nobody else does.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ravelin_config::Papers;
use ravelin_ike::{Answer, OpId, Question};
use ravelin_pki::ocsp;
use ravelin_pki::{Crl, Source};
use ravelin_tls::Register;

use super::fetch::{Fetcher, Library};
use super::{Asked, known, now};

/// Turns with a thread at a time. The next are taken where everything else is, and judge by what is known.
const MAX_TURNS: usize = 64;

thread_local! {
    /// Whether nobody else waits for this thread.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// The threads.
#[derive(Default)]
pub struct TurnThreads(Arc<AtomicUsize>);

/// A thread's place among them.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TurnThreads {
    /// Whether the question is such a turn, and there is room for it: less where a token signs, which may never do so.
    pub fn take(&self, (_, question, _): &Asked, by_token: bool) -> bool {
        let judges = matches!(question, Question::Converse { conversation, .. } if conversation.judges());
        let room = if by_token { MAX_TURNS / 2 } else { MAX_TURNS };
        judges && self.0.load(Ordering::Relaxed) < room
    }

    /// Has `serve` answer the question in a thread of its own.
    ///
    /// # Errors
    /// Why it is not answered there.
    pub fn ask(&self, asked: Asked, serve: impl FnOnce(Asked) + Send + 'static) -> Result<(), (OpId, Answer)> {
        let op = asked.0;
        self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.0.clone());
        let turn = move || {
            let _place = place;
            ALONE.set(true);
            serve(asked);
        };
        let begun = thread::Builder::new().name("turn".into()).spawn(turn);
        begun.map(drop).map_err(|error| (op, Answer::Refused(format!("no thread for EAP: {error}"))))
    }
}

/// What is known about revocation where a question is answered, and who may be asked for more.
pub struct Registry {
    pub library: Arc<Library>,
    pub fetcher: Arc<Fetcher>,
    pub papers: Arc<Papers>,
}

impl Register for Registry {
    fn learn(&self, missing: &[Vec<Source>]) -> bool {
        let next = || self.library.next(missing, now());
        ALONE.get() && next().is_some_and(|source| self.fetcher.fetch_now(source))
    }

    fn known(&self) -> (Vec<Crl>, Vec<ocsp::Answer>) {
        (known(&self.library, &self.papers), self.library.answers())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use ravelin_eap::tls::TlsSide;
    use ravelin_eap::{Client, Conversation, Method, Peer};
    use ravelin_types::{Identity, Secret};

    use super::*;

    // Whatever a certificate server does, the threads that everybody needs do not wait for it.
    #[test]
    fn only_a_turn_with_a_thread_of_its_own_waits_and_their_number_is_bounded() {
        let library = Arc::new(Library::default());
        let (back, _returned) = channel();
        let fetcher = Arc::new(Fetcher::new(library.clone(), back, crate::daemon::crypto::ike_provider()));
        let registry = Arc::new(Registry { library, fetcher, papers: Arc::default() });
        // Nobody listens there.
        let missing = vec![vec![Source::List("http://127.0.0.1:9/x".into())]];
        assert!(!registry.learn(&missing), "in a thread that others need");
        let asked = || {
            let credential = Arc::default();
            (OpId(1), Question::SignHash { credential, hash: Vec::new() }, Arc::default())
        };
        let turns = TurnThreads::default();
        assert!(!turns.take(&asked(), false), "no turn of EAP");
        let user = |method, trust| {
            let tls = TlsSide { trust, ..TlsSide::default() };
            let (user, password) = (Identity::Fqdn("carol".into()), Secret::default());
            let conversation = Conversation::Peer(Peer::new(Client { user, methods: vec![method], password, tls }));
            (OpId(1), Question::Converse { conversation: Box::new(conversation), heard: None }, Arc::default())
        };
        let believing = || Some(Arc::default());
        assert!(!turns.take(&user(Method::Tls, None), false), "nobody is judged");
        assert!(!turns.take(&user(Method::MsChapV2, believing()), false), "nor without TLS");
        for (under_way, room, room_by_token) in
            [(0, true, true), (MAX_TURNS / 2, true, false), (MAX_TURNS, false, false)]
        {
            turns.0.store(under_way, Ordering::Relaxed);
            assert_eq!(turns.take(&user(Method::Tls, believing()), false), room);
            assert_eq!(turns.take(&user(Method::Tls, believing()), true), room_by_token);
        }
        turns.0.store(0, Ordering::Relaxed);
        let (tell, told) = channel();
        let (known, wanted) = (registry.clone(), missing.clone());
        turns.ask(asked(), move |_| _ = tell.send([known.learn(&wanted), known.learn(&wanted)])).unwrap();
        assert_eq!(told.recv().unwrap(), [true, false], "asked once, and it is remembered that it failed");
        // Each has left its place when it ends.
        let (go, wait) = channel::<()>();
        turns.ask(asked(), move |_| _ = wait.recv()).unwrap();
        assert!(turns.0.load(Ordering::Relaxed) >= 1);
        drop(go);
        while turns.0.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }
}
