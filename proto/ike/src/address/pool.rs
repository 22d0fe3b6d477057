//! Pools of internal addresses and who has which: for both versions of IKE, and as deterministic as the rest.
//!
//! ```text
//!   Pools::lease(pool, who, which)  ─► his fixed address, the one that he asks for, the one that he had,
//!                                      one that nobody had, the one that has been free the longest
//!   Pools::release(pool, address)   ─► free, but kept for him as long as others do not need it
//! ```
//! A lease belongs to an identity, which must be proven before it is asked for. An address may be held more than once by
//! the same identity, by IKE SAs that overlap for a while, if it was proven to the same remote: another may believe others, and
//! there the same name is another's.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ravelin_types::Identity;
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::v2::CfgAttributeType;

use super::link;
use crate::limits;

/// Addresses of one family, and what else a peer is told that gets one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The name by which remotes refer to it.
    pub name: String,
    /// The first and the last address.
    pub addresses: RangeInclusive<IpAddr>,
    /// Peers get IPv6 prefixes of this length, of 1 to 127 bits, in the place of addresses (RFC 5739). The range is made of whole
    /// ones, and each stands in a lease by its first address.
    pub prefix: Option<u8>,
    /// Addresses, of the range or not, that are always the same identity's.
    pub fixed: Vec<(Identity, IpAddr)>,
    /// DNS servers, networks behind us, domains and so on.
    pub attributes: Vec<Attribute>,
}

/// One thing that a side tells the other about the network inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// What it is.
    pub kind: CfgAttributeType,
    /// Its value.
    pub value: CfgValue,
}

/// A pool for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// How many addresses, or prefixes, the range has.
    pub size: u128,
    /// In the order of addresses.
    pub leases: Vec<LeaseView>,
}

/// An address that somebody has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The address.
    pub address: IpAddr,
    /// Whose it is.
    pub identity: Identity,
    /// Whether an IKE SA holds it now.
    pub online: bool,
}

/// All pools, by name.
#[derive(Debug, Default)]
pub struct Pools(BTreeMap<String, State>);

#[derive(Debug)]
struct State {
    pool: Pool,
    leases: BTreeMap<IpAddr, Lease>,
    /// The addresses of each identity, folded.
    owned: BTreeMap<Identity, Vec<IpAddr>>,
    /// Leases that nobody holds, by when that began.
    free: BTreeMap<u64, IpAddr>,
    clock: u64,
    /// Addresses before this place of the range were given out once.
    next: u128,
}

#[derive(Debug)]
struct Lease {
    identity: Identity,
    /// To which remote it was proven by who holds it.
    remote: String,
    holders: u32,
    /// Its place among the free ones.
    since: u64,
}

/// Who wants an address.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The identity that it has proven.
    pub identity: &'a Identity,
    /// To which remote.
    pub remote: &'a str,
}

impl Lease {
    /// Whether who holds it is this one. Nobody is the same as another nobody.
    fn is_of(&self, Who { identity, remote }: Who<'_>) -> bool {
        self.identity.is(identity) && self.remote == remote && *identity != Identity::Null
    }
}

impl Pools {
    /// Takes other pools. Leases stay where their address is still one of their pool.
    pub fn configure(&mut self, pools: &[Pool]) {
        let mut old = core::mem::take(&mut self.0);
        for pool in pools {
            let state = match old.remove(&pool.name) {
                Some(state) => state.changed_to(pool),
                None => State::new(pool),
            };
            self.0.insert(pool.name.clone(), state);
        }
    }

    /// An address of this pool for whoever is `who`; `asked` is the one that it would like. `None`: there is no such pool,
    /// or none is left.
    pub fn lease(&mut self, pool: &str, who: Who<'_>, asked: Option<IpAddr>) -> Option<IpAddr> {
        let state = self.0.get_mut(pool)?;
        let address = state.choose(who, asked)?;
        state.hold(address, who);
        Some(address)
    }

