//! What every handler works with: configuration, crypto, randomness, the time of this input, the table of SAs, and the
//! queue of decisions.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::{CryptoProvider, SecureRandom};
#[cfg(feature = "ikev2")]
use ravelin_types::Secret;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::if_id::IfIds;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::SaId;
use ravelin_types::{Carrier, IkeSpi, Instant, Spi, Way};

use crate::address::Addresses;
#[cfg(feature = "ikev2")]
use crate::auth::LastKey;
use crate::bucket::Bucket;
use crate::config::{ChildPolicy, Config, Remote};
use crate::exchanging::Exchanging;
use crate::explain::Failure;
use crate::gateways::Silent;
use crate::host_names::{self, HostNames};
#[cfg(feature = "ikev2")]
use crate::ike_sa::Ends;
use crate::ike_sa::IkeSa;
use crate::input::HostAddresses;
use crate::limits;
use crate::negotiate::Offers;
use crate::numbers::{Held, Numbers};
use crate::output::{Event, OpId, Output, StreamOp, Transmit};
use crate::question::Question;
use crate::remotes::Remotes;
use crate::sa_table::SaTable;
use crate::sealed::Sealed;
#[cfg(feature = "ikev1")]
use crate::v1::fragment::Fragments;
#[cfg(feature = "ikev2")]
use crate::v2::feature::configuration::Allowed;
#[cfg(feature = "ikev2")]
use crate::v2::feature::cookie::Cookies;
#[cfg(feature = "ikev2")]
use crate::v2::feature::redirect::Redirected;
#[cfg(feature = "ikev2")]
use crate::v2::feature::resumption::Tickets;
use crate::view::Counters;

/// Decisions that one input brings at most, as a rule: room for them is made once.
const OUTPUTS: usize = 16;

/// The context of a handler. The SA being handled is not in `table` meanwhile.
pub(crate) struct Core {
    pub(crate) remotes: Remotes,
    /// The policies by the remote that they are for, in their order: a peer has few, the configuration may have very many. Each is
    /// shared with the SAs that are made of it.
    policies: BTreeMap<String, Vec<Arc<ChildPolicy>>>,
    numbered: BTreeMap<PolicyId, Arc<ChildPolicy>>,
    /// What is offered of their proposals.
    pub(crate) offers: Offers,
    /// [`Config::processors`]
    #[cfg(feature = "ikev2")]
    pub(crate) processors: u32,
    /// [`Config::ipcomp`]
    pub(crate) ipcomp: bool,
    /// [`Config::aggfrag`]
    #[cfg(feature = "ikev2")]
    pub(crate) aggfrag: bool,
    /// How often all that was replaced.
    pub(crate) edition: u64,
    pub(crate) crypto: CryptoProvider,
    pub(crate) rng: Box<dyn SecureRandom>,
    pub(crate) now: Instant,
    pub(crate) table: SaTable,
    #[cfg(feature = "ikev2")]
    pub(crate) cookies: Cookies,
    #[cfg(feature = "ikev2")]
    pub(crate) redirected: Redirected,
    #[cfg(feature = "ikev2")]
    pub(crate) tickets: Tickets,
    pub(crate) exchanging: Exchanging,
    /// Zero bits of the hardest puzzle that strangers get under load; `None`: they get none.
    #[cfg(feature = "ikev2")]
    pub(crate) hardest_puzzle: Option<u8>,
    /// Puzzles that somebody solves for us, and how long at most.
    #[cfg(feature = "ikev2")]
    pub(crate) solving: BTreeMap<OpId, Instant>,
    /// Behind the tokens that show a crash (RFC 6290).
    #[cfg(feature = "ikev2")]
    pub(crate) crash_secret: Option<Secret>,
    /// The pre-shared key that was used last.
    #[cfg(feature = "ikev2")]
    pub(crate) last_key: LastKey,
    /// Gateways that did not answer.
    pub(crate) silent: Silent,
    /// Where names of hosts lead.
    pub(crate) hosts: HostNames,
    /// Of which families remotes have internal addresses for us.
    #[cfg(feature = "ikev2")]
    pub(crate) families: BTreeMap<String, Allowed>,
    /// Internal addresses.
    pub(crate) addresses: Addresses,
    /// Numbers of virtual interfaces.
    pub(crate) numbers: Numbers,
    /// Where we can be reached.
    pub(crate) host: HostAddresses,
    pub(crate) counters: Counters,
    /// Parts of messages of IKEv1.
    #[cfg(feature = "ikev1")]
    pub(crate) fragments: Fragments,
    outputs: VecDeque<Output>,
    next_op: u64,
    /// SAs being installed, by the operation that does it.
    installing: BTreeMap<OpId, SaId>,
    /// Open questions, by the IKE SA that asks.
    asking: BTreeMap<OpId, IkeSpi>,
    unprotected: Bucket<{ limits::UNPROTECTED_PER_SECOND }>,
    pool: Pool,
    next_serial: u64,
}

