//! Numbers in JSON, which has no word for NaN and the infinities.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `f64` that JSON carries exactly.
///
/// Finite values are JSON numbers with enough digits to be read back bit for bit, the sign of zero
/// included. NaN and the infinities are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`: a bare
/// `f64` would become `null`. Every NaN is read back as `f64::NAN`; its sign and payload are lost.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Number(pub f64);

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        number.0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            value => serializer.serialize_f64(value),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;

        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            // Other programs write whole numbers without a fraction.
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "NaN" => Ok(Number(f64::NAN)),
                    "Infinity" => Ok(Number(f64::INFINITY)),
                    "-Infinity" => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(NumberVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: f64) -> f64 {
        let text = serde_json::to_string(&Number(value)).unwrap();
        let direct: Number = serde_json::from_str(&text).unwrap();
        let through_a_value: Number =
            serde_json::from_value(serde_json::to_value(Number(value)).unwrap()).unwrap();
        assert_eq!(direct.0.to_bits(), through_a_value.0.to_bits());
        direct.0
    }

    #[test]
    fn every_finite_number_comes_back_bit_for_bit() {
        let edges = [
            0.0,
            -0.0,
            1.0,
            f64::MIN,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            f64::EPSILON,
            0.1 + 0.2,
            1e22,
            9007199254740993.0,
        ];
        // Random bit patterns (a 64-bit linear congruential generator, Knuth's constants) reach
        // every exponent and full-length mantissas.
        let mut state = 1u64;
        let random = (0..100_000).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state ^ (state >> 33))
        });
        for value in edges.into_iter().chain(random).filter(|v| v.is_finite()) {
            assert_eq!(round_trip(value).to_bits(), value.to_bits(), "{value:e}");
        }
    }

    #[test]
    fn the_undefined_and_the_infinite_are_strings() {
        for (value, text) in [
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(serde_json::to_string(&Number(value)).unwrap(), text);
        }
        assert!(round_trip(f64::NAN).is_nan());
        assert_eq!(round_trip(f64::INFINITY), f64::INFINITY);
        assert_eq!(round_trip(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn whole_numbers_are_read_and_anything_else_is_refused() {
        assert_eq!(serde_json::from_str::<Number>("3").unwrap().0, 3.0);
        assert_eq!(serde_json::from_str::<Number>("-3").unwrap().0, -3.0);
        for text in ["null", "true", "\"nan\"", "\"1.0\"", "[1]", "{}", "1e999"] {
            assert!(serde_json::from_str::<Number>(text).is_err(), "{text}");
        }
    }
}
