//! `ike debug`: messages of IKE and lines of the log, as they come, to those who asked for them.
//!
//! Nobody waits for a reader: what does not fit into his queue, and what comes faster than it is worth to be read, is left out, and
//! he sees how much by the numbers. While nobody reads, nothing is decoded and no key is kept here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_config::command::{DebugArgs, Shown};
use ravelin_control::{ClientId, DEBUG_EVENT, Message};
use ravelin_decode::keys::Keys;
use ravelin_decode::render::text::{self, Style};
use ravelin_decode::{Decoder, Options};
use ravelin_ike::IkeSecrets;
use ravelin_types::Instant;

use super::{Known, line_of};
use crate::daemon::core::{Core, Said};
use crate::daemon::later::NOBODY;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;
use crate::render::secrecy;

/// Readers at once.
const MAX_READERS: usize = 8;
/// Messages shown in one second.
const MAX_PER_SECOND: u32 = 500;
/// The longest text of one message; a value of the control socket has 65,535 bytes at most.
const MAX_TEXT: usize = 60_000;

/// Who reads, and what opens the messages.
#[derive(Default)]
pub(in crate::daemon) struct Trace {
    readers: BTreeMap<ClientId, Reader>,
    /// There while somebody wants messages.
    opener: Option<Opener>,
}

struct Reader {
    args: DebugArgs,
    number: u64,
}

struct Opener {
    decoder: Decoder,
    known: Known,
    second: Instant,
    shown: u32,
}

impl Trace {
    fn refresh(&mut self) {
        match self.readers.values().any(|reader| reader.args.trace) {
            false => self.opener = None,
            true if self.opener.is_some() => {}
            true => {
                let decoder = Decoder::new(Keys::default(), Options::default());
                let opener = Opener { decoder, known: Known::default(), second: Instant::ZERO, shown: 0 };
                self.opener = Some(opener);
            }
        }
    }

    /// Whether somebody wants messages.
    pub(in crate::daemon) fn wants_messages(&self) -> bool {
        self.opener.is_some()
    }

    /// Whether somebody wants lines of the log.
    pub(in crate::daemon) fn wants_lines(&self) -> bool {
        self.readers.values().any(|reader| reader.args.debug)
    }

    /// Takes the keys of an IKE SA, which may be known.
    pub(in crate::daemon) fn learn(&mut self, secrets: &IkeSecrets) {
        let Some(opener) = &mut self.opener else { return };
        let (new, gone) = opener.known.note(secrets);
        if let Some(spis) = gone {
            opener.decoder.forget(spis);
        }
        if let IkeSecrets::V1 { cookies, suite, last: Some(last), .. } = secrets {
            opener.decoder.learn_phase1(cookies.0, suite.encr, suite.prf, last);
        }
        if let (true, Some(line)) = (new, line_of(secrets)) {
            // What was written can be read.
            let _ = opener.decoder.learn(&String::from_utf8_lossy(line.text.expose()));
        }
    }

    /// One more for each of these readers.
    fn tell(&mut self, wants: impl Fn(&DebugArgs) -> bool, text: impl Fn(Shown) -> Option<String>) -> Vec<Said> {
        let mut said = Vec::new();
        let mut texts: BTreeMap<Shown, Option<String>> = BTreeMap::new();
        for (client, reader) in self.readers.iter_mut().filter(|(_, reader)| wants(&reader.args)) {
            reader.number += 1;
            let shown = reader.args.show;
            if let Some(text) = texts.entry(shown).or_insert_with(|| text(shown)) {
                let message = Message::new().with("number", reader.number).with("text", text);
                said.push(Said::Progress(*client, DEBUG_EVENT, message));
            }
        }
        said
    }
}

impl<P: Plane> Core<P> {
    /// Begins to show, to this client, or ends all that is shown.
    pub(in crate::daemon) fn debug(&mut self, client: ClientId, args: DebugArgs) -> Result<Option<Message>, String> {
        let trace = &mut self.tap.trace;
        if !args.is_on() {
            let ended = std::mem::take(&mut trace.readers);
            trace.refresh();
            self.said.extend(ended.into_keys().map(|client| Said::Answer(client, done())));
            return Ok(Some(done()));
        }
        if client == NOBODY {
            return Err("`ike debug` shows to whoever types it, and a file has nobody to show to".into());
        }
        if trace.readers.len() == MAX_READERS {
            return Err(format!("{MAX_READERS} read already: `ike debug` without an option ends them all"));
        }
        trace.readers.insert(client, Reader { args, number: 0 });
        trace.refresh();
        Ok(None)
    }

    /// A reader has gone.
    pub(in crate::daemon) fn debug_ended(&mut self, client: ClientId) {
        self.tap.trace.readers.remove(&client);
        self.tap.trace.refresh();
    }

    /// Shows a message of IKE. Its keys were learned before.
    pub(in crate::daemon) fn trace_message(&mut self, received: bool, remote: SocketAddr, data: &[u8], now: Instant) {
        let trace = &mut self.tap.trace;
        let Some(opener) = &mut trace.opener else { return };
        if now.since(opener.second) >= Duration::from_secs(1) {
            (opener.second, opener.shown) = (now, 0);
        }
        opener.shown += 1;
        let layer = (opener.shown <= MAX_PER_SECOND).then(|| opener.decoder.ike_message(data));
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let when = text::time(u64::try_from(micros).unwrap_or(u64::MAX));
        let said = trace.tell(
            |args| args.trace,
            |shown| {
                let style = Style { shown: secrecy(shown), hex: false };
                let text = text::trace(&when, data.len(), remote, received, layer.as_ref()?, style);
                Some(cut(text))
            },
        );
        self.said.extend(said);
    }

    /// Shows a line of the log.
    pub(in crate::daemon) fn debug_line(&mut self, line: &str) {
        let said = self.tap.trace.tell(|args| args.debug, |_| Some(cut(format!("{line}\n"))));
        self.said.extend(said);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n ... and more\n");
    }
    text
}
