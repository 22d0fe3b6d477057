//! Every bound on what peers can make this endpoint keep or do.

use core::time::Duration;

/// Half-open IKE SAs that peers began, in all. Beyond it IKE_SA_INIT requests are dropped.
pub const HALF_OPEN: usize = 4096;

/// Half-open IKE SAs that one address began.
pub const HALF_OPEN_PER_ADDRESS: usize = 64;

/// From this many half-open IKE SAs on, IKE_SA_INIT requests must bring a cookie (RFC 7296 §2.6).
pub const COOKIE_THRESHOLD: usize = 32;

/// Cookies that are not ours and are answered with another in one second.
pub const WRONG_COOKIES: usize = 128;

/// Those of one address: its peers bring such a cookie once if all is well.
pub const WRONG_COOKIES_PER_ADDRESS: usize = 4;

/// How many of [`HALF_OPEN`] are for those that are known: who present a ticket, and addresses of peers that are here.
pub const HALF_OPEN_RESERVE: usize = HALF_OPEN / 8;

/// From this many half-open IKE SAs on, strangers solve puzzles first, where that is asked for (RFC 8019).
pub const PUZZLE_THRESHOLD: usize = 256;

/// Zero bits of the puzzle that they get then. Each doubling of half-open IKE SAs adds two: four times the work.
pub const PUZZLE_EASIEST: u8 = 14;

/// Zero bits of the hardest puzzle that we ask for or solve: some four million tries (RFC 8019 §9 says 20).
pub const PUZZLE_BITS: u8 = 20;

/// Zero bits that we look for where the responder leaves that to us (RFC 8019 §7.1.1.1).
pub const PUZZLE_OWN_CHOICE: u8 = 16;

/// How long a solution is good. No longer than a half-open IKE SA lives, so nobody has two of them for one (RFC 8019 §10).
pub const PUZZLE_TIME: Duration = HALF_OPEN_LIFETIME;

/// Puzzles that an initiator solves for one IKE SA in IKE_SA_INIT.
pub const PUZZLES_PER_INIT: u32 = 3;

/// Puzzles that are being solved at one time: whoever answers questions has others to answer.
pub const PUZZLES_AT_ONCE: usize = 2;

/// Messages of peers that have yet to prove who they are whose key exchange takes long and is being computed elsewhere: some
/// seconds of work at most.
pub const SLOW_EXCHANGES: usize = 256;

/// Those of one address.
pub const SLOW_EXCHANGES_PER_ADDRESS: usize = 4;

/// Messages of one IKE SA that wait for such a key exchange. Beyond it the next ones are dropped, and come again.
pub const PUT_OFF: usize = 4;

/// A responder forgets a half-open IKE SA after this time.
pub const HALF_OPEN_LIFETIME: Duration = Duration::from_secs(30);

/// How long a question about a signature or a certificate may stay open. A token needs a second, a revocation list from a
/// slow server some more; by then the peer has given up too.
pub const ANSWER: Duration = Duration::from_secs(30);

/// Authorities that are named to a peer in one CERTREQ payload, 20 octets each, of all entries that it may be of together: the answer
/// of IKE_SA_INIT has no fragments.
pub const REQUESTED_AUTHORITIES: usize = 16;

/// Announced methods of authentication (RFC 9593) that are kept; ours are some twenty. What comes after them is not looked at.
pub const AUTH_METHODS: usize = 64;

/// Remotes for the same peers by which a peer's proof is judged one after the other, beside the first.
pub const ALTERNATIVES: usize = 16;

/// Proofs of one side in IKE_AUTH (RFC 4739).
pub const PROOFS: usize = 4;

/// Post-quantum pre-shared keys that a peer may name for us to choose from (RFC 9867). What comes after them is not looked at.
pub const PPK_NAMES: usize = 16;

/// IKE SAs in all. Beyond it IKE_SA_INIT requests are dropped and none is begun.
pub const IKE_SAS: usize = 100_000;

/// Authenticated IKE SAs with one remote, those being replaced included. Beyond it the oldest ends: a peer that begins
/// or rekeys IKE SAs without end harms nobody but itself.
pub const IKE_SAS_PER_REMOTE: usize = 64;

