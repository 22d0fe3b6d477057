//! Finding the device that takes work of an SA or a policy, and doing without where none does.

use std::io;

use ravelin_host::device;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::Offload;
use ravelin_types::policy::{Action, Policy};
use ravelin_types::sa::SaParams;

use crate::msg::attribute::Attribute;
use crate::offload::{Ends, ends, protection, wanted};
use crate::plane::XfrmDataPlane;
use crate::{states, text};

/// The same operation, with this.
fn with(op: &DataPlaneOp, offload: Offload) -> DataPlaneOp {
    let mut op = op.clone();
    match &mut op {
        DataPlaneOp::AddPolicy(Policy { action: Action::Protect(protection), .. }) => {
            protection.options.offload = offload
        }
        DataPlaneOp::AddSa(params) => params.options.offload = offload,
        _ => {}
    }
    op
}

impl XfrmDataPlane {
    /// Adds a policy or an SA of which a device is to do something. Where that is left to us, what is refused is tried with less, and
    /// nothing is asked of a device that says it does none of it: the kernel loads its module `esp4_offload` for the question alone.
    pub(crate) fn add_by_device(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        let (asked, kernel_can) = (wanted(op), self.capabilities().packet_offload);
        let (ends, policy_can) = match op {
            DataPlaneOp::AddSa(params) => (Some(ends(params)), self.book.gives_packets(params)),
            DataPlaneOp::AddPolicy(policy) => (protection(policy).map(|it| (it.local, it.remote)), true),
            _ => (None, false),
        };
        let device = ends.filter(|_| asked != Offload::Crypto).and_then(|ends| self.find_device(ends));
        let tries: &[Offload] = match &asked {
            Offload::Packet if !kernel_can => {
                return Err(refusal(
                    "this kernel gives no device whole packets (Linux 6.2 and later do, with CONFIG_XFRM_OFFLOAD)",
                    self.line(op),
                ));
            }
            Offload::Auto if !device.is_some_and(takes_esp) => &[Offload::Off],
            Offload::Auto if kernel_can && policy_can => &[Offload::Packet, Offload::Crypto, Offload::Off],
            Offload::Auto => &[Offload::Crypto, Offload::Off],
            one => std::slice::from_ref(one),
        };
        let mut result = Ok(());
        for offload in tries {
            result = self.change(&with(op, *offload));
            match (&result, op) {
                (Ok(()), DataPlaneOp::AddSa(params)) if *offload == Offload::Crypto => return self.look(params, asked),
                (Ok(()), _) => break,
                (Err(error), _) => tracing::debug!("a device does not take it: {error}"),
            }
        }
        result
    }

    /// A kernel without a device that takes the cryptography does it itself, without a word.
    fn look(&mut self, params: &SaParams, asked: Offload) -> Result<(), DataPlaneError> {
        let taken = states::names(params).into_iter().any(|name| {
            let state = self.netlink.ask(&states::question(name, params));
            state.is_ok_and(|state| state.attributes.iter().any(|a| matches!(a, Attribute::Offload(_))))
        });
        match asked {
            _ if taken => Ok(()),
            Offload::Auto => {
                self.book.done_by_processor(params.id());
                Ok(())
            }
            _ => {
                self.change(&DataPlaneOp::DeleteSa(params.id()))?;
                let line = self.line(&DataPlaneOp::AddSa(params.clone()));
                let peer = ends(params).1;
                let why = format!(
                    "no device on the way to {peer} takes the cryptography of SA {}, in ESP without UDP",
                    params.spi
                );
                Err(refusal(&why, line))
            }
        }
    }

    /// The request for a state or an entry that wants a device, by hand.
    fn line(&mut self, op: &DataPlaneOp) -> Option<String> {
        let steps = self.plan(op);
        self.book.roll_back();
        let messages = steps.ok()?.into_iter().map(|step| step.request.message);
        messages
            .filter(|it| it.attributes.iter().any(|a| matches!(a, Attribute::Offload(_))))
            .map(|it| text::command(&it))
            .next()
    }

    /// Tells the book by which device packets between two ends come and go, and gives it. `None`: that is not known, or there is none.
    pub(crate) fn find_device(&mut self, ends: Ends) -> Option<i32> {
        let device = match ends {
            // With a peer that may be anywhere it is known with its first SA.
            (None, remote) if remote.is_unspecified() => Ok(None),
            (Some(local), remote) if remote.is_unspecified() => self.links.device_of(local),
            (local, remote) => device::towards(local, remote).map(|index| i32::try_from(index?).ok()),
        };
        let device = device.unwrap_or_else(|error| {
            tracing::warn!("the device towards {} cannot be found: {error}", ends.1);
            None
        });
        self.book.set_device(ends, device);
        device
    }
}

/// Where it does not say so, it does not.
fn takes_esp(index: i32) -> bool {
    let takes = u32::try_from(index).map_err(io::Error::other).and_then(device::takes_esp);
    takes.unwrap_or_else(|error| {
        tracing::warn!("no device is asked to protect packets, for the kernel does not tell whether one can (`ethtool -k`): {error}");
        false
    })
}

fn refusal(why: &str, line: Option<String>) -> DataPlaneError {
    let line = line.map(|line| format!("; by hand: `{line}`")).unwrap_or_default();
    DataPlaneError::System(format!("{why}: say --offload auto, or leave it out{line}"))
}
