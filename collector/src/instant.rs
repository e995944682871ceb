//! Points in time as nanoseconds since 1970, read from and written as RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000_000_000;

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `2026-01-02T03:04:05.678Z`; milliseconds, as the server's API writes them.
pub(crate) fn to_text(nanos: i64) -> String {
    let (days, of_day) = (nanos.div_euclid(86_400 * SECOND), nanos.rem_euclid(86_400 * SECOND));
    let (year, month, day) = civil(days);
    let (seconds, millis) = (of_day / SECOND, of_day % SECOND / 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads a timestamp with `Z` or an offset; anything else is `None`, as strict as the server.
pub(crate) fn from_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(part).ok()?.parse().ok())?
    };
    let at = |index: usize, wanted: u8| bytes.get(index) == Some(&wanted);
    if !(at(4, b'-') && at(7, b'-') && at(10, b'T') && at(13, b':') && at(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut position = 19;
    let mut fraction = 0;
    if at(position, b'.') {
        let mut unit = SECOND / 10;
        position += 1;
        let first = position;
        while let Some(digit) = bytes.get(position).filter(|byte| byte.is_ascii_digit()) {
            fraction += i64::from(digit - b'0') * unit;
            unit /= 10;
            position += 1;
        }
        if position == first {
            return None;
        }
    }
    let offset = match bytes.get(position)? {
        b'Z' if bytes.len() == position + 1 => 0,
        sign @ (b'+' | b'-') => {
            let colon = usize::from(at(position + 3, b':'));
            if bytes.len() != position + 5 + colon {
                return None;
            }
            let away = number(position + 1, position + 3)? * 60
                + number(position + 3 + colon, position + 5 + colon)?;
            if *sign == b'-' { -away } else { away }
        }
        _ => return None,
    };
    let seconds = days_of(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

/// Days since 1970 to a date (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let moved = (5 * of_year + 2) / 153;
    let day = of_year - (153 * moved + 2) / 5 + 1;
    let month = if moved < 10 { moved + 3 } else { moved - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let moved = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * moved + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2026-11-21T07:39:50.005Z"] {
            assert_eq!(to_text(from_text(text).unwrap()), text);
        }
        assert_eq!(from_text("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(from_text("1970-01-01T00:00:00.000000001Z"), Some(1));
    }

    #[test]
    fn refuses_what_the_server_refuses() {
        for text in ["2025-05-22 00:00:00", "2025-05-22T00:00:00", "1747872000", "2025-13-22T00:00:00Z", ""] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
