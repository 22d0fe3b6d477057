//! The guest of a lane. One that is gone, or takes no command lines any more, fails the case that it went in and no other:
//! the next one finds another guest.

use std::path::Path;
use std::time::Instant;

use anyhow::{Error, Result, ensure};

use super::lane::NO_GUEST;
use super::tally::Outcome;
use super::{Options, Places, recipe};
use crate::guest::Guest;
use crate::lab::Host;
use crate::traffic;

/// A lane's guest, or why there is none.
pub struct Machine<'a> {
    options: &'a Options,
    places: &'a Places,
    /// Path of all that is of the lane, without an extension.
    lane: &'a Path,
    guest: Result<Guest, String>,
    /// So many guests there were before this one.
    earlier: usize,
}

impl<'a> Machine<'a> {
    /// Boots the first one.
    pub fn boot(options: &'a Options, places: &'a Places, lane: &'a Path) -> Self {
        Self { options, places, lane, guest: start(options, places, lane), earlier: 0 }
    }

    /// The guest as a peer's host.
    pub fn host(&self) -> Result<Host<'_>, String> {
        self.guest().map(Host::Guest)
    }

    /// The guest.
    pub fn guest(&self) -> Result<&Guest, String> {
        self.guest.as_ref().map_err(Clone::clone)
    }

    /// Which of the lane's guests this is: what was made ready in one is not in the next.
    pub fn number(&self) -> usize {
        self.earlier
    }

    /// After a task: where the guest went with it, the reason says how that ended, and another one is booted.
    pub fn look_after(&mut self, outcome: Outcome) -> Outcome {
        let Outcome::Failed(error) = outcome else { return outcome };
        let Some(end) = self.guest.as_mut().ok().and_then(Guest::end) else { return Outcome::Failed(error) };
        // Its links are free when it is gone.
        self.guest = Err("the guest is gone".to_owned());
        self.guest = start(self.options, self.places, self.lane);
        self.earlier += 1;
        Outcome::Failed(Error::msg(format!("{error:#}\nthe guest is gone: {end}")))
    }
}

fn start(options: &Options, places: &Places, lane: &Path) -> Result<Guest, String> {
    let boot = || {
        let obstacle = std::env::var(NO_GUEST).unwrap_or_default();
        ensure!(obstacle.is_empty(), "{obstacle}");
        let started = Instant::now();
        let mut guest = Guest::boot(recipe(options, places), lane)?;
        guest.ready(&places.helper, traffic::PORT)?;
        println!("guest ready ({}) after {:.1} s", guest.accelerator(), started.elapsed().as_secs_f32());
        Ok(guest)
    };
    boot().map_err(|error| format!("no guest: {error:#}"))
}
