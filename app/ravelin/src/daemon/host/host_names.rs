//! Where hosts of a name are, asked of the system's resolver (getaddrinfo(3)): the file `hosts`, the DNS, and whatever else
//! nsswitch.conf(5) says. It waits for servers elsewhere as long as resolv.conf(5) lets it, so each question has a thread for that
//! time, and no other question waits for it but where there are very many.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ravelin_ike::config::Gateway;
use ravelin_ike::{Answer, OpId};
use ravelin_types::HostName;

/// Questions under way at a time. Their threads wait, nearly all the time.
const THREADS: usize = 16;
/// Addresses of an answer that are looked at: of these IKE takes those at which a peer can be.
const ADDRESSES: usize = 32;

/// Says where a host is, or why that cannot be said.
type LookUp = fn(&HostName) -> Result<Vec<IpAddr>, String>;

/// The questions, and who has the answers.
pub struct HostNames(Arc<Shared>);

struct Shared {
    look_up: LookUp,
    done: Box<dyn Fn(OpId, Answer) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who asked last, by the name. One that is asked for again while it is looked up has one answer.
    asked: BTreeMap<HostName, OpId>,
    /// The names that have no thread yet.
    waiting: VecDeque<HostName>,
    threads: usize,
}

impl HostNames {
    /// The system's resolver; `done` gets each answer.
    pub fn of_the_system(done: impl Fn(OpId, Answer) + Send + Sync + 'static) -> Self {
        Self::new(ask_the_system, done)
    }

    fn new(look_up: LookUp, done: impl Fn(OpId, Answer) + Send + Sync + 'static) -> Self {
        HostNames(Arc::new(Shared { look_up, done: Box::new(done), state: Mutex::default() }))
    }

    /// Hands over a question.
    pub fn ask(&self, op: OpId, name: HostName) {
        let mut state = self.0.lock();
        if state.asked.insert(name.clone(), op).is_some() {
            return;
        }
        state.waiting.push_back(name.clone());
        if state.threads == THREADS {
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = self.0.clone();
        if let Err(error) = thread::Builder::new().name("names".into()).spawn(move || shared.serve()) {
            let mut state = self.0.lock();
            state.threads -= 1;
            // Those that are at work will come to it; where there is none, nobody would.
            let alone = state.threads == 0;
            let op = if alone { state.asked.remove(&name) } else { None };
            state.waiting.retain(|waiting| !alone || *waiting != name);
            drop(state);
            if let Some(op) = op {
                let why = format!("the system gives no thread in which it could be looked up: {error}");
                (self.0.done)(op, Answer::Refused(why));
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up one name after another until none waits.
    fn serve(&self) {
        loop {
            let mut state = self.lock();
            let Some(name) = state.waiting.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            let answer = match (self.look_up)(&name) {
                Ok(found) => {
                    let at = |address| Gateway { address, source: None };
                    Answer::Found(found.into_iter().take(ADDRESSES).map(at).collect())
                }
                Err(why) => Answer::Refused(why),
            };
            let op = self.lock().asked.remove(&name);
            if let Some(op) = op {
                (self.done)(op, answer);
            }
        }
    }
}

/// In the order of the system (RFC 6724).
fn ask_the_system(name: &HostName) -> Result<Vec<IpAddr>, String> {
    let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        // What the system says, without what Rust puts in front.
        text.rsplit(": ").next().unwrap_or(&text).to_owned()
    })?;
    Ok(found.map(|at| at.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Whether names that begin with `slow` are answered.
    static TOLD: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    fn fake(name: &HostName) -> Result<Vec<IpAddr>, String> {
        if name.as_str().starts_with("slow") {
            let told = TOLD.0.lock().unwrap();
            drop(TOLD.1.wait_while(told, |told| !*told).unwrap());
        }
        match name.as_str() {
            "nowhere" => Err("there is no such name".into()),
            "many" => Ok((0..200).map(|last| [192, 0, 2, last].into()).collect()),
            _ => Ok(vec![[192, 0, 2, 1].into()]),
        }
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).unwrap()
    }

    fn names() -> (HostNames, Receiver<(OpId, Answer)>) {
        let (to, from) = channel();
        let to = Mutex::new(to);
        (HostNames::new(fake, move |op, answer| to.lock().unwrap().send((op, answer)).unwrap()), from)
    }

    #[test]
    fn a_name_that_is_not_answered_keeps_no_other_waiting() {
        let (names, answers) = names();
        for slow in 1..THREADS as u64 {
            names.ask(OpId(slow), name(&format!("slow{slow}")));
        }
        for op in 100..140 {
            names.ask(OpId(op), name("quick"));
            let (answered, answer) = answers.recv().unwrap();
            assert_eq!(answered, OpId(op));
            assert!(matches!(answer, Answer::Found(at) if at.len() == 1));
        }
        // One for which somebody asks again has one answer, for who asked last.
        names.ask(OpId(200), name("slow1"));
        // And more than there are threads wait for their turn.
        for op in 300..340 {
            names.ask(OpId(op), name(&format!("slow{op}")));
        }
        *TOLD.0.lock().unwrap() = true;
        TOLD.1.notify_all();
        let mut all: Vec<u64> = (0..THREADS - 1 + 40).map(|_| answers.recv().unwrap().0.0).collect();
        all.sort_unstable();
        let expected: Vec<u64> = (2..THREADS as u64).chain([200]).chain(300..340).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn an_answer_is_bounded_or_says_why_there_is_none() {
        let (names, answers) = names();
        names.ask(OpId(1), name("many"));
        assert!(matches!(answers.recv().unwrap(), (OpId(1), Answer::Found(at)) if at.len() == ADDRESSES));
        names.ask(OpId(2), name("nowhere"));
        assert!(matches!(answers.recv().unwrap(), (OpId(2), Answer::Refused(why)) if why == "there is no such name"));
    }

    #[test]
    fn the_system_knows_this_host() {
        let found = ask_the_system(&name("localhost")).unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}