/// IKE SAs in all whose peers proved nothing of who they are (RFC 7619). Beyond it IKE_AUTH is refused, so that there is
/// room for the others however many come.
pub const NOBODIES: usize = 4096;

/// Those of one address, which is all that is known of such a peer. Beyond it the oldest ends.
pub const NOBODIES_PER_ADDRESS: usize = 16;

/// Child SAs of one of them.
pub const CHILDREN_PER_NOBODY: usize = 16;

/// Child SAs of one IKE SA, those being replaced included. Beyond it NO_ADDITIONAL_SAS is the answer. A policy that
/// populates selectors from packets has one for each flow.
pub const CHILDREN_PER_IKE_SA: usize = 4096;

/// Child SAs with one remote, over all its IKE SAs.
pub const CHILDREN_PER_REMOTE: usize = 2 * CHILDREN_PER_IKE_SA;

/// Child SAs with the same selectors for single processors, queues or other resources of the two sides (RFC 9611 §7), those
/// being replaced included. Beyond it TS_MAX_QUEUE is the answer. RFC 9611 §6 recommends at least two for each processor.
pub const RESOURCES: usize = 256;

/// How often a label of compressed packets (RFC 3173) is chosen anew because it is in use. There are some 60,000, and when nearly all
/// are, Child SAs go without.
pub const CPI_TRIES: u32 = 64;

/// The secret behind cookies is replaced after this time; the one before it is still honoured once.
pub const COOKIE_SECRET_LIFETIME: Duration = Duration::from_secs(60);

/// Requests of one IKE SA that may be under way at once, of each side (RFC 7296 §2.3): so many answers are kept.
pub const WINDOW: u32 = 32;

/// How often an initiator begins IKE_SA_INIT anew because of COOKIE or INVALID_KE_PAYLOAD (RFC 7296 §2.6).
pub const INIT_RESTARTS: u32 = 5;

/// How often a CREATE_CHILD_SA request is repeated with the group that INVALID_KE_PAYLOAD asked for.
pub const KE_RESTARTS: u32 = 2;

/// Deletes of unknown Child SAs that are remembered while a CREATE_CHILD_SA request is open.
pub const EARLY_DELETES: usize = 8;

/// Child SAs that wait to be asked for on one IKE SA. Whatever else waits for its window is about something that is
/// there, once each.
pub const WANTS: usize = 256;

/// Unprotected messages per second sent in answer to messages that belong to no IKE SA, and failures reported because
/// of such messages (RFC 7296 §2.21.4).
pub const UNPROTECTED_PER_SECOND: u32 = 10;

/// A hint from an unprotected message causes at most one liveness check in this time (RFC 7296 §2.21.4).
pub const HINT_INTERVAL: Duration = Duration::from_secs(10);

/// Fragments of one message (RFC 7383): of 544 octets each they hold all that [`REASSEMBLED`] lets pass.
pub const FRAGMENTS: usize = 160;

/// Octets of one message in fragments. Chains of certificates with post-quantum signatures have some 30,000.
pub const REASSEMBLED: usize = 65_536;

/// Fragments of a message that is not complete after this time are dropped (RFC 7383 §2.6).
pub const REASSEMBLY_TIME: Duration = Duration::from_secs(30);

/// Leases of one pool, those that nobody holds included. Beyond it the longest free one goes to the next peer.
pub const LEASES: usize = IKE_SAS;

/// The longest name of a virtual link that a gateway may give to us, in octets (RFC 5739 §5.1).
pub const LINK_ID: usize = 256;

/// Internal addresses that one IKE SA may ask for.
pub const INTERNAL_ADDRESSES: usize = 8;

/// First wait after TEMPORARY_FAILURE; doubled each time (RFC 7296 §2.25).
pub const TEMPORARY_FAILURE_WAIT: Duration = Duration::from_secs(2);

/// After so many TEMPORARY_FAILUREs on one task, some four minutes, the states of the peers are out of step and the
/// IKE SA is closed (RFC 7296 §2.25).
pub const TEMPORARY_FAILURES: u32 = 7;