impl Core {
    pub(crate) fn new(
        config: Arc<Config>,
        crypto: CryptoProvider,
        mut rng: Box<dyn SecureRandom>,
        now: Instant,
    ) -> Self {
        #[cfg(feature = "ikev2")]
        let cookies = Cookies::new(&mut *rng, now);
        let mut core = Core {
            remotes: Remotes::default(),
            policies: BTreeMap::new(),
            numbered: BTreeMap::new(),
            offers: Offers::default(),
            #[cfg(feature = "ikev2")]
            processors: 0,
            ipcomp: false,
            #[cfg(feature = "ikev2")]
            aggfrag: false,
            edition: 0,
            crypto,
            rng,
            now,
            table: SaTable::default(),
            #[cfg(feature = "ikev2")]
            cookies,
            #[cfg(feature = "ikev2")]
            redirected: Redirected::default(),
            #[cfg(feature = "ikev2")]
            tickets: Tickets::default(),
            exchanging: Exchanging::default(),
            #[cfg(feature = "ikev2")]
            hardest_puzzle: None,
            #[cfg(feature = "ikev2")]
            solving: BTreeMap::new(),
            #[cfg(feature = "ikev2")]
            crash_secret: None,
            #[cfg(feature = "ikev2")]
            last_key: LastKey::default(),
            silent: Silent::default(),
            hosts: HostNames::default(),
            #[cfg(feature = "ikev2")]
            families: BTreeMap::new(),
            addresses: Addresses::default(),
            numbers: Numbers::default(),
            host: HostAddresses::default(),
            counters: Counters::default(),
            #[cfg(feature = "ikev1")]
            fragments: Fragments::default(),
            outputs: VecDeque::with_capacity(OUTPUTS),
            next_op: 0,
            installing: BTreeMap::new(),
            asking: BTreeMap::new(),
            unprotected: Bucket::default(),
            pool: Pool::default(),
            next_serial: 0,
        };
        core.configure(config);
        core
    }

    /// Takes another configuration; SAs keep what they were made of.
    pub(crate) fn configure(&mut self, config: Arc<Config>) {
        self.numbers.configure(&config);
        self.offers = Offers::of(&config, &self.crypto);
        self.addresses.configure(&config.pools);
        self.ipcomp = config.ipcomp;
        #[cfg(feature = "ikev2")]
        {
            (self.processors, self.aggfrag) = (config.processors, config.aggfrag);
            self.families.clear();
        }
        // Whoever made it has no use for it any more: nothing is copied then.
        let Config { remotes, policies, .. } = Arc::unwrap_or_clone(config);
        self.remotes = Remotes::of(remotes);
        self.addresses.forget_links(&self.remotes);
        (self.policies, self.numbered) = Default::default();
        for child in policies.into_iter().map(Arc::new) {
            self.numbered.entry(child.policy.id).or_insert_with(|| child.clone());
            self.policies.entry(child.remote.clone()).or_default().push(child);
        }
        for of_one in self.policies.values_mut() {
            of_one.sort_by_key(|child| (child.policy.priority, child.policy.id));
        }
        self.edition += 1;
        host_names::configure(self);
    }

    /// The policies for the remote of this name, the one that counts most first.
    pub(crate) fn policies_of(&self, remote: &str) -> &[Arc<ChildPolicy>] {
        self.policies.get(remote).map_or(&[], Vec::as_slice)
    }

