//! An outbound SA, ready to seal.

use alloc::boxed::Box;

use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::sa::SaParams;
use ravelin_types::selector::select;

use super::{Cold, Parts, Sa, Spares, Usage};
use crate::aggfrag::Sender;
use crate::fetch::fetch;
use crate::suite::KeyedSuite;
use crate::template::Template;

/// Two cache lines, all that a packet needs.
#[repr(C, align(64))]
pub(crate) struct OutboundSa {
    pub suite: KeyedSuite,
    /// The last sequence number sent.
    pub sequence: u64,
    pub usage: Usage,
    pub spi: u32,
    pub template: Template,
    pub cold: Box<Cold>,
}

impl OutboundSa {
    pub fn new(params: &SaParams, spares: &mut Spares, now: Instant) -> Result<Self, DataPlaneError> {
        let suite = spares.keys(params)?;
        let mut cold = spares.cold(params, now);
        // A rekey is due before the numbers run out, whatever the lifetime.
        cold.bounds.limit_soft_packets(last_sequence(&suite) / 8 * 7);
        cold.sender = params.options.aggfrag.map(|options| Box::new(Sender::new(options, now)));
        Ok(OutboundSa {
            suite,
            sequence: 0,
            usage: Usage::new(&cold.bounds),
            spi: params.spi.0,
            template: Template::new(params),
            cold,
        })
    }

    /// The next sequence number, or `None` when the last was used: they must not cycle (RFC 4303 §3.3.3).
    #[inline]
    pub fn next_sequence(&self) -> Option<u64> {
        (self.sequence < last_sequence(&self.suite)).then(|| self.sequence + 1)
    }

    /// The next sequence number is so much higher.
    pub fn skip(&mut self, count: u64) {
        self.sequence = self.sequence.saturating_add(count).min(last_sequence(&self.suite));
    }

    /// Has the processor fetch what a packet needs besides the SA's start, which is there already, but for the keys, of
    /// which it is told where they begin: what takes longest is to find out where memory is.
    #[inline]
    pub fn fetch(&self) {
        fetch(&self.template);
        self.suite.fetch(0);
    }

    /// Whether the SA carries the flow.
    pub fn selects(&self, flow: &Flow) -> bool {
        select(&self.cold.params.local_ts, &self.cold.params.remote_ts, flow)
    }
}

fn last_sequence(suite: &KeyedSuite) -> u64 {
    if suite.extended() { u64::MAX } else { u32::MAX.into() }
}

impl Sa for OutboundSa {
    fn cold(&self) -> &Cold {
        &self.cold
    }

    fn parts(&mut self) -> (&mut Usage, &mut Cold) {
        (&mut self.usage, &mut self.cold)
    }

    fn usage(&self) -> &Usage {
        &self.usage
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn into_parts(self) -> Parts {
        Parts { suite: self.suite, cold: self.cold, window: None }
    }
}

// An SA that grows past its two lines costs every packet another one.
const _: () = assert!(size_of::<Option<OutboundSa>>() == 128);
