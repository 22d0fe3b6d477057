//! Certificates that peers name by hash and URL (RFC 7296 §3.6), over HTTP.
//!
//! Whoever names the place has not proven anything yet, so it is asked for nothing but octets with this hash, in a thread that
//! ends with its errands, and what it can take of others is bounded: threads, those who wait, time, octets, what is kept. Other
//! servers, those of authorities, have threads of their own (`fetch.rs`), and peers that send their certificates wait for none.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ravelin_crypto::CryptoProvider;
use ravelin_pki::reference::Kind;
use ravelin_pki::{Reference, Time};

use super::{AGAIN, Library, http};
use crate::daemon::clerk::{Asked, now};

/// Servers that are asked at the same time.
const MAX_SERVERS: usize = 16;
/// Peers that wait for one of them. More are judged without what lies there.
const MAX_WAITING: usize = 8;
/// Certificates and bundles that are kept; a new one takes the place of the oldest.
const MAX_FOUND: usize = 64;
/// Failures that are remembered.
const MAX_FAILED: usize = 256;

/// Something to look up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sought {
    /// What, and where.
    pub reference: Reference,
    /// Whether only the peer says where.
    pub guarded: bool,
}

/// CERT payloads: encoding and data.
type Payloads = Vec<(u8, Vec<u8>)>;

/// What was looked up. It is found by its hash, wherever it lay; a failure is that of the place as well, so nobody spoils
/// what another names.
#[derive(Default)]
pub struct Shelf(Mutex<Shelved>);

#[derive(Default)]
struct Shelved {
    found: BTreeMap<(Kind, [u8; 20]), Payloads>,
    /// Oldest first.
    order: VecDeque<(Kind, [u8; 20])>,
    /// Not before this second.
    failed: BTreeMap<Sought, u64>,
}

impl Shelf {
    /// What is in the place of a reference.
    pub fn find(&self, reference: &Reference) -> Option<Payloads> {
        self.lock().found.get(&(reference.kind, reference.hash)).cloned()
    }

    /// Whether it may be asked for now.
    pub fn is_due(&self, sought: &Sought, now: Time) -> bool {
        let shelved = self.lock();
        let known = shelved.found.contains_key(&(sought.reference.kind, sought.reference.hash));
        http::server(&sought.reference.url).is_some()
            && !known
            && shelved.failed.get(sought).is_none_or(|until| *until <= now.0)
    }

    /// Forgets everything, failures too. How much that was.
    pub(super) fn forget(&self) -> usize {
        let shelved = std::mem::take(&mut *self.lock());
        shelved.found.len() + shelved.failed.len()
    }

    fn put(&self, sought: Sought, opened: Result<Payloads, String>, now: Time) {
        let url = &sought.reference.url;
        let mut shelved = self.lock();
        match opened {
            Ok(payloads) => {
                tracing::info!("{} of a peer came from {url}", what(sought.reference.kind));
                let key = (sought.reference.kind, sought.reference.hash);
                if shelved.order.len() >= MAX_FOUND
                    && let Some(oldest) = shelved.order.pop_front()
                {
                    shelved.found.remove(&oldest);
                }
                shelved.failed.remove(&sought);
                if shelved.found.insert(key, payloads).is_none() {
                    shelved.order.push_back(key);
                }
            }
            Err(why) => {
                tracing::warn!("no {} of a peer from {url}: {why}", what(sought.reference.kind));
                shelved.failed.retain(|_, until| now.0 < *until);
                if shelved.failed.len() < MAX_FAILED {
                    shelved.failed.insert(sought, now.0 + AGAIN);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Certificate => "certificate",
        Kind::Bundle => "bundle of certificates",
    }
}

/// The threads that look up, each for one server as long as somebody waits for it.
pub(super) struct Lookups {
    library: Arc<Library>,
    back: Sender<Asked>,
    crypto: CryptoProvider,
    lines: Mutex<BTreeMap<String, VecDeque<(Sought, Asked)>>>,
}

impl Lookups {
    pub(super) fn new(library: Arc<Library>, back: Sender<Asked>, crypto: CryptoProvider) -> Self {
        Lookups { library, back, crypto, lines: Mutex::default() }
    }

    /// Looks it up.
    ///
    /// # Errors
    /// The question, when too many wait already.
    #[allow(clippy::result_large_err)] // It goes on with what comes back.
    pub(super) fn begin(self: &Arc<Self>, sought: Sought, asked: Asked) -> Result<(), Asked> {
        let Some(name) = http::server(&sought.reference.url).map(str::to_owned) else { return Err(asked) };
        let mut lines = self.lock();
        let servers = lines.len();
        match lines.entry(name.clone()) {
            Slot::Occupied(line) if line.get().len() >= MAX_WAITING => Err(asked),
            Slot::Occupied(mut line) => {
                line.get_mut().push_back((sought, asked));
                Ok(())
            }
            Slot::Vacant(_) if servers >= MAX_SERVERS => Err(asked),
            Slot::Vacant(line) => {
                line.insert(VecDeque::from([(sought, asked)]));
                let this = self.clone();
                let serving = name.clone();
                match thread::Builder::new().name("lookup".into()).spawn(move || this.serve(&serving)) {
                    Ok(_) => Ok(()),
                    Err(_) => {
                        let errand = lines.remove(&name).and_then(|mut line| line.pop_front());
                        errand.map_or(Ok(()), |(_, asked)| Err(asked))
                    }
                }
            }
        }
    }

    fn serve(&self, name: &str) {
        while let Some((sought, asked)) = self.next(name) {
            // Those that waited behind the first find what it fetched, or that it failed.
            if self.library.shelf.is_due(&sought, now()) {
                let opened = self.open(&sought);
                self.library.shelf.put(sought, opened, now());
            }
            if self.back.send(asked).is_err() {
                return;
            }
        }
    }

    /// The next errand; with the last the line ends.
    fn next(&self, name: &str) -> Option<(Sought, Asked)> {
        let mut lines = self.lock();
        let next = lines.get_mut(name)?.pop_front();
        if next.is_none() {
            lines.remove(name);
        }
        next
    }

    fn open(&self, sought: &Sought) -> Result<Payloads, String> {
        let reference = &sought.reference;
        let octets = http::look_up(&reference.url, reference.most(), sought.guarded)?;
        reference.open(&octets, &self.crypto).map_err(|fault| fault.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<(Sought, Asked)>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
