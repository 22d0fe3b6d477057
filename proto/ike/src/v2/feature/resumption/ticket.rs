//! A ticket by value: all that a gateway has to know of an IKE SA to go on with it, sealed under a key of its own.
//!
//! ```text
//!   format (1) | number of the key (4) | IV | { number (8) | expiry (8) | session } | ICV
//! ```
//! The key is drawn when it is first needed, is for nothing else, is replaced every [`limits::TICKET_KEY_LIFETIME`], and opens
//! tickets for as long again. It is in memory alone: tickets do not outlive the endpoint, and neither does the clock in them.
//! Read RFC 5723 §6.1, §9.1, §9.2, §9.5 and §9.8 before changing this file.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::ikev2::IkeCipher;
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::identity::IdType;
use ravelin_types::proposal::IkeSuite;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};
use ravelin_types::{Identity, IkeSpi, Instant, Secret};

use super::Session;
use crate::limits;
use crate::v2::keying::Keying;

const FORMAT: u8 = 1;
const HEAD_LEN: usize = 5;
/// What is sealed beside what has a length of its own.
const FIXED_LEN: usize = 128;

/// The keys of tickets, and which tickets are good no more.
#[derive(Default)]
pub(crate) struct Keys {
    current: Option<Key>,
    previous: Option<Key>,
    next_key: u32,
    next_ticket: u64,
    spent: BTreeSet<u64>,
    /// Every ticket below counts as spent.
    floor: u64,
}

struct Key {
    number: u32,
    made: Instant,
    cipher: IkeCipher,
}

impl Keys {
    /// Seals a session. Gives the number of the ticket and the ticket. `None`: it would be too long, or the provider lacks the
    /// cipher.
    pub(crate) fn seal(
        &mut self,
        session: &Session,
        lifetime: Duration,
        crypto: &CryptoProvider,
        rng: &mut dyn SecureRandom,
        now: Instant,
    ) -> Option<(u64, Vec<u8>)> {
        self.rotate(crypto, rng, now);
        let key = self.current.as_mut()?;
        let number = self.next_ticket;
        let inner = emit(number, now + lifetime, session)?;
        let mut ticket = vec![FORMAT];
        ticket.extend(key.number.to_be_bytes());
        key.cipher.seal(&mut ticket, inner.expose(), rng);
        self.next_ticket += 1;
        (ticket.len() <= limits::TICKET_GIVEN).then_some((number, ticket))
    }

    /// The session of a ticket that was made here, has not expired and was not spent.
    pub(crate) fn open(&self, ticket: &[u8], now: Instant) -> Option<Session> {
        let (head, _) = ticket.split_first_chunk::<HEAD_LEN>()?;
        let [format, number @ ..] = *head;
        let number = u32::from_be_bytes(number);
        let key = [&self.current, &self.previous].into_iter().flatten().find(|key| key.number == number)?;
        if format != FORMAT {
            return None;
        }
        let inner = Secret::new(key.cipher.open(ticket, HEAD_LEN).ok()?);
        let (session, expires) = Cutter(inner.expose()).session()?;
        (now < expires && self.is_unspent(session.number)).then_some(session)
    }

    /// Marks a ticket as spent; false when it was before.
    pub(crate) fn spend(&mut self, number: u64) -> bool {
        let fresh = self.is_unspent(number);
        if fresh {
            self.spent.insert(number);
        }
        if self.spent.len() > limits::SPENT_TICKETS
            && let Some(oldest) = self.spent.pop_first()
        {
            self.floor = oldest + 1;
        }
        fresh
    }

    fn is_unspent(&self, number: u64) -> bool {
        number >= self.floor && !self.spent.contains(&number)
    }

    fn rotate(&mut self, crypto: &CryptoProvider, rng: &mut dyn SecureRandom, now: Instant) {
        if self.current.as_ref().is_some_and(|key| now.since(key.made) < limits::TICKET_KEY_LIFETIME) {
            return;
        }
        self.previous = self.current.take();
        let Some(alg) = crypto.encr(EncrId::AES_GCM_16) else { return };
        let mut bytes = vec![0; 32 + alg.salt_len()];
        rng.fill(&mut bytes);
        let cipher = IkeCipher::new(alg, None, Secret::new(bytes).expose(), &[]).ok();
        self.current = cipher.map(|cipher| Key { number: self.next_key, made: now, cipher });
        self.next_key = self.next_key.wrapping_add(1);
    }
}

