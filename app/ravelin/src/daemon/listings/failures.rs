//! The last failures of each remote, for `ike netstat` and `why`, and a bound on how many are logged.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ravelin_ike::explain::Failure;
use ravelin_types::Instant;
use ravelin_types::policy::PolicyId;

/// Failures kept for one remote, and for all unknown peers together.
const KEPT: usize = 3;
/// Exchanges of one remote, or of all unknown peers, whose last failure is kept.
const EXCHANGES: usize = 32;
/// Failures logged in one [`PERIOD`]: anyone on the network can cause them.
const LOGGED: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// What failed lately.
#[derive(Debug, Default)]
pub struct Failures {
    /// By name of the remote; `None` has those of peers that no remote is configured for.
    by_remote: BTreeMap<Option<String>, Kept>,
    period: Instant,
    logged: u32,
    suppressed: u64,
}

/// Its name, the policy it was for, and of unknown peers the address.
type Exchange = (&'static str, Option<PolicyId>, Option<IpAddr>);

/// The last failures, and how many there were.
#[derive(Debug, Default)]
struct Kept {
    last: VecDeque<(Instant, Failure)>,
    /// The last one of each exchange, for a policy, and of unknown peers from an address.
    by_exchange: BTreeMap<Exchange, (Instant, Failure)>,
    count: u64,
}

impl Kept {
    fn add(&mut self, failure: &Failure, now: Instant) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((now, failure.clone()));
        self.count += 1;
        let address = failure.remote.is_none().then_some(failure.address);
        self.by_exchange.insert((failure.exchange, failure.policy, address), (now, failure.clone()));
        if self.by_exchange.len() > EXCHANGES
            && let Some(oldest) = self.by_exchange.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| *key)
        {
            self.by_exchange.remove(&oldest);
        }
    }
}

/// Whether to write a failure to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Write it, and say that this many were left out before it.
    Write(u64),
    /// Too many of late.
    Suppress,
}

impl Failures {
    /// Keeps a failure.
    pub fn add(&mut self, failure: &Failure, now: Instant) -> Log {
        self.by_remote.entry(failure.remote.clone()).or_default().add(failure, now);
        if now.since(self.period) >= PERIOD {
            self.period = now;
            self.logged = 0;
        }
        if self.logged == LOGGED {
            self.suppressed += 1;
            return Log::Suppress;
        }
        self.logged += 1;
        Log::Write(std::mem::take(&mut self.suppressed))
    }

    /// The failures of a remote, oldest first.
    pub fn of(&self, remote: Option<&str>) -> impl Iterator<Item = &(Instant, Failure)> {
        self.by_remote.get(&remote.map(str::to_owned)).into_iter().flat_map(|kept| &kept.last)
    }

    /// The last failure of each exchange with a remote.
    pub fn by_exchange(&self, remote: Option<&str>) -> impl Iterator<Item = &(Instant, Failure)> {
        self.by_remote.get(&remote.map(str::to_owned)).into_iter().flat_map(|kept| kept.by_exchange.values())
    }

    /// How many there were with a remote.
    pub fn count(&self, remote: &str) -> u64 {
        self.by_remote.get(&Some(remote.to_owned())).map_or(0, |kept| kept.count)
    }

    /// Forgets remotes that are no longer configured, so that what is kept stays bounded by the configuration.
    pub fn retain(&mut self, mut configured: impl FnMut(&str) -> bool) {
        self.by_remote.retain(|remote, _| remote.as_deref().is_none_or(&mut configured));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::explain::Part;

    fn failure(remote: Option<&str>, advice: &str) -> Failure {
        Failure {
            remote: remote.map(str::to_owned),
            address: [10, 0, 0, 1].into(),
            policy: None,
            exchange: "IKE_SA_INIT",
            part: Part::NoAnswer,
            theirs: Vec::new(),
            ours: Vec::new(),
            gaps: Vec::new(),
            advice: advice.to_owned(),
        }
    }

    #[test]
    fn the_last_ones_are_kept() {
        let mut failures = Failures::default();
        for advice in ["1", "2", "3", "4"] {
            failures.add(&failure(Some("gw"), advice), Instant::ZERO);
        }
        let kept: Vec<&str> = failures.of(Some("gw")).map(|(_, f)| f.advice.as_str()).collect();
        assert_eq!((kept, failures.count("gw")), (vec!["2", "3", "4"], 4));
        failures.retain(|name| name != "gw");
        assert_eq!(failures.of(Some("gw")).count(), 0);
    }

    #[test]
    fn the_last_one_of_each_exchange_is_kept_and_no_more_than_a_bound() {
        let mut failures = Failures::default();
        let of = |number: u32| Failure { policy: Some(PolicyId(number)), ..failure(Some("gw"), "") };
        for number in 0..100 {
            failures.add(&of(number), Instant::ZERO + Duration::from_secs(number.into()));
        }
        failures.add(&Failure { advice: "again".into(), ..of(99) }, Instant::ZERO + Duration::from_secs(200));
        let kept: Vec<_> = failures.by_exchange(Some("gw")).collect();
        assert_eq!(kept.len(), EXCHANGES);
        assert_eq!(kept.last().map(|(_, failure)| failure.advice.as_str()), Some("again"));
    }

    #[test]
    fn a_flood_is_logged_in_part() {
        let mut failures = Failures::default();
        let at = |secs| Instant::ZERO + Duration::from_secs(secs);
        for _ in 0..LOGGED {
            assert_eq!(failures.add(&failure(None, ""), at(20)), Log::Write(0));
        }
        assert_eq!(failures.add(&failure(None, ""), at(21)), Log::Suppress);
        assert_eq!(failures.add(&failure(None, ""), at(31)), Log::Write(1));
        assert_eq!(failures.add(&failure(None, ""), at(31)), Log::Write(0));
    }
}
