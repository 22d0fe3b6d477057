//! ESP packets on their way to the worker that opens them.
//!
//! Datagrams in UDP come to the worker to which the kernel gives all of a peer's address and port, so they stay in order,
//! and are of whatever SAs that peer has. As each must be moved into a slot anyway, those of another worker's SAs are moved
//! into slots that are then his: a parcel, which goes to him and comes back empty. There are so many parcels and no more. A
//! worker that has none left leaves the datagrams in its socket until one comes back, and nothing is lost in between.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use ravelin_engine::OuterMeta;
use ravelin_inbox::Wake;
use ravelin_types::Spi;

use crate::mail::Mail;
use crate::slots::{BATCH, Slots};

/// Parcels of each worker that is not alone.
const PARCELS: usize = 32;

/// ESP packets, in the order of arrival.
pub(crate) struct Parcel {
    pub slots: Slots,
    pub batch: Batch,
    /// Whose it is.
    home: usize,
}

/// Where the packets stand in the slots.
#[derive(Default)]
pub(crate) struct Batch {
    /// The slot of each packet.
    pub slots: Vec<usize>,
    /// By slot: where ESP stands in it; empty for slots that hold something else.
    pub ranges: Vec<Range<usize>>,
    pub metas: Vec<OuterMeta>,
    pub spis: Vec<Spi>,
}

impl Parcel {
    pub(crate) fn new(home: usize) -> Self {
        Parcel { slots: Slots::new(), batch: Batch::default(), home }
    }
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.ranges.clear();
        self.metas.clear();
        self.spis.clear();
    }

    pub(crate) fn push(&mut self, slot: usize, range: Range<usize>, meta: OuterMeta, spi: Spi) {
        self.ranges.resize(slot, 0..0);
        self.ranges.push(range);
        self.slots.push(slot);
        self.metas.push(meta);
        self.spis.push(spi);
    }
}

/// The parcels of one worker, and its way to the others.
pub(crate) struct Parcels {
    mail: Mail<Parcel>,
    free: Vec<Parcel>,
    /// Those that are to be opened; who sent them wakes this worker behind each.
    arrived: VecDeque<Parcel>,
    /// Those that are being filled, by worker.
    open: Vec<Option<Parcel>>,
    /// By worker: it waits for a parcel of its own to come back.
    short: Arc<[AtomicBool]>,
}

impl Parcels {
    /// For the workers that wait for these.
    pub(crate) fn among(wakes: &[Wake]) -> Vec<Self> {
        let workers = wakes.len();
        // All parcels that there are find room in one inbox.
        let mail = Mail::among(wakes, workers * PARCELS);
        let short: Arc<[AtomicBool]> = wakes.iter().map(|_| AtomicBool::new(false)).collect();
        let made = if workers > 1 { PARCELS } else { 0 };
        let of = |mail: Mail<Parcel>| Parcels {
            arrived: VecDeque::with_capacity(workers * PARCELS),
            free: (0..made).map(|_| Parcel::new(mail.own())).collect(),
            open: (0..workers).map(|_| None).collect(),
            short: short.clone(),
            mail,
        };
        mail.into_iter().map(of).collect()
    }

    /// Which worker this is.
    pub(crate) fn own(&self) -> usize {
        self.mail.own()
    }

    /// How many trains of at most [`BATCH`] datagrams may be received now, whosever they are.
    pub(crate) fn trains(&self) -> usize {
        match self.mail.len() {
            1 => BATCH,
            // Each train fills a parcel, and each other worker may be left with one that is not full.
            workers => self.free.len().saturating_sub(workers - 1).min(BATCH),
        }
    }

    /// Whether no train may be received now. Then this worker is woken when a parcel comes back.
    pub(crate) fn is_short(&mut self) -> bool {
        if self.trains() > 0 {
            return false;
        }
        self.short[self.own()].store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // What came back before somebody could see that.
        while let Some(parcel) = self.mail.next() {
            self.put_by(parcel);
        }
        self.trains() == 0
    }

    /// Where a packet for this worker goes: a parcel that has room; `None` when there is none.
    pub(crate) fn towards(&mut self, worker: usize) -> Option<&mut Parcel> {
        if self.open[worker].as_ref().is_some_and(|parcel| parcel.batch.len() == BATCH) {
            self.send(worker);
        }
        if self.open[worker].is_none() {
            self.open[worker] = self.free.pop();
        }
        self.open[worker].as_mut()
    }

    /// Sends what was filled.
    pub(crate) fn send_all(&mut self) {
        (0..self.open.len()).for_each(|worker| self.send(worker));
        self.mail.wake();
    }