const _: () = assert!(
    limits::TICKET_LIFETIME.as_secs() < limits::TICKET_KEY_LIFETIME.as_secs(),
    "the key before the current one opens every ticket that has not expired"
);

/// What is sealed. `None` for a field of more than 65,535 octets.
fn emit(number: u64, expires: Instant, session: &Session) -> Option<Secret> {
    let ids = [&session.claimed, &session.identities.0, &session.identities.1];
    let ids: Vec<(u8, Vec<u8>)> = ids.map(|id| (id.kind().0, id.data())).into();
    let names = session.remote.len() + ids.iter().map(|(_, data)| data.len()).sum::<usize>();
    let Keying { suite, additional, sk_d, ppk, full_transcript } = &session.keying;
    let secrets = sk_d.len() + session.credentials.len();
    // Sized once: a vector that grew would leave a key behind.
    let mut out = Vec::with_capacity(FIXED_LEN + names + secrets + 2 * additional.len());
    let IkeSuite { encr, encr_key_bits, integ, prf, ke } = *suite;
    for long in [number, nanoseconds(expires), session.until.map_or(0, nanoseconds), session.spi.0] {
        out.extend(long.to_be_bytes());
    }
    let [ppk, full_transcript] = [*ppk, *full_transcript].map(u16::from);
    for short in [encr.0, encr_key_bits, integ.0, prf.0, ke.0, ppk, full_transcript] {
        out.extend(short.to_be_bytes());
    }
    let mut field = |bytes: &[u8]| {
        out.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
        out.extend_from_slice(bytes);
        Some(())
    };
    field(session.remote.as_bytes())?;
    for (kind, data) in &ids {
        field(&[*kind])?;
        field(data)?;
    }
    field(&additional.iter().flat_map(|method| method.0.to_be_bytes()).collect::<Vec<u8>>())?;
    field(session.credentials.expose())?;
    field(sk_d.expose())?;
    Some(Secret::new(out))
}

fn nanoseconds(at: Instant) -> u64 {
    u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX)
}

fn instant(nanoseconds: u64) -> Instant {
    Instant::from_duration(Duration::from_nanos(nanoseconds))
}

/// Takes fields off the front.
struct Cutter<'a>(&'a [u8]);

