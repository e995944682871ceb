//! Numbers as text and back. The standard library's way for numbers with fractions is a tenth of a small WebAssembly module,
//! and every host of one has its own: there the host's is used, which gives the same bits.

/// Reads a number as JSON and the environment write it.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return match () {
            () if digits.eq_ignore_ascii_case("infinity") || digits.eq_ignore_ascii_case("inf") => {
                Some(sign * f64::INFINITY)
            }
            () if digits.eq_ignore_ascii_case("nan") => Some(f64::NAN),
            () => None,
        };
    }
    // What the host may take beyond: hexadecimal digits, white space.
    let known = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if digits.bytes().all(known) { host::parse(text) } else { None }
}

/// A number so that it is read back as the same.
#[must_use]
pub fn text(number: f64) -> String {
    host::text(number)
}

/// The same with a point, so that it is no whole number; `null` where JSON has no word for it.
pub(crate) fn double(number: f64) -> String {
    let digits = text(number);
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match number.is_finite() {
        true if whole => digits + ".0",
        true => digits,
        false => "null".into(),
    }
}

/// A whole number with its sign.
pub(crate) fn signed(number: i64) -> String {
    [if number < 0 { "-" } else { "" }, Digits::of(number.unsigned_abs()).as_str()].concat()
}

/// The decimal digits of a whole number.
#[derive(Debug)]
pub struct Digits {
    bytes: [u8; 20],
    from: usize,
}

impl Digits {
    /// Of this number.
    #[must_use]
    pub fn of(mut number: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; 20], from: 20 };
        loop {
            digits.from -= 1;
            if let Some(digit) = digits.bytes.get_mut(digits.from) {
                *digit += (number % 10) as u8;
            }
            number /= 10;
            if number == 0 || digits.from == 0 {
                return digits;
            }
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(self.from..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
mod host {
    pub(super) fn parse(text: &str) -> Option<f64> {
        text.parse().ok()
    }

    pub(super) fn text(number: f64) -> String {
        number.to_string()
    }
}

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub use host::{Host, of_host};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod host {
    use std::sync::OnceLock;

    /// The host's own.
    #[derive(Debug)]
    pub struct Host {
        /// Reads decimal digits, NaN where they are none: JavaScript's `Number`.
        pub parse: fn(&str) -> f64,
        /// The shortest digits that are read back as the same: JavaScript's `String`.
        pub text: fn(f64) -> String,
    }

    static HOST: OnceLock<Host> = OnceLock::new();

    /// Says how. To be called before anything else.
    pub fn of_host(host: Host) {
        let _ = HOST.set(host);
    }

    pub(super) fn parse(text: &str) -> Option<f64> {
        HOST.get().map(|host| (host.parse)(text)).filter(|number| !number.is_nan())
    }

    pub(super) fn text(number: f64) -> String {
        HOST.get().map(|host| (host.text)(number)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_standard_library_reads() {
        for text in [
            "0",
            "-0",
            "1",
            "+1",
            "12.5",
            ".5",
            "5.",
            "1e3",
            "1E-3",
            "-1.5e+10",
            "1e400",
            "inf",
            "-Infinity",
            "nan",
            "NaN",
            "",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "0x10",
            "1_0",
            " 1",
            "1 ",
            "1.2.3",
            "1-2",
            "--1",
            "Infinit",
            "4.9e-324",
        ] {
            let (ours, theirs) = (parse(text), text.parse::<f64>().ok());
            assert_eq!(ours.map(f64::to_bits), theirs.map(f64::to_bits), "{text:?}");
        }
    }

    #[test]
    fn whole_numbers_have_their_digits() {
        for number in [0, 7, 10, 1234, u64::MAX] {
            assert_eq!(Digits::of(number).as_str(), number.to_string());
        }
        assert_eq!(text(0.1).parse(), Ok(0.1));
    }
}
