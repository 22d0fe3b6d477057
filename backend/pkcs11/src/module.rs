//! Libraries of tokens: where they are, and that each is loaded and begun once, as the standard has it for a process.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::place::{Module, Place};
use crate::token::{Name, Token};
use crate::trouble::Trouble;

/// Where p11-kit has the names of modules (pkcs11.conf(5)).
const REGISTRIES: &[&str] = &["/etc/pkcs11/modules", "/usr/share/p11-kit/modules"];
/// The library of p11-kit that has them all.
const PROXY: &str = "p11-kit-proxy.so";
/// Tokens of one module that keys of ours are on.
const MAX_TOKENS: usize = 16;

/// A library and the tokens that were used of it.
pub(crate) struct Library {
    pkcs11: Pkcs11,
    tokens: Mutex<BTreeMap<Name, Arc<Token>>>,
}

/// The library of a module.
pub(crate) fn library(module: &Module) -> Result<Arc<Library>, Trouble> {
    /// A library may be begun once in a process, whoever else asks for it.
    static LOADED: OnceLock<Mutex<BTreeMap<PathBuf, Arc<Library>>>> = OnceLock::new();
    let file = file(module)?;
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = loaded.get(&file) {
        return Ok(library.clone());
    }
    let unusable = |error: Error| Trouble::Module(module.clone(), error.to_string());
    let pkcs11 = Pkcs11::new(&file).map_err(unusable)?;
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(unusable(error)),
    }
    let library = Arc::new(Library { pkcs11, tokens: Mutex::default() });
    loaded.insert(file, library.clone());
    Ok(library)
}

impl Library {
    /// The only token that fits.
    pub(crate) fn token(&self, place: &Place) -> Result<Arc<Token>, Trouble> {
        let failed = |error: Error| Trouble::Module(place.module.clone(), error.to_string());
        let mut all = Vec::new();
        for slot in self.pkcs11.get_slots_with_token().map_err(failed)? {
            // One that does not answer is none that we could use.
            let Ok(info) = self.pkcs11.get_token_info(slot) else { continue };
            if info.token_initialized() {
                all.push((slot, info));
            }
        }
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found.trim_end());
        let fits = all.iter().filter(|(slot, info)| {
            place.slot.is_none_or(|wanted| wanted == slot.id())
                && is(&place.token, info.label())
                && is(&place.serial, info.serial_number())
                && is(&place.manufacturer, info.manufacturer_id())
                && is(&place.model, info.model())
        });
        let fits: Vec<Name> = fits.map(|(_, info)| Name::of(info)).collect();
        let names = |names: &[Name]| names.iter().map(ToString::to_string).collect();
        match fits.as_slice() {
            [] => Err(Trouble::NoToken(all.iter().map(|(_, info)| Name::of(info).to_string()).collect())),
            [name] => {
                let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                if tokens.len() >= MAX_TOKENS && !tokens.contains_key(name) {
                    return Err(Trouble::TooMany(MAX_TOKENS));
                }
                let token = tokens
                    .entry(name.clone())
                    .or_insert_with(|| Arc::new(Token::new(self.pkcs11.clone(), name.clone())));
                Ok(token.clone())
            }
            several => Err(Trouble::Tokens(names(several))),
        }
    }
}

/// The file of a module.
fn file(module: &Module) -> Result<PathBuf, Trouble> {
    let name = match module {
        Module::Proxy => return Ok(PROXY.into()),
        Module::File(path) => return Ok(path.clone()),
        Module::Named(name) => name,
    };
    let plain = !name.is_empty() && !name.contains(['/', '\0']);
    let registered = REGISTRIES.iter().filter(|_| plain).find_map(|folder| {
        let text = fs::read_to_string(PathBuf::from(folder).join(format!("{name}.module"))).ok()?;
        // A name without a path is sought where libraries are, and there the loader of the system knows best.
        text.lines().find_map(|line| Some(PathBuf::from(line.trim().strip_prefix("module:")?.trim())))
    });
    registered.ok_or_else(|| Trouble::NoModule(name.clone(), REGISTRIES))
}
