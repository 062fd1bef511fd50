//! Guards for JSON that decides what a registry keeps: bounded depth and number of values, and no
//! doubt about which value a key has.
//!
//! Whoever reads the same bytes later may use another parser. Go's takes a key in any case, and the
//! last of several equal ones; so a document whose known keys come twice, or in another case, could
//! mean one thing here and another thing there.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::text::excerpt;

/// What a document costs to parse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How deeply objects and arrays lie in each other.
    pub(crate) depth: usize,
    /// How many commas there are: nearly the number of members and elements.
    pub(crate) commas: usize,
}

/// Looks at a document without parsing it.
///
/// It does not ask whether the JSON is well-formed, so that it can be asked first: parsers skip
/// unknown values of any depth, and a million tiny values cost many times the bytes they are
/// written in.
pub(crate) fn shape(json: &[u8]) -> Shape {
    let mut shape = Shape::default();
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b',' if !in_string => shape.commas += 1,
            b'{' | b'[' if !in_string => {
                depth += 1;
                shape.depth = shape.depth.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    shape
}

/// Deserializes an object whose keys may look like one of `known` only by being one.
///
/// That a known key comes twice is refused by the derived implementation of `T`.
pub(crate) fn guarded<'de, D, T>(
    deserializer: D,
    known: &'static [&'static str],
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_map(GuardedVisitor {
        known,
        result: PhantomData,
    })
}

/// Deserializes a value for which `null` stands for the default.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

struct GuardedVisitor<T> {
    known: &'static [&'static str],
    result: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for GuardedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(GuardedMap {
            map,
            known: self.known,
        }))
    }
}

struct GuardedMap<A> {
    map: A,
    known: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for GuardedMap<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(Key(key)) = self.map.next_key()? else {
            return Ok(None);
        };
        if let Some(known) = self.known.iter().find(|known| looks_like(&key, known)) {
            return Err(A::Error::custom(format_args!(
                "key `{}` differs from `{known}` only in case",
                excerpt(&key)
            )));
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Tells whether a key differs from a known one in nothing but the case of its letters.
///
/// Case is folded as Unicode's simple folding has it, where the long s is a form of `s`. The Kelvin
/// sign, a form of `k`, is left out: no known key has that letter.
fn looks_like(key: &str, known: &str) -> bool {
    let fold = |c: char| {
        if c == 'ſ' {
            's'
        } else {
            c.to_ascii_lowercase()
        }
    };
    key != known && key.chars().map(fold).eq(known.chars().map(fold))
}

/// A key, borrowed from the document unless it has escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}