/// SAs of one IKE SA that wait for additional key exchanges of its peer (RFC 9370 §2.2.4). Beyond it TEMPORARY_FAILURE is
/// the answer.
pub const FOLLOW_UPS: usize = 4;

/// How long each of them waits: RFC 9370 §2.2.4 has 5 to 20 seconds in mind.
pub const FOLLOW_UP_WAIT: Duration = Duration::from_secs(20);

/// Octets of a ticket that we give: with the rest of IKE_SESSION_RESUME it passes any path in one piece (RFC 5723 §4.3.2).
pub const TICKET_GIVEN: usize = 1024;

/// Octets of a ticket that we keep of a gateway.
pub const TICKET_HELD: usize = 4096;

/// How long a ticket is good (RFC 5723 §6.2, RFC 5723 §9.8).
pub const TICKET_LIFETIME: Duration = Duration::from_secs(4 * 3600);

/// The key of tickets is replaced after this time; the one before it opens them for as long again.
pub const TICKET_KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Tickets that are good no more and remembered as such. Beyond it all that are older than the oldest of them are so, too.
pub const SPENT_TICKETS: usize = 2 * IKE_SAS;

/// How often a remote may send us to another gateway within [`REDIRECT_PERIOD`] (RFC 5685 §7).
pub const REDIRECTS: usize = 5;

/// The time in which redirects are counted.
pub const REDIRECT_PERIOD: Duration = Duration::from_secs(300);

/// How long the IKE SA of a peer stays that was sent to another gateway and does not delete it (RFC 5685 §5).
pub const REDIRECTED_LIFETIME: Duration = Duration::from_secs(60);

/// Tokens that an unprotected message may show (RFC 6290 §4.5).
pub const CRASH_TOKENS: usize = 4;

/// Messages per second that may show the token of one IKE SA (RFC 6290 §8.1).
pub const CRASH_TOKENS_PER_SECOND: u32 = 10;

/// An IKE SA whose peer crashed sooner is not begun anew before a packet asks for it.
pub const CRASH_PAUSE: Duration = Duration::from_secs(10);

/// Addresses beside the one in use that are told to a peer, and that are remembered of one (RFC 4555 §3.4).
pub const ADDITIONAL_ADDRESSES: usize = 16;

/// Wait before a failed rekey is tried again.
pub const REKEY_RETRY: Duration = Duration::from_secs(30);

/// The shortest time in which a responder can have us authenticate anew (RFC 4478 §5).
pub const REAUTH_SHORTEST: Duration = Duration::from_secs(3);

/// How long an IKE SA waits for the one that shall take its place after the time to authenticate anew.
pub const REAUTH_GRACE: Duration = Duration::from_secs(90);

/// How long an IKE SA stays beside the one that took its place by authenticating anew: packets that the peer sent before it
/// had the new Child SAs still arrive, and what we sent is through before the peer is told that its SAs are gone.
pub const REAUTH_OVERLAP: Duration = Duration::from_secs(1);

/// How long what a peer began anew waits for a sign that our answer arrived, while what it had before goes on sending: a
/// repetition of its request fits in, and a peer that lost what it had does not miss much.
pub const REAUTH_UNHEARD: Duration = Duration::from_secs(2);

/// How long a replaced IKE SA waits for the peer to delete it.
pub const REPLACED_IKE_LIFETIME: Duration = Duration::from_secs(60);

/// How long a gateway that did not answer is passed over, where there is another.
pub const GATEWAY_SILENCE: Duration = Duration::from_secs(300);

/// Addresses that are taken of the answer about one name, in its order: whoever answers may say as many as he likes.
pub const NAME_ADDRESSES: usize = 8;

/// Names of peers are looked up again after this time, for peers that begin. A negotiation of ours asks anyway.
pub const NAME_REFRESH: Duration = Duration::from_secs(60);

/// The same after an answer without addresses.
pub const NAME_RETRY: Duration = Duration::from_secs(10);

/// A peer whom no remote takes has names looked up that were not for this time, and no other has so before it has passed again.
pub const NAME_HINT: Duration = Duration::from_secs(5);

