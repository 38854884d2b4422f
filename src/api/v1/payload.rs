//! Whether an event's data is JSON that every receiver reads alike (RFC 7493).
//!
//! The bytes themselves are kept and signed as they came; this only looks at them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The deepest nesting. Receivers' parsers have limits of their own, and the data is nested again inside the token.
const DEPTH_MAX: u32 = 64;
/// Names of members that are compared one by one.
const FEW: usize = 16;
/// The one member under which the parser hands over a number that no machine type holds.
const NUMBER: &str = "$serde_json::private::Number";

/// Refuses members named twice, text that is not Unicode, and deep nesting.
pub(super) fn check(json: &str) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("is nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    /// Numbers that no machine type holds arrive here too, as a map of one member with their digits. They are no level.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut next = members.next_key_seed(Name)?;
        if self.depth == DEPTH_MAX && next.as_deref() == Some(NUMBER) {
            return members.next_value::<String>().map(drop);
        }
        let inside = self.deeper()?;
        let mut names = Names::default();
        while let Some(name) = next {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!(
                    "has the member {name:?} twice; receivers would disagree on which counts"
                )));
            }
            names.insert(name);
            members.next_value_seed(inside)?;
            next = members.next_key_seed(Name)?;
        }
        Ok(())
    }
}

/// A member's name as it means, and as it stands in the text where that is the same.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The names of an object's members. Few are compared one by one, which is quicker than hashing them.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    fn contains(&self, name: &str) -> bool {
        self.few.iter().any(|known| known == name) || self.many.contains(name)
    }

    fn insert(&mut self, name: Cow<'de, str>) {
        if self.few.len() < FEW {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        check(json).unwrap_err().to_string()
    }

    #[test]
    fn data_that_everybody_reads_alike_is_accepted() {
        for json in [
            "null",
            "true",
            "12345678901234567890",
            "1.10",
            "1e400",
            "-0.0",
            r#""text \ud83d\ude00""#,
            "[]",
            "{}",
            r#"{"a":{"b":[1,2,{"a":null}]},"c":1E-500}"#,
        ] {
            check(json).unwrap();
        }
    }

    #[test]
    fn data_that_receivers_would_read_differently_is_refused() {
        assert!(refused(r#"{"a":1,"b":{"x":1,"x":2}}"#).contains("member \"x\" twice"));
        assert!(refused(r#"{"a":1,"\u0061":2}"#).contains("member \"a\" twice"));
        let many: Vec<String> = (0..100).map(|number| format!(r#""{number}":0"#)).collect();
        check(&format!("{{{}}}", many.join(","))).unwrap();
        assert!(refused(&format!(r#"{{{},"99":1}}"#, many.join(","))).contains("member \"99\" twice"));
        assert!(refused(r#""\ud800""#).contains("surrogate") || refused(r#""\ud800""#).contains("hex escape"));
        assert!(refused(&("[".repeat(65) + &"]".repeat(65))).contains("deeper than 64"));
        check(&("[".repeat(64) + &"]".repeat(64))).unwrap();
    }

    #[test]
    fn a_number_is_no_level_however_long_it_is() {
        let within = |levels: usize, json: &str| "[".repeat(levels) + json + &"]".repeat(levels);

        for number in ["1", "1.10", "-1e400", "123456789012345678901234567890"] {
            check(&within(64, number)).unwrap();
        }
        assert!(refused(&within(65, "1.10")).contains("deeper than 64"));
        assert!(refused(&within(64, "{}")).contains("deeper than 64"));
        assert!(check(&within(64, r#"{"$serde_json::private::Number":[]}"#)).is_err());
    }
}