    /// The policy of this number.
    pub(crate) fn policy(&self, id: PolicyId) -> Option<Arc<ChildPolicy>> {
        self.numbered.get(&id).cloned()
    }

    /// The numbers of virtual interfaces that an IKE SA with this remote has.
    pub(crate) fn interfaces_of(&mut self, remote: &Remote) -> IfIds {
        self.numbers.settle(remote.if_ids, IfIds::default())
    }

    /// The numbers and marks of a Child SA with these options, or that takes the place of another.
    pub(crate) fn numbers_of(
        &mut self,
        inbound: Spi,
        options: &SaOptions,
        of_ike: IfIds,
        replaces: Option<Spi>,
    ) -> Held {
        self.numbers.of_child(inbound, options, of_ike, replaces)
    }

    /// The next decision, oldest first.
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next decision if it is an operation.
    pub(crate) fn pop_apply(&mut self) -> Option<(OpId, Box<DataPlaneOp>)> {
        match self.outputs.pop_front()? {
            Output::Apply(id, op) => Some((id, op)),
            other => {
                self.outputs.push_front(other);
                None
            }
        }
    }

    /// A Child SA is not up after all: if nobody has heard that it is, nobody will.
    pub(crate) fn take_back_up(&mut self, of: Spi) {
        let tells = |output: &Output| matches!(output, Output::Event(Event::ChildUp { inbound, .. }) if *inbound == of);
        self.outputs.retain(|output| !tells(output));
    }

    /// Hands an operation to the data plane.
    pub(crate) fn apply(&mut self, op: impl Into<Box<DataPlaneOp>>) {
        let op = op.into();
        let id = OpId(self.next_op);
        self.next_op += 1;
        if let DataPlaneOp::AddSa(params) = &*op {
            self.installing.insert(id, params.id());
        }
        self.outputs.push_back(Output::Apply(id, op));
    }

    /// The SA that an operation was to install.
    pub(crate) fn installed(&mut self, op: OpId) -> Option<SaId> {
        self.installing.remove(&op)
    }

    /// Asks, in the name of an IKE SA.
    pub(crate) fn ask(&mut self, owner: IkeSpi, question: Question) -> OpId {
        let id = self.question(question);
        self.asking.insert(id, owner);
        id
    }

    /// Asks.
    pub(crate) fn question(&mut self, question: Question) -> OpId {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.outputs.push_back(Output::Ask(id, question));
        id
    }

    /// The IKE SA that asked.
    pub(crate) fn asked(&mut self, op: OpId) -> Option<IkeSpi> {
        self.asking.remove(&op)
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn withdraw(&mut self, op: OpId) {
        self.asking.remove(&op);
    }

    /// Sends a message. What answers a request goes from where it came in to where it came from, whatever the port (RFC
    /// 7296 §2.11).
    pub(crate) fn transmit(&mut self, way: Way, data: Vec<u8>) {
        self.outputs.push_back(Output::Transmit(Transmit::new(way, data)));
    }

    /// Sends a message as the transmission after `sent` others.
    pub(crate) fn send(&mut self, way: Way, message: &Sealed, sent: u32) {
        for datagram in message.datagrams(sent) {
            self.transmit(way, datagram.clone());
        }
    }

    /// Sends a request that got no answer, as the transmission after `sent` others. A stream has it already, or is gone: then
    /// it is opened anew (RFC 9329 §6.2).
    #[cfg(feature = "ikev2")]
    pub(crate) fn send_again(&mut self, ends: &Ends, message: &Sealed, sent: u32) {
        match &ends.stream {
            None => self.send(ends.way(), message, sent),
            Some(stream) if stream.is_lost && stream.is_ours => self.open_stream(ends),
            Some(_) => {}
        }
    }

    /// Asks for a connection from and to these ends, whose answer goes to their IKE SA.
    #[cfg(feature = "ikev2")]
    pub(crate) fn open_stream(&mut self, ends: &Ends) {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.asking.insert(id, ends.our_spi());
        let (local, remote) = (ends.local.ip(), ends.peer);
        self.outputs.push_back(Output::Stream(id, StreamOp::Open { local, remote }));
    }

    /// Closes a connection that no IKE SA needs any more.
    pub(crate) fn close_stream(&mut self, way: Way) {
        let exists = way.carrier == Carrier::Tcp && way.local.port() != 0;
        if exists && self.table.in_stream(way).next().is_none() {
            let id = OpId(self.next_op);
            self.next_op += 1;
            self.outputs.push_back(Output::Stream(id, StreamOp::Close(way)));
        }
    }

    /// Puts an IKE SA back that was taken out when it had this way; of one that is gone or went elsewhere, nobody may need
    /// the connection any more.
    pub(crate) fn put_back(&mut self, way: Way, sa: Option<IkeSa>) {
        let stays = sa.as_ref().is_some_and(|sa| sa.ends.way() == way);
        if let Some(sa) = sa {
            self.table.insert(sa);
        }
        if !stays {
            self.close_stream(way);
        }
    }

    /// Tells the operator.
    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells the operator why something failed.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.event(Event::Failed(failure));
    }

