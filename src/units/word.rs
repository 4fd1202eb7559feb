//! A quantity in whose place a word may stand: `"off"`, `"never"`.

use schemars::{Schema, json_schema};

/// A word that means something of its own, or a value.
pub(crate) fn word_or(word: &str, means: &str, value: &Schema) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "const": word, "description": means }, value] })
}

/// How an enum is written that is either a word or a quantity, with its schema. Bounds are the setting's that has it:
/// `x-least` and `x-most` of its schema.
///
/// ```text
/// word_or_quantity!(Heartbeat, "off" is Off: "Never.", or Every(Span));
/// ```
macro_rules! word_or_quantity {
    ($type:ident, $word:literal is $alone:ident: $means:literal, or $some:ident($quantity:ident)) => {
        crate::units::inline_schema!($type, |generator| crate::units::word_or(
            $word,
            $means,
            &<$quantity as schemars::JsonSchema>::json_schema(generator)
        ));

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::$alone => serializer.serialize_str($word),
                    Self::$some(quantity) => quantity.serialize(serializer),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                match text.as_str() {
                    $word => Ok(Self::$alone),
                    _ => text.parse().map(Self::$some).map_err(|error: crate::units::UnitError| {
                        serde::de::Error::custom(format!("{error}, or \"{}\"", $word))
                    }),
                }
            }
        }
    };
}
pub(crate) use word_or_quantity;

#[cfg(test)]
mod tests {
    use crate::units::Span;

    #[derive(Debug, PartialEq, Eq)]
    enum Wait {
        Never,
        For(Span),
    }

    word_or_quantity!(Wait, "never" is Never: "It doesn't.", or For(Span));

    #[test]
    fn a_word_or_a_quantity_is_read_and_written_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Wait>(text.into());
        assert_eq!(read("never").unwrap(), Wait::Never);
        assert_eq!(read("2s").unwrap(), Wait::For(Span::from_secs(2)));
        for text in ["never", "1ms", "2s"] {
            assert_eq!(serde_json::to_value(read(text).unwrap()).unwrap(), text);
        }
        for text in ["soon", "2", "Never"] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(text) && said.contains("3s") && said.contains("or \"never\""), "{said}");
        }
    }
}
