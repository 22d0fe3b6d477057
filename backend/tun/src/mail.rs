//! From each worker of one direction to each other: bounded queues without a lock, and a wake where something was sent.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use ravelin_inbox::Wake;

/// What one worker holds of the queues.
pub(crate) struct Mail<T> {
    own: usize,
    inbox: Receiver<T>,
    /// By worker.
    boxes: Vec<(SyncSender<T>, Wake)>,
    /// A bit for each worker to be woken.
    told: u64,
}

impl<T> Mail<T> {
    /// For the workers that wait for these; each inbox has so much room.
    pub(crate) fn among(wakes: &[Wake], room: usize) -> Vec<Self> {
        let (senders, inboxes): (Vec<_>, Vec<_>) = wakes.iter().map(|_| sync_channel(room)).unzip();
        let boxes: Vec<_> = senders.into_iter().zip(wakes.iter().cloned()).collect();
        let each = inboxes.into_iter().enumerate();
        each.map(|(own, inbox)| Mail { own, inbox, boxes: boxes.clone(), told: 0 }).collect()
    }

    /// Which worker this is.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// Among how many.
    pub(crate) fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Puts something into the inbox of a worker, which hears of it by [`Mail::wake`]. Gives it back where there is no room.
    pub(crate) fn send(&self, to: usize, item: T) -> Result<(), T> {
        let Some((queue, _)) = self.boxes.get(to) else { return Err(item) };
        queue.try_send(item).map_err(|(TrySendError::Full(item) | TrySendError::Disconnected(item))| item)
    }

    /// This worker is to hear of what it was sent.
    pub(crate) fn tell(&mut self, to: usize) {
        self.told |= 1 << to;
    }

    /// Wakes those who are to hear.
    pub(crate) fn wake(&mut self) {
        let mut told = std::mem::take(&mut self.told);
        while told != 0 {
            self.boxes[told.trailing_zeros() as usize].1.set();
            told &= told - 1;
        }
    }

    /// The next that was sent to this worker.
    pub(crate) fn next(&self) -> Option<T> {
        self.inbox.try_recv().ok()
    }
}