    /// Whether one more reaction to an unprotected message is within [`limits::UNPROTECTED_PER_SECOND`].
    pub(crate) fn may_react(&mut self) -> bool {
        let granted = self.unprotected.take(self.now);
        if !granted {
            self.counters.rate_limited += 1;
        }
        granted
    }

    /// A fresh nonce.
    pub(crate) fn nonce(&mut self) -> Arc<[u8]> {
        let mut nonce = [0; limits::NONCE_LEN];
        self.pool.take(&mut nonce, &mut *self.rng);
        nonce.into()
    }

    /// An SPI for an IKE SA that no other has.
    pub(crate) fn ike_spi(&mut self) -> IkeSpi {
        loop {
            let mut bytes = [0; 8];
            self.pool.take(&mut bytes, &mut *self.rng);
            let spi = IkeSpi(u64::from_be_bytes(bytes));
            // The SA being handled is not in the table, but to draw its SPI again takes 2^64 tries.
            if spi != IkeSpi::ZERO && self.table.get(spi).is_none() {
                return spi;
            }
        }
    }

    /// An inbound SPI for a Child SA of `owner`, reserved until released.
    pub(crate) fn child_spi(&mut self, owner: IkeSpi) -> Spi {
        loop {
            let mut bytes = [0; 4];
            self.pool.take(&mut bytes, &mut *self.rng);
            let spi = Spi(u32::from_be_bytes(bytes));
            if spi.is_usable() && self.table.claim(spi, owner) {
                return spi;
            }
        }
    }

    /// `duration` less a random part of up to a tenth, so that two ends with one configuration seldom rekey at once
    /// (RFC 7296 §2.8.1).
    pub(crate) fn jittered(&mut self, duration: Duration) -> Duration {
        duration - self.part_of(duration / 10)
    }

    /// Between half of `duration` and the whole.
    pub(crate) fn spread(&mut self, duration: Duration) -> Duration {
        duration - self.part_of(duration / 2)
    }

    fn part_of(&mut self, duration: Duration) -> Duration {
        let mut bytes = [0; 2];
        self.pool.take(&mut bytes, &mut *self.rng);
        duration / u32::from(u16::MAX) * u32::from(u16::from_be_bytes(bytes))
    }

    /// A number that grows with each IKE SA begun here.
    pub(crate) fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }
}

/// Random bytes that travel in clear sooner or later: SPIs, nonces, the spread of timers. They are drawn many at a
/// time, because a draw costs more than its bytes. Keys never come from here.
struct Pool {
    bytes: [u8; Self::SIZE],
    used: usize,
}

impl Pool {
    const SIZE: usize = 16 * limits::NONCE_LEN;

    /// Fills `out`, which is no longer than a nonce, with bytes that nobody had before.
    fn take(&mut self, out: &mut [u8], rng: &mut dyn SecureRandom) {
        if self.used + out.len() > Self::SIZE {
            rng.fill(&mut self.bytes);
            self.used = 0;
        }
        out.copy_from_slice(&self.bytes[self.used..][..out.len()]);
        self.used += out.len();
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool { bytes: [0; Self::SIZE], used: Self::SIZE }
    }
}
