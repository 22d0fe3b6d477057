//! A thread that carries packets: both directions where the process has one processor, else one direction each, of which there
//! may be several.

use std::os::fd::AsFd;
use std::sync::Arc;

use ravelin_inbox::Wake;

use crate::busy::Busy;
use crate::inbound::InboundHalf;
use crate::outbound::OutboundHalf;
use crate::shared::Clock;
use crate::sockets::Sockets;
use crate::streams::Streams;
use crate::wait::{Watch, earliest};

/// What one thread serves.
pub(crate) struct Worker {
    pub wake: Wake,
    pub clock: Clock,
    pub sockets: Arc<Sockets>,
    pub streams: Arc<Streams>,
    pub busy: Busy,
    pub outbound: Option<OutboundHalf>,
    pub inbound: Option<InboundHalf>,
}

impl Worker {
    /// Runs until one of its halves is told to stop.
    pub(crate) fn run(self) {
        let Worker { wake, clock, sockets, streams, mut busy, mut outbound, mut inbound } = self;
        let mut moved = 0;
        loop {
            let mut watch = Watch::new(wake.as_fd());
            if outbound.is_some() {
                sockets.icmp().for_each(|fd| watch.readable(fd));
            }
            let outbound_from = watch.len();
            if let Some(half) = &outbound {
                half.watch(&sockets, &mut watch);
            }
            let inbound_from = watch.len();
            if let Some(half) = &mut inbound {
                half.watch(&sockets, &streams, &mut watch);
            }
            let end = watch.len();
            let deadlines =
                [outbound.as_ref().and_then(OutboundHalf::deadline), inbound.as_ref().and_then(InboundHalf::deadline)];
            let ready = watch.wait(&mut busy, moved, clock.now(), earliest(deadlines));
            moved = 0;
            if ready.has(0) {
                wake.clear();
            }
            // Whatever it woke for: some requests are left here without a sign, to be known before the next packet.
            let stop = outbound.as_mut().is_some_and(|half| !half.serve())
                || inbound.as_mut().is_some_and(|half| !half.serve());
            if stop {
                return;
            }
            if let Some(half) = &mut outbound {
                if ready.part(1, outbound_from).any() {
                    half.learn();
                }
                moved += half.work(ready.part(outbound_from, inbound_from).any());
            }
            if let Some(half) = &mut inbound {
                moved += half.work(ready.part(inbound_from, end));
            }
        }
    }
}
