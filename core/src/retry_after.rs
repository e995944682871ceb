//! `Retry-After`, as seconds or as an HTTP date.

use std::time::Duration;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The wait from `unix` (nanoseconds since 1970); nothing where the value makes no sense.
#[must_use]
pub fn parse(value: &str, unix: u64) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().next()?.is_ascii_digit() {
        let whole = value.split('.').next().unwrap_or_default();
        return whole.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()));
    }
    let at = date(value)?;
    Some(Duration::from_secs(at.saturating_sub(unix / 1_000_000_000)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that is still written.
fn date(text: &str) -> Option<u64> {
    let mut words = text.split_once(',')?.1.strip_prefix(' ')?.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok().filter(|part| *part <= 60));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if words.next()? != "GMT" {
        return None;
    }
    // Days from the civil calendar, counting years from March so that the leap day comes last.
    let (y, m) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 784_111_770_000_000_000;

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(parse(" 120 ", NOW), Some(Duration::from_secs(120)));
        assert_eq!(parse("1.5", NOW), Some(Duration::from_secs(1)));
        assert_eq!(parse("soon", NOW), None);
        assert_eq!(parse("-1", NOW), None);
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", NOW), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 99 Nov 1994 08:49:37 GMT", NOW), None);
    }
}