    /// The address that somebody else chose for whoever is `who`, of the range or not; the pool keeps it from others. `false`:
    /// there is no such pool, or another has the address.
    pub fn assign(&mut self, pool: &str, who: Who<'_>, address: IpAddr) -> bool {
        let others = |lease: &Lease| lease.holders > 0 && !lease.is_of(who);
        let has = |state: &State| state.leases.get(&address).is_some_and(others);
        let fixed =
            |state: &State| state.pool.fixed.iter().any(|(owner, at)| *at == address && !owner.is(who.identity));
        if self.0.values().any(|state| has(state) || fixed(state)) {
            return false;
        }
        self.0.get_mut(pool).map(|state| state.hold(address, who)).is_some()
    }

    /// An IKE SA does not hold the address any more.
    pub fn release(&mut self, pool: &str, address: IpAddr) {
        if let Some(state) = self.0.get_mut(pool) {
            state.release(address);
        }
    }

    /// The length of the prefixes of the pool, where it has such.
    pub fn prefix(&self, pool: &str) -> Option<u8> {
        self.0.get(pool)?.pool.prefix
    }

    /// Whether the pool has addresses of this family.
    pub fn has_family(&self, pool: &str, v4: bool) -> bool {
        self.0.get(pool).is_some_and(|state| state.pool.addresses.start().is_ipv4() == v4)
    }

    /// Whether the address is of the pool's range.
    pub fn is_of(&self, pool: &str, address: IpAddr) -> bool {
        self.0.get(pool).is_some_and(|state| holds(&state.pool.addresses, address))
    }

    /// What the pool has to tell beside the address.
    pub fn attributes(&self, pool: &str) -> &[Attribute] {
        self.0.get(pool).map_or(&[], |state| &state.pool.attributes)
    }

    /// For listings.
    pub fn view(&self) -> Vec<PoolView> {
        self.0.values().map(State::view).collect()
    }
}

impl Pool {
    /// How far one lease is from the next.
    fn step(&self) -> u128 {
        self.prefix.map_or(1, |length| link::hosts(length).saturating_add(1))
    }
}

impl State {
    fn new(pool: &Pool) -> Self {
        State {
            pool: pool.clone(),
            leases: BTreeMap::new(),
            owned: BTreeMap::new(),
            free: BTreeMap::new(),
            clock: 0,
            next: 0,
        }
    }

    fn changed_to(mut self, pool: &Pool) -> Self {
        let same =
            self.pool.addresses == pool.addresses && self.pool.fixed == pool.fixed && self.pool.prefix == pool.prefix;
        self.pool = pool.clone();
        if !same {
            self.next = 0;
            let gone = self.leases.iter().filter(|(at, lease)| !self.is_for(**at, &lease.identity));
            let gone: Vec<IpAddr> = gone.map(|(at, _)| *at).collect();
            gone.into_iter().for_each(|address| self.forget(address));
        }
        self
    }

    /// Whether the identity may have the address.
    fn is_for(&self, address: IpAddr, identity: &Identity) -> bool {
        match self.pool.fixed.iter().find(|(_, fixed)| *fixed == address) {
            Some((owner, _)) => owner.is(identity),
            None => holds(&self.pool.addresses, address) && bits(address).is_multiple_of(self.pool.step()),
        }
    }

    fn choose(&mut self, who: Who<'_>, asked: Option<IpAddr>) -> Option<IpAddr> {
        let identity = who.identity;
        let same = |lease: &Lease| lease.identity.is(identity) && (lease.holders == 0 || lease.is_of(who));
        let his = |address: &IpAddr| self.leases.get(address).is_none_or(same);
        if let Some((_, fixed)) = self.pool.fixed.iter().find(|(owner, _)| owner.is(identity)) {
            return Some(*fixed).filter(his);
        }
        if let Some(asked) = asked.filter(|asked| self.is_for(*asked, identity) && his(asked)) {
            return Some(asked);
        }
        let owned = self.owned.get(&identity.folded()).into_iter().flatten();
        let had = owned.copied().find(|address| self.leases.get(address).is_some_and(|lease| lease.holders == 0));
        had.or_else(|| self.untouched())
            .or_else(|| self.free.values().copied().find(|address| self.is_for(*address, identity)))
    }

