//! An instant, to the microsecond. Spans are `std::time::Duration`.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant: microseconds since 1970-01-01T00:00:00Z, which is also how databases keep it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an instant that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time with an offset, such as 2026-03-01T12:00:00Z")]
pub struct MalformedTimestamp;

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From an RFC 3339 text with any offset; years 1970 to 9999.
    pub fn parse_rfc3339(text: &str) -> Result<Self, MalformedTimestamp> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| MalformedTimestamp)?;
        let micros = parsed.unix_timestamp_nanos() / 1_000;
        match i64::try_from(micros) {
            Ok(micros) if micros >= 0 => Ok(Self(micros)),
            _ => Err(MalformedTimestamp),
        }
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: a JOSE NumericDate.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant that lies `span` later, at the latest the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// The instant that lies `span` earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// The midnight (UTC) at which its day began.
    #[must_use]
    pub const fn start_of_day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(24 * 3_600 * 1_000_000))
    }

    /// How long ago `earlier` was; nothing when it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with a `Z`; the fraction is left out when it is zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("9999-12-31T23:59:59Z"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_in_utc() {
        let at = Timestamp::parse_rfc3339("2026-03-01T13:00:00.25+01:00").unwrap();

        assert_eq!(at.to_string(), "2026-03-01T12:00:00.25Z");
    }

    #[test]
    fn a_date_without_an_offset_is_refused() {
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T12:00:00"), Err(MalformedTimestamp));
        assert_eq!(Timestamp::parse_rfc3339("1969-12-31T23:59:59Z"), Err(MalformedTimestamp));
    }
}
