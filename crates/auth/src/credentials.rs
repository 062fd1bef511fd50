//! What a client sends to prove who it is: the value of `Authorization`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_runtime::Secret;

/// What came as proof. Neither form that prints shows any of it.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing, or nothing but spaces.
    None,
    /// A name and a password (RFC 7617).
    Basic(Login),
    /// Something else. Whether it is one of a scheme that exists is nobody's business yet.
    Other,
}

/// A name and a password, as they came: in no certain encoding, and of any length.
#[derive(Clone)]
pub struct Login {
    name: Vec<u8>,
    password: Secret<Vec<u8>>,
}

impl Credentials {
    /// Reads the values of all `Authorization` headers. Of several none counts: a proxy in front may
    /// have looked at another one than the registry would.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        match (values.next().map(<[u8]>::trim_ascii), values.next()) {
            (None | Some(b""), None) => Self::None,
            (Some(value), None) => Login::parse(value).map_or(Self::Other, Self::Basic),
            (_, Some(_)) => Self::Other,
        }
    }
}

impl Login {
    /// Reads `Basic BASE64`, as Distribution does: the scheme in any case, padding needed, and the
    /// password begins after the first colon.
    fn parse(value: &[u8]) -> Option<Self> {
        const SCHEME: &[u8] = b"Basic ";
        let (scheme, encoded) = value.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let mut name = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = name.iter().position(|byte| *byte == b':')?;
        let password = Secret::new(name.split_off(colon + 1));
        name.pop();
        Some(Self { name, password })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns the password.
    #[must_use]
    pub fn password(&self) -> &Secret<Vec<u8>> {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic",
            Self::Other => "Other",
        })
    }
}

/// The name is not shown either: some type their password into the wrong field.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Credentials {
        Credentials::parse([value.as_bytes()])
    }

    fn login(name_and_password: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let value = format!("Basic {}", STANDARD.encode(name_and_password));
        match parse(&value) {
            Credentials::Basic(login) => Some((login.name, login.password.expose().clone())),
            _ => None,
        }
    }

    #[test]
    fn a_login_is_split_at_its_first_colon_and_may_be_any_bytes() {
        for (bytes, name, password) in [
            (&b"alice:secret"[..], &b"alice"[..], &b"secret"[..]),
            (b"alice:a:b:", b"alice", b"a:b:"),
            (b":", b"", b""),
            (b"\xff\0:\n", b"\xff\0", b"\n"),
        ] {
            assert_eq!(login(bytes), Some((name.to_vec(), password.to_vec())));
        }
        assert_eq!(login(b"no colon"), None);
        assert!(matches!(parse("bAsIC  YTpi  "), Credentials::Basic(_)));
    }

    #[test]
    fn what_is_no_login_is_something_else_or_nothing() {
        for nothing in ["", " ", "\t "] {
            assert!(matches!(parse(nothing), Credentials::None), "{nothing:?}");
        }
        assert!(matches!(Credentials::parse([]), Credentials::None));
        for other in [
            "x",
            "Basic",
            "Basic ",
            "Basic %%%",
            "Basic YTpi=",
            "Bearer YTpi",
            "BasicYTpi",
        ] {
            assert!(matches!(parse(other), Credentials::Other), "{other}");
        }
        let twice = [&b"Basic YTpi"[..], b"Basic YTpi"];
        assert!(matches!(Credentials::parse(twice), Credentials::Other));
    }

    #[test]
    fn nothing_that_prints_shows_any_of_it() {
        let credentials = parse("Basic YWxpY2U6c2VjcmV0");
        let shown = format!("{credentials:?}");
        assert_eq!(shown, "Basic");
        let Credentials::Basic(login) = credentials else {
            panic!("{shown}");
        };
        assert_eq!(format!("{login:?}"), "Login");
    }
}