    /// An address that nobody has or had.
    fn untouched(&mut self) -> Option<IpAddr> {
        // Behind the bound, what others have left goes first.
        if self.leases.len() >= limits::LEASES {
            return None;
        }
        loop {
            let address = nth(&self.pool.addresses, self.next.checked_mul(self.pool.step())?)?;
            self.next += 1;
            let fixed = self.pool.fixed.iter().any(|(_, fixed)| *fixed == address);
            if !fixed && !self.leases.contains_key(&address) {
                return Some(address);
            }
        }
    }

    fn hold(&mut self, address: IpAddr, Who { identity, remote }: Who<'_>) {
        if self.leases.get(&address).is_some_and(|lease| !lease.identity.is(identity)) {
            self.forget(address);
        }
        match self.leases.get_mut(&address) {
            Some(lease) => {
                self.free.remove(&lease.since);
                lease.holders += 1;
                lease.remote = remote.into();
            }
            None => {
                let lease = Lease { identity: identity.clone(), remote: remote.into(), holders: 1, since: 0 };
                self.leases.insert(address, lease);
                self.owned.entry(identity.folded()).or_default().push(address);
            }
        }
    }

    fn release(&mut self, address: IpAddr) {
        let Some(lease) = self.leases.get_mut(&address) else { return };
        lease.holders = lease.holders.saturating_sub(1);
        if lease.holders == 0 {
            self.clock += 1;
            lease.since = self.clock;
            self.free.insert(self.clock, address);
        }
    }

    fn forget(&mut self, address: IpAddr) {
        let Some(lease) = self.leases.remove(&address) else { return };
        self.free.remove(&lease.since);
        let whose = lease.identity.folded();
        if let Some(owned) = self.owned.get_mut(&whose) {
            owned.retain(|other| *other != address);
            if owned.is_empty() {
                self.owned.remove(&whose);
            }
        }
    }

    fn view(&self) -> PoolView {
        let leases = self.leases.iter().map(|(address, lease)| LeaseView {
            address: *address,
            identity: lease.identity.clone(),
            online: lease.holders > 0,
        });
        let size = size(&self.pool.addresses) / self.pool.step();
        PoolView { name: self.pool.name.clone(), size, leases: leases.collect() }
    }
}