    fn send(&mut self, worker: usize) {
        if let Some(parcel) = self.open[worker].take() {
            self.mail.tell(worker);
            if let Err(mut parcel) = self.mail.send(worker, parcel) {
                // He has ended, and so will we.
                parcel.batch.clear();
                self.free.push(parcel);
            }
        }
    }

    /// The next parcel that somebody sent to be opened. Own ones that come back are put by.
    pub(crate) fn next(&mut self) -> Option<Parcel> {
        while self.arrived.is_empty()
            && let Some(parcel) = self.mail.next()
        {
            self.put_by(parcel);
        }
        self.arrived.pop_front()
    }

    fn put_by(&mut self, parcel: Parcel) {
        if parcel.home == self.own() {
            self.free.push(parcel);
        } else {
            self.arrived.push_back(parcel);
        }
    }

    /// Gives a parcel back, empty.
    pub(crate) fn give_back(&mut self, parcel: Parcel) {
        let home = parcel.home;
        // Where he has ended, nobody misses it.
        let _ = self.mail.send(home, parcel);
        fence(Ordering::SeqCst);
        if self.short[home].load(Ordering::SeqCst) && self.short[home].swap(false, Ordering::SeqCst) {
            self.mail.tell(home);
        }
    }

    /// Wakes those to whom parcels came back.
    pub(crate) fn wake(&mut self) {
        self.mail.wake();
    }

    /// Comes back to this worker after other things.
    pub(crate) fn come_back(&mut self) {
        self.mail.tell(self.own());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::net::Ipv4Addr;
    use std::os::fd::AsFd;

    fn is_set(wake: &Wake) -> bool {
        poll(&mut [PollFd::new(&wake.as_fd(), PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    }

    fn put(parcels: &mut Parcels, worker: usize, spi: u32) -> bool {
        let any = Ipv4Addr::UNSPECIFIED.into();
        let meta = OuterMeta { src: any, dst: any, src_port: None, tos: 0, ttl: 64 };
        let parcel = parcels.towards(worker);
        parcel.map(|parcel| parcel.batch.push(parcel.batch.len(), 64..96, meta, Spi(spi))).is_some()
    }

    #[test]
    fn packets_of_another_worker_come_to_him_in_order_and_the_parcels_come_back() {
        let wakes = [Wake::new().unwrap(), Wake::new().unwrap()];
        let [mut first, mut second] = Parcels::among(&wakes).try_into().ok().unwrap();
        assert_eq!(first.trains(), PARCELS - 1);
        let sent = (BATCH * PARCELS) as u32;
        assert!((0..sent).all(|spi| put(&mut first, 1, spi)));
        first.send_all();
        assert!(is_set(&wakes[1]) && !put(&mut first, 1, sent), "all parcels are under way");

        // Who has none left is woken when one comes back, and not before he waits for it.
        let mut spis = Vec::new();
        let mut open = |parcel: &mut Parcel| {
            spis.extend(parcel.batch.spis.iter().map(|spi| spi.0));
            parcel.batch.clear();
        };
        let mut parcel = second.next().unwrap();
        open(&mut parcel);
        second.give_back(parcel);
        second.wake();
        assert!(!is_set(&wakes[0]));
        // One is for what may be left over for the other worker, so no train is received yet.
        assert!(first.is_short() && first.trains() == 0);
        while let Some(mut parcel) = second.next() {
            open(&mut parcel);
            second.give_back(parcel);
        }
        second.wake();
        assert!(is_set(&wakes[0]) && !first.is_short());
        assert_eq!(first.trains(), PARCELS - 1);
        assert!(spis.into_iter().eq(0..sent));
    }

    #[test]
    fn what_others_sent_is_not_lost_while_waiting_for_own_parcels() {
        let wakes = [Wake::new().unwrap(), Wake::new().unwrap()];
        let [mut first, mut second] = Parcels::among(&wakes).try_into().ok().unwrap();
        (0..(BATCH * PARCELS) as u32).for_each(|spi| assert!(put(&mut first, 1, spi)));
        first.send_all();
        assert!(put(&mut second, 0, 7));
        second.send_all();
        assert!(first.is_short());
        assert_eq!(first.next().unwrap().batch.spis, [Spi(7)]);
    }

    #[test]
    fn a_worker_alone_needs_no_parcels() {
        let [mut alone] = Parcels::among(&[Wake::new().unwrap()]).try_into().ok().unwrap();
        assert!(alone.trains() == BATCH && !alone.is_short() && alone.free.is_empty());
    }
}
