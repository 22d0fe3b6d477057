//! Revocation lists from where certificates say that they are (RFC 5280 §4.2.1.13), over HTTP.
//!
//! ```text
//!   clerk: a peer to judge ─ a list is missing ─► Fetcher: the thread of that server ─► Library ─► the clerk again
//! ```
//! Each server has a thread of its own, so one that is slow holds up those alone whose certificates name it. What a server
//! can do is bounded: its time, the length of what it says, and how often it is asked again after it failed. Only what an
//! authority that is trusted has signed leads anywhere ([`Trust::lists`](ravelin_pki::auth::Trust::lists)). A list is
//! believed by its signature alone, so HTTP will do.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ravelin_pki::{Crl, Time, limits};

use super::clerk::{Asked, now};

/// How long a server may take in all: a third of what IKE waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds for which a server that failed is not asked for the same again.
const AGAIN: u64 = 60;
/// Servers that have a thread.
const MAX_SERVERS: usize = 32;
/// Peers that wait for one server. More are judged by what is known.
const MAX_WAITING: usize = 64;
/// Places that are remembered.
const MAX_PLACES: usize = 256;
/// Characters of a place.
const MAX_URI: usize = 1024;
/// How often a server may send us elsewhere.
const REDIRECTS: u32 = 2;

/// What was fetched, and what could not be.
#[derive(Default)]
pub struct Library(Mutex<BTreeMap<String, Entry>>);

enum Entry {
    List(Crl),
    /// Not before this second.
    Failed(u64),
}

impl Library {
    /// The lists.
    pub fn lists(&self) -> Vec<Crl> {
        let list = |entry: &Entry| match entry {
            Entry::List(crl) => Some(crl.clone()),
            Entry::Failed(_) => None,
        };
        self.lock().values().filter_map(list).collect()
    }

    /// The first place to ask, of those that certificates name, by certificate.
    pub fn next(&self, wanted: &[Vec<String>], now: Time) -> Option<String> {
        let places = self.lock();
        let known = |uri: &&String| match places.get(*uri) {
            Some(Entry::List(crl)) => crl.is_current(now),
            Some(Entry::Failed(until)) => now.0 < *until,
            None => false,
        };
        let usable = |uri: &&String| uri.len() <= MAX_URI && server(uri).is_some();
        wanted.iter().flatten().find(|uri| usable(uri) && !known(uri)).cloned()
    }

    /// Forgets everything, failures too. How much that was.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    fn put(&self, uri: &str, found: Result<Crl, String>, now: Time) {
        let mut places = self.lock();
        if places.len() >= MAX_PLACES && !places.contains_key(uri) {
            let failed = places.iter().find(|(_, entry)| matches!(entry, Entry::Failed(_))).map(|(uri, _)| uri.clone());
            match failed {
                Some(failed) => _ = places.remove(&failed),
                None => _ = places.pop_first(),
            }
        }
        let entry = match found {
            Ok(crl) => {
                tracing::info!("the revocation list of {} came from {uri}: {} revoked", crl.issuer(), crl.len());
                Entry::List(crl)
            }
            Err(why) => {
                tracing::warn!("no revocation list from {uri}: {why}; asked again in {AGAIN} s at the earliest");
                Entry::Failed(now.0 + AGAIN)
            }
        };
        places.insert(uri.to_owned(), entry);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place to ask, and who is judged when that is done.
type Errand = (String, Asked);

/// The threads that ask.
pub struct Fetcher {
    library: Arc<Library>,
    back: Sender<Asked>,
    servers: Mutex<BTreeMap<String, SyncSender<Errand>>>,
}

impl Fetcher {
    /// Without threads yet. Who was judged comes `back` when there is more to judge by.
    pub fn new(library: Arc<Library>, back: Sender<Asked>) -> Self {
        Fetcher { library, back, servers: Mutex::default() }
    }

    /// Asks at this place.
    ///
    /// # Errors
    /// The question, when too many wait already.
    #[allow(clippy::result_large_err)] // It goes on with what comes back.
    pub fn fetch(&self, uri: String, asked: Asked) -> Result<(), Asked> {
        let Some(name) = server(&uri).map(str::to_owned) else { return Err(asked) };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !servers.contains_key(&name) {
            if servers.len() >= MAX_SERVERS {
                self.library.put(&uri, Err(format!("there are {MAX_SERVERS} certificate servers already")), now());
                return Err(asked);
            }
            let (errands, received) = sync_channel(MAX_WAITING);
            let (library, back) = (self.library.clone(), self.back.clone());
            let begun = thread::Builder::new().name("revocation".into());
            if begun.spawn(move || serve(&received, &library, &back)).is_err() {
                return Err(asked);
            }
            servers.insert(name.clone(), errands);
        }
        let Some(errands) = servers.get(&name) else { return Err(asked) };
        errands.try_send((uri, asked)).map_err(|error| match error {
            TrySendError::Full((_, asked)) | TrySendError::Disconnected((_, asked)) => asked,
        })
    }
}

fn serve(errands: &Receiver<Errand>, library: &Library, back: &Sender<Asked>) {
    while let Ok((uri, asked)) = errands.recv() {
        // Those that waited behind the first find what it fetched, or that it failed.
        if library.next(std::slice::from_ref(&vec![uri.clone()]), now()).is_some() {
            library.put(&uri, get(&uri), now());
        }
        if back.send(asked).is_err() {
            return;
        }
    }
}

/// The list at a place.
fn get(uri: &str) -> Result<Crl, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(REDIRECTS)
        .proxy(None)
        .user_agent("ravelin")
        .build();
    let mut response = ureq::Agent::new_with_config(config).get(uri).call().map_err(|error| error.to_string())?;
    let body = response.body_mut().with_config().limit(limits::CRL as u64);
    let der = body.read_to_vec().map_err(|error| error.to_string())?;
    let crl = Crl::parse(&der).map_err(|fault| fault.to_string())?;
    if crl.is_current(now()) { Ok(crl) } else { Err("the list there is out of date".into()) }
}

/// Host and port of a place that HTTP reaches.
fn server(uri: &str) -> Option<&str> {
    let scheme = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"))?;
    let rest = &uri[scheme.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // Names and passwords are of no use there, and a way to mislead whoever reads the log.
    Some(&rest[..end]).filter(|name| !name.is_empty() && !name.contains('@'))
}

#[cfg(test)]
mod tests;
