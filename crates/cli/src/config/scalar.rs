//! What a scalar means: YAML 1.1 words and numbers, and Go's durations, as Distribution reads them.

use std::time::Duration;

use super::tree::Scalar;

/// Reads a boolean: `y`, `yes`, `on`, `true` and their opposites, in lower case, upper case or with
/// a capital, never in quotes.
pub(crate) fn boolean(scalar: &Scalar) -> Option<bool> {
    const TRUE: [&str; 4] = ["y", "yes", "on", "true"];
    const FALSE: [&str; 4] = ["n", "no", "off", "false"];
    if !scalar.plain {
        return None;
    }
    let text = scalar.text.as_str();
    if TRUE.iter().any(|word| is_a_case_of(text, word)) {
        Some(true)
    } else if FALSE.iter().any(|word| is_a_case_of(text, word)) {
        Some(false)
    } else {
        None
    }
}

/// Whether `text` is `word`, `WORD` or `Word`.
fn is_a_case_of(text: &str, word: &str) -> bool {
    let Some(tail) = text.get(1..) else {
        return false;
    };
    let usual_tail = tail == &word[1..]
        || (text.starts_with(|c: char| c.is_ascii_uppercase())
            && tail == word[1..].to_ascii_uppercase());
    text.eq_ignore_ascii_case(word) && usual_tail
}

/// Reads an integer: decimal, `0x`, `0b`, `0o` or with a leading zero octal; `_` may group digits.
/// Never in quotes.
pub(crate) fn integer(scalar: &Scalar) -> Option<i64> {
    if !scalar.plain || !scalar.text.ends_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let text = scalar.text.replace('_', "");
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text.as_str()),
    };
    let prefixed = |prefixes: [&str; 2]| prefixes.iter().find_map(|p| digits.strip_prefix(p));
    let (radix, digits) = if let Some(hex) = prefixed(["0x", "0X"]) {
        (16, hex)
    } else if let Some(binary) = prefixed(["0b", "0B"]) {
        (2, binary)
    } else if let Some(octal) = prefixed(["0o", "0O"]) {
        (8, octal)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None; // a second sign
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// Reads a decimal fraction; only for values that nobody but a log line looks at.
pub(crate) fn float(scalar: &Scalar) -> Option<f64> {
    let looks = scalar
        .text
        .starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && scalar.text.contains(|c: char| c.is_ascii_digit());
    if scalar.plain && looks {
        scalar.text.parse().ok()
    } else {
        None
    }
}

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DurationFault {
    /// A bare number, which Distribution reads as nanoseconds.
    NoUnit,
    /// A minus sign.
    Negative,
    /// More than [`LONGEST`].
    TooLong,
    /// Anything else.
    Malformed,
}

/// A hundred years: more is a slip, and Go cannot hold three times as much.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Reads a duration in Go's form, such as `1h30m`, `1.5s` or `200ms`; `0` needs no unit.
///
/// # Errors
/// Says what keeps the text from being a duration.
pub(crate) fn duration(text: &str) -> Result<Duration, DurationFault> {
    if text.starts_with('-') {
        return Err(DurationFault::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if !rest.is_empty() && rest.bytes().all(|b| b == b'0') {
        return Ok(Duration::ZERO);
    }
    if rest.parse::<f64>().is_ok() && rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(DurationFault::NoUnit);
    }
    if rest.is_empty() {
        return Err(DurationFault::Malformed);
    }
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let part = nanoseconds(number, unit).ok_or(DurationFault::Malformed)?;
        sum = sum.checked_add(part).ok_or(DurationFault::TooLong)?;
        rest = tail;
    }
    let total = u64::try_from(sum)
        .map(Duration::from_nanos)
        .map_err(|_| DurationFault::TooLong)?;
    if total > LONGEST {
        Err(DurationFault::TooLong)
    } else {
        Ok(total)
    }
}

/// `1.5` and `s` make 1,500,000,000. `None` for an unknown unit or a broken number.
fn nanoseconds(number: &str, unit: &str) -> Option<u128> {
    let scale: u128 = match unit {
        "ns" => 1,
        // The micro sign and the Greek letter, as in Go.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 20 || fraction.contains('.') {
        return None;
    }
    let parse = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse().ok()
        }
    };
    let whole: u128 = parse(whole)?;
    // Twelve places are far below a nanosecond of an hour.
    let fraction = &fraction[..fraction.len().min(12)];
    let places = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u128 = parse(fraction)?;
    Some(whole.checked_mul(scale)? + fraction * scale / places)
}

/// Prints a duration in Go's form, as [`duration`] reads it.
pub(crate) fn print_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let small = [
        (nanos / 1_000_000, "ms"),
        (nanos / 1_000 % 1_000, "us"),
        (nanos % 1_000, "ns"),
    ];
    for (count, unit) in parts
        .into_iter()
        .chain(small.map(|(n, unit)| (u64::from(n), unit)))
    {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.to_owned(),
            plain: true,
        }
    }

    fn quoted(text: &str) -> Scalar {
        Scalar {
            text: text.to_owned(),
            plain: false,
        }
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for word in [
            "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE",
        ] {
            assert_eq!(boolean(&plain(word)), Some(true), "{word}");
            assert_eq!(boolean(&quoted(word)), None, "{word}");
        }
        for word in [
            "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE",
        ] {
            assert_eq!(boolean(&plain(word)), Some(false), "{word}");
        }
        for word in ["1", "0", "tRue", "yES", "", "enabled", "oN", "ja", "ÿ"] {
            assert_eq!(boolean(&plain(word)), None, "{word}");
        }
    }

    #[test]
    fn integers_are_those_of_yaml_1_1() {
        let cases = [
            ("0", 0),
            ("-7", -7),
            ("+7", 7),
            ("1_000", 1000),
            ("0123", 83),
            ("0o17", 15),
            ("0x1F", 31),
            ("0b101", 5),
            ("-0x10", -16),
        ];
        for (text, value) in cases {
            assert_eq!(integer(&plain(text)), Some(value), "{text}");
            assert_eq!(integer(&quoted(text)), None, "{text}");
        }
        for text in [
            "",
            "-",
            "+-5",
            "--5",
            "5 ",
            "1.0",
            "1e3",
            "ten",
            "0x",
            "09",
            "9223372036854775808",
        ] {
            assert_eq!(integer(&plain(text)), None, "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go_with_a_unit() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("200ms", 200_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("7ns", 7),
            ("1m0.25s", 60_250_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(duration("60"), Err(DurationFault::NoUnit));
        assert_eq!(duration("1.5"), Err(DurationFault::NoUnit));
        assert_eq!(duration("-1s"), Err(DurationFault::Negative));
        assert_eq!(duration("99999999h"), Err(DurationFault::TooLong));
        assert_eq!(
            duration("99999999999999999999h"),
            Err(DurationFault::TooLong)
        );
        for text in [
            "", "+", "s", "1d", "1 h", "1h30", "1..5s", ".s", "1s-1s", "soon",
        ] {
            assert_eq!(duration(text), Err(DurationFault::Malformed), "{text}");
        }
    }

    #[test]
    fn a_printed_duration_reads_back() {
        for text in ["0s", "1s", "1h30m", "1m1s200ms", "168h", "7ns", "10us"] {
            assert_eq!(print_duration(duration(text).unwrap()), text);
        }
    }
}