fn holds(range: &RangeInclusive<IpAddr>, address: IpAddr) -> bool {
    range.start().is_ipv4() == address.is_ipv4() && range.contains(&address)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// How many addresses a range has; that of all IPv6 addresses is one short.
pub fn size(range: &RangeInclusive<IpAddr>) -> u128 {
    bits(*range.end()).saturating_sub(bits(*range.start())).saturating_add(1)
}

/// The address at a place of the range.
fn nth(range: &RangeInclusive<IpAddr>, place: u128) -> Option<IpAddr> {
    let address = bits(*range.start()).checked_add(place).filter(|address| *address <= bits(*range.end()))?;
    Some(match range.start() {
        IpAddr::V4(_) => core::net::Ipv4Addr::from_bits(u32::try_from(address).ok()?).into(),
        IpAddr::V6(_) => core::net::Ipv6Addr::from_bits(address).into(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn who(name: &str) -> Identity {
        Identity::Fqdn(name.to_string())
    }

    fn by(identity: &Identity) -> Who<'_> {
        Who { identity, remote: "gw" }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 3, 0, last])
    }

    fn pools(last: u8, fixed: &[(&str, u8)]) -> Pools {
        let mut pools = Pools::default();
        pools.configure(&[pool(last, fixed)]);
        pools
    }

    fn pool(last: u8, fixed: &[(&str, u8)]) -> Pool {
        Pool {
            name: "rw".into(),
            addresses: ip(1)..=ip(last),
            prefix: None,
            fixed: fixed.iter().map(|(name, last)| (who(name), ip(*last))).collect(),
            attributes: vec![],
        }
    }

    #[test]
    fn who_returns_has_his_address_again() {
        let mut pools = pools(9, &[]);
        assert_eq!(pools.lease("rw", by(&who("carol")), None), Some(ip(1)));
        assert_eq!(pools.lease("rw", by(&who("dave")), None), Some(ip(2)));
        pools.release("rw", ip(1));
        pools.release("rw", ip(2));
        assert_eq!(pools.lease("rw", by(&who("eve")), None), Some(ip(3)));
        assert_eq!(pools.lease("rw", by(&who("dave")), None), Some(ip(2)));
        assert_eq!(pools.lease("rw", by(&who("carol")), None), Some(ip(1)));
        // In other case it is the same name (RFC 4945 §3.1.2).
        pools.release("rw", ip(2));
        assert_eq!(pools.lease("rw", by(&who("DAVE")), None), Some(ip(2)));
        // A second IKE SA of hers beside the first, and one that takes the first's place.
        assert_eq!(pools.lease("rw", by(&who("carol")), None), Some(ip(4)));
        assert_eq!(pools.lease("rw", by(&who("carol")), Some(ip(1))), Some(ip(1)));
        pools.release("rw", ip(1));
        assert!(pools.view()[0].leases[0].online);
    }

    #[test]
    fn nobody_gets_what_another_holds() {
        let mut pools = pools(2, &[]);
        assert_eq!(pools.lease("rw", by(&who("carol")), Some(ip(2))), Some(ip(2)));
        assert_eq!(pools.lease("rw", by(&who("dave")), Some(ip(2))), Some(ip(1)));
        assert_eq!(pools.lease("rw", by(&who("eve")), None), None);
        // What has been free the longest is taken over, and is not his any more who had it.
        pools.release("rw", ip(2));
        pools.release("rw", ip(1));
        assert_eq!(pools.lease("rw", by(&who("eve")), None), Some(ip(2)));
        assert_eq!(pools.lease("rw", by(&who("carol")), None), Some(ip(1)));
        assert_eq!(pools.lease("rw", by(&who("dave")), None), None);
        assert_eq!(pools.lease("elsewhere", by(&who("dave")), None), None);
    }

    #[test]
    fn what_another_chose_is_held_like_a_lease() {
        let mut pools = pools(2, &[("dave", 9)]);
        assert!(pools.assign("rw", by(&who("carol")), ip(1)) && pools.assign("rw", by(&who("carol")), ip(77)));
        assert!(!pools.assign("rw", by(&who("eve")), ip(77)), "it is carol's");
        assert!(!pools.assign("rw", by(&who("eve")), ip(9)), "it is always dave's");
        assert!(!pools.assign("elsewhere", by(&who("eve")), ip(5)));
        assert_eq!(pools.lease("rw", by(&who("eve")), None), Some(ip(2)));
        pools.release("rw", ip(77));
        assert!(pools.assign("rw", by(&who("eve")), ip(77)), "nobody holds it any more");
        // What is not of the range, or is always another's, is not for those who are given any address.
        pools.release("rw", ip(77));
        assert_eq!(pools.lease("rw", by(&who("dave")), None), Some(ip(9)));
        pools.release("rw", ip(9));
        assert_eq!(pools.lease("rw", by(&who("frank")), None), None);
    }

    #[test]
    fn what_is_asked_for_must_be_in_the_pool() {
        let mut pools = pools(9, &[]);
        assert_eq!(pools.lease("rw", by(&who("carol")), Some(IpAddr::from([192, 0, 2, 1]))), Some(ip(1)));
        assert_eq!(pools.lease("rw", by(&who("dave")), Some("2001:db8::1".parse().unwrap())), Some(ip(2)));
    }

    #[test]
    fn a_fixed_address_is_for_one_alone() {
        let mut pools = pools(3, &[("carol", 1), ("gate", 200)]);
        assert_eq!(pools.lease("rw", by(&who("dave")), None), Some(ip(2)));
        assert_eq!(pools.lease("rw", by(&who("eve")), Some(ip(1))), Some(ip(3)));
        assert_eq!(pools.lease("rw", by(&who("mallory")), Some(ip(200))), None);
        assert_eq!(pools.lease("rw", by(&who("carol")), Some(ip(3))), Some(ip(1)));
        assert_eq!(pools.lease("rw", by(&who("gate")), None), Some(ip(200)));
    }

    // RFC 5280 §7.1: one name, written in two ways.
    #[test]
    fn a_distinguished_name_is_who_it_names() {
        let name = |text: &str| Identity::Dn(text.parse().unwrap());
        let mut pools = Pools::default();
        let fixed = vec![(name("O=Example, CN=gate"), ip(200))];
        pools.configure(&[Pool { fixed, ..pool(3, &[]) }]);
        let (one, other) = (name("O=Example, CN=Gate"), name("O=EXAMPLE, CN=gate"));
        assert_eq!(pools.lease("rw", by(&one), None), Some(ip(200)));
        assert_eq!(pools.lease("rw", Who { identity: &other, remote: "other" }, None), None, "she has it");
        assert_eq!(pools.lease("rw", by(&other), None), Some(ip(200)));
        assert!(!pools.assign("rw", by(&name("CN=gate, O=Example")), ip(200)));
        assert_eq!(pools.lease("rw", by(&name("CN=gate, O=Example")), None), Some(ip(1)));
    }

    // Two remotes may believe others of the same name.
    #[test]
    fn who_proved_a_name_to_another_remote_is_another() {
        let mut pools = pools(4, &[("gate", 200)]);
        let (carol, gate) = (who("carol"), who("gate"));
        let other = |identity| Who { identity, remote: "other" };
        assert_eq!(pools.lease("rw", by(&carol), None), Some(ip(1)));
        assert_eq!(pools.lease("rw", other(&carol), Some(ip(1))), Some(ip(2)));
        assert!(!pools.assign("rw", other(&carol), ip(1)) && pools.assign("rw", by(&carol), ip(1)));
        assert_eq!(pools.lease("rw", by(&gate), None), Some(ip(200)));
        assert_eq!(pools.lease("rw", other(&gate), None), None);
        // What nobody holds is hers, wherever she proves it.
        pools.release("rw", ip(200));
        assert_eq!(pools.lease("rw", other(&gate), None), Some(ip(200)));
        assert_eq!(pools.lease("rw", by(&gate), None), None);
    }

    // RFC 5739 §4.1: nobody has the prefix of another.
    #[test]
    fn prefixes_are_lent_like_addresses() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut pools = Pools::default();
        let addresses = at("2001:db8:1::")..=at("2001:db8:1:1:ffff:ffff:ffff:ffff");
        pools.configure(&[Pool { addresses, prefix: Some(64), ..pool(1, &[]) }]);
        assert_eq!((pools.prefix("rw"), pools.view()[0].size), (Some(64), 2));
        assert_eq!(pools.lease("rw", by(&who("carol")), Some(at("2001:db8:1:0:1::"))), Some(at("2001:db8:1::")));
        assert_eq!(pools.lease("rw", by(&who("dave")), Some(at("2001:db8:1::"))), Some(at("2001:db8:1:1::")));
        assert_eq!(pools.lease("rw", by(&who("eve")), None), None);
        pools.release("rw", at("2001:db8:1::"));
        assert_eq!(pools.lease("rw", by(&who("carol")), None), Some(at("2001:db8:1::")));
    }

    #[test]
    fn leases_outlive_a_change_of_their_pool_where_they_fit() {
        let mut pools = pools(9, &[]);
        for name in ["carol", "dave", "eve"] {
            pools.lease("rw", by(&who(name)), None);
        }
        pools.configure(&[pool(2, &[])]);
        let names = |pools: &Pools| -> Vec<String> {
            pools.view()[0].leases.iter().map(|lease| lease.identity.to_string()).collect()
        };
        assert_eq!(names(&pools), ["fqdn:carol", "fqdn:dave"]);
        pools.release("rw", ip(3));
        pools.configure(&[pool(9, &[("mallory", 1)])]);
        assert_eq!(names(&pools), ["fqdn:dave"]);
        assert_eq!(pools.lease("rw", by(&who("frank")), None), Some(ip(3)));
        pools.configure(&[]);
        assert!(pools.view().is_empty());
    }

    #[test]
    fn a_range_is_counted_whole() {
        let all = IpAddr::from([0u8; 16])..=IpAddr::from([0xff; 16]);
        assert_eq!((size(&(ip(1)..=ip(14))), size(&all)), (14, u128::MAX));
        assert_eq!(nth(&(ip(1)..=ip(2)), 2), None);
    }
}
