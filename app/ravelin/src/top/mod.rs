//! `ravelin top`: peers, rates, rekeys and failures, as they change.
//!
//! ```text
//!   every second: snapshot::ask ─► rows (against the moment before) ─► view::screen
//! ```
//! The daemon is asked as by any client: it streams what it lists, and waits for nobody.

mod snapshot;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue, style::Print};

use crate::process::{fail, wanted_over};

/// How long the daemon may take to answer before the view says that it does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may go on after it was told to end.
const GLANCE: Duration = Duration::from_millis(100);

/// Shows it until `q`, on the terminal.
pub fn run(socket: &Path, interval: Duration) -> ExitCode {
    if !io::stdout().is_terminal() {
        return fail("`ravelin top` draws on a terminal; for programs there is `ravelin ike netstat --json`");
    }
    // Without a daemon it does not begin; one that goes away later is waited for.
    if let Err(error) = snapshot::connect(socket) {
        return fail(error);
    }
    match Screen::begin().and_then(|screen| show(&screen, socket, interval)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the terminal cannot be used: {error}")),
    }
}

/// The terminal while we draw on it; it is put back when this is dropped, also by a panic.
struct Screen;

impl Screen {
    fn begin() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Screen;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (y, line) in (0u16..).zip(lines) {
            queue!(out, cursor::MoveTo(0, y), Clear(ClearType::CurrentLine), Print(line))?;
        }
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

fn show(screen: &Screen, socket: &Path, interval: Duration) -> io::Result<()> {
    let (mut client, mut before, mut rows) = (None, None, Vec::new());
    let mut from: usize = 0;
    let over = wanted_over()?;
    while !over.load(Relaxed) {
        let asked = match client.take() {
            Some(client) => Ok(client),
            None => snapshot::connect(socket),
        };
        let asked = asked.and_then(|mut client| {
            client.set_timeout(Some(PATIENCE))?;
            Ok((snapshot::ask(&mut client)?, client))
        });
        let trouble = match asked {
            Ok((now, connected)) => {
                rows = snapshot::rows(&now, before.as_ref());
                (client, before) = (Some(connected), Some(now));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let next = Instant::now() + interval;
        loop {
            from = from.min(rows.len().saturating_sub(1));
            let (width, height) = terminal::size()?;
            let size = (usize::from(width), usize::from(height));
            screen.draw(&view::screen(&rows, from, trouble.as_deref(), size))?;
            let Some(event) = typed(next, &over)? else { break };
            let Event::Key(key) = event else { continue };
            match key.code {
                _ if key.kind == KeyEventKind::Release => {}
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Down => from += 1,
                KeyCode::Up => from = from.saturating_sub(1),
                KeyCode::PageDown => from += size.1,
                KeyCode::PageUp => from = from.saturating_sub(size.1),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What is typed before `end`, unless this is to end first.
fn typed(end: Instant, over: &AtomicBool) -> io::Result<Option<Event>> {
    while !over.load(Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if event::poll(left.min(GLANCE))? {
            return event::read().map(Some);
        }
        if left.is_zero() {
            break;
        }
    }
    Ok(None)
}
