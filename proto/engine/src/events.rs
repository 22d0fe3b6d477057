//! The events of one half, in order.

use alloc::collections::VecDeque;

use ravelin_types::dataplane::DataPlaneEvent;

/// A bounded queue whose room is there from the start, so that a packet that raises an event allocates nothing.
pub(crate) struct Events {
    queue: VecDeque<DataPlaneEvent>,
    most: usize,
    /// Events that found no room.
    pub deferred: u64,
}

impl Events {
    pub fn new(most: usize) -> Self {
        Events { queue: VecDeque::with_capacity(most), most, deferred: 0 }
    }

    /// False when there is no room; the caller must be able to raise the event again later.
    #[must_use]
    pub fn push(&mut self, event: DataPlaneEvent) -> bool {
        let fits = self.queue.len() < self.most;
        if fits {
            self.queue.push_back(event);
        } else {
            self.deferred += 1;
        }
        fits
    }

    pub fn pop(&mut self) -> Option<DataPlaneEvent> {
        self.queue.pop_front()
    }
}