/// How many names at most, those that were not for longest: anyone can bring it about.
pub const NAMES_PER_HINT: usize = 32;

/// Length of the nonces we send; more than half of any prf's key (RFC 7296 §2.10).
pub const NONCE_LEN: usize = 32;

/// Half-open IKE SAs from which on first messages of IKEv1, which has no cookies to keep strangers off, are dropped; those
/// of IKEv2 have the rest of [`HALF_OPEN`] for themselves.
pub const V1_HALF_OPEN: usize = HALF_OPEN / 4;

/// Remotes that a peer of IKEv1 may turn out to be; each costs a derivation of keys.
pub const V1_CANDIDATES: usize = 16;

/// Quick modes under way on one ISAKMP SA.
pub const V1_QUICK_MODES: usize = 64;

/// Quick modes of ours that an error which names none may be about, once our last message of each is sent: the messages of two that
/// follow each other closely may be handled in another order.
pub const V1_DOUBTED: usize = 2;

/// How long after such an error a packet may prove that the peer has the Child SA all the same: a copy of the message makes many a peer
/// report one, too. The kernel's SAs are looked at each second.
pub const V1_PROOF: Duration = Duration::from_secs(3);

/// How long after our third message a repetition of the peer's second one is no sign that it was lost.
pub const V1_REPEAT_AFTER: Duration = Duration::from_secs(1);

/// Transactions of an ISAKMP SA that are remembered.
pub const V1_TRANSACTIONS: usize = 16;

/// How long a peer may take to get an address after phase 1.
pub const V1_ADDRESSES: Duration = Duration::from_secs(60);

/// How long our own quick modes wait after phase 1 for a peer to ask for an address of our pools, which it may have no need of.
pub const V1_MAY_ASK: Duration = Duration::from_secs(5);

/// Messages of IKEv1 of which parts are kept, one for each SA.
pub const V1_REASSEMBLIES: usize = 64;

/// Message IDs of a peer that are remembered so that nobody can play an exchange back.
pub const V1_MESSAGE_IDS: usize = 1024;

/// How long an exchange that is over is kept for repetitions.
pub const V1_LINGER: Duration = Duration::from_secs(30);

/// How long a Child SA of IKEv1 that we replace goes on sending when the peer does not send on the new one. The message
/// that makes the peer install that may be under way, or lost and sent once more.
pub const V1_SWITCH: Duration = Duration::from_secs(2);

/// Transforms of AH that are tried with each one of ESP, where a peer offers both together; there are not more algorithms.
pub const V1_AH_TRANSFORMS: usize = 16;

/// How long an SA of IKEv1 that we replaced stays: a Child SA goes on receiving, an ISAKMP SA waits for the peer to notice.
pub const V1_RETIREMENT: Duration = Duration::from_secs(5);

/// Which transmission the answer to a repeated message counts as: the first may have been too long for the path.
pub const V1_REPEAT: u32 = 2;

/// Suites that are offered for an ISAKMP SA: about as many as fit into a packet.
pub const V1_SUITES: usize = 32;

/// Selectors in one TS payload that are looked at.
pub const SELECTORS: usize = 64;

/// Lines of a peer's offer that are kept for a report, each cut to [`REPORT_LINE`].
pub const REPORT_LINES: usize = 8;

/// Characters of one line in a report.
pub const REPORT_LINE: usize = 400;

/// Sequence numbers of 32 bits that are skipped of a Child SA for a peer that is a cluster before it is rekeyed (RFC 6311 §5.2): a
/// sixteenth of them. Data planes that count packets alone ask for a rekey after seven eighths.
pub const SKIPPED_NUMBERS: u64 = 1 << 28;

/// Bytes under one key of a cipher with blocks of 64 bits, DES or 3DES, after which a Child SA is rekeyed: two equal blocks are then
/// found in one of two thousand SAs (CVE-2016-2183).
pub const SHORT_BLOCKS_SOFT: u64 = 1 << 30;

/// And after which it ends, whatever became of the rekey.
pub const SHORT_BLOCKS_HARD: u64 = 1 << 32;
