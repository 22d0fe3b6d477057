//! A token and our session with it: opened when it is needed, opened again when it was lost, with a PIN that is given to
//! the token once only if it refuses it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use ravelin_types::Secret;
use subtle::ConstantTimeEq;

use crate::trouble::Trouble;

/// PINs that a token refused and that are remembered for that. After so many none is tried.
const MAX_REFUSED: usize = 8;

/// Label and serial number: what is the same wherever the token is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    label: String,
    serial: String,
}

impl Name {
    pub(crate) fn of(info: &TokenInfo) -> Self {
        Name { label: info.label().trim_end().to_owned(), serial: info.serial_number().trim_end().to_owned() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial number {})", self.label, self.serial)
    }
}

/// A token that has keys of ours.
pub(crate) struct Token {
    pkcs11: Pkcs11,
    name: Name,
    /// The name for people.
    shown: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// What it was opened with.
    pin: Option<Secret>,
    refused: Vec<Secret>,
}

impl Token {
    pub(crate) fn new(pkcs11: Pkcs11, name: Name) -> Self {
        let shown = name.to_string();
        Token { pkcs11, name, shown, state: Mutex::default() }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Does `work` in a session that the PIN has opened. One that was lost is opened once more.
    pub(crate) fn with<T>(
        &self,
        pin: Option<&Secret>,
        work: impl Fn(&Session) -> Result<T, Broken>,
    ) -> Result<T, Trouble> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for again in [true, false] {
            let session = self.session(&mut state, pin)?;
            match work(session) {
                Err(Broken::Session(error)) if again && is_lost(&error) => state.session = None,
                Err(Broken::Session(error)) => {
                    if is_lost(&error) {
                        state.session = None;
                    }
                    return Err(Trouble::of(&self.shown, &error));
                }
                Err(Broken::Other(trouble)) => return Err(trouble),
                Ok(done) => return Ok(done),
            }
        }
        Err(Trouble::Token(self.shown.clone(), "the session is lost again and again".to_owned()))
    }

    fn session<'a>(&self, state: &'a mut MutexGuard<'_, State>, pin: Option<&Secret>) -> Result<&'a Session, Trouble> {
        if state.session.is_none() {
            let session = self.open(state, pin)?;
            state.session = Some(session);
            state.pin = pin.cloned();
        }
        if let Some(pin) = pin {
            match &state.pin {
                Some(known) if bool::from(known.expose().ct_eq(pin.expose())) => {}
                Some(_) => return Err(Trouble::OtherPin(self.shown.clone())),
                None => {
                    let session = state.session.take();
                    let session = session.ok_or_else(|| Trouble::NoToken(Vec::new()))?;
                    self.log_in(state, &session, self.find()?.1, pin)?;
                    state.session = Some(session);
                    state.pin = Some(pin.clone());
                }
            }
        }
        state.session.as_ref().ok_or_else(|| Trouble::NoToken(Vec::new()))
    }

    fn open(&self, state: &mut State, pin: Option<&Secret>) -> Result<Session, Trouble> {
        let (slot, info) = self.find()?;
        let session = self.pkcs11.open_ro_session(slot).map_err(|error| Trouble::of(&self.shown, &error))?;
        if let Some(pin) = pin {
            self.log_in(state, &session, info, pin)?;
        }
        Ok(session)
    }

    fn log_in(&self, state: &mut State, session: &Session, info: TokenInfo, pin: &Secret) -> Result<(), Trouble> {
        let name = || self.shown.clone();
        if state.refused.iter().any(|refused| bool::from(refused.expose().ct_eq(pin.expose()))) {
            return Err(Trouble::RefusedPin(name()));
        }
        if info.user_pin_locked() {
            return Err(Trouble::Locked(name()));
        }
        if info.user_pin_final_try() || state.refused.len() >= MAX_REFUSED {
            return Err(Trouble::LastTry(name()));
        }
        match session.login_with_raw(UserType::User, &RawAuthPin::new(Box::new(pin.expose().to_vec()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                state.refused.push(pin.clone());
                Err(Trouble::WrongPin(name()))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Trouble::Locked(name())),
            Err(error) => Err(Trouble::of(&self.shown, &error)),
        }
    }

    /// Where it is plugged in now.
    fn find(&self) -> Result<(Slot, TokenInfo), Trouble> {
        let slots = self.pkcs11.get_slots_with_token().map_err(|error| Trouble::of(&self.shown, &error))?;
        let mut found = slots.into_iter().filter_map(|slot| Some((slot, self.pkcs11.get_token_info(slot).ok()?)));
        let gone = || Trouble::Token(self.shown.clone(), "it is not plugged in any more".to_owned());
        found.find(|(_, info)| Name::of(info) == self.name).ok_or_else(gone)
    }
}

/// Why work in a session is not done.
pub(crate) enum Broken {
    /// By the token.
    Session(Error),
    /// Otherwise.
    Other(Trouble),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::Session(error)
    }
}

/// Whether a session is over, so that a new one may do better.
fn is_lost(error: &Error) -> bool {
    use RvError::{DeviceRemoved, SessionClosed, SessionHandleInvalid, TokenNotPresent, UserNotLoggedIn};
    matches!(
        error,
        Error::Pkcs11(DeviceRemoved | SessionClosed | SessionHandleInvalid | TokenNotPresent | UserNotLoggedIn, _)
    )
}
