//! XAuth: users and passwords of a file, or of the secrets that were loaded.

use std::path::Path;

use ravelin_eap::{Account, Accounts, identity};
use ravelin_ike::config::{IkeVersion, V1, Xauth};
use ravelin_types::Secret;

use super::{Model, ModelError, RemoteEntry};
use crate::secret::{self, SecretError};
use crate::spec::{RemoteSpec, XauthSpec};

/// The longest file of users.
const MAX_FILE: usize = 1 << 20;

/// What a remote needs for XAuth before it is used; `None`: nothing, or what was loaded.
pub(super) fn read(spec: &RemoteSpec, directory: &Path) -> Result<Option<Xauth>, ModelError> {
    let accounts = |file: &Path| {
        let path = directory.join(file);
        let content = secret::read_protected(&path, MAX_FILE).map_err(ModelError::Secret)?;
        let accounts = lines(content.expose());
        if accounts.is_empty() { Err(ModelError::Secret(SecretError::Empty(path))) } else { Ok(accounts) }
    };
    match &spec.xauth {
        Some(XauthSpec::Users(Some(file))) => {
            let of = |(user, password): (Vec<u8>, Secret)| Account { owners: vec![identity(&user)], password };
            Ok(Some(Xauth::Ask(Accounts(accounts(file)?.into_iter().map(of).collect()))))
        }
        Some(XauthSpec::LoginFile(file)) => {
            let first = accounts(file)?.into_iter().next();
            let login = first.map(|(user, password)| (String::from_utf8_lossy(&user).into_owned(), password));
            Ok(login.map(|(user, password)| Xauth::Login { user, password }))
        }
        Some(XauthSpec::Users(None) | XauthSpec::User(_) | XauthSpec::Login(_)) | None => Ok(None),
    }
}

/// `NAME PASSWORD`, one user a line; what begins with `#` is a remark.
fn lines(content: &[u8]) -> Vec<(Vec<u8>, Secret)> {
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let user = |line: &[u8]| {
        let at = line.iter().position(u8::is_ascii_whitespace)?;
        let (name, password) = line.split_at_checked(at)?;
        Some((name.to_vec(), Secret::from(password.trim_ascii())))
    };
    lines.filter(|line| !line.starts_with(b"#")).filter_map(user).collect()
}

impl RemoteEntry {
    /// The version of IKE with everything that is known by now.
    pub(super) fn version(&self, model: &Model) -> IkeVersion {
        let IkeVersion::V1(v1) = &self.spec.version else { return self.spec.version.clone() };
        let xauth = match &self.spec.xauth {
            Some(XauthSpec::Users(None)) => Some(Xauth::Ask(model.accounts.clone())),
            Some(XauthSpec::User(user)) => {
                let password = model.accounts.password(user.as_bytes()).cloned();
                let account = password.map(|password| Account { owners: vec![identity(user.as_bytes())], password });
                Some(Xauth::Ask(Accounts(account.into_iter().collect())))
            }
            Some(XauthSpec::Login(user)) => {
                let password = model.accounts.password(user.as_bytes()).cloned().unwrap_or_default();
                Some(Xauth::Login { user: user.clone(), password })
            }
            _ => self.xauth.clone(),
        };
        IkeVersion::V1(V1 { xauth, ..v1.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_line_by_line() {
        let users = lines(b"# the office\nalice  wonder land \n\nbob\tbuilder\r\nnobody\n");
        let users: Vec<_> = users.iter().map(|(name, password)| (&name[..], password.expose())).collect();
        assert_eq!(users, [(&b"alice"[..], &b"wonder land"[..]), (b"bob", b"builder")]);
    }

    #[test]
    fn a_file_of_users_that_cannot_be_read_is_named_once() {
        let error = crate::eap::read_accounts(std::path::Path::new("/nonexistent/users")).unwrap_err().to_string();
        assert_eq!(error.matches("/nonexistent/users").count(), 1, "{error}");
    }
}
