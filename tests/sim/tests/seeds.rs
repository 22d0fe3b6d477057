//! A few hundred seeds, each a run of its own. `SEED=n` repeats one with its trace, `SEEDS=n` runs the first n.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ravelin_sim::{Sabotage, Scenario, Summary, run};

/// What CI runs; nightly sets SEEDS.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn hosts_agree_and_traffic_crosses_after_every_kind_of_trouble() {
    if let Some(seed) = number("SEED") {
        let summary = run(Scenario::new(seed), Sabotage::None, true).unwrap_or_else(|failure| panic!("\n{failure}"));
        println!("seed {seed}: {summary:?}");
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let results: Mutex<(Summary, Vec<_>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let result = run(Scenario::new(seed), Sabotage::None, false);
                    let (sum, failures) = &mut *results.lock().unwrap();
                    match result {
                        Ok(summary) => add(sum, summary),
                        Err(failure) => failures.push(failure),
                    }
                }
            });
        }
    });
    let (sum, mut failures) = results.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    println!("{seeds} seeds: {sum:?}");
    if let Some(first) = failures.first() {
        let all: Vec<_> = failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.what)).collect();
        panic!("\n{first}\n\n{} of {seeds} seeds failed:\n{}", all.len(), all.join("\n"));
    }
    // A simulation in which nothing happens proves nothing.
    assert!(sum.arrived > 100 * seeds as usize && sum.arrived < sum.sent, "{sum:?}");
    let renewed = [sum.child_rekeys, sum.ike_rekeys, sum.reauthentications];
    assert!(renewed.iter().all(|times| u64::from(*times) > seeds), "{sum:?}");
}

fn add(sum: &mut Summary, one: Summary) {
    sum.sent += one.sent;
    sum.arrived += one.arrived;
    sum.child_rekeys += one.child_rekeys;
    sum.ike_rekeys += one.ike_rekeys;
    sum.reauthentications += one.reauthentications;
    sum.ike_ups += one.ike_ups;
    sum.ike_ups_of_v1 += one.ike_ups_of_v1;
    sum.resumptions += one.resumptions;
    sum.moves += one.moves;
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..5 {
        let once = run(Scenario::new(seed), Sabotage::None, false).unwrap();
        let twice = run(Scenario::new(seed), Sabotage::None, false).unwrap();
        assert_eq!(once, twice, "seed {seed}");
    }
    let other = run(Scenario::new(5), Sabotage::None, false).unwrap();
    assert_ne!(run(Scenario::new(0), Sabotage::None, false).unwrap().digest, other.digest);
}

#[test]
fn the_checks_find_what_is_wrong() {
    for (sabotage, words) in [
        (Sabotage::DropInboundSa, "the endpoint knows"),
        (Sabotage::ChangeKeys, "differ in keys"),
        (Sabotage::DropPolicy, "in the clear"),
    ] {
        let failure = run(Scenario::new(0), sabotage, false).unwrap_err();
        assert!(failure.what.contains(words), "{sabotage:?}: {}", failure.what);
    }
}
