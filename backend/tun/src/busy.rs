//! Looking again before sleeping. A thread that sleeps takes tens of microseconds to wake, on a virtual machine more, and
//! packets that answer each other pay that at every passage. So where the next packet can be expected soon, a thread goes on
//! looking for a moment. It sleeps at once where such waits were longer; where packets come many at a time, which sleeping only
//! makes more; and where others need the processor, whom it lets go first between two looks.
//!
//! Waits take turns: behind a request there is a short one for the answer, and behind the answer a long one for the next
//! request. So it is remembered apart how waits behind a short one ended, and behind a long one, and a ping now and then is
//! waited for by looking where its answer passes, and asleep where its successor will.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a thread goes on looking.
const LOOKING: Duration = Duration::from_micros(150);
/// A sleep of this length, the time to wake included, is one that looking might have saved.
const SHORT: Duration = Duration::from_micros(250);
/// When a look takes so long, somebody else had the processor meanwhile.
const INTERRUPTED: Duration = Duration::from_micros(50);
/// And then it is left to others for so many times as long, since who uses it up by looking waits longer for it when packets
/// come: a hundredth of a second behind an interrupt of the machine, the longest rest behind a program with work for its turn.
const REST: u32 = 256;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// More packets at a time than answer each other.
const MANY: usize = 2;
/// All points that there are.
const ALL: u32 = 1024;
/// With these, looking is worth its while: more than one wait in three is short.
const ENOUGH: u32 = ALL * 3 / 8;

/// Places for threads that look: one processor less than there are, so that one is left to those whom the packets are for.
#[derive(Clone)]
pub(crate) struct Places(Arc<AtomicUsize>);

