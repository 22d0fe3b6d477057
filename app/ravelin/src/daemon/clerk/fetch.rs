//! Revocation lists and the answers of OCSP responders from where certificates say that they are (RFC 5280 §4.2.1.13 and
//! §4.2.2.1), over HTTP.
//!
//! ```text
//!   clerk: a peer to judge ─ something is missing ─► Fetcher: the thread of that server ─► Library ─► the clerk again
//! ```
//! Each server has a thread of its own, so one that is slow holds up those alone whose certificates name it. What a server
//! can do is bounded: its time, the length of what it says, and how often it is asked again after it failed. Only what an
//! authority that is trusted has signed leads anywhere ([`Trust::sources`](ravelin_pki::auth::Trust::sources)). Lists and
//! answers are believed by their signatures alone, so HTTP will do.

mod http;
mod lookups;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_pki::ocsp::{Answer, Enquiry, NONCE};
use ravelin_pki::{Crl, Source, Time, limits};

use self::http::{MAX_URI, server};
use self::lookups::Lookups;
pub use self::lookups::{Shelf, Sought};
use super::{Asked, now};

/// Seconds for which a server that failed is not asked for the same again.
const AGAIN: u64 = 60;
/// Servers that have a thread.
const MAX_SERVERS: usize = 32;
/// Peers that wait for one server. More are judged by what is known.
const MAX_WAITING: usize = 64;
/// Lists, answers and failures that are remembered.
const MAX_PLACES: usize = 256;

/// What was fetched, and what could not be.
#[derive(Default)]
pub struct Library {
    places: Mutex<BTreeMap<Place, Entry>>,
    /// Certificates of peers.
    pub shelf: Shelf,
}

/// A URI, and the certificate that is asked about there; empty for a list, and for whatever is asked there.
type Place = (String, Vec<u8>);

enum Entry {
    List(Crl),
    Answer(Answer),
    /// Not before this second.
    Failed(u64),
}

/// Why nothing was fetched.
#[derive(Debug)]
struct Trouble {
    why: String,
    /// Whatever is asked there.
    whole: bool,
}

impl Library {
    /// The lists.
    pub fn lists(&self) -> Vec<Crl> {
        let list = |entry: &Entry| match entry {
            Entry::List(crl) => Some(crl.clone()),
            Entry::Answer(_) | Entry::Failed(_) => None,
        };
        self.lock().values().filter_map(list).collect()
    }

    /// The answers about certificates.
    pub fn answers(&self) -> Vec<Answer> {
        let answer = |entry: &Entry| match entry {
            Entry::Answer(answer) => Some(answer.clone()),
            Entry::List(_) | Entry::Failed(_) => None,
        };
        self.lock().values().filter_map(answer).collect()
    }

    /// The first place to ask, of those that certificates name, by certificate.
    pub fn next(&self, wanted: &[Vec<Source>], now: Time) -> Option<Source> {
        let places = self.lock();
        let known = |place: &Place| match places.get(place) {
            Some(Entry::List(crl)) => crl.is_current(now),
            Some(Entry::Answer(answer)) => answer.is_current(now),
            Some(Entry::Failed(until)) => now.0 < *until,
            None => false,
        };
        let usable = |source: &&Source| source.uri().len() <= MAX_URI && server(source.uri()).is_some();
        let unknown = |source: &&Source| !known(&place(source)) && !known(&whole(source));
        wanted.iter().flatten().find(|source| usable(source) && unknown(source)).cloned()
    }