impl<'a> Cutter<'a> {
    fn long(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    fn short(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.short()?);
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn identity(&mut self) -> Option<Identity> {
        let kind = IdType(*self.field()?.first()?);
        Identity::parse(kind, self.field()?)
    }

    /// The session, and when the ticket expires.
    fn session(mut self) -> Option<(Session, Instant)> {
        let (number, expires, until, spi) = (self.long()?, instant(self.long()?), self.long()?, IkeSpi(self.long()?));
        let suite = IkeSuite {
            encr: EncrId(self.short()?),
            encr_key_bits: self.short()?,
            integ: IntegId(self.short()?),
            prf: PrfId(self.short()?),
            ke: KeMethod(self.short()?),
        };
        let (ppk, full_transcript) = (self.short()? != 0, self.short()? != 0);
        let remote = String::from_utf8(self.field()?.to_vec()).ok()?;
        let (claimed, own, peer) = (self.identity()?, self.identity()?, self.identity()?);
        let methods = self.field()?.chunks_exact(2).map(|pair| KeMethod(u16::from_be_bytes([pair[0], pair[1]])));
        let additional = methods.collect();
        let (credentials, sk_d) = (Secret::from(self.field()?), Secret::from(self.field()?));
        let session = Session {
            number,
            remote,
            claimed,
            identities: (own, peer),
            keying: Keying { suite, additional, sk_d, ppk, full_transcript },
            credentials,
            until: (until != 0).then(|| instant(until)),
            spi,
        };
        Some((session, expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_testkit::SeededRandom;

    fn session() -> Session {
        let fqdn = |name: &str| Identity::Fqdn(name.into());
        Session {
            number: 0,
            remote: "gw".into(),
            claimed: fqdn("anybody"),
            identities: (fqdn("gw"), fqdn("carol")),
            keying: Keying {
                suite: IkeSuite {
                    encr: EncrId::AES_GCM_16,
                    encr_key_bits: 128,
                    integ: IntegId::NONE,
                    prf: PrfId::HMAC_SHA2_256,
                    ke: KeMethod::CURVE25519,
                },
                additional: vec![KeMethod::ML_KEM_768],
                sk_d: Secret::new(vec![7; 32]),
                ppk: true,
                full_transcript: true,
            },
            credentials: Secret::new(vec![8; 32]),
            until: Some(instant(5)),
            spi: IkeSpi(9),
        }
    }

    fn seal(keys: &mut Keys, now: Instant) -> (u64, Vec<u8>) {
        let (crypto, mut rng) = (ravelin_crypto_aws_lc::provider(), SeededRandom::new(4));
        keys.seal(&session(), Duration::from_secs(60), &crypto, &mut rng, now).unwrap()
    }

    #[test]
    fn a_ticket_brings_back_what_was_put_in_until_it_expires() {
        let (mut keys, now) = (Keys::default(), Instant::from_duration(Duration::from_secs(9)));
        let (_, ticket) = seal(&mut keys, now);
        let opened = keys.open(&ticket, now).unwrap();
        let expected = session();
        let (keying, expected_keying) = (opened.keying, &expected.keying);
        assert_eq!(keying.sk_d.expose(), expected_keying.sk_d.expose());
        assert_eq!(opened.credentials.expose(), expected.credentials.expose());
        assert_eq!((opened.identities, opened.claimed), (expected.identities, expected.claimed));
        assert_eq!((keying.suite, &keying.additional), (expected_keying.suite, &expected_keying.additional));
        assert_eq!((keying.ppk, keying.full_transcript), (true, true));
        assert_eq!((opened.until, opened.spi), (expected.until, expected.spi));
        assert!(keys.open(&ticket, now + Duration::from_secs(59)).is_some());
        assert!(keys.open(&ticket, now + Duration::from_secs(60)).is_none());
        // Nothing of it can be read.
        let holds = |needle: &[u8]| ticket.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(b"carol") && !holds(&[7; 16]));
    }

    #[test]
    fn what_was_altered_cut_or_made_elsewhere_does_not_open() {
        let (mut keys, now) = (Keys::default(), Instant::ZERO);
        let (_, ticket) = seal(&mut keys, now);
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1;
            assert!(keys.open(&other, now).is_none(), "octet {at}");
            assert!(keys.open(&ticket[..at], now).is_none(), "{at} octets");
        }
        assert!(Keys::default().open(&ticket, now).is_none());
        assert!(keys.open(&ticket, now).is_some());
    }

    #[test]
    fn a_ticket_is_spent_once_and_old_keys_go() {
        let (mut keys, now) = (Keys::default(), Instant::ZERO);
        let (number, ticket) = seal(&mut keys, now);
        assert!(keys.spend(number) && !keys.spend(number));
        assert!(keys.open(&ticket, now).is_none());
        let later = now + limits::TICKET_KEY_LIFETIME;
        let (_, first) = seal(&mut keys, now + limits::TICKET_KEY_LIFETIME / 2);
        let (_, second) = seal(&mut keys, later);
        assert_ne!(first[..HEAD_LEN], second[..HEAD_LEN]);
        let soon = now + limits::TICKET_KEY_LIFETIME / 2 + Duration::from_secs(1);
        assert!(keys.open(&first, soon).is_some() && keys.open(&second, later).is_some());
        seal(&mut keys, later + limits::TICKET_KEY_LIFETIME);
        assert!(keys.open(&first, soon).is_none(), "its key is gone");
    }

    #[test]
    fn what_is_remembered_of_spent_tickets_is_bounded() {
        let mut keys = Keys::default();
        for number in 0..limits::SPENT_TICKETS as u64 + 10 {
            assert!(keys.spend(number));
        }
        assert_eq!((keys.spent.len(), keys.floor), (limits::SPENT_TICKETS, 10));
        assert!(!keys.spend(3) && !keys.spend(20));
    }
}