impl Places {
    /// Those of a machine with so many processors.
    pub(crate) fn new(processors: usize) -> Self {
        Places(Arc::new(AtomicUsize::new(processors.saturating_sub(1))))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What is known of the last waits.
pub(crate) struct Busy {
    places: Places,
    /// Until when the processor is left to others.
    rest: Option<Instant>,
    /// Of waits behind a long one, and behind a short one: more for each that was short, fewer for each that was not.
    points: [u32; 2],
    /// The last wait was short.
    after_short: bool,
}

impl Busy {
    /// For one of the threads that share the places.
    pub(crate) fn new(places: Places) -> Self {
        Busy { places, rest: None, points: [0; 2], after_short: false }
    }

    /// Waits: with `look`, which says whether something has come, and then, unless it has, with `sleep`. So many packets
    /// were `moved` since the last wait.
    pub(crate) fn wait<T>(
        &mut self,
        moved: usize,
        mut look: impl FnMut() -> Option<T>,
        sleep: impl FnOnce() -> T,
    ) -> T {
        if moved > MANY {
            self.points = [0; 2];
        }
        // What is there already was not waited for, and tells nothing.
        if let Some(found) = look() {
            return found;
        }
        let begin = Instant::now();
        let rests = self.rest.is_some_and(|until| begin < until);
        if !rests && self.points[usize::from(self.after_short)] >= ENOUGH && self.places.take() {
            let found = self.look(begin, look);
            self.places.give_back();
            if found.is_some() {
                self.note(true);
                return found.unwrap_or_else(sleep);
            }
        }
        let found = sleep();
        self.note(begin.elapsed() < SHORT);
        found
    }

    fn look<T>(&mut self, begin: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let mut last = begin;
        loop {
            std::thread::yield_now();
            if let found @ Some(_) = look() {
                return found;
            }
            let now = Instant::now();
            let away = now - last;
            if away > INTERRUPTED {
                self.rest = Some(now + (away * REST).min(LONGEST_REST));
                return None;
            }
            if now - begin > LOOKING {
                return None;
            }
            last = now;
        }
    }

    fn note(&mut self, short: bool) {
        let points = &mut self.points[usize::from(self.after_short)];
        *points = *points - *points / 16 + if short { ALL / 16 } else { 0 };
        self.after_short = short;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const WAITS: usize = 50;

    fn busy(processors: usize) -> Busy {
        Busy::new(Places::new(processors))
    }

    /// Waits with so many packets each, in which looking again finds something, or which the sleep ends after this time; how
    /// many times it slept.
    fn slept(busy: &mut Busy, moved: usize, found: bool, sleep: Duration) -> usize {
        let count = Cell::new(0);
        for _ in 0..WAITS {
            let asleep = || {
                count.set(count.get() + 1);
                std::thread::sleep(sleep);
            };
            let looks = Cell::new(0);
            let look = || {
                looks.set(looks.get() + 1);
                (found && looks.get() > 1).then_some(())
            };
            // However long the machine lets a look take.
            busy.rest = None;
            busy.wait(moved, look, asleep);
        }
        count.get()
    }

    #[test]
    fn looks_only_while_packets_follow_each_other_closely() {
        let mut busy = busy(2);
        assert_eq!(slept(&mut busy, 1, true, Duration::from_millis(1)), WAITS, "little traffic");
        busy.points = [ALL; 2];
        assert_eq!(slept(&mut busy, 1, true, Duration::ZERO), 0, "close traffic");
        assert_eq!(slept(&mut busy, 30, true, Duration::from_millis(1)), WAITS, "much traffic");
        busy.points = [ALL; 2];
        // It goes on looking for some time, and then leaves it.
        assert_eq!(slept(&mut busy, 1, false, Duration::from_millis(1)), WAITS);
        assert_eq!(slept(&mut busy, 1, true, Duration::from_millis(1)), WAITS, "again little traffic");
        assert_eq!(busy.places.0.load(Relaxed), 1, "the place is free again");
    }

    #[test]
    fn waits_for_an_answer_by_looking_and_for_the_next_request_asleep() {
        let mut busy = busy(2);
        let (looked, asleep) = (Cell::new(0), Cell::new(0));
        for answer in [false, true].repeat(WAITS) {
            busy.rest = None;
            let looks = Cell::new(0);
            let look = || {
                looks.set(looks.get() + 1);
                looked.set(looked.get() + usize::from(answer && looks.get() == 2));
                (answer && looks.get() == 2).then_some(())
            };
            // Each by itself has its length: an answer that was slept for was short, too.
            if !busy.after_short && answer {
                busy.points[0] = busy.points[0].max(ENOUGH);
            }
            busy.wait(1, look, || {
                asleep.set(asleep.get() + 1);
                std::thread::sleep(Duration::from_millis(if answer { 0 } else { 1 }));
            });
        }
        assert_eq!((looked.get(), asleep.get()), (WAITS, WAITS));
        assert!(busy.points[0] >= ENOUGH && busy.points[1] < ENOUGH);
    }

    #[test]
    fn what_is_there_already_tells_nothing() {
        let mut busy = busy(2);
        for _ in 0..WAITS {
            busy.wait(1, || Some(()), || unreachable!("something is there"));
        }
        assert_eq!((busy.points, busy.after_short), ([0; 2], false));
    }

    #[test]
    fn rests_when_somebody_else_wants_the_processor() {
        let mut busy = busy(2);
        busy.points = [ALL; 2];
        let looks = Cell::new(0);
        let slow = || {
            looks.set(looks.get() + 1);
            std::thread::sleep(2 * INTERRUPTED);
            None
        };
        busy.wait(1, slow, || ());
        assert!(looks.get() == 2 && busy.rest.is_some());
        busy.points = [ALL; 2];
        // However long this test takes.
        busy.rest = busy.rest.map(|until| until + Duration::from_secs(3600));
        busy.wait(1, slow, || ());
        assert_eq!(looks.get(), 3);
    }

    #[test]
    fn leaves_a_processor_to_others() {
        let mut alone = busy(1);
        alone.points = [ALL; 2];
        assert_eq!(slept(&mut alone, 1, true, Duration::ZERO), WAITS);
        let mut first = busy(2);
        let second = Busy { points: [ALL; 2], ..Busy::new(first.places.clone()) };
        first.points = [ALL; 2];
        let second = std::cell::RefCell::new(second);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            // While the first looks, the second sleeps at once.
            (looks.get() == 2).then(|| assert_eq!(slept(&mut second.borrow_mut(), 1, true, Duration::ZERO), WAITS))
        };
        first.wait(1, look, || ());
        assert_eq!(looks.get(), 2);
    }
}