    /// Forgets everything, failures too. How much that was.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut *self.lock()).len() + self.shelf.forget()
    }

    fn put(&self, source: &Source, found: Result<Entry, Trouble>, now: Time) {
        let (uri, mut at) = (source.uri(), place(source));
        let entry = match found {
            Ok(entry) => {
                match &entry {
                    Entry::List(crl) => {
                        let what = if crl.is_delta() { "what has changed of the" } else { "the" };
                        tracing::info!(
                            "{what} revocation list of {} came from {uri}: {} revoked",
                            crl.issuer(),
                            crl.len()
                        );
                    }
                    Entry::Answer(answer) => {
                        let said = if answer.is_revoked() { "was revoked" } else { "is good" };
                        tracing::info!("{uri} says that the certificate {} {said}", answer.certificate().subject());
                    }
                    Entry::Failed(_) => {}
                }
                entry
            }
            Err(Trouble { why, whole: all }) => {
                let what = match source {
                    Source::List(_) => "revocation list".to_owned(),
                    Source::Responder(_, enquiry) => {
                        format!("OCSP answer about the certificate {}", enquiry.certificate().subject())
                    }
                };
                tracing::warn!("no {what} from {uri}: {why}; asked again in {AGAIN} s at the earliest");
                if all {
                    at = whole(source);
                }
                Entry::Failed(now.0 + AGAIN)
            }
        };
        let mut places = self.lock();
        if places.len() >= MAX_PLACES && !places.contains_key(&at) {
            let failed = places.iter().find(|(_, entry)| matches!(entry, Entry::Failed(_))).map(|(at, _)| at.clone());
            match failed {
                Some(failed) => _ = places.remove(&failed),
                None => _ = places.pop_first(),
            }
        }
        places.insert(at, entry);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Entry>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(source: &Source) -> Place {
    match source {
        Source::List(_) => whole(source),
        Source::Responder(uri, enquiry) => (uri.clone(), enquiry.id()),
    }
}

fn whole(source: &Source) -> Place {
    (source.uri().to_owned(), Vec::new())
}

/// A place to ask, and who waits for that.
type Errand = (Source, Waits);

enum Waits {
    /// What is asked again then.
    Question(Asked),
    /// A thread.
    Thread(SyncSender<()>),
}

/// The threads that ask.
pub struct Fetcher {
    library: Arc<Library>,
    back: Sender<Asked>,
    crypto: CryptoProvider,
    servers: Mutex<BTreeMap<String, SyncSender<Errand>>>,
    lookups: Arc<Lookups>,
}

impl Fetcher {
    /// Without threads yet. Who was judged comes `back` when there is more to judge by.
    pub fn new(library: Arc<Library>, back: Sender<Asked>, crypto: CryptoProvider) -> Self {
        let lookups = Arc::new(Lookups::new(library.clone(), back.clone(), crypto));
        Fetcher { library, back, crypto, servers: Mutex::default(), lookups }
    }

    /// Looks a peer's certificate up.
    ///
    /// # Errors
    /// The question, when too many wait already.
    #[allow(clippy::result_large_err)] // It goes on with what comes back.
    pub fn look_up(&self, sought: Sought, asked: Asked) -> Result<(), Asked> {
        self.lookups.begin(sought, asked)
    }

    /// Asks at this place; the question comes back later, or at once when too many wait already.
    pub fn fetch(&self, source: Source, asked: Asked) -> Option<Asked> {
        match self.hand(source, Waits::Question(asked)) {
            Err(Waits::Question(asked)) => Some(asked),
            _ => None,
        }
    }

    /// Asks at this place, and waits until that is done. `false`: too many wait already.
    pub fn fetch_now(&self, source: Source) -> bool {
        let (tell, told) = sync_channel(1);
        self.hand(source, Waits::Thread(tell)).is_ok() && told.recv().is_ok()
    }

    #[allow(clippy::result_large_err)] // It goes on with what comes back.
    fn hand(&self, source: Source, waits: Waits) -> Result<(), Waits> {
        let Some(name) = server(source.uri()).map(str::to_owned) else { return Err(waits) };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !servers.contains_key(&name) {
            if servers.len() >= MAX_SERVERS {
                let why = format!("there are {MAX_SERVERS} certificate servers already");
                self.library.put(&source, Err(Trouble { why, whole: true }), now());
                return Err(waits);
            }
            let (errands, received) = sync_channel(MAX_WAITING);
            let (library, back, crypto) = (self.library.clone(), self.back.clone(), self.crypto);
            let begun = thread::Builder::new().name("revocation".into());
            if begun.spawn(move || serve(&received, &library, &back, &crypto)).is_err() {
                return Err(waits);
            }
            servers.insert(name.clone(), errands);
        }
        let Some(errands) = servers.get(&name) else { return Err(waits) };
        errands.try_send((source, waits)).map_err(|error| match error {
            TrySendError::Full((_, waits)) | TrySendError::Disconnected((_, waits)) => waits,
        })
    }
}

fn serve(errands: &Receiver<Errand>, library: &Library, back: &Sender<Asked>, crypto: &CryptoProvider) {
    while let Ok((source, waits)) = errands.recv() {
        // Those that waited behind the first find what it fetched, or that it failed.
        if library.next(&[vec![source.clone()]], now()).is_some() {
            library.put(&source, obtain(&source, crypto), now());
        }
        let told = match waits {
            Waits::Question(asked) => back.send(asked).is_ok(),
            Waits::Thread(tell) => tell.send(()).is_ok(),
        };
        if !told {
            return;
        }
    }
}

fn obtain(source: &Source, crypto: &CryptoProvider) -> Result<Entry, Trouble> {
    match source {
        Source::List(uri) => list(uri).map(Entry::List).map_err(|why| Trouble { why, whole: true }),
        Source::Responder(uri, enquiry) => enquire(uri, enquiry, crypto).map(Entry::Answer),
    }
}

/// The list at a place.
fn list(uri: &str) -> Result<Crl, String> {
    let crl = Crl::parse(&http::get(uri, limits::CRL)?).map_err(|fault| fault.to_string())?;
    if crl.is_current(now()) { Ok(crl) } else { Err("the list there is out of date".into()) }
}

/// What a responder says, by POST (RFC 6960 appendix A.1).
fn enquire(uri: &str, enquiry: &Enquiry, crypto: &CryptoProvider) -> Result<Answer, Trouble> {
    let mut nonce = [0; NONCE];
    SystemRandom.fill(&mut nonce);
    let posted = || {
        let request = enquiry.request(&nonce).ok_or("the request cannot be encoded")?;
        http::post(uri, "application/ocsp-request", &request, limits::OCSP)
    };
    let der = posted().map_err(|why| Trouble { why, whole: true })?;
    let refused =
        |failure: ravelin_pki::ocsp::Failure| Trouble { why: failure.to_string(), whole: failure.is_of_responder() };
    enquiry.answer(&der, Some(&nonce), now(), crypto).map_err(refused)
}

#[cfg(test)]
mod tests;
