//! Looking again before sleeping. A thread that sleeps takes tens of microseconds to wake, on a virtual machine more, and
//! packets that answer each other pay that at every passage. So while they follow each other closely, a thread goes on looking
//! for a moment. It sleeps at once where the last waits were longer, as on an idle machine or with little traffic; where packets
//! come many at a time, which sleeping only makes more; and where no processor is left for those whom they are for.

use std::time::{Duration, Instant};

/// How long a thread goes on looking.
const LOOKING: Duration = Duration::from_micros(150);
/// A sleep of this length, the time to wake included, is one that looking might have saved.
const SHORT: Duration = Duration::from_micros(250);
/// When a look takes so long, somebody else had the processor meanwhile.
const INTERRUPTED: Duration = Duration::from_micros(50);
/// And then it is left to others for so long: who uses it up by looking waits longer for it when packets come.
const REST: Duration = Duration::from_secs(1);
/// More packets at a time than answer each other.
const MANY: usize = 2;
/// All points that there are.
const ALL: u32 = 1024;
/// With these, looking is worth its while: more than one wait in three is short.
const ENOUGH: u32 = ALL * 3 / 8;

/// What is known of the last waits.
pub(crate) struct Busy {
    allowed: bool,
    /// Until when the processor is left to others.
    rest: Option<Instant>,
    /// More for each wait that was short, fewer for each that was not.
    points: u32,
}

impl Busy {
    /// With one of `threads` that look, on a machine with so many processors.
    pub(crate) fn new(threads: usize, processors: usize) -> Self {
        Busy { allowed: processors > threads, rest: None, points: 0 }
    }

    /// Waits: with `look`, which says whether something has come, and then, unless it has, with `sleep`. So many packets
    /// were `moved` since the last wait.
    pub(crate) fn wait<T>(&mut self, moved: usize, look: impl FnMut() -> Option<T>, sleep: impl FnOnce() -> T) -> T {
        if !self.allowed {
            return sleep();
        }
        if moved > MANY {
            self.points = 0;
        }
        let begin = Instant::now();
        if self.points < ENOUGH || self.rest.is_some_and(|until| begin < until) {
            let found = sleep();
            self.note(begin.elapsed() < SHORT);
            return found;
        }
        let found = self.look(begin, look);
        self.note(found.is_some());
        found.unwrap_or_else(sleep)
    }

    fn look<T>(&mut self, begin: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let mut last = begin;
        loop {
            if let found @ Some(_) = look() {
                return found;
            }
            let now = Instant::now();
            if now - last > INTERRUPTED {
                self.rest = Some(now + REST);
                return None;
            }
            if now - begin > LOOKING {
                return None;
            }
            last = now;
        }
    }

    fn note(&mut self, short: bool) {
        self.points = self.points - self.points / 16 + if short { ALL / 16 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const WAITS: usize = 50;

    /// Waits with so many packets each, in which looking finds something at once, or which the sleep ends after this time; how
    /// many times it slept.
    fn slept(busy: &mut Busy, moved: usize, found: bool, sleep: Duration) -> usize {
        let count = Cell::new(0);
        for _ in 0..WAITS {
            let asleep = || {
                count.set(count.get() + 1);
                std::thread::sleep(sleep);
            };
            busy.wait(moved, || found.then_some(()), asleep);
        }
        count.get()
    }

    #[test]
    fn looks_only_while_packets_follow_each_other_closely() {
        let mut busy = Busy::new(1, 2);
        assert_eq!(slept(&mut busy, 1, true, Duration::from_millis(1)), WAITS, "little traffic");
        busy.points = ALL;
        assert_eq!(slept(&mut busy, 1, true, Duration::ZERO), 0, "close traffic");
        assert_eq!(slept(&mut busy, 30, true, Duration::ZERO), WAITS, "much traffic");
        busy.points = ALL;
        // It goes on looking for some time, and then leaves it.
        assert_eq!(slept(&mut busy, 1, false, Duration::from_millis(1)), WAITS);
        assert_eq!(slept(&mut busy, 1, true, Duration::from_millis(1)), WAITS, "again little traffic");
    }

    #[test]
    fn rests_when_somebody_else_wants_the_processor() {
        let mut busy = Busy::new(1, 2);
        busy.points = ALL;
        let looks = Cell::new(0);
        let slow = || {
            looks.set(looks.get() + 1);
            std::thread::sleep(2 * INTERRUPTED);
            None
        };
        busy.wait(1, slow, || ());
        assert!(looks.get() == 1 && busy.rest.is_some());
        busy.points = ALL;
        // However long this test takes.
        busy.rest = busy.rest.map(|until| until + Duration::from_secs(3600));
        busy.wait(1, slow, || ());
        assert_eq!(looks.get(), 1);
    }

    #[test]
    fn leaves_a_processor_to_others() {
        for (threads, processors) in [(1, 1), (2, 2)] {
            let mut busy = Busy::new(threads, processors);
            busy.points = ALL;
            assert_eq!(slept(&mut busy, 1, true, Duration::ZERO), WAITS);
        }
    }
}
